package wire

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/check"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// CheckOptions say what a check looks at.
type CheckOptions struct {
	// File is the configuration.
	File   string
	Getenv func(string) (string, bool)
	// Offline reads what was saved instead of asking servers; Save saves what they say.
	Offline, Save bool
	Logger        *slog.Logger
}

// Check gathers the facts of a bridge: of its files, and of servers and targets. It writes
// nothing to any of them, but keeps in Redis what comes in place of a refresh token.
func Check(ctx context.Context, o CheckOptions) *check.Facts {
	f := &check.Facts{Config: o.File, Offline: o.Offline}
	c := &checker{o: o, facts: f, catalog: filepath.Join(filepath.Dir(o.File), mapping.CatalogName)}
	var cfg *config.Config
	if !o.Offline {
		if cfg, f.ConfigErr = config.Load(o.File, o.Getenv); f.ConfigErr != nil {
			cfg = nil
		}
	}
	patterns, dir, err := config.MappingPatterns(o.File, o.Getenv)
	if err != nil {
		if f.ConfigErr == nil {
			f.ConfigErr = err
		}
		return f
	}
	f.Files, f.FileErr = mapping.LoadEach(patterns, dir)
	if cfg == nil {
		c.offline()
		return f
	}
	c.ask(ctx, cfg)
	return f
}

// checker gathers facts.
type checker struct {
	o       CheckOptions
	facts   *check.Facts
	catalog string // path of what is saved

	tables *mapping.MemoryCatalog // nil where the source does not tell them
}

// offline compiles the files against what was saved. A configuration with mistakes is
// looked at so too, where that can be done.
func (c *checker) offline() {
	names, err := config.OfflineTargets(c.o.File)
	if err != nil {
		c.facts.ConfigErr = errors.Join(c.facts.ConfigErr, err)
		return
	}
	saved, err := mapping.LoadCatalog(c.catalog)
	if err != nil {
		if c.o.Offline {
			c.facts.CatalogErr = noCatalog(err, c.catalog)
		}
		return
	}
	if names != nil {
		saved.TargetNames = names
	}
	c.compile(saved)
	for _, n := range names {
		if c.o.Offline {
			c.facts.Targets = append(c.facts.Targets, savedTarget(n, saved))
		}
	}
}

// noCatalog says what to do without a saved catalog.
func noCatalog(err error, path string) error {
	if errors.Is(err, os.ErrNotExist) {
		return &cdc.SetupError{What: "there is no " + path + ", which tells tables and targets offline",
			Hint: "run walbridge check --save where the servers can be reached, and keep the file beside the configuration"}
	}
	return err
}

func savedTarget(name string, saved *mapping.MemoryCatalog) check.Target {
	t := check.Target{Name: name, Describes: len(saved.Schemas[name]) > 0, Objects: map[string]check.Object{}}
	for object, s := range saved.Schemas[name] {
		t.Objects[object] = check.Object{Schema: s}
	}
	return t
}

// compile holds the files against the tables.
func (c *checker) compile(cat *mapping.MemoryCatalog) {
	mappings, err := mapping.CompileAll(c.facts.Files, cat)
	var already, more mapping.Errors
	if errors.As(c.facts.FileErr, &already); errors.As(err, &more) {
		c.facts.FileErr = append(already, more...).Err()
	}
	c.facts.Mappings, c.facts.Compiled = mappings, true
}

// ask asks all servers at once: one that does not answer keeps nobody waiting but itself.
func (c *checker) ask(ctx context.Context, cfg *config.Config) {
	f := c.facts
	vault, done := c.vault(cfg)
	defer done()
	f.Targets = make([]check.Target, len(cfg.Targets))
	var g sync.WaitGroup
	g.Go(func() { f.Postgres = c.postgres(ctx, cfg) })
	g.Go(func() { f.Redis = c.redis(ctx, cfg) })
	for i, t := range cfg.Targets {
		g.Go(func() { f.Targets[i] = c.target(ctx, t, vault) })
	}
	g.Wait()
	cat := c.tables
	if cat == nil { // better than nothing: what the source said last
		if saved, err := mapping.LoadCatalog(c.catalog); err == nil {
			saved.TargetNames = cfg.TargetNames()
			cat = saved
		}
	}
	if cat != nil {
		c.compile(cat)
		c.mend(cfg)
	}
	if c.o.Save {
		c.save()
	}
}

func (c *checker) postgres(ctx context.Context, cfg *config.Config) *check.Postgres {
	out := &check.Postgres{Budget: cfg.Postgres.WALBudget, Tables: map[cdc.Table]check.Table{}}
	src, err := pgsource.New(pgsource.Options{URL: cfg.Postgres.URL.Reveal(), Slot: cfg.Postgres.Slot, Publication: cfg.Postgres.Publication, Logger: c.o.Logger})
	if err != nil {
		out.Err = err
		return out
	}
	tables := map[cdc.Table]pgsource.Lanes{}
	for _, t := range check.Tables(c.facts.Files) {
		tables[t] = pgsource.Lanes{}
	}
	src.SetTables(tables, nil)
	v, err := src.Survey(ctx)
	if err != nil {
		out.Err = err
		return out
	}
	if c.tables, err = readCatalog(ctx, cfg, src); err != nil {
		out.Err = err
		return out
	}
	out.User, out.SystemID, out.Slot, out.Active = v.User, v.SystemID, v.HasSlot, v.Active
	out.Slots, out.MaxSlots, out.Senders, out.MaxSenders = v.Slots, v.MaxSlots, v.Senders, v.MaxSenders
	out.MaxKeep, out.SenderTimeout = v.MaxKeep, v.SenderTimeout
	for _, a := range v.Needs {
		out.Needs = append(out.Needs, check.Aspect(a))
	}
	for t, table := range v.Tables {
		out.Tables[t] = check.Table(table)
	}
	return out
}

func (c *checker) redis(ctx context.Context, cfg *config.Config) *check.Redis {
	out := &check.Redis{Retention: cfg.Redis.Retention.Bytes, HighMark: cfg.Redis.HighMark}
	v, err := redislog.Inspect(ctx, logOptions(cfg, c.o.Logger), cfg.TargetNames()...)
	if err != nil {
		out.Err = err
		return out
	}
	out.Durability, out.Why, out.Troubles, out.SystemID = string(v.Durability), v.Why, v.Troubles, v.SystemID
	out.Began = map[string]string{}
	for target, b := range v.Began {
		if b.Served || b.From == "" {
			out.Began[target] = string(b.From)
		}
	}
	for _, s := range v.Servers {
		out.Servers = append(out.Servers, check.RedisServer{Address: s.Address, Version: s.Version, Silent: s.Silent, Hint: s.Hint,
			Policy: s.Policy, MaxMemory: s.Memory.Max})
	}
	return out
}

// vault is where refresh tokens are kept that came in place of configured ones: a check must not
// use what was used. It connects when a target needs it.
func (c *checker) vault(cfg *config.Config) (v transport.Vault, done func()) {
	o := logOptions(cfg, c.o.Logger)
	client, err := redislog.Connect(o)
	if err != nil { // as the look at Redis says
		return noVault{err}, func() {}
	}
	return logins(client, redislog.Keys{Name: o.Name}), func() {
		if err := client.Close(); err != nil {
			c.o.Logger.Warn("a connection to redis was not closed in order", "error", err)
		}
	}
}

// describer is a target that can tell its schema, if it is set up to.
type describer interface {
	sinks.Describer
	Describes() bool
}

// target asks a target for the objects that are written, or else only whether it is there.
func (c *checker) target(ctx context.Context, cfg config.Target, vault transport.Vault) check.Target {
	out := check.Target{Name: cfg.Name, From: cfg.From, Objects: map[string]check.Object{}}
	client, err := vendors.Open(cfg, vendors.Stores{Vault: vault})
	if err != nil {
		out.Err = err
		return out
	}
	defer client.Close()
	if at := cfg.Mistake("max_batch", "", "", ""); cfg.MaxBatch > 0 {
		out.MaxBatch, out.MostInBatch, out.MaxBatchAt = cfg.MaxBatch, client.Limits().MaxBatch, mapping.Place{File: at.File, Line: at.Line, Column: at.Column}
	}
	if n, ok := sinks.As[interface{ Named() []string }](client); ok {
		out.Named = n.Named()
	}
	out.Abilities = func(object string) sinks.Abilities { return sinks.AbilitiesOf(client, object) }
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if out.Err = client.Probe(probe); out.Err != nil {
		return out
	}
	d, ok := sinks.As[describer](client)
	if out.Describes = ok && d.Describes(); !out.Describes {
		return out
	}
	for _, object := range check.Objects(c.facts.Files, cfg.Name) {
		s, err := d.Describe(ctx, object)
		var denied *sinks.Unauthorized
		if errors.As(err, &denied) {
			out.Err = err
			return out
		}
		out.Objects[object] = check.Object{Schema: s, Err: err}
	}
	return out
}

// mend finds what makes the objects fit for the mappings, where a target has statements for that.
func (c *checker) mend(cfg *config.Config) {
	for i := range c.facts.Targets {
		t := &c.facts.Targets[i]
		of, ok := cfg.Target(t.Name)
		for object, told := range t.Objects {
			var unknown *sinks.UnknownObject
			if !ok || told.Err != nil && !errors.As(told.Err, &unknown) {
				continue
			}
			told.Mend = vendors.Mend(of, object, c.facts.Mappings, told.Schema)
			t.Objects[object] = told
		}
	}
}

// save writes what the source and the targets said. Of a target that did not answer it
// keeps what it said before.
func (c *checker) save() {
	if c.tables == nil {
		c.facts.CatalogErr = &cdc.SetupError{What: c.catalog + " was not written, as the tables are not known", Hint: "see to postgres first"}
		return
	}
	before, err := mapping.LoadCatalog(c.catalog)
	if err != nil {
		before = &mapping.MemoryCatalog{}
	}
	out := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{}, Schemas: map[string]map[string]*sinks.Schema{}}
	for _, t := range check.Tables(c.facts.Files) {
		if columns, ok := c.tables.TableColumns[t]; ok {
			out.TableColumns[t] = columns
		}
	}
	for _, t := range c.facts.Targets {
		for _, object := range check.Objects(c.facts.Files, t.Name) {
			told, asked := t.Objects[object]
			s := told.Schema
			var unknown *sinks.UnknownObject
			if t.Err != nil || asked && told.Err != nil && !errors.As(told.Err, &unknown) {
				s = before.Schema(t.Name, object)
			}
			if s == nil {
				continue
			}
			if out.Schemas[t.Name] == nil {
				out.Schemas[t.Name] = map[string]*sinks.Schema{}
			}
			out.Schemas[t.Name][object] = s
		}
	}
	if err := out.Save(c.catalog); err != nil {
		c.facts.CatalogErr = err
		return
	}
	c.facts.Saved = c.catalog
}
