package rate

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// busy runs keepers of one account, each with several batches at once that make two requests
// more than the one that they ask for. It gives when each request was made.
func busy(ctx context.Context, keepers, batches int, s Settings, m *memory) (made []time.Time) {
	var (
		mu sync.Mutex // covers made
		wg sync.WaitGroup
	)
	note := func() {
		mu.Lock()
		defer mu.Unlock()
		made = append(made, time.Now())
	}
	for i := range keepers {
		k := New("suite", s, m, slog.New(slog.DiscardHandler))
		var own sync.WaitGroup
		for range batches {
			own.Go(func() {
				for {
					p, err := k.Wait(ctx, queue.Lane(i%laneCount))
					if err != nil {
						return
					}
					note()
					for range 2 {
						time.Sleep(time.Duration(1+m.draw(20)) * time.Millisecond)
						note()
						k.More(queue.Lane(i % laneCount))
					}
					k.Done(p, nil)
				}
			})
		}
		wg.Go(func() {
			own.Wait()
			k.Close()
		})
	}
	wg.Wait()
	return made
}

// A budget is used up by all requests, and overdrawn only by those of batches under way.
func TestMoreUsesUpTheBudget(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{rng: rand.New(rand.NewPCG(seed, 3)), fails: int(seed%4) * 5}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			s := Settings{Daily: 1000, Keep: 100}
			if seed%2 == 0 {
				s.PerSecond = 50
			}
			made := busy(ctx, 3, 10, s, m)
			if most := 900 + 3*10*2; len(made) > most || m.fails == 0 && len(made) < 900 || len(made) < 250 {
				t.Fatalf("seed %d: %d requests, at most %d", seed, len(made), most)
			}
			if left, _ := m.state(t).left(time.Now().UnixMicro(), s); m.fails == 0 && left != 1000-int64(len(made)) {
				t.Fatalf("seed %d: %d left after %d requests", seed, left, len(made))
			}
		})
	}
}

// A rate is kept over any time that is longer than the batches under way.
func TestMoreKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := Settings{PerSecond: 100, Burst: 20}
		made := busy(ctx, 3, 4, s, m)
		if n := len(made); n < 5700 || n > 6000+20+3*4*2 {
			t.Errorf("%d requests in a minute", n)
		}
		second := map[int64]int{}
		for _, at := range made {
			second[at.Unix()]++
		}
		for at, n := range second {
			if n > 100+20+3*4*2 {
				t.Errorf("%d requests in second %d", n, at)
			}
		}
	})
}

// What is made while nothing is limited is told within a second, or at the end; what was not
// made after all is not.
func TestFreeKeeperTells(t *testing.T) {
	for name, after := range map[string]func(k *Keeper){
		"idle": func(*Keeper) { time.Sleep(tellEvery + 50*time.Millisecond) },
		"end":  (*Keeper).Close,
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
			k := New("suite", Settings{}, m, slog.New(slog.DiscardHandler))
			defer k.Close()
			p, err := k.Wait(t.Context(), queue.Normal)
			if err != nil {
				t.Fatal(err)
			}
			k.Observe(sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: 5000, Left: 4000}})
			time.Sleep(3 * time.Second)
			k.Done(p, nil)
			if _, ok := k.Take(queue.Normal); !ok { // brings the quota there
				t.Fatal("no permit")
			}
			time.Sleep(tellEvery / 10)
			left := func() int64 {
				a := m.state(t)
				if a.Said == nil {
					t.Fatalf("nothing was said: %s", a)
				}
				return a.Said.Left
			}
			before := left()
			for range 10 {
				p, ok := k.Take(queue.Normal)
				if !ok {
					t.Fatal("no permit")
				}
				k.More(queue.Normal)
				k.More(queue.Bulk)
				k.Done(p, nil)
			}
			for range 3 { // nothing was sent
				p, _ := k.Take(queue.Normal)
				k.Back(p)
				k.Done(p, errors.New("no connection"))
			}
			after(k)
			if n := before - left(); n != 30 {
				t.Errorf("%s: %d requests are told of 30", name, n)
			}
		})
	}
}

// What is made while a call is under way is told after it.
func TestMoreWhileCalling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
		s := Settings{Daily: 1000}
		k := New("suite", s, m, slog.New(slog.DiscardHandler))
		defer k.Close()
		if _, err := k.Wait(t.Context(), queue.Normal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * tellEvery)
		m.mu.Lock()
		m.slow, m.others = tellEvery/5, 4
		m.mu.Unlock()
		k.More(queue.Normal)
		time.Sleep(3 * tellEvery / 2)
		k.More(queue.Normal)
		time.Sleep(5 * tellEvery)
		if left, _ := m.state(t).left(time.Now().UnixMicro(), s); left != 1000-3 {
			t.Errorf("%d left", left)
		}
	})
}

// What cannot be told is told later.
func TestMoreIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
		s := Settings{Daily: 1000}
		k := New("suite", s, m, slog.New(slog.DiscardHandler))
		defer k.Close()
		if _, err := k.Wait(t.Context(), queue.Normal); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.fails = 100
		m.mu.Unlock()
		for range 20 {
			k.More(queue.Normal)
			time.Sleep(time.Second)
		}
		m.mu.Lock()
		m.fails = 0
		m.mu.Unlock()
		time.Sleep(retryWaits.max + tellEvery + time.Second)
		if left, _ := m.state(t).left(time.Now().UnixMicro(), s); left != 1000-21 {
			t.Errorf("%d left", left)
		}
	})
}

// What was made beyond grants is not forgotten when throttling lowers the rate, and is when a
// rate is given up.
func TestMoreAndThrottling(t *testing.T) {
	s := Settings{PerSecond: 10, Burst: 1}
	a := &account{}
	a.step(start, s, ask{want: 1})
	a.step(start, s, ask{more: [laneCount]int{0, 20, 0}})
	a.step(start, s, ask{throttled: true, after: time.Millisecond})
	if r := a.step(start.Add(2*time.Second), s, ask{want: 1}); a.Rate != 5 || r.granted != 0 || r.again < 2*time.Second {
		t.Errorf("rate %v, granted %d, again in %v", a.Rate, r.granted, r.again)
	}
	if r := a.step(start.Add(4500*time.Millisecond), s, ask{want: 1}); r.granted != 1 {
		t.Errorf("granted %d, again in %v", r.granted, r.again)
	}
	// Without a limit: what is measured is all that was made.
	a = &account{}
	a.step(start, Settings{}, ask{made: 10, more: [laneCount]int{0, 30, 0}})
	a.step(start.Add(500*time.Millisecond), Settings{}, ask{throttled: true})
	if a.Rate != 20 {
		t.Errorf("rate %v after 40 requests in a second", a.Rate)
	}
	// The same where they are asked for, for the sake of a budget.
	a, s = &account{}, Settings{Daily: 1000}
	a.step(start, s, ask{want: 10})
	a.step(start.Add(100*time.Millisecond), s, ask{want: 10, more: [laneCount]int{0, 20, 0}})
	a.step(start.Add(500*time.Millisecond), s, ask{throttled: true})
	if a.Rate != 20 {
		t.Errorf("rate %v after 40 requests in a second of an account with a budget", a.Rate)
	}
}

// A version before this one, and one after it, read what this one writes.
func TestOwedStateIsReadable(t *testing.T) {
	a, s := &account{}, Settings{PerSecond: 10, Burst: 1, BulkFloor: 0.05, Daily: 100}
	a.step(start, s, ask{want: 1, lane: queue.Bulk})
	a.step(start, s, ask{more: [laneCount]int{0, 0, 3}})
	if a.Tokens >= 0 || a.Passed[queue.Bulk] >= 0 {
		t.Fatalf("nothing is owed: %s", a)
	}
	b, err := parse(a.String())
	if err != nil || b.String() != a.String() {
		t.Errorf("%s is read as %s, %v", a, b, err)
	}
	s.BulkFloor = 0 // no turns: an infinite number is no JSON
	a.step(start, s, ask{more: [laneCount]int{0, 0, 3}})
	if a.String() == "" {
		t.Errorf("it cannot be written: %+v", a)
	}
}
