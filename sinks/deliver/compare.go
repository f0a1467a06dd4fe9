package deliver

import (
	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// Standing is how what is known of a key stands to its row.
type Standing uint8

// The standings.
const (
	Right Standing = iota // the target was given what the row makes, or needs nothing of it
	// Unsure: the target was given the newest change of the row, and what the row makes now
	// cannot be held against what it was given then, as the change came without a column, or
	// there is no hash of it.
	Unsure
	// Missing: the row makes a record, and the target was given none.
	Missing
	// Stale: the target was given another state of it, or perhaps not all of it.
	Stale
	// Orphan: the target was given a record, which it should not have any more.
	Orphan
	// Unmapped: no record can be made of the row.
	Unmapped
)

// String gives the word used in reports.
func (s Standing) String() string {
	return [...]string{"right", "unsure", "missing", "stale", "orphan", "unmapped"}[s]
}

// Compare tells how what is known of a key stands to its row as it is, of which ch has all
// columns; of one that is not there, ch is a delete. The record is what is to be at the
// target, as far as it is written always: what is only written at times is left out of it.
// It is nil where there is to be none.
func Compare(m Mapper, ch *cdc.Change, k state.Known) (Standing, *sinks.Record, error) {
	gone := func() (Standing, *sinks.Record, error) {
		if !k.Live && !k.Doubt {
			return Right, nil, nil
		}
		rec, send, err := m.Map(ch, k.Prior())
		switch {
		case err != nil:
			return Unmapped, nil, err
		case !send: // it is left where it is
			return Right, nil, nil
		case rec.Op == sinks.Upsert && !rec.Left: // it is meant
			return Stale, nil, nil
		case rec.Left && k.Lacking: // it was marked as gone, which takes its other fields for lost
			return Right, nil, nil
		}
		return Orphan, nil, nil
	}
	if ch.Op == cdc.OpDelete {
		return gone()
	}
	rec, send, err := m.Map(ch, sinks.Prior{})
	switch {
	case err != nil:
		return Unmapped, nil, err
	case !send:
		return gone()
	}
	full := rec
	if m.Selective() { // as the engine hashes it: as if there were a record of which nothing is known
		full, send, err = m.Map(ch, sinks.Prior{Live: true, Key: rec.Key})
	}
	switch {
	case err != nil:
		return Unmapped, nil, err
	case !send || leaving(&full):
		return gone()
	}
	switch {
	case !k.Live && !k.Doubt:
		return Missing, &full, nil
	case !k.Live || k.Doubt || k.Lacking || string(k.Key.Value) != string(full.Key.Value):
		return Stale, &full, nil
	case k.Payload == hashOf(&full):
	case k.Partial || k.Payload == 0:
		return Unsure, &full, nil
	default:
		return Stale, &full, nil
	}
	return Right, &full, nil
}
