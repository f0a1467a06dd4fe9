package wire

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// remadeMost bounds the backfills of a mapping that wait because records it refers to were made
// anew: each may read a whole table.
const remadeMost = 20

// remade has the rows read again that refer to records which a target has made anew, so that
// their references are made to those.
func (b *Bridge) remade(ctx context.Context, target string, mappings []*mapping.Mapping, records []sinks.Record) error {
	waiting, err := b.log.Backfills(ctx)
	if err != nil {
		return err
	}
	list, left := reread(target, mappings, records, waiting)
	for meant, why := range left {
		b.logger.Warn("records were made anew at the target: those that refer to them are not delivered again", "for", meant, "why", why,
			"hint", "walbridge verify --repair finds and mends them")
	}
	if len(list) == 0 {
		return nil
	}
	for i := range list {
		list[i].ID, list[i].Created, list[i].Table = cdc.NewBackfillID(), time.Now().UTC(), b.inLog(list[i].Table)
	}
	b.logger.Info("records were made anew at the target: those that refer to them are delivered again", "target", target, "records", len(records), "backfills", len(list))
	return b.log.AddBackfills(ctx, list)
}

// referring is a mapping whose records may refer to others.
type referring interface {
	Name() string
	Target() string
	Table() cdc.Table
	Parents() []string
	RefersTo(parent string, sources []string) (where string, ok bool)
}

// reread gives the backfills that deliver again what refers to some records, and why there is none
// for a mapping that does.
func reread[M referring](target string, mappings []M, records []sinks.Record, waiting []cdc.BackfillStatus) (list []cdc.Backfill, left map[string]string) {
	sources, left := map[string][]string{}, map[string]string{}
	for _, r := range records {
		sources[r.Mapping] = append(sources[r.Mapping], r.Source)
	}
	for _, m := range mappings {
		for _, parent := range slices.Sorted(maps.Keys(sources)) {
			if m.Target() != target || !slices.Contains(m.Parents(), parent) {
				continue
			}
			mine := cdc.Backfill{Table: m.Table(), For: []string{target + "/" + m.Name()}, Reason: cdc.ReasonRemade}
			n := 0
			for _, w := range waiting {
				if w.Reason == mine.Reason && slices.Equal(w.For, mine.For) && !w.Progress.State.Final() {
					n++
				}
			}
			where, ok := m.RefersTo(parent, sources[parent])
			switch {
			case !ok:
				left[mine.For[0]] = "it refers to " + parent + " by more than columns"
			case n >= remadeMost:
				left[mine.For[0]] = "too many backfills of that kind wait already"
			default:
				mine.Where = where
				list = append(list, mine)
			}
		}
	}
	return list, left
}

// inLog gives the name that the log has for a table.
func (b *Bridge) inLog(t cdc.Table) cdc.Table {
	for log, now := range b.renames {
		if now == t {
			return log
		}
	}
	return t
}
