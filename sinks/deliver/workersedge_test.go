package deliver

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// A partition of which nothing is sent any more, as it waits for its last request, goes its way
// though nobody comes for it: kept, it would never be sent of again.
func TestShutPartitionIsNotKept(t *testing.T) {
	run(t, func(w *world) {
		target := &slowBulk{late: 30 * time.Second, came: map[string]time.Time{}, began: map[string][]time.Time{}}
		w.target.limits = sinks.Limits{MaxBatch: 1, MaxInFlight: 4, Timeout: time.Minute}
		w.answers(target.answer)
		busy, other := keyIn(1, 0), keyIn(1, 1)
		w.put(cdc.LaneUrgent, busy, "a=9 b=9") // which this target answers late
		w.start()
		rest(time.Second)
		second := w.join()
		rest(3 * time.Second)
		w.wantOwned(partitions, 0) // it waits for the request
		w.killed(second)
		rest(30 * time.Second)
		w.put(cdc.LaneNormal, other, "a=1 b=1")
		rest(2 * time.Second)
		w.wantOwned(partitions)
		w.wantHas(busy, "Sum=9+9")
		w.wantHas(other, "Sum=1+1")
	})
}

// A look at the others that is on its way while a worker leaves would have it be there again, and
// its part kept free: it says once more that it is gone. The look may be the one after something
// was taken.
func TestLookBesideALeave(t *testing.T) {
	for name, which := range map[string]int{"the first after a take": 2, "another": 8} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.start()
				rest(time.Second)
				looks := make(chan bool, 100)
				w.store.meeting = func(worker string) time.Duration {
					if worker != "worker1" {
						return 0
					}
					looks <- true
					return 500 * time.Millisecond
				}
				second := w.join()
				for range which {
					<-looks
				}
				rest(100 * time.Millisecond)
				w.leaves(second)
				w.store.mu.Lock()
				_, there := w.store.workers[second.name]
				w.store.mu.Unlock()
				if there {
					t.Error("it counts as there")
				}
				rest(1500 * time.Millisecond)
				w.wantOwned(partitions)
			})
		})
	}
}

// What all who own something know at last, each of them begins with, and once.
func TestAgreedIsBegunOnce(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		var told [partitions]int // each by its own worker
		leads := &fakeMapper{name: "leads", coalesce: w.mapper.coalesce, filtered: map[string]bool{}}
		for i := range partitions {
			w.join(func(o *Options) {
				o.Mappers = append(o.Mappers, leads)
				o.Begin = func(_ context.Context, b Beginning) error {
					if slices.Contains(b.Mappings, "leads") {
						told[i]++
					}
					return nil
				}
			})
		}
		rest(20 * time.Second)
		w.wantOwned(0, 1, 1)
		if told[0] != 1 || told[1] != 1 {
			t.Errorf("told were %v", told)
		}
	})
}

// A replay goes on with whom its partition has gone to, and nobody else does anything of it there.
func TestReplayIsHandedOver(t *testing.T) {
	replaying(t, func(w *world) {
		id := w.longReplay(1000)
		before := w.sent()
		rest(3 * time.Second)
		second := w.join()
		rest(3 * time.Second)
		w.wantOwned(1, 1)
		if some, ended := w.replays.progress(id); ended || some.Changes == 0 {
			t.Fatalf("not in the midst of it: %+v", some)
		}
		rest(10 * time.Minute)
		if p, ended := w.replays.progress(id); !ended || p.Changes != 1010 {
			t.Errorf("ended %v, %+v", ended, p)
		}
		if n := w.sent() - before; n > 1010/10+60 {
			t.Errorf("%d requests: it began anew", n)
		}
		if second.engine.Stats().Requests == 0 {
			t.Error("the second worker did nothing of it")
		}
		w.leaves(second)
	})
}

// A lease that was renewed lasts from when that was asked for, however late the answer comes.
func TestLateAnswerToRenew(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		s := newSession(w.engine)
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		defer s.cancel(nil)
		s.claim = lateRenewal{s.claim}
		began := time.Now()
		s.spawn(func() { s.keepLease(began) })
		rest(fakeTTL/3 + 3*time.Second)
		if got := time.Unix(0, s.leased.Load()).Sub(began); got != fakeTTL/3+w.engine.safe() {
			t.Errorf("it lasts for %v", got)
		}
	})
}

// lateRenewal is a claim whose renewals are answered late.
type lateRenewal struct{ claim }

func (l lateRenewal) Renew(context.Context) error {
	time.Sleep(2 * time.Second) // the bubble's time
	return nil
}

// A server that lost what was noted of a request under way does not make the same process forget
// it: the newer state of its row waits (I4).
func TestRolledBackUnderARequest(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 2, "a=1 b=1")
		w.start()
		rest(time.Second)
		w.late(1, 3*time.Second)
		s := w.store
		s.mu.Lock()
		known, checkpoints, last, sent := maps.Clone(s.known), maps.Clone(s.checkpoints), s.last, maps.Clone(s.sent)
		s.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Second)
		filtered := 2
		for partitionOf(keyOf(filtered)) != partitionOf(keyOf(1)) {
			filtered++
		}
		w.put(cdc.LaneNormal, filtered, "a=1 b=1 on=false")
		rest(time.Second)
		s.mu.Lock()
		s.known, s.checkpoints, s.last, s.sent = known, checkpoints, last, sent
		s.mu.Unlock()
		w.put(cdc.LaneNormal, filtered, "a=2 b=2 on=false") // nothing is noted for it, so that what was lost stays so
		rest(500 * time.Millisecond)
		w.put(cdc.LaneUrgent, 1, "a=9 b=9")
		rest(4 * time.Second)
		if w.lines.count("starts over") == 0 {
			t.Fatal("the loss was not seen")
		}
		w.wantHas(1, "Sum=1+1")
		rest(time.Minute)
		w.wantHas(1, "Sum=9+9")
	})
}
