package pgsource

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
)

// modelTable is a table of keys 1 to n, of two digits, so that texts compare as numbers.
func keyText(n int) []string { return []string{fmt.Sprintf("%02d", n)} }

// rowsOf gives the keys of a part, at most limit of them, as a statement would.
func rowsOf(keys []string, p *part, limit int) (out []string, more bool) {
	for _, k := range keys {
		if p.from != nil && k <= p.from[0] || p.to != nil && k > p.to[0] {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, k)
	}
	return out, len(out) == limit
}

// Whatever parts fail, come late or are read again, and wherever it is resumed: in the
// end every row is in the log durably, and the cursor never passes one that is not.
func TestPlanReadsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var keys []string
		for i := range rapid.IntRange(0, 30).Draw(t, "rows") {
			keys = append(keys, keyText(i + 1)[0])
		}
		b := &cdc.Backfill{}
		p := newPlan(b, nil)
		held := map[string]cdc.LSN{} // in the log, durable from there on
		redo := map[string]bool{}    // keys to be read by themselves
		type flight struct {
			p    *part
			rows []string
		}
		var flying []flight
		lsn, durable := cdc.LSN(1), cdc.LSN(0)
		check := func() {
			for _, k := range keys {
				if len(p.cursor) > 0 && k <= p.cursor[0] && (held[k] == 0 || held[k] > durable || redo[k]) {
					t.Fatalf("the cursor is %v, and %s is held at %v of %v, to be read again: %v", p.cursor, k, held[k], durable, redo[k])
				}
			}
		}
		for steps := 0; !p.done(); steps++ {
			if steps > 3000 {
				t.Fatalf("it does not end: %+v", p)
			}
			calm := steps > 300
			switch action := rapid.IntRange(0, 9).Draw(t, "action"); {
			case action < 4 && p.reading() < 3:
				limit := rapid.IntRange(1, 5).Draw(t, "limit")
				part := p.next(limit)
				if part == nil {
					continue
				}
				rows, more := part.keys, false
				var last []string
				if len(part.keys) == 0 {
					if rows, more = rowsOf(keys, part, limit); len(rows) > 0 {
						last = []string{rows[len(rows)-1]}
					}
				}
				p.read(part, last, more)
				flying = append(flying, flight{part, rows})
			case action < 8 && len(flying) > 0:
				f := flying[0] // in the order of the stream
				flying = flying[1:]
				if !calm && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
					p.again(f.p)
					break
				}
				lsn++
				var lacking []string
				for _, k := range f.rows {
					held[k] = lsn
					delete(redo, k)
					if !calm && rapid.IntRange(0, 9).Draw(t, "lacking") == 0 {
						lacking, redo[k] = append(lacking, k), true
					}
				}
				p.appended(f.p, lsn, lacking)
			case action == 8:
				durable = lsn
				p.durable(durable)
			case action == 9 && !calm && rapid.IntRange(0, 4).Draw(t, "crash") == 0:
				for k, at := range held { // what is not durable may be lost
					if at > durable {
						delete(held, k)
					}
				}
				clear(redo)
				flying = nil
				p = newPlan(b, p.cursor)
			}
			check()
		}
		for _, k := range keys {
			if held[k] == 0 || held[k] > durable {
				t.Fatalf("%s is not in the log", k)
			}
		}
	})
}

// A backfill by keys goes on after as many as are durable.
func TestPlanOfKeys(t *testing.T) {
	b := &cdc.Backfill{Keys: []string{"a", "b", "c", "d", "e"}}
	p := newPlan(b, nil)
	first, second := p.next(2), p.next(2)
	p.read(first, nil, false)
	p.read(second, nil, false)
	p.appended(second, 8, nil)
	if p.durable(9); p.cursor != nil {
		t.Errorf("the cursor is %v while the first keys are not in the log", p.cursor)
	}
	p.appended(first, 9, nil)
	if p.durable(9); !slices.Equal(p.cursor, []string{"4"}) {
		t.Errorf("the cursor is %v, want 4", p.cursor)
	}
	p = newPlan(b, p.cursor)
	last := p.next(2)
	if !slices.Equal(last.keys, []string{"e"}) || p.next(2) != nil {
		t.Errorf("resumed with %v", last.keys)
	}
	p.read(last, nil, false)
	p.appended(last, 10, nil)
	if p.durable(10); !p.done() {
		t.Errorf("not done: %+v", p)
	}
}

func TestParseSnapshot(t *testing.T) {
	s, err := parseSnapshot("10:20:12,15")
	if err != nil {
		t.Fatal(err)
	}
	for xid, sees := range map[uint64]bool{9: true, 10: true, 12: false, 14: true, 15: false, 19: true, 20: false, 1 << 40: false} {
		if s.sees(xid) != sees {
			t.Errorf("it sees %d: %v", xid, !sees)
		}
	}
	if s, err := parseSnapshot("4294967300:4294967300:"); err != nil || s.xmax != 4294967300 || len(s.running) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "1:2", "1:2:3:4", "a:2:", "1:2:x"} {
		if _, err := parseSnapshot(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// The tracker never says that a snapshot sees all when there is a transaction, streamed
// before a number and touching the table, that it does not see.
func TestTracker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr tracker
		type tx struct{ number, xid, tables uint64 }
		var all []tx
		ended := map[uint64]bool{} // visible to every later snapshot
		next := uint64(1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				x := tx{tr.next, next, uint64(rapid.IntRange(1, 7).Draw(t, "tables"))}
				next++
				tr.add(x.xid, x.tables)
				all = append(all, x)
			case 2:
				if len(all) > 0 {
					ended[rapid.SampledFrom(all).Draw(t, "ends").xid] = true
				}
			case 3:
				s := snapshot{xmin: next, xmax: next}
				for _, x := range all {
					if !ended[x.xid] {
						s.running = append(s.running, x.xid)
						s.xmin = min(s.xmin, x.xid)
					}
				}
				below, tables := uint64(rapid.IntRange(0, len(all)).Draw(t, "below")), uint64(rapid.IntRange(1, 7).Draw(t, "of"))
				want := slices.ContainsFunc(all, func(x tx) bool { return x.number < below && x.tables&tables != 0 && !ended[x.xid] })
				if got := tr.misses(&s, below, tables); got != want {
					t.Fatalf("misses: %v, want %v", got, want)
				}
				if rapid.Bool().Draw(t, "observe") {
					tr.observe(&s)
				}
			}
		}
	})
}

// A tracker that is full errs on the safe side.
func TestTrackerIsBounded(t *testing.T) {
	var tr tracker
	for xid := range uint64(3 * trackedMost) {
		tr.add(xid+1, 1)
	}
	if len(tr.list) > trackedMost {
		t.Errorf("%d transactions are kept", len(tr.list))
	}
	old := snapshot{xmin: 5, xmax: 1 << 40, running: []uint64{5}}
	if !tr.misses(&old, 10, 1) {
		t.Error("a transaction that was forgotten counts as seen")
	}
	all := snapshot{xmin: 1 << 40, xmax: 1 << 40}
	if tr.misses(&all, tr.next, 1) {
		t.Error("a snapshot that sees all misses something")
	}
	tr.observe(&all)
	if len(tr.list) != 0 || tr.lost != 0 {
		t.Error("what is seen is kept")
	}
}

// A chunk grows while its statement is quick, shrinks when it is slow or its rows are
// large, also where none of them is wanted, and stays within its bounds.
func TestChunksFitTheTable(t *testing.T) {
	for name, tc := range map[string]struct {
		limit, n, bytes, want int
		took                  time.Duration
	}{
		"quick":                 {1000, 1000, 100_000, 2000, chunkTime / 10},
		"slow":                  {1000, 1000, 100_000, 500, 2 * chunkTime},
		"large rows":            {1000, 100, chunkBytes, 49, chunkTime / 10},
		"quick, none wanted":    {1000, 0, 0, 2000, chunkTime / 10},
		"slow, none wanted":     {1000, 0, 0, 250, 4 * chunkTime},
		"never below the least": {leastRows, 1, 100 << 20, leastRows, 10 * chunkTime},
		"never above the most":  {mostRows, mostRows, 1000, mostRows, time.Microsecond},
	} {
		l := &load{limit: tc.limit}
		if l.resize(tc.took, tc.n, tc.bytes); l.limit != tc.want {
			t.Errorf("%s: the next chunk has %d rows, want %d", name, l.limit, tc.want)
		}
	}
}
