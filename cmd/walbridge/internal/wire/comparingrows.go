package wire

import (
	"context"
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/sinks/state"
)

// sampled tells whether a key is looked at: the same ones each time.
func (c *comparing) sampled(key string) bool {
	if c.o.Sample >= 1 {
		return true
	}
	return float64(mixed(hashKey(key))>>32) < c.o.Sample*(1<<32)
}

// mixed lets each bit of a hash depend on all: keys that differ in their last digits only have hashes
// whose first bits are the same, and would be in a sample together or not at all. The constants
// are those of the finalizer of MurmurHash3.
func mixed(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// scan reads all rows of the tables, and gives f those that are looked at, in chunks.
func (c *comparing) scan(ctx context.Context, f func(context.Context, *comparedTable, []cdc.Change) error) error {
	for _, t := range c.tables {
		if err := c.read(ctx, t, f); err != nil {
			return fmt.Errorf("compare table %s: %w", t.table, err)
		}
	}
	return nil
}

func (c *comparing) read(ctx context.Context, t *comparedTable, f func(context.Context, *comparedTable, []cdc.Change) error) error {
	var done int64
	defer func() { slices.Sort(t.seen) }()
	return c.source.Scan(ctx, t.table, func(rows []pgsource.ScannedRow) error {
		rows = slices.DeleteFunc(rows, func(r pgsource.ScannedRow) bool { return !c.sampled(r.Key) })
		changes := make([]cdc.Change, len(rows))
		for i, r := range rows {
			if c.remembers && !t.many {
				t.see(r.Key)
			}
			changes[i] = cdc.Change{Op: cdc.OpRead, Table: t.table, Key: r.Key, After: r.After}
		}
		if err := f(ctx, t, changes); err != nil {
			return err
		}
		if done += int64(len(rows)); c.o.Progress != nil {
			c.o.Progress(RowProgress{Table: t.table.String(), Rows: done})
		}
		return nil
	})
}

// known reads what is known of some rows, in their order.
func (c *comparing) known(ctx context.Context, t *comparedTable, m *comparedMapping, changes []cdc.Change) ([]state.Loaded, error) {
	if m.target.view == nil { // nothing was ever delivered of it
		return make([]state.Loaded, len(changes)), nil
	}
	places := make([]state.Place, len(changes))
	for i := range changes {
		places[i] = state.Place{Key: state.Key{Mapping: m.Name(), Source: changes[i].Key},
			Partition: cdc.PartitionOf(t.logName, []byte(changes[i].Key), c.log().Partitions())}
	}
	return m.target.view.Load(ctx, places)
}

// statePage is about how many keys of the state are looked at at once.
const statePage = 1_000

// states gives f all of which something is known at a target, page by page.
func (c *comparing) states(ctx context.Context, t *comparedTarget, f func([]state.Found) error) error {
	if t.view == nil {
		return nil
	}
	for p := range c.log().Partitions() {
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			found, next, err := t.view.Scan(ctx, p, cursor, statePage)
			if err != nil {
				return err
			}
			cursor = next
			if err := f(found); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone gives f, for mappings that are meant, the keys with records whose rows are not there.
// The tables were scanned before.
func (c *comparing) gone(ctx context.Context, meant func(*comparedMapping) bool, f func(*comparedTable, *comparedMapping, []string) error) error {
	for _, t := range c.targets {
		if err := c.states(ctx, t, func(found []state.Found) error {
			byMapping := map[string][]string{}
			for _, k := range found {
				if (k.Known.Live || k.Known.Doubt) && c.sampled(k.Key.Source) {
					byMapping[k.Key.Mapping] = append(byMapping[k.Key.Mapping], k.Key.Source)
				}
			}
			return c.absent(ctx, t, byMapping, func(t *comparedTable, m *comparedMapping, keys []string) error {
				if !meant(m) {
					return nil
				}
				return f(t, m, keys)
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// absent gives f those of some keys of a target's mappings that have no row.
func (c *comparing) absent(ctx context.Context, target *comparedTarget, byMapping map[string][]string, f func(*comparedTable, *comparedMapping, []string) error) error {
	for _, t := range c.tables {
		for _, m := range t.mappings {
			if m.target != target {
				continue
			}
			keys := slices.DeleteFunc(byMapping[m.Name()], t.saw)
			if len(keys) == 0 {
				continue
			}
			rows, err := c.reader.Complete(ctx, t.table, keys, nil)
			if err != nil {
				return err
			}
			keys = slices.DeleteFunc(keys, func(key string) bool { _, there := rows[key]; return there })
			if err := f(t, m, keys); err != nil {
				return err
			}
		}
	}
	return nil
}
