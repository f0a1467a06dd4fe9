package pgsource

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot says which transactions a statement saw: pg_snapshot of the server. Ids are
// of 64 bits, and of transactions, not of their parts.
type snapshot struct {
	xmin, xmax uint64
	running    []uint64 // between the two, in order
}

// parseSnapshot reads the server's text, "xmin:xmax:running,…".
func parseSnapshot(text string) (s snapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("parse snapshot %q: want xmin:xmax:list", text)
	}
	number := func(t string) uint64 {
		n, perr := strconv.ParseUint(t, 10, 64)
		if perr != nil && err == nil {
			err = fmt.Errorf("parse snapshot %q: %w", text, perr)
		}
		return n
	}
	s.xmin, s.xmax = number(parts[0]), number(parts[1])
	if parts[2] != "" {
		for t := range strings.SplitSeq(parts[2], ",") {
			s.running = append(s.running, number(t))
		}
	}
	return s, err
}

// sees tells whether a transaction that has committed is visible.
func (s *snapshot) sees(xid uint64) bool {
	if xid < s.xmin {
		return true
	}
	if xid >= s.xmax {
		return false
	}
	_, running := slices.BinarySearch(s.running, xid)
	return !running
}

// ended leaves, of transactions that ran, those that a later snapshot still has as
// running.
func (s *snapshot) ended(ran []uint64) []uint64 {
	return slices.DeleteFunc(ran, s.sees)
}

// tracker knows the transactions that were streamed and that are not known to be
// visible to new statements yet: a commit is decoded before SELECT sees it, always for
// a moment, under synchronous replication for seconds. It is a pure state machine.
type tracker struct {
	list []streamed // in the order of the stream
	next uint64     // the number of the next one
	// lost is the highest id of those that there was no room for.
	lost uint64
}

// streamed is a transaction that touched tables, each a bit.
type streamed struct {
	number, xid, tables uint64
}

// trackedMost bounds a tracker: about as many transactions as are streamed between
// two looks at the server, at the highest rate.
const trackedMost = 1 << 18

func (t *tracker) add(xid, tables uint64) {
	if len(t.list) >= trackedMost {
		half := len(t.list) / 2
		for _, s := range t.list[:half] {
			t.lost = max(t.lost, s.xid)
		}
		t.list = append(t.list[:0], t.list[half:]...)
	}
	t.list = append(t.list, streamed{t.next, xid, tables})
	t.next++
}

// observe forgets those that a snapshot of the server sees: later ones do too.
func (t *tracker) observe(s *snapshot) {
	t.list = slices.DeleteFunc(t.list, func(x streamed) bool { return s.sees(x.xid) })
	if t.lost < s.xmin {
		t.lost = 0
	}
}

// misses tells whether a snapshot may not see one of the first transactions, those
// below a number, that touched any of the tables.
func (t *tracker) misses(s *snapshot, below, tables uint64) bool {
	if t.lost >= s.xmin && t.lost != 0 {
		return true
	}
	for _, x := range t.list {
		if x.number >= below {
			return false
		}
		if x.tables&tables != 0 && !s.sees(x.xid) {
			return true
		}
	}
	return false
}
