package deliver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// run gives f a world in a bubble of its own time, and ends the engine.
func run(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		func() {
			defer func() { // also if it fails: nothing may be left in the bubble
				for len(w.more) > 0 {
					w.killed(w.more[0])
				}
				w.end()
			}()
			f(w)
		}()
		for _, s := range w.target.wrong {
			t.Errorf("order: %s", s)
		}
	})
}

// rest lets time pass while nothing is done by the test.
func rest(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

func TestFirstDelivery(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=2 note=5")
		w.put(cdc.LaneNormal, 2, "a=1 b=2 on=false")
		w.start()
		rest(10 * time.Millisecond)
		w.wantHas(1, "Note=5 Sum=1+2")
		w.wantHas(2, "nothing")
		w.put(cdc.LaneNormal, 1, "a=1 b=3 note=?")
		rest(time.Second)
		w.wantHas(1, "Note=5 Sum=1+3")
		w.put(cdc.LaneNormal, 1, "gone")
		rest(time.Second)
		w.wantHas(1, "nothing")
		s := w.engine.Stats()
		if !w.caughtUp() || s.Delivered != 3 || s.Filtered != 1 || s.Read != 4 || s.Released != 4 || s.Parked+s.Retries+s.Stale != 0 {
			t.Errorf("caught up %v, stats %+v", w.caughtUp(), s)
		}
	})
}

func TestTenUpdatesOneRecord(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.coalesce = sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 10}
		w.start()
		for i := range 10 {
			w.put(cdc.LaneNormal, 1, "b=1 a="+string(rune('0'+i)))
			rest(100 * time.Millisecond)
		}
		rest(time.Second)
		w.wantHas(1, "Sum=9+1")
		if s := w.engine.Stats(); s.Delivered != 1 || s.Folded != 10 || s.Requests != 1 {
			t.Errorf("stats %+v", s)
		}
		// From the first change: 900 ms of changes and 1 s of quiet.
		if l := w.engine.Stats().Lanes[1]; l.Delivered != 1 || l.P99 < 1880*time.Millisecond || l.P99 > 1920*time.Millisecond {
			t.Errorf("latency %+v", l)
		}
		if first, second := w.engine.Window(), w.engine.Window(); first.Delivered != 1 || second.Delivered != 0 || second.Lanes[1].Delivered != 0 {
			t.Errorf("windows %+v %+v", first, second)
		}
	})
}

func TestOneBadRecord(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			for i, r := range b.Records {
				if r.Source == keyOf(3) && strings.Contains(string(r.Fields[0].Value), "66") {
					apply[i], rs[i].Err = false, &sinks.Rejected{Code: "TOO_LONG", Err: errors.New("refused")}
				}
			}
			return apply, rs, nil
		})
		for id := range 6 {
			w.put(cdc.LaneNormal, id, "a=66 b=1")
		}
		w.start()
		rest(time.Second)
		w.wantHas(2, "Sum=66+1")
		w.wantHas(3, "nothing")
		if len(w.store.dead) != 1 || w.store.dead[0].Code != "TOO_LONG" || w.store.dead[0].Payload != `{"op":"upsert","object":"Opportunity","key":{"Ext":3},"fields":{"Sum":"66+1"}}` {
			t.Errorf("dead letters %+v", w.store.dead)
		}
		if !w.caughtUp() {
			t.Error("a parked record holds the checkpoint")
		}
		w.put(cdc.LaneNormal, 3, "a=7 b=1") // a newer value is tried
		rest(time.Second)
		w.wantHas(3, "Sum=7+1")
	})
}

// A batch refused as a whole is halved until the culprit stands alone.
func TestHalving(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			for _, r := range b.Records {
				if r.Source == keyOf(5) {
					return nil, nil, &sinks.Rejected{Code: "http_400", Err: errors.New("no")}
				}
			}
			return acceptAll(ctx, b)
		})
		for id := range 8 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		w.start()
		rest(time.Second)
		if got := w.engine.Stats(); got.Delivered != 7 || got.Parked != 1 || got.Retries != 0 || w.store.dead[0].Key != keyOf(5) {
			t.Errorf("stats %+v, dead %+v", got, w.store.dead)
		}
	})
}

func TestRecordRetries(t *testing.T) {
	run(t, func(w *world) {
		tries := []time.Time{}
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			tries = append(tries, time.Now())
			return nil, []sinks.Result{{Err: &sinks.Retryable{Err: errors.New("locked"), After: 3 * time.Second}}}, nil
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(20 * time.Second)
		if len(tries) != 5 || len(w.store.dead) != 1 || w.store.dead[0].Attempts != 5 || w.store.dead[0].Code != "retryable" {
			t.Fatalf("%d tries, dead letters %+v", len(tries), w.store.dead)
		}
		for i := 1; i < len(tries); i++ {
			if d := tries[i].Sub(tries[i-1]); d < 3*time.Second || d > 10*time.Second {
				t.Errorf("tried again after %v", d)
			}
		}
	})
}

// A missing result is a retry of that record.
func TestShortAnswer(t *testing.T) {
	run(t, func(w *world) {
		short := true
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs, err := acceptAll(ctx, b)
			if short {
				short = false
				return apply[:1], rs[:1], err
			}
			return apply, rs, err
		})
		key := partitionOf(keyOf(1))
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		for id := 2; w.last < 3; id++ {
			if partitionOf(keyOf(id)) == key {
				w.put(cdc.LaneNormal, id, "a=1 b=1")
			}
		}
		w.start()
		rest(5 * time.Second)
		if s := w.engine.Stats(); s.Delivered != 3 || s.Retries != 2 || !w.caughtUp() {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestThrottle(t *testing.T) {
	run(t, func(w *world) {
		w.target.limits.MaxInFlight = 1
		var calls []time.Time
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			calls = append(calls, time.Now())
			if len(calls) <= 30 {
				return nil, nil, &sinks.Throttled{Err: errors.New("slow down"), After: 10 * time.Second}
			}
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		w.put(cdc.LaneUrgent, 1, "a=2 b=1") // does not shorten the pause
		rest(30 * time.Minute)
		w.wantHas(1, "Sum=2+1")
		for i := 1; i < len(calls); i++ {
			if d := calls[i].Sub(calls[i-1]); d < 10*time.Second {
				t.Fatalf("asked again after %v", d)
			}
		}
		// More throttles than attempts, and still not parked.
		if s := w.engine.Stats(); s.Throttles != 30 || s.Parked != 0 || s.Delivered != 1 {
			t.Errorf("stats %+v", s)
		}
		if w.lines.count("delivery is held up") != 1 || w.lines.count("delivery goes on") != 1 {
			t.Errorf("log:\n%s", w.lines.text.String())
		}
	})
}

func TestUnauthorizedWaits(t *testing.T) {
	run(t, func(w *world) {
		calls := 0
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if calls++; calls < 12 {
				return nil, nil, &sinks.Unauthorized{Err: errors.New("401")}
			}
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		if s := w.engine.Stats(); s.LastError != "401" || !s.PausedUntil.After(time.Now().Add(-10*time.Second)) {
			t.Errorf("stats %+v", s)
		}
		rest(2 * time.Hour)
		w.wantHas(1, "Sum=1+1")
		if n := w.lines.count("level=ERROR"); n != 1 || len(w.store.dead) != 0 {
			t.Errorf("%d error lines, %d dead letters", n, len(w.store.dead))
		}
	})
}

func TestUnmappedIsParked(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1 bad=true")
		w.start()
		rest(time.Second)
		if len(w.store.dead) != 1 || w.store.dead[0].Code != "unmapped" || !w.caughtUp() {
			t.Errorf("dead letters %+v", w.store.dead)
		}
	})
}

func TestCompletion(t *testing.T) {
	run(t, func(w *world) {
		w.holds(1, `{"id":1,"a":9,"b":8,"note":"n"}`)
		w.put(cdc.LaneNormal, 1, "a=1 b=?")       // sum needs b
		w.put(cdc.LaneNormal, 2, "a=1 b=? on=0")  // gone at the source
		w.put(cdc.LaneNormal, 3, "a=1 b=1 zip=?") // no field reads it
		w.start()
		rest(time.Second)
		w.wantHas(1, "Sum=1+8") // only the absent column is filled
		w.wantHas(2, "nothing")
		w.wantHas(3, "Sum=1+1")
		if w.source.calls > 2 || !w.caughtUp() || len(w.store.dead) != 0 {
			t.Errorf("%d calls, dead letters %+v", w.source.calls, w.store.dead)
		}
		// A record that is not there yet must not be made without its note.
		w.holds(4, `{"id":4,"a":1,"b":1,"note":"long"}`)
		w.put(cdc.LaneNormal, 4, "a=1 b=1 note=?")
		rest(time.Second)
		w.wantHas(4, "Note=long Sum=1+1")
	})
}

func TestUnresolvedWithoutCompleter(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=?")
		w.start(func(o *Options) { o.Completer = nil })
		rest(time.Second)
		if len(w.store.dead) != 1 || w.store.dead[0].Code != "unresolved" {
			t.Errorf("dead letters %+v", w.store.dead)
		}
	})
}

// A bulk change that an urgent one overtook is stale, but its note is not lost.
func TestOvertaken(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, `a=1 b=1 note="old"`)
		w.start()
		rest(time.Second)
		w.last += 5
		w.put(cdc.LaneUrgent, 1, "a=2 b=1 note=?")
		rest(time.Second)
		w.wantHas(1, "Note=old Sum=2+1")
		w.holds(1, `{"id":1,"a":2,"b":1,"note":"new"}`)
		w.last -= 5
		w.put(cdc.LaneBulk, 1, `a=1 b=1 note="new"`)
		rest(time.Second)
		w.wantHas(1, "Note=new Sum=2+1")
		if !w.caughtUp() {
			t.Error("not caught up")
		}
	})
}

// What may have been created is deleted, although no answer ever said so.
func TestDeleteAfterUnknownOutcome(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			return all(len(b.Records), true), nil, &sinks.Retryable{Unknown: true, Err: errors.New("timeout")}
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(100 * time.Millisecond)
		w.wantHas(1, "Sum=1+1")
		w.crash()
		w.put(cdc.LaneNormal, 1, "gone")
		w.answers(acceptAll)
		w.start()
		rest(time.Minute)
		w.wantHas(1, "nothing")
	})
}

// After a crash nothing is sent until all that may have been sent is read again.
func TestNoStepBackAfterCrash(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.coalesce = sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 10}
		for i := range 20 {
			w.put(cdc.LaneNormal, 1, "b=1 a="+string(rune('a'+i)))
		}
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			return all(len(b.Records), true), nil, context.DeadlineExceeded
		})
		w.start()
		rest(2 * time.Second)
		w.wantHas(1, "Sum=t+1")
		w.crash()
		w.answers(acceptAll)
		w.mapper.coalesce = sinks.Coalesce{MaxBatch: 1} // each entry would go at once
		w.giveAtMost(1)
		w.start()
		rest(time.Minute)
		if !w.caughtUp() {
			t.Error("not caught up")
		}
		if n := w.engine.Stats().Delivered; n != 1 {
			t.Errorf("%d records delivered", n)
		}
	})
}

func TestFullQueueStopsReading(t *testing.T) {
	run(t, func(w *world) {
		open := make(chan struct{})
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			select {
			case <-open:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			return acceptAll(ctx, b)
		})
		w.giveAtMost(5)
		for i := range 300 {
			w.put(cdc.LaneNormal, i, "a=1 b=1")
		}
		w.start(func(o *Options) { o.Limits = queue.Limits{Entries: 40, Bytes: 1 << 20} })
		rest(2 * time.Second)
		if s := w.engine.Stats(); s.Read < 40 || s.Read > 60 {
			t.Errorf("read %d entries", s.Read)
		}
		w.put(cdc.LaneUrgent, 1, "a=2 b=1") // another lane has room
		rest(100 * time.Millisecond)
		if s := w.engine.Stats(); s.Lanes[0].Open != 1 {
			t.Errorf("lanes %+v", s.Lanes)
		}
		close(open)
		rest(time.Minute)
		if !w.caughtUp() {
			t.Errorf("not caught up: %+v", w.engine.Stats())
		}
	})
}
