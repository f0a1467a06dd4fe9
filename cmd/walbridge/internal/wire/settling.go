package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// opinion is what somebody makes of a row, compared with what was delivered of it.
type opinion interface {
	// Bad tells that they do not agree, which may be since a change is on its way.
	Bad() bool
}

// settling decides about rows that do not agree with what was delivered: it looks at them
// again once the target has dealt with all that was committed before.
type settling[O opinion] struct {
	c *comparing
	// patience bounds the wait for a target.
	patience time.Duration
	// judge gives an opinion of each of some rows; those that are not there are deletes.
	judge func(context.Context, *comparedTable, *comparedMapping, []cdc.Change) ([]O, error)
	// doubts tells whether what does not agree is looked at again, or is certain as it is.
	doubts func(*comparedMapping) bool
	// right and wrong are told what is certain, flying how many rows were on their way;
	// waited tells that the target did not deal with their changes in time.
	right  func(*comparedMapping, string, O)
	wrong  func(*comparedMapping, string, O)
	flying func(m *comparedMapping, n int64, waited bool)
	// doubted are the keys that are looked at again.
	doubted map[*comparedMapping]map[string]doubted[O]
}

// doubted is what was found of a row, and the row as it was then.
type doubted[O opinion] struct {
	opinion O
	row     string
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

// compare judges rows. What does not agree is looked at again later: a change may be on its
// way.
func (s *settling[O]) compare(ctx context.Context, t *comparedTable, m *comparedMapping, changes []cdc.Change) error {
	found, err := s.judge(ctx, t, m, changes)
	if err != nil {
		return err
	}
	for i := range changes {
		switch o, key := found[i], changes[i].Key; {
		case !o.Bad():
			s.right(m, key, o)
		case s.doubts(m):
			s.doubt(m, key, doubted[O]{o, changes[i].After})
		default:
			s.wrong(m, key, o)
		}
	}
	return nil
}

func (s *settling[O]) doubt(m *comparedMapping, key string, d doubted[O]) {
	if s.doubted == nil {
		s.doubted = map[*comparedMapping]map[string]doubted[O]{}
	}
	if s.doubted[m] == nil {
		s.doubted[m] = map[string]doubted[O]{}
	}
	s.doubted[m][key] = d
}

// some settles the mappings of a table of which many keys are doubted.
func (s *settling[O]) some(ctx context.Context, t *comparedTable) error {
	for _, m := range t.mappings {
		if len(s.doubted[m]) >= settleMost {
			if err := s.settle(ctx, t, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// all settles whatever is doubted.
func (s *settling[O]) all(ctx context.Context) error {
	for _, t := range s.c.tables {
		for _, m := range t.mappings {
			if err := s.settle(ctx, t, m); err != nil {
				return fmt.Errorf("look again at rows of mapping %s: %w", m.Name(), err)
			}
		}
	}
	return nil
}

// settle looks again at the doubted keys of a mapping, once its target has dealt with all
// that was committed before: what does not agree then, although the row is as it was, is
// wrong. What the target does not come to deal with is in flight.
func (s *settling[O]) settle(ctx context.Context, t *comparedTable, m *comparedMapping) error {
	list := s.doubted[m]
	for round := 0; len(list) > 0; round++ {
		dealt, err := s.c.dealtWith(ctx, m.Target(), s.patience)
		if err != nil {
			return err
		}
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(list)), settlePage) {
			if err := s.lookAgain(ctx, t, m, keys, dealt && round+1 < settleRounds); err != nil {
				return err
			}
		}
		if !dealt || round+1 == settleRounds {
			s.flying(m, int64(len(list)), !dealt)
			clear(list)
		}
	}
	return nil
}

// lookAgain decides about some of the doubted keys. Those whose rows changed since stay.
func (s *settling[O]) lookAgain(ctx context.Context, t *comparedTable, m *comparedMapping, keys []string, settled bool) error {
	rows, err := s.c.reader.Complete(ctx, t.table, keys, nil)
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
	found, err := s.judge(ctx, t, m, changes)
	if err != nil {
		return err
	}
	list := s.doubted[m]
	for i, key := range keys {
		o, row := found[i], changes[i].After
		switch {
		case !o.Bad():
			s.right(m, key, o)
			delete(list, key)
		case row == list[key].row && settled:
			s.wrong(m, key, o)
			delete(list, key)
		default:
			list[key] = doubted[O]{o, row}
		}
	}
	return nil
}

// dealtWith waits until a target has dealt with all that is committed now. It is false if it
// does not in time.
func (c *comparing) dealtWith(ctx context.Context, target string, within time.Duration) (bool, error) {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := c.source.Connect(ctx)
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
	log := c.log()
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

// everything means all mappings.
func everything(*comparedMapping) bool { return true }
