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
	"github.com/walbridge/walbridge/sinks/queue"
)

// busyWith has the target put off the records of some deals.
func (w *world) busyWith(after time.Duration, ids ...int) {
	w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
		for i, r := range b.Records {
			if slices.ContainsFunc(ids, func(id int) bool { return r.Source == keyOf(id) }) {
				apply[i], rs[i].Err = false, &sinks.Retryable{Err: errors.New("locked"), After: after}
			}
		}
		return apply, rs, nil
	})
}

func (w *world) aside() int {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return len(w.store.deferred)
}

func (w *world) requests() int {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	return len(w.target.batches)
}

func patient(o *Options) { o.MaxAttempts = 1000 }

// samePartition gives deals whose keys are of one partition.
func samePartition(n int) (ids []int) {
	for id := 1; len(ids) < n; id++ {
		if partitionOf(keyOf(id)) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// A key that is refused for half an hour holds the checkpoint for no longer than the
// hold; what comes of it meanwhile is delivered with it, and its back-off is kept.
func TestDeferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(10*time.Minute, 1)
		w.start(patient)
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		for range 30 {
			w.put(cdc.LaneNormal, 2, "a=2 b=2 note=2")
			rest(time.Second)
		}
		if w.caughtUp() {
			t.Fatal("the checkpoint passed a key that is not delivered")
		}
		rest(2 * time.Minute)
		if !w.caughtUp() || w.aside() != 1 {
			t.Fatalf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
		if s := w.engine.Stats(); s.Deferred != 1 || s.DeferredSince.IsZero() || s.Aside != 1 {
			t.Errorf("the stats do not tell of it: %+v", s)
		}
		before := w.requests()
		w.put(cdc.LaneUrgent, 1, "a=5 b=? note=?")
		rest(2 * time.Minute)
		if w.requests() != before {
			t.Error("new data shortened the back-off")
		}
		rest(3 * time.Minute)
		if !w.caughtUp() || w.aside() != 1 {
			t.Errorf("newer data of a key that is aside holds the checkpoint: caught up %v, %d aside", w.caughtUp(), w.aside())
		}
		rest(20 * time.Minute)
		w.answers(acceptAll)
		w.wantHas(1, "nothing")
		rest(11 * time.Minute)
		w.wantHas(1, "Note=1 Sum=5+1")
		if w.aside() != 0 || w.engine.Stats().Deferred != 0 {
			t.Errorf("still aside: %+v", w.store.deferred)
		}
	})
}

// A key that takes up much of its lane is put aside before its time.
func TestDeferredShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(10*time.Minute, 1)
		w.start(patient, func(o *Options) { o.Limits = queue.Limits{Entries: 40, Bytes: 1 << 20} })
		defer w.end()
		for range 100 {
			w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		}
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1")
		rest(10 * time.Second)
		w.wantHas(2, "Note=1 Sum=1+1")
		if w.aside() != 1 {
			t.Errorf("%d aside", w.aside())
		}
	})
}

// What waits aside survives a crash and a take-over. It may have been sent by the session
// before, so it is sent whole, and not before that request is over.
func TestDeferredCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(patient)
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1 c=1 d=1")
		rest(time.Second)
		w.busyWith(10*time.Minute, 1)
		w.put(cdc.LaneNormal, 1, "a=2 b=2 note=2 c=1 d=2")
		rest(5 * time.Minute)
		w.crash()
		if w.aside() != 1 {
			t.Fatalf("%d aside", w.aside())
		}
		w.start(patient)
		w.put(cdc.LaneNormal, 1, "a=3 b=? note=? c=1 d=2")
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			<-ctx.Done() // the answer never comes
			return nil, nil, ctx.Err()
		})
		before := w.requests()
		rest(4 * time.Minute)
		if w.requests() != before {
			t.Fatal("the back-off did not survive")
		}
		rest(90 * time.Second) // a request is under way when it is due
		for w.requests() == before {
			rest(time.Second)
		}
		w.crash()
		w.answers(acceptAll)
		var sent []sinks.Record
		w.target.mu.Lock()
		w.target.seen = func(b sinks.Batch, _ []error) { sent = append(sent, b.Records...) }
		w.target.mu.Unlock()
		w.start(patient)
		defer w.end()
		rest(4 * time.Second)
		w.target.mu.Lock() // which covers sent
		early := len(sent)
		w.target.mu.Unlock()
		if early > 0 {
			t.Error("sent while the request of the session before may live")
		}
		rest(20 * time.Minute)
		w.wantHas(1, "C=1 D=2 Note=2 Sum=3+2")
		w.target.mu.Lock()
		defer w.target.mu.Unlock()
		if len(sent) != 1 || !slices.ContainsFunc(sent[0].Fields, func(f sinks.Field) bool { return f.Name == "C" }) {
			t.Errorf("sent %+v, want one record, and a C that is not trusted", sent)
		}
		if !w.caughtUp() || w.aside() != 0 {
			t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
	})
}

// Of what only waits aside nothing is read again; a session that sent it leaves a mark, so
// that the next one waits until its request is over.
func TestDeferredHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(3*time.Minute, 1)
		w.start(patient, func(o *Options) { o.Hold = time.Second })
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		rest(time.Minute)
		w.end()
		if !w.caughtUp() || w.aside() != 1 || len(w.store.sent) > 0 {
			t.Fatalf("caught up %v, %d aside, sent %v", w.caughtUp(), w.aside(), w.store.sent)
		}
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		})
		w.start(patient)
		rest(2*time.Minute + time.Second)
		if w.engine.Stats().Requests != 1 {
			t.Fatalf("%d requests under way, want 1", w.engine.Stats().Requests)
		}
		w.crash()
		w.answers(acceptAll)
		w.start(patient)
		defer w.end()
		rest(4900 * time.Millisecond)
		w.wantHas(1, "nothing")
		rest(time.Second)
		w.wantHas(1, "Note=1 Sum=1+1")
	})
}

// A target that is away defers nothing, also while it is probed and requests have no known
// outcome.
func TestDeferredNotWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Retryable{Unknown: true, Err: errors.New("503")}
		})
		w.start(patient, func(o *Options) { o.Hold = time.Second })
		defer w.end()
		for id := range 20 {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1")
		}
		for range 600 {
			rest(time.Second)
			if w.aside() > 0 {
				t.Fatalf("%d are aside", w.aside())
			}
		}
		w.answers(acceptAll)
		rest(2 * time.Minute)
		if !w.caughtUp() || w.aside() > 0 {
			t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
	})
}

// A lost lease ends a session and nothing else.
func TestDeferredLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(time.Minute, 1)
		w.start(patient)
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		rest(5 * time.Minute)
		w.store.steal()
		rest(30 * time.Second)
		if w.aside() != 1 {
			t.Fatalf("%d aside", w.aside())
		}
		w.answers(acceptAll)
		rest(2 * time.Minute)
		w.wantHas(1, "Note=1 Sum=1+1")
	})
}

// Where there is no room the keys hold the checkpoint, and that is told once.
func TestDeferredFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ids := samePartition(3)
		w.busyWith(time.Minute, ids...)
		few := func(o *Options) { o.Deferred = partitions }
		w.start(patient, few)
		defer func() { w.end() }()
		for _, id := range ids {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1")
		}
		rest(30*time.Minute + 100*time.Millisecond)
		if w.caughtUp() || w.aside() != 1 || w.lines.count("no more entries can be put aside") != 1 || !w.engine.Stats().DeferredFull {
			t.Errorf("caught up %v, %d aside, full %v, log %s", w.caughtUp(), w.aside(), w.engine.Stats().DeferredFull, w.lines.text.String())
		}
		w.crash()
		w.start(patient, few)
		rest(time.Second)
		if open := w.engine.Stats().Lanes[queue.Normal].Open; open != 2 {
			t.Errorf("%d entries hold the log, want those of the two that are not aside", open)
		}
		w.answers(acceptAll)
		rest(2 * time.Minute)
		if !w.caughtUp() || w.aside() != 0 || w.engine.Stats().DeferredFull {
			t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
	})
}

// A row that waits aside and was never delivered is gone with a truncate, and so is one
// that was deleted meanwhile.
func TestDeferredGone(t *testing.T) {
	for _, how := range []string{"truncate", "delete", "crash and truncate"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.busyWith(20*time.Minute, 1)
				w.start(patient)
				defer func() { w.end() }()
				w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
				rest(5 * time.Minute)
				if strings.HasPrefix(how, "crash") {
					w.crash()
					w.start(patient)
				}
				if how == "delete" {
					w.put(cdc.LaneNormal, 1, "gone")
				} else {
					w.everywhere(cdc.Change{Op: cdc.OpTruncate})
				}
				rest(5 * time.Minute)
				if !w.caughtUp() {
					t.Error("it holds the checkpoint")
				}
				w.answers(acceptAll)
				rest(time.Hour)
				w.wantHas(1, "nothing")
				if w.aside() != 0 || w.target.applied[keyOf(1)+" "+at(1).String()] {
					t.Errorf("%d aside, applied %v", w.aside(), w.target.applied)
				}
			})
		})
	}
}

// What waits aside is tried as often as anything else, and parked then.
func TestDeferredParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(5*time.Minute, 1)
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		rest(10 * time.Minute)
		w.end()
		w.start() // tries are counted over sessions
		rest(15 * time.Minute)
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		if l := w.store.parked[keyState(1)]; l.Attempts != 5 || len(w.store.deferred) > 0 {
			t.Errorf("parked %+v, aside %v", l, w.store.deferred)
		}
	})
}
