package wire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deliver"
)

// suspicion is what was found of a row.
type suspicion struct {
	standing deliver.Standing
	meant    bool     // the row makes a record
	row      string   // as it was then
	code     string   // why no record can be made
	gone     bool     // the target does not hold it
	fields   []string // those that differ at the target
}

func (s *suspicion) bad() bool {
	return s.standing != deliver.Right && s.standing != deliver.Unsure || s.gone || len(s.fields) > 0
}

const (
	// settleMost is how many doubted keys of a mapping are kept before they are looked at
	// again, settlePage how many are at once.
	settleMost, settlePage = 20_000, 1_000
	// settleRounds is how often a row is looked at again that changes all the time.
	settleRounds = 3
	// settleWithin bounds the wait until a target has dealt with what is committed.
	settleWithin = 30 * time.Second
	// settleEvery is how often it is looked whether it has; no event tells of it.
	settleEvery = 100 * time.Millisecond
)

func (v *verifier) settleSome(ctx context.Context, t *verifiedTable) error {
	for _, m := range t.mappings {
		if len(m.doubted) >= settleMost {
			if err := v.settle(ctx, t, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) settleAll(ctx context.Context) error {
	for _, t := range v.tables {
		for _, m := range t.mappings {
			if err := v.settle(ctx, t, m); err != nil {
				return fmt.Errorf("verify mapping %s: %w", m.Name(), err)
			}
		}
	}
	return nil
}

// settle looks again at the doubted keys of a mapping, once its target has dealt with all
// that was committed before: what does not agree then, although the row is as it was, is
// wrong. What the target does not come to deal with is in flight.
func (v *verifier) settle(ctx context.Context, t *verifiedTable, m *verifiedMapping) error {
	for round := 0; len(m.doubted) > 0; round++ {
		dealt, err := v.dealtWith(ctx, m.Target())
		if err != nil {
			return err
		}
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(m.doubted)), settlePage) {
			if err := v.lookAgain(ctx, t, m, keys, dealt && round+1 < settleRounds); err != nil {
				return err
			}
		}
		if !dealt || round+1 == settleRounds {
			m.report.InFlight += int64(len(m.doubted))
			m.report.Waited = m.report.Waited || !dealt
			clear(m.doubted)
		}
	}
	return nil
}

// lookAgain decides about some of the doubted keys. Those whose rows changed since stay.
func (v *verifier) lookAgain(ctx context.Context, t *verifiedTable, m *verifiedMapping, keys []string, settled bool) error {
	rows, err := v.completer.Complete(ctx, t.table, keys, nil)
	if err != nil {
		return err
	}
	changes := make([]cdc.Change, len(keys))
	for i, key := range keys {
		changes[i] = cdc.Change{Op: cdc.OpRead, Table: t.table, Key: key, After: rows[key]}
		if _, there := rows[key]; !there {
			changes[i].Op = cdc.OpDelete
		}
	}
	found, err := v.judge(ctx, t, m, changes)
	if err != nil {
		return err
	}
	for i, key := range keys {
		s, before := found[i], m.doubted[key]
		switch {
		case !s.bad():
			m.report.count(s)
			delete(m.doubted, key)
		case s.row == before.row && settled:
			m.report.found(key, s)
			delete(m.doubted, key)
		default:
			m.doubted[key] = s
		}
	}
	return nil
}

// orphans looks, from the state of the targets, for records whose rows are not there.
func (v *verifier) orphans(ctx context.Context) error {
	for name, t := range v.targets {
		for p := range v.backfills.log.Partitions() {
			for cursor, first := uint64(0), true; first || cursor != 0; first = false {
				found, next, err := t.view.Scan(ctx, p, cursor, settlePage)
				if err != nil {
					return err
				}
				cursor = next
				byMapping := map[string][]string{}
				for _, f := range found {
					if (f.Known.Live || f.Known.Doubt) && v.sampled(f.Key.Source) {
						byMapping[f.Key.Mapping] = append(byMapping[f.Key.Mapping], f.Key.Source)
					}
				}
				for mapping, keys := range byMapping {
					if err := v.absent(ctx, name, mapping, keys); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// absent doubts those of the keys that have no row.
func (v *verifier) absent(ctx context.Context, target, name string, keys []string) error {
	for _, t := range v.tables {
		for _, m := range t.mappings {
			if m.Target() != target || m.Name() != name {
				continue
			}
			keys = slices.DeleteFunc(keys, t.saw)
			if len(keys) == 0 {
				return nil
			}
			rows, err := v.completer.Complete(ctx, t.table, keys, nil)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if _, there := rows[key]; !there {
					m.doubted[key] = suspicion{standing: deliver.Orphan}
				}
			}
			return v.settleSome(ctx, t)
		}
	}
	return nil // of a mapping that is not looked at, or not there any more
}

// dealtWith waits until a target has dealt with all that is committed now. It is false if it
// does not in time.
func (v *verifier) dealtWith(ctx context.Context, target string) (bool, error) {
	wait, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	conn, err := v.source.Connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what it was asked is said already
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&text); err != nil {
		return false, fmt.Errorf("read end of WAL: %w", err)
	}
	end, err := cdc.ParseLSN(text)
	if err != nil {
		return false, err
	}
	log := v.backfills.log
	until := func(done func() (bool, error)) (bool, error) {
		for {
			ok, err := done()
			if ok || err != nil {
				return ok, err
			}
			if cdc.Sleep(wait, settleEvery) != nil {
				return false, ctx.Err()
			}
		}
	}
	ok, err := until(func() (bool, error) {
		mark, marked, err := log.DurableMark(ctx)
		return marked && mark >= end, err
	})
	if !ok || err != nil {
		return false, err
	}
	for _, lane := range cdc.Lanes() {
		for p := range log.Partitions() {
			s := cdc.Stream{Lane: lane, Partition: p}
			tail, err := log.TailOf(ctx, s)
			if err != nil {
				return false, err
			}
			if ok, err := until(func() (bool, error) {
				at, err := log.Checkpoint(ctx, s, target)
				return !at.Before(tail), err
			}); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// repair has what was found be read and delivered again, waits for that, and looks at it
// once more.
func (v *verifier) repair(ctx context.Context) error {
	var ids []string
	for _, t := range v.tables {
		for _, m := range t.mappings {
			for keys := range slices.Chunk(m.report.wrong, keysMost) {
				spec, err := v.backfills.Add(ctx, Request{Table: t.table.String(), Keys: keys, For: []string{m.Target() + "/" + m.Name()}, Reason: cdc.ReasonVerify})
				if err != nil {
					return fmt.Errorf("repair mapping %s: %w", m.Name(), err)
				}
				ids = append(ids, spec.ID)
			}
		}
	}
	if err := v.ended(ctx, ids); err != nil {
		return err
	}
	for _, t := range v.tables {
		for _, m := range t.mappings {
			for _, key := range m.report.wrong {
				m.doubted[key] = suspicion{standing: deliver.Stale}
			}
			m.report.repairing()
		}
	}
	return v.settleAll(ctx)
}

// ended waits until backfills have ended, as the capture works on them.
func (v *verifier) ended(ctx context.Context, ids []string) error {
	for {
		list, err := v.backfills.List(ctx)
		if err != nil {
			return err
		}
		open, failed := 0, []string{}
		for i := range list {
			if !slices.Contains(ids, list[i].ID) {
				continue
			}
			switch s := list[i].Progress.State; {
			case s == cdc.BackfillFailed:
				failed = append(failed, list[i].ID+": "+list[i].Progress.Note)
			case !s.Final():
				open++
			}
		}
		switch {
		case len(failed) > 0:
			return errors.New("the repair could not be read: backfill " + strings.Join(failed, "; backfill "))
		case open == 0:
			return nil
		}
		if err := cdc.Sleep(ctx, settleEvery); err != nil {
			return fmt.Errorf("wait for the repair: %w; it goes on, and walbridge backfill list shows it", err)
		}
	}
}
