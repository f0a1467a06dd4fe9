package wire

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/notes"
	"github.com/walbridge/walbridge/sinks/rate"
	"github.com/walbridge/walbridge/sinks/state"
)

// VerifyOptions say what a verification looks at.
type VerifyOptions struct {
	// Target and Mapping name one; all if empty.
	Target, Mapping string
	// Sample is the share of the keys that is looked at, above 0 and at most 1.
	Sample float64
	// StateOnly does not ask targets.
	StateOnly bool
	// Repair asks for what is found to be read and delivered again, and looks once more.
	Repair bool
	// Progress is told now and then; it may be nil.
	Progress func(VerifyProgress)
}

// VerifyProgress is how far a verification is.
type VerifyProgress struct {
	Table string
	Rows  int64
}

// verifier is one verification.
type verifier struct {
	o         VerifyOptions
	cfg       *config.Config
	logger    *slog.Logger
	backfills *Backfills
	source    *pgsource.Source
	completer *pgsource.Completer
	tables    []*verifiedTable
	targets   map[string]*verifiedTarget
}

// verifiedTable is a table with the mappings of it that are looked at.
type verifiedTable struct {
	table    cdc.Table // at the source
	logName  string    // in the log, by which its keys have partitions
	mappings []*verifiedMapping
	// seen are hashes of the keys that have rows, in order once all were read; nil if there
	// are too many to keep, as many tells.
	seen []uint64
	many bool
}

// seenMost bounds verifiedTable.seen: 8 bytes for each row.
const seenMost = 8_000_000

// see notes that a key has a row.
func (t *verifiedTable) see(key string) {
	if t.seen = append(t.seen, hashKey(key)); len(t.seen) > seenMost {
		t.seen, t.many = nil, true
	}
}

// saw tells whether a key had a row, as far as that was kept. That two keys of a table share
// a hash of 64 bits, so that an orphan is not found, is not to be expected of any table.
func (t *verifiedTable) saw(key string) bool {
	_, found := slices.BinarySearch(t.seen, hashKey(key))
	return found
}

func hashKey(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // it never fails
	return h.Sum64()
}

// verifiedTarget is what is known of a target, and itself where it can be read.
type verifiedTarget struct {
	store   *state.Store
	view    *state.View
	client  vendors.Target
	reads   sinks.ReadBack // nil if it is not asked
	most    int            // keys in a request
	limits  sinks.Limits
	account *account
}

func (t *verifiedTarget) close() error {
	t.client.Close()
	return errors.Join(t.account.close(), t.store.Close())
}

// verifiedMapping is one mapping with what was found of it.
type verifiedMapping struct {
	*mapping.Mapping
	target *verifiedTarget
	report MappingVerified
	// always are the fields that are written always, and are values of the row.
	always map[string]bool
	// doubted are the keys that are looked at again, with what was found.
	doubted map[string]suspicion
}

// Verify compares every source row, through its mappings, with what was delivered, and with
// what the target holds where that can be read. It changes nothing, but for a repair, which
// is asked for as any backfill.
func Verify(ctx context.Context, cfg *config.Config, logger *slog.Logger, o VerifyOptions) (_ *Verified, err error) {
	v := &verifier{o: o, cfg: cfg, logger: logger, targets: map[string]*verifiedTarget{}}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	for _, t := range v.tables {
		if err := v.scan(ctx, t); err != nil {
			return nil, fmt.Errorf("verify table %s: %w", t.table, err)
		}
	}
	if err := v.orphans(ctx); err != nil {
		return nil, fmt.Errorf("look for orphans: %w", err)
	}
	if err := v.settleAll(ctx); err != nil {
		return nil, err
	}
	if o.Repair {
		if err := v.repair(ctx); err != nil {
			return nil, err
		}
	}
	return v.report(), nil
}

// open compiles the mappings that are meant and opens what they need.
func (v *verifier) open(ctx context.Context) (err error) {
	if v.backfills, err = OpenBackfills(ctx, v.cfg, v.logger); err != nil {
		return err
	}
	if v.source, err = pgsource.New(pgsource.Options{URL: v.cfg.Postgres.URL.Reveal(), Slot: v.cfg.Postgres.Slot, Publication: v.cfg.Postgres.Publication, Logger: v.logger}); err != nil {
		return err
	}
	v.completer = v.source.NewCompleter()
	files, err := mapping.LoadGlob(v.cfg.Mappings, v.cfg.Dir)
	if err != nil {
		return err
	}
	catalog, err := readCatalog(ctx, v.cfg, v.source)
	if err != nil {
		return err
	}
	list, err := mapping.CompileAll(files, catalog)
	if err != nil {
		return err
	}
	meant, err := v.meant(list)
	if err != nil {
		return err
	}
	conn, err := v.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what it was asked is said already
	for _, m := range meant {
		t := v.tableOf(m.Table())
		if t == nil {
			captured, err := v.backfills.captured(ctx, conn, m.Table())
			if err != nil {
				return err
			}
			t = &verifiedTable{table: m.Table(), logName: captured.name.String()}
			v.tables = append(v.tables, t)
		}
		target, err := v.target(m.Target())
		if err != nil {
			return err
		}
		t.mappings = append(t.mappings, newVerified(m, target))
	}
	return nil
}

func newVerified(m *mapping.Mapping, t *verifiedTarget) *verifiedMapping {
	out := &verifiedMapping{Mapping: m, target: t, always: map[string]bool{}, doubted: map[string]suspicion{},
		report: MappingVerified{Mapping: m.Name(), Target: m.Target(), Object: m.Object(), Table: m.Table().String(), ReadBack: t.reads != nil, Fields: map[string]int64{}}}
	for _, o := range m.Outputs() {
		if o.Write == mapping.WriteAlways && !slices.Contains(m.Parents(), o.Name) {
			out.always[o.Name] = true
		}
	}
	return out
}

// meant gives the mappings that are looked at.
func (v *verifier) meant(list []*mapping.Mapping) (out []*mapping.Mapping, err error) {
	var names []string
	for _, m := range list {
		if v.o.Target == "" || m.Target() == v.o.Target {
			names = append(names, m.Name())
			if v.o.Mapping == "" || m.Name() == v.o.Mapping {
				out = append(out, m)
			}
		}
	}
	switch targets := v.cfg.TargetNames(); {
	case v.o.Target != "" && !slices.Contains(targets, v.o.Target):
		return nil, &cdc.SetupError{What: "there is no target " + v.o.Target, Hint: nearest.Hint(v.o.Target, targets, "there are "+nearest.List(targets))}
	case len(out) == 0 && v.o.Mapping != "":
		return nil, &cdc.SetupError{What: "there is no mapping " + v.o.Mapping, Hint: nearest.Hint(v.o.Mapping, names, "there are "+nearest.List(names))}
	case len(out) == 0:
		return nil, &cdc.SetupError{What: "no mapping leads to the target", Hint: "name another one with --target"}
	}
	return out, nil
}

func (v *verifier) tableOf(t cdc.Table) *verifiedTable {
	i := slices.IndexFunc(v.tables, func(have *verifiedTable) bool { return have.table == t })
	if i < 0 {
		return nil
	}
	return v.tables[i]
}

// target opens a target once.
func (v *verifier) target(name string) (*verifiedTarget, error) {
	if t := v.targets[name]; t != nil {
		return t, nil
	}
	cfg, _ := v.cfg.Target(name)
	log := v.backfills.log
	keys := log.Keys()
	client, err := vendors.Open(cfg, notes.New(log.Client(), notes.Keys{Spaces: keys.Notes(name), Space: func(space string) string { return keys.NoteSpace(name, space) }}))
	if err != nil {
		return nil, err
	}
	of := cfg.Account()
	budget := rate.NewRedis(log.Client(), keys.Account(of))
	t := &verifiedTarget{client: client, limits: client.Limits(),
		store:   state.New(state.Options{Client: log.Client(), Keys: keys, Target: name, Partitions: log.Partitions(), Owner: owner()}),
		account: &account{keeper: rate.New(of, settingsOf(v.cfg.RateOf(of)), budget, v.logger), store: budget}}
	t.view = t.store.View()
	v.targets[name] = t
	if q, ok := sinks.As[sinks.QuotaTeller](client); ok {
		q.TellQuota(t.account.keeper.Observe)
	}
	if reads, ok := sinks.As[sinks.ReadBack](client); ok && !v.o.StateOnly {
		t.reads, t.most = reads, max(1, t.limits.MaxBatch)
		if o, ok := sinks.As[sinks.OneByOne](client); ok && o.ReadsOneByOne() {
			t.most = 1
		}
	}
	return t, nil
}

func (v *verifier) close() error {
	var errs []error
	for _, t := range v.targets {
		errs = append(errs, t.close())
	}
	if v.completer != nil {
		v.completer.Close()
	}
	if v.backfills != nil {
		errs = append(errs, v.backfills.Close())
	}
	return errors.Join(errs...)
}

// sampled tells whether a key is looked at: the same ones each time.
func (v *verifier) sampled(key string) bool {
	if v.o.Sample >= 1 {
		return true
	}
	return float64(hashKey(key)>>32) < v.o.Sample*(1<<32)
}

// scan compares all rows of a table.
func (v *verifier) scan(ctx context.Context, t *verifiedTable) error {
	var done int64
	defer func() { slices.Sort(t.seen) }()
	return v.source.Scan(ctx, t.table, func(rows []pgsource.ScannedRow) error {
		rows = slices.DeleteFunc(rows, func(r pgsource.ScannedRow) bool { return !v.sampled(r.Key) })
		changes := make([]cdc.Change, len(rows))
		for i, r := range rows {
			if !t.many {
				t.see(r.Key)
			}
			changes[i] = cdc.Change{Op: cdc.OpRead, Table: t.table, Key: r.Key, After: r.After}
		}
		for _, m := range t.mappings {
			m.report.Rows += int64(len(rows))
			if err := v.compare(ctx, t, m, changes); err != nil {
				return err
			}
		}
		if done += int64(len(rows)); v.o.Progress != nil {
			v.o.Progress(VerifyProgress{Table: t.table.String(), Rows: done})
		}
		return v.settleSome(ctx, t)
	})
}

// compare compares rows with what is known of them, and with the target. What does not
// agree is looked at again later: a change may be on its way.
func (v *verifier) compare(ctx context.Context, t *verifiedTable, m *verifiedMapping, changes []cdc.Change) error {
	found, err := v.judge(ctx, t, m, changes)
	if err != nil {
		return err
	}
	for i := range changes {
		if s := found[i]; s.bad() {
			m.doubted[changes[i].Key] = s
		} else {
			m.report.count(s)
		}
	}
	return nil
}

// judge gives what is found of each of some rows.
func (v *verifier) judge(ctx context.Context, t *verifiedTable, m *verifiedMapping, changes []cdc.Change) ([]suspicion, error) {
	places := make([]state.Place, len(changes))
	for i := range changes {
		places[i] = state.Place{Key: state.Key{Mapping: m.Name(), Source: changes[i].Key},
			Partition: cdc.PartitionOf(t.logName, []byte(changes[i].Key), v.backfills.log.Partitions())}
	}
	known, err := m.target.view.Load(ctx, places)
	if err != nil {
		return nil, err
	}
	out := make([]suspicion, len(changes))
	var ask []asked
	for i := range changes {
		if known[i].Err != nil {
			out[i] = suspicion{standing: deliver.Stale}
			continue
		}
		standing, rec, err := deliver.Compare(m, &changes[i], known[i].Known)
		out[i] = suspicion{standing: standing, meant: rec != nil, row: changes[i].After}
		if err != nil {
			out[i].code = sinks.Code(err)
		}
		if (standing == deliver.Right || standing == deliver.Unsure) && rec != nil && m.report.ReadBack {
			ask = append(ask, asked{i, rec})
		}
	}
	return out, v.readBack(ctx, m, ask, out)
}
