package deliver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
	"github.com/walbridge/walbridge/sinks/state"
)

var accounts = cdc.Table{Schema: "public", Name: "accounts"}

// withAccounts has the deals refer to accounts, whose ids are from 100 on.
func (w *world) withAccounts(o *Options) {
	w.mapper.parent = "accounts"
	o.Mappers = append(o.Mappers, &fakeMapper{name: "accounts", table: accounts, filtered: map[string]bool{}, coalesce: sinks.Coalesce{MaxBatch: 10}})
}

// strict is a target that does not take a record whose parent it does not have.
func (w *world) strict(err error) {
	w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
		for i, r := range b.Records {
			if !w.target.hasParents(r) {
				apply[i], rs[i].Err = false, err
			}
		}
		return apply, rs, nil
	})
}

// hasParents tells whether the target has what a record refers to.
func (f *fakeTarget) hasParents(r sinks.Record) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(r.Parents, func(p sinks.Parent) bool {
		_, has := f.rows[string(p.Key.Value)]
		return !has && p.Source != r.Source
	})
}

var errNoParent error = &sinks.WaitForParent{Err: errors.New("foreign key not found")}

func (w *world) letter(id int) string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.parked[keyState(id)].Code
}

// A record waits for the one it refers to, of another mapping and in another lane, and
// goes as soon as that is there.
func TestChildFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(w.withAccounts)
		defer w.end()
		loads := 0
		w.storeFails(func(call string) (error, error) {
			if call == "load" {
				loads++
			}
			return nil, nil
		})
		w.put(cdc.LaneUrgent, 1, "a=1 b=1 note=1 parent=100")
		w.put(cdc.LaneUrgent, 2, "a=1 b=1 note=1 parent=null")
		rest(25 * time.Second)
		w.wantHas(1, "nothing")
		w.wantHas(2, "Note=1 Sum=1+1") // null is no parent
		if s := w.engine.Stats(); s.Waiting != 1 || s.Awaited != 1 || loads > 10 {
			t.Errorf("%d loads, stats %+v", loads, s)
		}
		w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
		rest(10 * time.Millisecond)
		w.wantHas(1, "Note=1 Sum=1+1")
		if s := w.engine.Stats(); s.Waiting != 0 || !w.caughtUp() {
			t.Errorf("caught up %v, stats %+v", w.caughtUp(), s)
		}
	})
}

// A parent that another worker delivers is found in the state, also by the name that the
// log has for its table.
func TestParentOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		was := cdc.Table{Schema: "public", Name: "customers"}
		w.start(w.withAccounts, func(o *Options) { o.Renamed = map[cdc.Table]cdc.Table{was: accounts} })
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
		rest(5 * time.Second)
		k := state.Key{Mapping: "accounts", Source: keyOf(100)}
		w.store.mu.Lock()
		w.store.known[k], w.store.place[k] = state.Known{Live: true}, partitionIn(was, keyOf(100))
		w.store.mu.Unlock()
		rest(15 * time.Second)
		w.wantHas(1, "Note=1 Sum=1+1")
	})
}

// The wait is bounded: the target may know the parent by other means.
func TestParentNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(w.withAccounts)
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
		for range 29 { // more data does not make the wait longer
			rest(time.Second)
			w.put(cdc.LaneNormal, 1, "a=2 b=2 note=2 parent=100")
		}
		w.wantHas(1, "nothing")
		rest(2 * time.Second)
		w.wantHas(1, "Note=2 Sum=2+2")
	})
}

// What is refused for want of a parent is a dead letter, and waits aside, over a crash
// too. With the parent it is delivered, and the letter is resolved.
func TestParentRefused(t *testing.T) {
	for _, err := range []error{errNoParent, &sinks.Rejected{Err: errors.New("no such account"), Code: "BAD_REFERENCE"}} {
		t.Run(sinks.Code(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.strict(err)
				w.start(w.withAccounts)
				defer func() { w.end() }()
				w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
				rest(25 * time.Second)
				if w.letter(1) != "" || w.caughtUp() {
					t.Fatalf("parked as %q, caught up %v", w.letter(1), w.caughtUp())
				}
				rest(10 * time.Second)
				if w.letter(1) != codeWaiting || !w.caughtUp() || w.aside() != 1 {
					t.Fatalf("parked as %q, caught up %v, %d aside", w.letter(1), w.caughtUp(), w.aside())
				}
				w.crash()
				w.start(w.withAccounts)
				before := w.engine.Stats().Requests
				rest(50 * time.Minute)
				if got := w.engine.Stats().Requests; got != before {
					t.Errorf("%d requests for nothing", got-before)
				}
				w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
				rest(time.Second)
				w.wantHas(1, "Note=1 Sum=1+1")
				if w.letter(1) != "" || w.aside() != 0 || !w.caughtUp() {
					t.Errorf("still parked as %q, %d aside", w.letter(1), w.aside())
				}
			})
		})
	}
}

// A newer row that refers to none, or a retry by hand, or an hour, does as well.
func TestParentNotNeeded(t *testing.T) {
	for _, how := range []string{"no parent any more", "by hand", "by itself", "deleted"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.strict(errNoParent)
				w.start(w.withAccounts)
				defer w.end()
				w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
				rest(time.Minute)
				want := "Note=1 Sum=1+1"
				switch how {
				case "no parent any more":
					w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=null")
					rest(2 * time.Second)
				case "deleted":
					w.put(cdc.LaneNormal, 1, "gone")
					want = "nothing"
					rest(2 * time.Second)
				case "by hand":
					w.answers(acceptAll)
					w.read(1, `{"id":1,"a":1,"b":1,"note":1,"parent":100}`)
					rest(35 * time.Second)
				default:
					w.answers(acceptAll)
					rest(time.Hour)
				}
				w.wantHas(1, want)
				if w.letter(1) != "" || w.aside() != 0 || !w.caughtUp() {
					t.Errorf("still parked as %q, %d aside", w.letter(1), w.aside())
				}
			})
		})
	}
}

// Of rows that refer to others of their table the parents go first, of a batch too, and
// one that refers to itself goes at once.
func TestParentSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.parent = "deals"
		w.strict(errNoParent)
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 4, "a=1 b=1 note=1 parent=3")
		w.put(cdc.LaneNormal, 3, "a=1 b=1 note=1 parent=2")
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1 parent=1")
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=null")
		rest(time.Second)
		w.wantHas(4, "Note=1 Sum=1+1")
		w.answers(acceptAll)
		w.put(cdc.LaneNormal, 5, "a=1 b=1 note=1 parent=5")
		rest(time.Second)
		w.wantHas(5, "Note=1 Sum=1+1")
	})
}

// Two that refer to each other are tried after the wait.
func TestParentCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.parent = "deals"
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=2")
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1 parent=1")
		rest(31 * time.Second)
		w.wantHas(1, "Note=1 Sum=1+1")
		w.wantHas(2, "Note=1 Sum=1+1")
	})
}

// Where there is no room aside, what is refused is a dead letter only.
func TestParentNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.strict(errNoParent)
		w.start(w.withAccounts, func(o *Options) { o.Deferred = partitions })
		defer w.end()
		ids := samePartition(3)
		for _, id := range ids {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1 parent=100")
		}
		rest(time.Minute)
		for _, id := range ids {
			if w.letter(id) != codeWaiting {
				t.Errorf("deal %d is parked as %q", id, w.letter(id))
			}
		}
		if !w.caughtUp() || w.aside() != 1 {
			t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
	})
}

// What waits for long is put aside; a crash forgets neither it nor what it waits for, and
// a truncate takes it away though nothing is known of it.
func TestParentAside(t *testing.T) {
	for _, cut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			long := func(o *Options) { o.ParentWait = 10 * time.Hour }
			w.start(w.withAccounts, long)
			defer func() { w.end() }()
			w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
			rest(5 * time.Minute)
			if !w.caughtUp() || w.aside() != 1 {
				t.Fatalf("caught up %v, %d aside", w.caughtUp(), w.aside())
			}
			w.crash()
			w.start(w.withAccounts, long)
			rest(time.Minute)
			if cut {
				w.everywhere(cdc.Change{Op: cdc.OpTruncate})
				rest(5 * time.Minute)
			}
			w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
			rest(time.Minute)
			if cut {
				if sent := w.target.batches; slices.ContainsFunc(sent, func(b []string) bool { return strings.Contains(b[0], keyOf(1)) }) {
					t.Errorf("sent %v", sent)
				}
			} else {
				w.wantHas(1, "Note=1 Sum=1+1")
			}
			if w.aside() != 0 || !w.caughtUp() {
				t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
			}
		})
	}
}

// A parent that is delivered between the look for it and the note that somebody waits is
// not overlooked.
func TestParentMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(w.withAccounts)
		defer w.end()
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1 parent=200") // the others are looked for now and then
		rest(3 * time.Second)
		loads := 0
		w.storeFails(func(call string) (error, error) {
			if call != "load" {
				return nil, nil
			}
			// The first is of the record, the second for its parent; it is there before the third.
			if loads++; loads == 3 {
				k := state.Key{Mapping: "accounts", Source: keyOf(100)}
				w.store.known[k], w.store.place[k] = state.Known{Live: true}, partitionIn(accounts, keyOf(100))
			}
			return nil, nil
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
		rest(100 * time.Millisecond)
		w.wantHas(1, "Note=1 Sum=1+1")
	})
}

// A parent that comes while the refusal of its child is on its way into the retry set is
// not overlooked.
func TestParentOnTheWayAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			for i, r := range b.Records {
				if !w.target.hasParents(r) {
					apply[i], rs[i].Err = false, errNoParent
					time.Sleep(500 * time.Millisecond)
				}
			}
			return apply, rs, nil
		})
		w.start(w.withAccounts)
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 parent=100")
		rest(30*time.Second + 100*time.Millisecond) // it is sent without
		w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
		rest(100 * time.Millisecond)
		w.wantHas(100, "Note=1 Sum=1+1")
		w.storeFails(func(call string) (error, error) {
			if call == "commit" {
				return errors.New("no connection"), nil
			}
			return nil, nil
		})
		rest(time.Second)
		w.storeFails(func(string) (error, error) { return nil, nil })
		rest(15 * time.Second)
		w.wantHas(1, "Note=1 Sum=1+1")
		if w.letter(1) != "" || w.aside() != 0 || !w.caughtUp() {
			t.Errorf("still parked as %q, %d aside", w.letter(1), w.aside())
		}
	})
}

// An outage is not time in which a parent could have come: when it is over, children do not
// go before parents that came meanwhile. What has no parent waits no longer for it.
func TestParentOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(w.withAccounts)
		defer w.end()
		ids := []int{1, 2, 3, 4}
		for _, id := range ids {
			w.put(cdc.LaneUrgent, id, "a=1 b=1 note=1 parent=100")
		}
		rest(5 * time.Second)
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Retryable{Err: errors.New("503")}
		})
		w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
		rest(10 * time.Minute)
		refused := 0
		w.strict(errNoParent)
		strict := w.target.answer
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs, err := strict(ctx, b)
			for _, r := range rs {
				if r.Err != nil {
					refused++
				}
			}
			return apply, rs, err
		})
		rest(10 * time.Minute)
		for _, id := range ids {
			w.wantHas(id, "Note=1 Sum=1+1")
		}
		if refused > 0 {
			t.Errorf("%d records were sent before what they refer to", refused)
		}
		w.put(cdc.LaneUrgent, 5, "a=1 b=1 note=1 parent=200")
		rest(time.Minute)
		if w.letter(5) != codeWaiting {
			t.Errorf("parked as %q", w.letter(5))
		}
	})
}

// Nor is the time in which the account has no requests left.
func TestParentWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 10}
		w.target.limits.MaxBatch = 1
		w.start(w.withAccounts)
		defer w.end()
		w.put(cdc.LaneUrgent, 1, "a=1 b=1 note=1 parent=100")
		rest(time.Second)
		for id := range 10 {
			w.put(cdc.LaneUrgent, 2+id, "a=1 b=1 note=1")
		}
		rest(5 * time.Second)
		if s := w.engine.Stats(); s.Requests != 10 || s.Rate.SpentUntil.IsZero() {
			t.Fatalf("the requests of the day are not used up: %+v", s)
		}
		w.putIn(accounts, cdc.LaneBulk, 100, "a=1 b=1 note=1")
		w.strict(errNoParent)
		rest(48 * time.Hour)
		w.wantHas(1, "Note=1 Sum=1+1")
		if s := w.engine.Stats(); s.Requests != 12 { // the parent, and then the child
			t.Errorf("%d requests, want 12: the child was sent before what it refers to", s.Requests)
		}
	})
}

// Records that wait do not keep out what they wait for, nor those of other mappings.
func TestParentBehindTheChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(w.withAccounts, func(o *Options) { o.Limits.Entries, o.Deferred = 40, 100*partitions })
		defer w.end()
		const children = 60
		for id := range children {
			w.put(cdc.LaneNormal, 1+id, "a=1 b=1 note=1 parent=200")
		}
		w.putIn(accounts, cdc.LaneNormal, 101, "a=1 b=1 note=1")
		rest(10 * time.Second)
		w.wantHas(101, "Note=1 Sum=1+1")
		w.wantHas(1, "nothing")
		w.putIn(accounts, cdc.LaneNormal, 200, "a=1 b=1 note=1")
		rest(5 * time.Second)
		for id := range children {
			w.wantHas(1+id, "Note=1 Sum=1+1")
		}
		if w.aside() != 0 || !w.caughtUp() || len(w.store.dead) > 0 {
			t.Errorf("caught up %v, %d aside, %d dead letters", w.caughtUp(), w.aside(), len(w.store.dead))
		}
	})
}
