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
	sources := map[string][]string{}
	for _, r := range records {
		sources[r.Mapping] = append(sources[r.Mapping], r.Source)
	}
	var list []cdc.Backfill
	for _, m := range mappings {
		if m.Target() != target {
			continue
		}
		for _, parent := range slices.Sorted(maps.Keys(sources)) {
			if !slices.Contains(m.Parents(), parent) {
				continue
			}
			where, ok := m.RefersTo(parent, sources[parent])
			if !ok {
				b.unmended(target+"/"+m.Name(), "it refers to them by more than columns")
				continue
			}
			list = append(list, cdc.Backfill{ID: cdc.NewBackfillID(), Table: b.inLog(m.Table()), Where: where, For: []string{target + "/" + m.Name()},
				Reason: cdc.ReasonRemade, Created: time.Now().UTC()})
		}
	}
	if len(list) == 0 {
		return nil
	}
	waiting, err := b.log.Backfills(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(f cdc.Backfill) bool {
		n := 0
		for _, w := range waiting {
			if w.Reason == cdc.ReasonRemade && slices.Equal(w.For, f.For) && !w.Progress.State.Final() {
				n++
			}
		}
		if n >= remadeMost {
			b.unmended(f.For[0], "too many backfills of that kind wait already")
		}
		return n >= remadeMost
	})
	if len(list) == 0 {
		return nil
	}
	b.logger.Info("records were made anew at the target: those that refer to them are delivered again", "target", target, "records", len(records), "backfills", len(list))
	return b.log.AddBackfills(ctx, list)
}

// unmended tells of a mapping whose records go on referring to what is not there any more.
func (b *Bridge) unmended(mapping, why string) {
	b.logger.Warn("records were made anew at the target: those that refer to them are not delivered again", "for", mapping, "why", why,
		"hint", "walbridge verify --repair finds and mends them")
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
