package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// owned tells how many partitions each worker owns, the engine first.
func (w *world) owned() (out []int) {
	out = append(out, w.engine.Stats().Partitions)
	for _, o := range w.more {
		out = append(out, o.engine.Stats().Partitions)
	}
	return out
}

func (w *world) wantOwned(want ...int) {
	w.Helper()
	if got := w.owned(); !slices.Equal(got, want) {
		w.Fatalf("the workers own %v, want %v\n%s", got, want, w.lines.text.String())
	}
}

// keyIn gives an id of a partition, the n-th.
func keyIn(partition, n int) (id int) {
	for id = 0; ; id++ {
		if partitionOf(keyOf(id)) == partition {
			if n--; n < 0 {
				return id
			}
		}
	}
}

// Two workers share the partitions within seconds, each delivers what is its own, and what one
// leaves the other has at once.
func TestWorkersShare(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		w.wantOwned(partitions)
		second := w.join()
		rest(3 * time.Second)
		w.wantOwned(1, 1)
		for id := range 8 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		rest(time.Second)
		for id := range 8 {
			w.wantHas(id, "Sum=1+1")
		}
		if a, b := w.engine.Stats().Delivered, second.engine.Stats().Delivered; a == 0 || b == 0 || a+b != 8 {
			t.Errorf("delivered %d and %d of 8", a, b)
		}
		third := w.join() // there are two partitions
		rest(3 * time.Second)
		w.wantOwned(1, 1, 0)
		w.leaves(second)
		rest(200 * time.Millisecond) // somebody took it before
		w.wantOwned(1, 1)
		w.put(cdc.LaneNormal, keyIn(1, 0), "a=2 b=1")
		w.put(cdc.LaneNormal, keyIn(0, 0), "a=2 b=1")
		rest(100 * time.Millisecond)
		w.wantHas(keyIn(0, 0), "Sum=2+1")
		w.wantHas(keyIn(1, 0), "Sum=2+1")
		w.leaves(third)
		rest(2 * time.Second)
		w.wantOwned(partitions)
		if w.store.wasUnclean() {
			t.Error("what was handed over in order is taken for left behind")
		}
	})
}

// slowBulk answers bulk requests late, and notes how long after its commit each row came, and
// when each request began.
type slowBulk struct {
	mu    sync.Mutex
	late  time.Duration
	came  map[string]time.Time
	began map[string][]time.Time
}

func (s *slowBulk) answer(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
	now, bulk := time.Now(), false
	s.mu.Lock()
	for _, r := range b.Records {
		s.began[r.Source] = append(s.began[r.Source], now)
		bulk = bulk || string(r.Fields[0].Value) == `"9+9"`
	}
	s.mu.Unlock()
	wait := 20 * time.Millisecond
	if bulk {
		wait = s.late
	}
	if err := cdc.Sleep(ctx, wait); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Records {
		s.came[r.Source] = time.Now()
	}
	return acceptAll(ctx, b)
}

// While a partition is handed over in order, what is urgent goes out all the same: bulk
// requests under way, which take long, do not hold it up.
func TestUrgentDuringHandOver(t *testing.T) {
	run(t, func(w *world) {
		target := &slowBulk{late: 8 * time.Second, came: map[string]time.Time{}, began: map[string][]time.Time{}}
		w.target.limits = sinks.Limits{MaxBatch: 2, MaxInFlight: 4, Timeout: time.Minute}
		w.answers(target.answer)
		for i := range 40 {
			w.put(cdc.LaneBulk, 1000+i, "a=9 b=9")
		}
		w.start()
		rest(time.Second)
		second := w.join()
		at := map[int]time.Time{}
		for id := range 150 { // over fifteen seconds, in which partition 1 goes to the second
			w.put(cdc.LaneUrgent, id, "a=1 b=1")
			at[id] = time.Now()
			rest(100 * time.Millisecond)
		}
		rest(time.Second)
		target.mu.Lock()
		defer target.mu.Unlock()
		if n := second.engine.Stats(); n.Partitions != 1 || n.Delivered == 0 {
			t.Fatalf("the second has %+v", n)
		}
		for id, committed := range at {
			if took := target.came[keyOf(id)].Sub(committed); took > 500*time.Millisecond || took < 0 {
				t.Errorf("urgent row %d took %v", id, took)
			}
		}
	})
}

// After a worker was killed, its partitions are another's when its leases have run out. Rows
// that it may have a request under way for rest until that must have ended; the others do not
// wait for them.
func TestTakeOverAfterKill(t *testing.T) {
	run(t, func(w *world) {
		target := &slowBulk{late: time.Hour, came: map[string]time.Time{}, began: map[string][]time.Time{}}
		w.target.limits = sinks.Limits{MaxBatch: 1, MaxInFlight: 4, Timeout: time.Minute}
		w.answers(target.answer)
		w.start()
		second := w.join()
		rest(3 * time.Second)
		w.wantOwned(1, 1)
		mine := 0 // the partition of the engine
		if w.store.names[0] != "one" {
			mine = 1
		}
		theirs := 1 - mine
		busy, fresh := keyIn(theirs, 0), keyIn(theirs, 1)
		w.put(cdc.LaneNormal, busy, "a=9 b=9") // it does not come back
		rest(time.Second)
		second.engine.kill(errKilled)
		<-second.ended
		second.stop()
		w.part(second)
		killed := time.Now()
		w.put(cdc.LaneNormal, busy, "a=2 b=2")
		w.put(cdc.LaneNormal, fresh, "a=2 b=2")
		w.put(cdc.LaneNormal, keyIn(mine, 0), "a=2 b=2")
		rest(100 * time.Millisecond)
		w.wantHas(keyIn(mine, 0), "Sum=2+2") // it is not held up by any of that
		rest(2 * time.Minute)
		w.wantHas(busy, "Sum=2+2")
		if took := target.came[keyOf(fresh)].Sub(killed); took > fakeTTL+2*time.Second {
			t.Errorf("a row that nothing was under way for took %v", took)
		}
		all := target.began[keyOf(busy)]
		if again := all[len(all)-1]; len(all) != 2 || again.Sub(killed) < fakeTTL+time.Minute-4*time.Second || again.Sub(killed) > fakeTTL+time.Minute+2*time.Second {
			t.Errorf("the row with a request under way was sent %d times, the last %v after the kill", len(all), again.Sub(killed))
		}
		w.wantOwned(partitions)
	})
}

// A worker that is cut off from the store starts no request from the moment on that its leases
// are relied on no more, and takes its part again when it is back.
func TestCutOffWorkerStopsInTime(t *testing.T) {
	run(t, func(w *world) {
		target := &slowBulk{came: map[string]time.Time{}, began: map[string][]time.Time{}}
		w.answers(target.answer)
		w.start()
		second := w.join()
		rest(5 * time.Second) // leases were renewed
		w.wantOwned(1, 1)
		cut := time.Now()
		w.cut(second.name, time.Minute)
		id := keyIn(0, 0)
		if w.store.names[0] == "one" {
			id = keyIn(1, 0)
		}
		rest(fakeTTL)
		w.put(cdc.LaneNormal, id, "a=1 b=1")
		rest(2 * time.Second)
		w.wantHas(id, "Sum=1+1")
		w.wantOwned(partitions, 0)
		for _, at := range target.began[keyOf(id)] {
			if at.Sub(cut) < fakeTTL-4*time.Second {
				t.Errorf("a request began %v after the cut", at.Sub(cut))
			}
		}
		rest(time.Minute)
		w.wantOwned(1, 1)
	})
}

// No request starts without a lease, whatever the goroutine that would start it was doing for
// how long: a process may have been stopped in between.
func TestNoRequestWithoutALease(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		asked := 0
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			asked++
			return acceptAll(ctx, b)
		})
		s := newSession(w.engine)
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		defer s.cancel(nil)
		s.lasts(time.Now().Add(time.Second))
		j := &job{s: s, mapper: w.mapper}
		if _, err := j.ask(s.ctx, nil, false); err != nil || asked != 1 {
			t.Fatalf("with a lease: %v, %d requests", err, asked)
		}
		rest(time.Second)
		if _, err := j.ask(s.ctx, nil, false); err == nil || asked != 1 {
			t.Errorf("without one: %v, %d requests", err, asked)
		}
		if !errors.Is(context.Cause(s.ctx), errLeaseExpired) {
			t.Errorf("the session goes on: %v", context.Cause(s.ctx))
		}
	})
}

// A worker that does not know all mappings gives its part to those that do, and what only they
// know is told when it has.
func TestWorkersOfOtherFiles(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		var told [][]string
		leads := &fakeMapper{name: "leads", coalesce: w.mapper.coalesce, filtered: map[string]bool{}}
		second := w.join(func(o *Options) {
			o.Mappers = append(o.Mappers, leads)
			o.Begin = func(_ context.Context, b Beginning) error {
				told = append(told, b.Mappings)
				if slices.Contains(b.Mappings, "leads") && w.engine.Stats().Owner {
					t.Error("told of what the owner of a partition does not know")
				}
				return nil
			}
		})
		rest(4 * time.Second)
		w.wantOwned(0, partitions)
		if len(told) == 0 || !slices.Equal(told[len(told)-1], []string{"deals", "leads"}) {
			t.Errorf("told were %v", told)
		}
		w.leaves(second)
		rest(2 * time.Second)
		w.wantOwned(partitions) // there is nobody else
	})
}

// A partition that is on its way to a worker that dies meanwhile is kept, and not only what is
// urgent of it goes out, though the bulk request that held it lasts on.
func TestPartitionIsKeptWhenNobodyComes(t *testing.T) {
	run(t, func(w *world) {
		target := &slowBulk{late: 10 * time.Minute, came: map[string]time.Time{}, began: map[string][]time.Time{}}
		w.target.limits = sinks.Limits{MaxBatch: 1, MaxInFlight: 4, Timeout: 20 * time.Minute}
		w.answers(target.answer)
		busy, other := keyIn(1, 0), keyIn(1, 1)
		w.put(cdc.LaneBulk, busy, "a=9 b=9")
		w.start()
		rest(time.Second)
		second := w.join()
		rest(3 * time.Second)
		w.wantOwned(partitions, 0) // it waits for the request
		w.put(cdc.LaneNormal, other, "a=1 b=1")
		rest(time.Second)
		w.wantHas(other, "nothing")
		w.killed(second)
		rest(2 * time.Second)
		w.wantHas(other, "Sum=1+1")
		rest(20 * time.Minute)
		w.wantHas(busy, "Sum=9+9")
	})
}

// A worker that ends while it has nothing is not waited for.
func TestIdleWorkerLeaves(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		second := w.join()
		third := w.join(func(o *Options) { o.DrainTimeout = time.Second }) // too short to wait for others
		rest(3 * time.Second)
		w.wantOwned(1, 1, 0)
		w.leaves(third)
		w.store.mu.Lock()
		_, there := w.store.workers[third.name]
		w.store.mu.Unlock()
		if there {
			t.Error("it counts as there")
		}
		w.leaves(second)
	})
}
