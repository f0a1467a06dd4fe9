package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// What a command knows of dead letters.
type (
	// DeadLetter is one where it lies, with the values of its row.
	DeadLetter = deadletter.Entry
	// DeadGroup is those of one error, without values.
	DeadGroup = deadletter.Group
	// DeadFilter says which are meant.
	DeadFilter = deadletter.Filter
)

// DeadTotals are of one target.
type DeadTotals struct {
	Target string `json:"target"`
	deadletter.Totals
}

// DeadLetters is the dead letters of a bridge, as somebody outside of its processes sees
// them.
type DeadLetters struct {
	b     *Backfills
	boxes []deadletter.Box
}

// OpenDeadLetters connects to the log of a configuration, for a target or, where that is
// empty, for all of them.
func OpenDeadLetters(ctx context.Context, cfg *config.Config, logger *slog.Logger, target string) (d *DeadLetters, err error) {
	b, err := OpenBackfills(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	names := cfg.TargetNames()
	if target != "" {
		known := slices.Contains(names, target)
		if !known { // of one that is in no configuration any more something may be left
			if known, err = b.log.Traces(ctx, target); err != nil {
				return nil, err
			}
		}
		if !known {
			return nil, &cdc.SetupError{What: "there is no target " + target, Hint: nearest.Hint(target, names, "there are "+nearest.List(names))}
		}
		names = []string{target}
	}
	d = &DeadLetters{b: b}
	for _, n := range names {
		d.boxes = append(d.boxes, deadletter.Box{Client: b.log.Client(), Keys: b.log.Keys(), Target: n, Partitions: b.log.Partitions()})
	}
	return d, nil
}

// Close ends the connections.
func (d *DeadLetters) Close() error { return d.b.Close() }

// CheckMapping tells of a mapping that neither the files have nor any dead letter is of.
func (d *DeadLetters) CheckMapping(ctx context.Context, target, name string) error {
	unknown := MappingKnown(d.b.cfg, target, name)
	var se *cdc.SetupError
	if !errors.As(unknown, &se) {
		return unknown
	}
	list, err := d.Groups(ctx, DeadFilter{Mapping: name})
	if err != nil || len(list) > 0 {
		return err
	}
	return unknown
}

// Each calls f for each dead letter that is meant.
func (d *DeadLetters) Each(ctx context.Context, filter DeadFilter, f func(DeadLetter) error) error {
	for _, box := range d.boxes {
		if err := box.Each(ctx, filter, f); err != nil {
			return err
		}
	}
	return nil
}

// Groups gives the dead letters that are meant by their errors.
func (d *DeadLetters) Groups(ctx context.Context, filter DeadFilter) ([]DeadGroup, error) {
	var g deadletter.Groups
	err := d.Each(ctx, filter, func(e DeadLetter) error {
		g.Add(&e)
		return nil
	})
	return g.List(), err
}

// Totals gives what became of all dead letters until now.
func (d *DeadLetters) Totals(ctx context.Context) ([]DeadTotals, error) {
	out := make([]DeadTotals, len(d.boxes))
	for i, box := range d.boxes {
		t, err := box.Totals(ctx)
		if err != nil {
			return nil, err
		}
		out[i] = DeadTotals{Target: box.Target, Totals: t}
	}
	return out, nil
}

// discardMost is how many dead letters are read before they are discarded.
const discardMost = 500

// Letters says how many dead letters there are, for people.
func Letters(n int64) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

// Discard takes away those that are meant, and tells how many. What is parked meanwhile
// stays.
func (d *DeadLetters) Discard(ctx context.Context, filter DeadFilter) (gone int64, err error) {
	for _, box := range d.boxes {
		var some []DeadLetter
		flush := func() error {
			n, err := box.Discard(ctx, some)
			gone += n
			some = some[:0]
			return err
		}
		err := box.Each(ctx, filter, func(e DeadLetter) error {
			e.Payload, e.Detail = "", "" // some of them are kept for a moment
			if some = append(some, e); len(some) < discardMost {
				return nil
			}
			return flush()
		})
		if err = errors.Join(err, flush()); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// Retry asks for the rows of those that are meant to be read again, for their mapping
// alone, and tells how many keys that are. A dead letter goes when the target has taken
// the row as it is then, or the mapping does not want it any more; it is replaced if the
// row is refused once more. The capture does the work, when it runs.
func (d *DeadLetters) Retry(ctx context.Context, filter DeadFilter) (keys int, specs []cdc.Backfill, err error) {
	type of struct{ target, mapping string }
	all := map[of][]string{}
	err = d.Each(ctx, filter, func(e DeadLetter) error {
		k := of{e.Target, e.Mapping}
		all[k] = append(all[k], e.Key)
		return nil
	})
	if err != nil || len(all) == 0 {
		return 0, nil, err
	}
	files, err := mapping.LoadGlob(d.b.cfg.Mappings, d.b.cfg.Dir)
	if err != nil {
		return 0, nil, err
	}
	order := slices.SortedFunc(maps.Keys(all), func(a, b of) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.mapping, b.mapping))
	})
	tables := map[of]cdc.Table{}
	for _, k := range order { // before anything is asked for
		i := slices.IndexFunc(files, func(f *mapping.File) bool { return f.Target == k.target && f.Name == k.mapping })
		if i < 0 {
			return 0, nil, &cdc.SetupError{What: fmt.Sprintf("there is no mapping %s to target %s any more", k.mapping, k.target),
				Hint: fmt.Sprintf("discard its dead letters, or name another with --mapping: walbridge dlq discard --target %s --mapping %s", k.target, k.mapping)}
		}
		tables[k] = files[i].From
	}
	for _, k := range order {
		for some := range slices.Chunk(all[k], keysMost) {
			spec, err := d.b.Add(ctx, Request{Table: tables[k].String(), Keys: some, For: []string{k.target + "/" + k.mapping}, Reason: cdc.ReasonRetry})
			if err != nil {
				return keys, specs, fmt.Errorf("retry dead letters of mapping %s: %w", k.mapping, err)
			}
			keys, specs = keys+len(some), append(specs, spec)
		}
	}
	return keys, specs, nil
}
