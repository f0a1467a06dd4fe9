package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
)

// fakeAccount is the state of an account in memory, as Redis keeps it.
type fakeAccount struct {
	mu    sync.Mutex // covers all below
	text  string
	calls int
	// fault is drawn before a call and after it; it may be nil.
	fault func() (before, after error)
}

func (f *fakeAccount) Swap(_ context.Context, former, text string, _ time.Time) (string, time.Time, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	var before, after error
	if f.fault != nil {
		before, after = f.fault()
	}
	if before != nil {
		return "", time.Time{}, false, before
	}
	put := text != "" && former == f.text
	if put {
		f.text = text
	}
	return f.text, time.Now(), put && after == nil, after
}

// gate counts the requests that are under way, and lets them end one by one.
type gate struct {
	mu      sync.Mutex // covers all below
	under   int
	started []time.Time
	end     chan error
}

func (g *gate) answer(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
	g.mu.Lock()
	g.under++
	g.started = append(g.started, time.Now())
	g.mu.Unlock()
	var err error
	select {
	case err = <-g.end:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	g.under--
	g.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	return acceptAll(ctx, b)
}

func (g *gate) now() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.under
}

// After a fault one request probes, until one is answered; then all go again.
func TestHalfOpen(t *testing.T) {
	run(t, func(w *world) {
		g := &gate{end: make(chan error)}
		w.answers(g.answer)
		w.target.limits.MaxInFlight, w.target.limits.MaxBatch, w.target.limits.Timeout = 4, 1, time.Hour
		for id := range 20 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		var told []Condition
		w.start(func(o *Options) { o.Told = func(c Condition) { told = append(told, c) } })
		rest(time.Millisecond)
		if g.now() != 4 {
			t.Fatalf("%d requests at first", g.now())
		}
		down := &sinks.Retryable{Err: errors.New("503"), After: 10 * time.Second}
		for range 4 {
			g.end <- down
		}
		rest(time.Second)
		s := w.engine.Stats()
		if g.now() != 0 || s.Condition.Circuit != Open || s.Condition.Why != "503" || s.Pending != 20 {
			t.Fatalf("%d requests, %+v", g.now(), s.Condition)
		}
		for range 3 {
			rest(12 * time.Minute)
			if s := w.engine.Stats(); g.now() != 1 || s.Condition.Circuit != Probing {
				t.Fatalf("%d requests, %+v", g.now(), s.Condition)
			}
			g.end <- down
			rest(time.Second)
			if g.now() != 0 {
				t.Fatalf("%d requests after a probe failed", g.now())
			}
		}
		rest(12 * time.Minute)
		g.end <- nil
		rest(time.Second)
		if s := w.engine.Stats(); g.now() != 4 || s.Condition != (Condition{}) {
			t.Fatalf("%d requests, %+v", g.now(), s.Condition)
		}
		close(g.end) // accept all that is left
		rest(time.Second)
		if !w.caughtUp() {
			t.Errorf("not caught up: %+v", w.engine.Stats())
		}
		words := []string{}
		for _, c := range told {
			if w := c.Circuit.String(); len(words) == 0 || words[len(words)-1] != w {
				words = append(words, w)
			}
		}
		want := "running paused probing paused probing paused probing paused probing running"
		if got := strings.Join(words, " "); got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
	})
}

// A rate is kept, and throttling lowers it for as long as it has to be.
func TestRateIsKept(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{PerSecond: 20, Burst: 5}
		w.target.limits.MaxBatch, w.target.limits.MaxInFlight = 1, 8
		var times []time.Time
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			w.target.mu.Lock()
			times = append(times, time.Now())
			w.target.mu.Unlock()
			return acceptAll(ctx, b)
		})
		for id := range 200 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		w.start()
		rest(time.Minute)
		if !w.caughtUp() || len(times) != 200 {
			t.Fatalf("%d requests, %+v", len(times), w.engine.Stats())
		}
		slices.SortFunc(times, time.Time.Compare)
		for i := range times {
			for j := i + 1; j < len(times); j++ {
				if d := times[j].Sub(times[i]); float64(j-i+1) > 5+20*d.Seconds()+1e-6 {
					t.Fatalf("%d requests in %v", j-i+1, d)
				}
			}
		}
		if d := times[199].Sub(times[0]); d > 12*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// Without a limit nothing is asked for each request; a throttled one makes the account
// slower than what it was refused at, and keeps the wait that the target asked for.
func TestThrottledWithoutALimit(t *testing.T) {
	run(t, func(w *world) {
		w.account = &fakeAccount{}
		w.target.limits.MaxBatch, w.target.limits.MaxInFlight = 1, 4
		var mu sync.Mutex
		second, inSecond, taken := int64(0), 0, 0
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now().Unix(); now != second {
				second, inSecond = now, 0
			}
			if inSecond++; inSecond > 50 {
				return nil, nil, &sinks.Throttled{Err: errors.New("429"), After: time.Second}
			}
			taken++
			return acceptAll(ctx, b)
		})
		w.start()
		for id := range 40 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		rest(2 * time.Second)
		if w.account.calls > 6 || w.engine.Stats().Throttles != 0 {
			t.Errorf("%d calls, %+v", w.account.calls, w.engine.Stats())
		}
		for id := range 4000 {
			w.put(cdc.LaneNormal, 100+id, "a=1 b=1")
		}
		rest(3 * time.Second)
		if s := w.engine.Stats(); s.Rate.Rate == 0 || s.Rate.Lowered == 0 || s.Throttles == 0 {
			t.Errorf("rate %+v, %d throttles", s.Rate, s.Throttles)
		}
		rest(10 * time.Minute)
		s := w.engine.Stats()
		if !w.caughtUp() || s.Parked != 0 || s.Throttles > uint64(taken)/10 {
			t.Errorf("taken %d, stats %+v", taken, s)
		}
	})
}

// A budget that is spent pauses the target; it is never a failure of a record.
func TestBudgetIsSpent(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 50, Keep: 10}
		w.target.limits.MaxBatch = 1
		w.start()
		for id := range 100 {
			w.put(cdc.LaneBulk, id, "a=1 b=1")
		}
		rest(time.Hour)
		s := w.engine.Stats()
		if s.Requests != 36 || s.Rate.Left != 4 || s.Rate.BulkSpentUntil.IsZero() || !s.Rate.SpentUntil.IsZero() {
			t.Fatalf("stats %+v, rate %+v", s, s.Rate)
		}
		w.put(cdc.LaneUrgent, 200, "a=1 b=1") // it may still
		rest(time.Second)
		w.wantHas(200, "Sum=1+1")
		for i := range 10 { // of these only three, which fold
			w.put(cdc.LaneUrgent, 201, fmt.Sprintf("a=%d b=1", i))
			rest(time.Minute)
		}
		s = w.engine.Stats()
		if s.Requests != 40 || s.Rate.SpentUntil.IsZero() || s.Parked+s.Retries != 0 {
			t.Fatalf("stats %+v, rate %+v", s, s.Rate)
		}
		rest(4 * 26 * time.Hour)
		if n := w.lines.count("the requests of the day are used up"); n < 1 || n > 4 {
			t.Errorf("it was told %d times", n)
		}
		if s := w.engine.Stats(); !w.caughtUp() || s.Parked+s.Retries != 0 || s.Delivered > 110 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Where nobody can be asked nothing is sent, and it goes on by itself.
func TestAccountIsAway(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{PerSecond: 100}
		w.account.fault = func() (error, error) { return errors.New("no connection"), nil }
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Minute)
		if s := w.engine.Stats(); s.Requests != 0 || s.Pending != 1 || w.lines.count("the account cannot be asked") != 1 || w.account.calls > 40 {
			t.Fatalf("%d calls, stats %+v\n%s", w.account.calls, s, w.lines.text.String())
		}
		w.account.mu.Lock()
		w.account.fault = nil
		w.account.mu.Unlock()
		rest(10 * time.Second)
		w.wantHas(1, "Sum=1+1")
	})
}

// Where less than one request is made in the time that one may take, what takes two is
// still done in the end.
func TestSlowAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		w.account, w.limits = &fakeAccount{}, rate.Settings{PerSecond: 0.1, Burst: 1}
		w.start()
		defer w.end()
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Minute)
		w.row(cdc.LaneNormal, 1, 20, 6)
		rest(time.Minute)
		w.wantNote(20, 6)
		w.wantHas(10, "nothing")
		if n := w.engine.Stats().Requests; n != 3 {
			t.Errorf("%d requests", n)
		}
	})
}

// A mapping that waits for somebody to mend something is told of, and what is wrong with it,
// while the target takes the others; and no more once it is mended.
func TestConditionOfAMapping(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Misconfigured{Err: errors.New("no such field"), Hint: "make it"}
		})
		var told []Condition
		w.start(func(o *Options) { o.Told = func(c Condition) { told = append(told, c) } })
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Second)
		want := Condition{Waits: "mapping " + w.mapper.Name() + " waits: no such field; make it"}
		if s := w.engine.Stats(); s.Condition != want {
			t.Errorf("%+v, want %+v", s.Condition, want)
		}
		w.answers(acceptAll)
		rest(time.Hour)
		if s := w.engine.Stats(); s.Condition != (Condition{}) || s.Delivered != 1 {
			t.Errorf("%+v and %d delivered after it was mended", s.Condition, s.Delivered)
		}
		if want := []Condition{{}, want, {}}; !slices.Equal(told, want) {
			t.Errorf("told %+v, want %+v", told, want)
		}
	})
}
