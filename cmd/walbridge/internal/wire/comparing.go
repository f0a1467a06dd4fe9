package wire

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// RowOptions say which rows are compared with what was delivered of them.
type RowOptions struct {
	// Target and Mapping name one; all if empty.
	Target, Mapping string
	// Sample is the share of the keys that is looked at, above 0 and at most 1.
	Sample float64
	// Progress is told now and then; it may be nil.
	Progress func(RowProgress)
}

// RowProgress is how far a reading of the tables is.
type RowProgress struct {
	Table string
	Rows  int64
}

// comparing is what both a verification and a plan do: they read the rows of the tables that
// mappings are of, and what is known of each as delivered. It writes nothing.
type comparing struct {
	o         RowOptions
	cfg       *config.Config
	logger    *slog.Logger
	backfills *Backfills // the log; nil where there is none yet
	// remembers tells that it is kept which keys have rows, for records that have none.
	remembers bool
	// uncaptured allows tables that are not captured yet.
	uncaptured bool
	source     *pgsource.Source
	reader     *pgsource.Completer
	tables     []*comparedTable
	targets    map[string]*comparedTarget
}

// comparedTable is a table with the mappings of it that are looked at.
type comparedTable struct {
	table    cdc.Table // at the source
	logName  string    // in the log, by which its keys have partitions
	mappings []*comparedMapping
	// seen are hashes of the keys that have rows, in order once all were read; nil if there
	// are too many to keep, as many tells.
	seen []uint64
	many bool
}

// seenMost bounds comparedTable.seen: 8 bytes for each row.
const seenMost = 8_000_000

// see notes that a key has a row.
func (t *comparedTable) see(key string) {
	if t.seen = append(t.seen, hashKey(key)); len(t.seen) > seenMost {
		t.seen, t.many = nil, true
	}
}

// saw tells whether a key had a row, as far as that was kept. That two keys of a table share
// a hash of 64 bits, so that an orphan is not found, is not to be expected of any table.
func (t *comparedTable) saw(key string) bool {
	_, found := slices.BinarySearch(t.seen, hashKey(key))
	return found
}

func hashKey(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // it never fails
	return h.Sum64()
}

// comparedMapping is one mapping with its target.
type comparedMapping struct {
	*mapping.Mapping
	target *comparedTarget
}

// comparedTarget is what is known of a target. Store and view are nil where there is no log.
type comparedTarget struct {
	name   string
	store  *state.Store
	view   *state.View
	client vendors.Target
	limits sinks.Limits
}

func (t *comparedTarget) close() error {
	t.client.Close()
	if t.store == nil {
		return nil
	}
	return t.store.Close()
}

// fold gives what two values of a key have in common that are the same to the target.
func (t *comparedTarget) fold(object string, key sinks.Field) string {
	if c, ok := sinks.As[sinks.Collation](t.client); ok && c.Folds() {
		return c.FoldKey(object, key)
	}
	return sinks.ExactKey(key.Value)
}

// begin compiles the mappings and opens what those need that are meant; it gives all.
func (c *comparing) begin(ctx context.Context) (all []*mapping.Mapping, err error) {
	c.targets = map[string]*comparedTarget{}
	if c.source, err = pgsource.New(pgsource.Options{URL: c.cfg.Postgres.URL.Reveal(), Slot: c.cfg.Postgres.Slot, Publication: c.cfg.Postgres.Publication, Logger: c.logger}); err != nil {
		return nil, err
	}
	c.reader = c.source.NewCompleter()
	if all, err = loadMappings(ctx, c.cfg, c.source); err != nil {
		return nil, err
	}
	meant, err := c.meant(all)
	if err != nil {
		return nil, err
	}
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what it was asked is said already
	for _, m := range meant {
		t := c.tableOf(m.Table())
		if t == nil {
			name, err := c.logName(ctx, conn, m.Table())
			if err != nil {
				return nil, err
			}
			t = &comparedTable{table: m.Table(), logName: name}
			c.tables = append(c.tables, t)
		}
		target, err := c.target(m.Target())
		if err != nil {
			return nil, err
		}
		t.mappings = append(t.mappings, &comparedMapping{Mapping: m, target: target})
	}
	return all, nil
}

// logName is the name that the log has for a table, or will have if it is allowed to have none
// yet.
func (c *comparing) logName(ctx context.Context, conn *pgx.Conn, at cdc.Table) (string, error) {
	var t capturedTable
	var err error
	switch {
	case c.backfills == nil:
	case c.uncaptured:
		t, _, err = c.backfills.route(ctx, conn, at)
	default:
		t, err = c.backfills.captured(ctx, conn, at)
	}
	if t.name == (cdc.Table{}) {
		return at.String(), err
	}
	return t.name.String(), err
}

// MappingKnown tells whether mapping files have a mapping, to a target unless that is empty; it
// is an error where they do not.
func MappingKnown(cfg *config.Config, target, name string) error {
	files, err := mapping.LoadGlob(cfg.Mappings, cfg.Dir)
	if err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		if target == "" || f.Target == target {
			names = append(names, f.Name)
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	what := "there is no mapping " + name
	if target != "" {
		what += " to target " + target
	}
	return &cdc.SetupError{What: what, Hint: nearest.Hint(name, names, "there are "+nearest.List(names))}
}

// meant gives the mappings that are looked at.
func (c *comparing) meant(list []*mapping.Mapping) (out []*mapping.Mapping, err error) {
	var names []string
	for _, m := range list {
		if c.o.Target == "" || m.Target() == c.o.Target {
			names = append(names, m.Name())
			if c.o.Mapping == "" || m.Name() == c.o.Mapping {
				out = append(out, m)
			}
		}
	}
	switch targets := c.cfg.TargetNames(); {
	case c.o.Target != "" && !slices.Contains(targets, c.o.Target):
		return nil, &cdc.SetupError{What: "there is no target " + c.o.Target, Hint: nearest.Hint(c.o.Target, targets, "there are "+nearest.List(targets))}
	case len(out) == 0 && c.o.Mapping != "":
		return nil, &cdc.SetupError{What: "there is no mapping " + c.o.Mapping, Hint: nearest.Hint(c.o.Mapping, names, "there are "+nearest.List(names))}
	case len(out) == 0:
		return nil, &cdc.SetupError{What: "no mapping leads to the target", Hint: "name another one with --target"}
	}
	return out, nil
}

func (c *comparing) tableOf(t cdc.Table) *comparedTable {
	i := slices.IndexFunc(c.tables, func(have *comparedTable) bool { return have.table == t })
	if i < 0 {
		return nil
	}
	return c.tables[i]
}

// target opens a target once.
func (c *comparing) target(name string) (*comparedTarget, error) {
	if t := c.targets[name]; t != nil {
		return t, nil
	}
	cfg, _ := c.cfg.Target(name)
	var keep vendors.Stores
	if log := c.log(); log != nil {
		keep = stores(log.Client(), log.Keys(), name)
	}
	client, err := vendors.Open(cfg, keep)
	if err != nil {
		return nil, err
	}
	t := &comparedTarget{name: name, client: client, limits: client.Limits()}
	if log := c.log(); log != nil {
		t.store = state.New(state.Options{Client: log.Client(), Keys: log.Keys(), Target: name, Partitions: log.Partitions(), Owner: owner()})
		t.view = t.store.View()
	}
	c.targets[name] = t
	return t, nil
}

// log is nil where there is none yet.
func (c *comparing) log() *redislog.Log {
	if c.backfills == nil {
		return nil
	}
	return c.backfills.log
}

func (c *comparing) close() error {
	var errs []error
	for _, t := range c.targets {
		errs = append(errs, t.close())
	}
	if c.reader != nil {
		c.reader.Close()
	}
	if c.backfills != nil {
		errs = append(errs, c.backfills.Close())
	}
	return errors.Join(errs...)
}
