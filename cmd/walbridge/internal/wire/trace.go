package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks/state"
)

// Trace tells the story of a record. That of one of which nothing is known is a
// *cdc.SetupError that says where it was looked for.
func Trace(ctx context.Context, cfg *config.Config, logger *slog.Logger, r TraceRequest) (report *TraceReport, err error) {
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) (err error) {
		t := &tracer{cfg: cfg, log: l, r: &r, now: time.Now().UTC(), stores: map[string]*state.Store{}}
		defer func() {
			for _, s := range t.stores {
				err = errors.Join(err, s.Close())
			}
		}()
		report, err = t.run(ctx)
		return err
	})
	return report, err
}

// tracer looks for a record.
type tracer struct {
	cfg    *config.Config
	log    *redislog.Log
	r      *TraceRequest
	now    time.Time
	base   cdc.LSN // of the present epoch
	tail   cdc.Position
	files  []*mapping.File // that lead from the table, as far as they are meant
	stores map[string]*state.Store
}

// tracedTable is a table as the log names it.
type tracedTable struct {
	name cdc.Table
	key  []string // the columns of its key, if they are known
}

func (t *tracer) run(ctx context.Context) (*TraceReport, error) {
	epoch, _, err := t.log.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	t.base = epoch.Base
	if t.tail, err = t.log.Tail(ctx); err != nil {
		return nil, err
	}
	tables, err := t.tables(ctx)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		table := &tables[i]
		if err := t.keyColumns(ctx, table); err != nil {
			return nil, err
		}
		for _, key := range meantKeys(t.r.Key, table.key) {
			report, known, err := t.of(ctx, table.name, key)
			if err != nil || known {
				return report, err
			}
		}
	}
	// It may be that no key of the table is known, or that this one is written in another way.
	for _, table := range tables {
		key, err := t.search(ctx, table.name)
		if err != nil {
			return nil, err
		}
		if key != "" {
			report, _, err := t.of(ctx, table.name, key)
			return report, err
		}
	}
	return nil, t.unknown(ctx, tables)
}

// tables finds the names that the log has for the table, and the mappings that lead from it.
func (t *tracer) tables(ctx context.Context) (out []tracedTable, err error) {
	meant, err := cdc.ParseTable(t.r.Table)
	if err != nil {
		return nil, err
	}
	out, sources, err := tablesNamed(ctx, t.log, meant)
	if err != nil {
		return nil, err
	}
	return out, t.mappings(sources)
}

// tablesNamed finds the tables that the log knows by a name, or that have it at the source
// since they were renamed, with their names at the source. It is an error if there is none.
func tablesNamed(ctx context.Context, l *redislog.Log, meant cdc.Table) (out []tracedTable, sources []cdc.Table, err error) {
	list, err := l.Routings(ctx)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	sources = []cdc.Table{meant}
	for i := len(list) - 1; i >= 0; i-- {
		for _, r := range list[i].Tables {
			names = append(names, r.Name.String())
			if r.Name != meant && r.AtSource() != meant || slices.ContainsFunc(out, func(o tracedTable) bool { return o.name == r.Name }) {
				continue
			}
			out = append(out, tracedTable{r.Name, r.Key})
			sources = append(sources, r.AtSource())
		}
	}
	if len(out) == 0 {
		slices.Sort(names)
		names = slices.Compact(names)
		hint := "it is captured once a mapping names it, and the capture runs"
		if len(names) > 0 {
			hint = nearest.Hint(meant.String(), names, "there are "+nearest.List(names))
		}
		return nil, nil, &cdc.SetupError{What: fmt.Sprintf("no change of a table %s was ever captured", meant), Hint: hint}
	}
	return out, sources, nil
}

// mappings finds the mappings that are meant.
func (t *tracer) mappings(sources []cdc.Table) error {
	if name, names := t.r.Target, t.cfg.TargetNames(); name != "" && !slices.Contains(names, name) {
		return noReader(name, names)
	}
	files, err := mapping.LoadGlob(t.cfg.Mappings, t.cfg.Dir)
	if err != nil {
		return err
	}
	var all []string
	for _, f := range files {
		if !slices.Contains(sources, f.From) || t.r.Target != "" && f.Target != t.r.Target {
			continue
		}
		all = append(all, f.Name)
		if t.r.Mapping == "" || f.Name == t.r.Mapping {
			t.files = append(t.files, f)
		}
	}
	slices.SortStableFunc(t.files, func(a, b *mapping.File) int { return strings.Compare(a.Target, b.Target) })
	switch {
	case t.r.Mapping != "" && len(t.files) == 0:
		hint := "none leads from this table"
		if len(all) > 0 {
			hint = nearest.Hint(t.r.Mapping, all, "there are "+nearest.List(all))
		}
		return &cdc.SetupError{What: fmt.Sprintf("there is no mapping %s of table %s", t.r.Mapping, t.r.Table), Hint: hint}
	case t.r.Target != "" && len(t.files) == 0:
		return &cdc.SetupError{What: fmt.Sprintf("no mapping leads from table %s to target %s", t.r.Table, t.r.Target), Hint: "see mappings in the configuration"}
	}
	return nil
}

// view reads the state of a target.
func (t *tracer) view(target string) *state.View {
	if t.stores[target] == nil {
		t.stores[target] = state.New(state.Options{Client: t.log.Client(), Keys: t.log.Keys(), Target: target, Partitions: t.log.Partitions()})
	}
	return t.stores[target].View()
}

// keyColumns finds the columns of a table's key: what the state of some target says, or the
// first entry of the table in the log.
func (t *tracer) keyColumns(ctx context.Context, table *tracedTable) (err error) {
	for _, f := range t.files {
		for p := range t.log.Partitions() {
			if len(table.key) > 0 {
				return nil
			}
			if table.key, err = t.view(f.Target).Columns(ctx, p, f.Name); err != nil {
				return err
			}
		}
	}
	if len(table.key) > 0 {
		return nil
	}
	err = t.log.Walk(ctx, redislog.Span{To: redislog.Bound{Position: t.tail}}, func(m *cdc.Message) error {
		if m.Change.Table != table.name || !m.Change.Op.Keyed() {
			return nil
		}
		row, err := cdc.ParseRow(m.Change.Key)
		for _, c := range row {
			table.key = append(table.key, c.Name)
		}
		return errors.Join(err, errFound)
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return err
}

// errFound ends a walk.
var errFound = errors.New("found")

// search looks through all of the log for a key that is the one that is meant.
func (t *tracer) search(ctx context.Context, table cdc.Table) (key string, err error) {
	want := asObject(t.r.Key)
	err = t.log.Walk(ctx, redislog.Span{To: redislog.Bound{Position: t.tail}}, func(m *cdc.Message) error {
		if m.Change.Table != table || !m.Change.Op.Keyed() || !cdc.SameKey(want, m.Change.Key) && !cdc.SameKey(t.r.Key, m.Change.Key) {
			return nil
		}
		key = m.Change.Key
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return key, err
}

// unknown says that nothing is known of the record.
func (t *tracer) unknown(ctx context.Context, tables []tracedTable) error {
	hint := "the log holds everything since it was made"
	if gone, err := t.log.TrimmedAbove(ctx, cdc.Position{}); err != nil {
		return err
	} else if gone {
		hint = "the log is trimmed (redis.retention): what came before is known only of rows that were delivered. walbridge tail --from beginning --no-follow begins where it begins"
	}
	for _, table := range tables {
		if len(table.key) > 1 {
			hint += fmt.Sprintf("; the key of %s is written as %s", table.name, strings.Join(table.key, "=…,")+"=…")
		} else if len(table.key) == 1 {
			hint += fmt.Sprintf("; the key of %s is %s", table.name, table.key[0])
		}
	}
	return &cdc.SetupError{What: fmt.Sprintf("nothing is known of the row %s of %s: no change of it is in the log, and no target has dealt with one", t.r.Key, t.r.Table), Hint: hint}
}

// of gathers what is known of a record. known is false if that is nothing.
func (t *tracer) of(ctx context.Context, table cdc.Table, key string) (report *TraceReport, known bool, err error) {
	report = &TraceReport{Table: table.String(), Key: raw(key), Partition: cdc.PartitionOf(table.String(), []byte(key), t.log.Partitions()), Now: t.now,
		Changes: []TraceChange{}, Targets: []TraceMapping{}}
	// The state first: a change that was dealt with since is in the log then.
	places := map[*mapping.File]state.Place{}
	for _, f := range t.files {
		places[f] = state.Place{Key: state.Key{Mapping: f.Name, Source: key}, Partition: report.Partition}
		m := TraceMapping{Target: f.Target, Mapping: f.Name, Object: f.Object, Steps: []TraceStep{}}
		if err := t.present(ctx, places[f], &m); err != nil {
			return nil, false, err
		}
		if err := t.past(ctx, key, report.Partition, &m); err != nil {
			return nil, false, err
		}
		known = known || m.Now.Known || m.Now.Unreadable != "" || m.Now.Aside != nil || m.Now.Dead != nil || len(m.Steps) > 0
		report.Targets = append(report.Targets, m)
	}
	keyed, err := t.changes(ctx, table, key, report)
	if err != nil {
		return nil, false, err
	}
	for i := range report.Targets {
		if err := t.outstanding(ctx, report, &report.Targets[i]); err != nil {
			return nil, false, err
		}
	}
	return report, known || keyed, nil
}

// changes reads the log. keyed tells that there is a change of the row itself.
func (t *tracer) changes(ctx context.Context, table cdc.Table, key string, report *TraceReport) (keyed bool, err error) {
	begins, err := t.log.Begins(ctx, report.Partition)
	if err != nil {
		return false, err
	}
	span := redislog.Span{To: redislog.Bound{Position: t.tail}}
	trimmed := false
	for _, b := range begins {
		trimmed = trimmed || b.Trimmed
		report.Log = append(report.Log, TraceLane{Lane: b.Stream.Lane, Oldest: b.Time, Trimmed: b.Trimmed})
		span.Streams = append(span.Streams, b.Stream)
	}
	if t.tail.IsZero() {
		return false, nil
	}
	var was cdc.Position
	var after json.RawMessage
	err = t.log.Walk(ctx, span, func(m *cdc.Message) error {
		c := &m.Change
		if c.Table != table || c.Op.Keyed() && c.Key != key || c.Position == was {
			return nil // a truncate is in every lane
		}
		was = c.Position
		if !c.Op.Keyed() && !keyed && !trimmed {
			return nil // there was no such row yet
		}
		keyed = keyed || c.Op.Keyed()
		e := logEntry(m, t.base)
		report.Changes = append(report.Changes, traceChange(e, c.Position, after, t.r.Values))
		after = e.After
		if most := t.r.Limit; most > 0 && len(report.Changes) >= 2*most {
			report.Earlier += len(report.Changes) - most
			report.Changes = append([]TraceChange{}, report.Changes[len(report.Changes)-most:]...)
		}
		return nil
	})
	if over := len(report.Changes) - t.r.Limit; t.r.Limit > 0 && over > 0 {
		report.Earlier += over
		report.Changes = report.Changes[over:]
	}
	return keyed, err
}

// Means tells whether a change is meant for a mapping of a target.
func (c *TraceChange) Means(target, mapping string) bool {
	return len(c.For) == 0 || slices.Contains(c.For, target) || slices.Contains(c.For, target+"/"+mapping)
}
