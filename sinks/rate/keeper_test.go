package rate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// memory is a store with a clock of its own, slow and not to be relied on.
type memory struct {
	mu    sync.Mutex // covers all below
	rng   *rand.Rand
	skew  time.Duration
	text  string
	calls int
	fails int // of a hundred calls, and as many answers that are lost
	// slow is how long a call takes there, and an answer back; others change the state before
	// the next so many calls.
	slow   time.Duration
	others int
}

var errLost = errors.New("connection reset")

func (m *memory) draw(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n)
}

// state is what lies there.
func (m *memory) state(t *testing.T) *account {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := parse(m.text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (m *memory) Swap(_ context.Context, former, text string, at time.Time) (string, time.Time, bool, error) {
	time.Sleep(time.Duration(m.draw(2000)) * time.Microsecond) // the bubble's time
	fail := m.draw(100)
	m.mu.Lock()
	slow := m.slow
	m.mu.Unlock()
	time.Sleep(slow)
	m.mu.Lock()
	m.calls++
	if text != "" && m.others > 0 {
		m.others--
		m.text += " "
	}
	now := time.Now().Add(m.skew)
	if fail < m.fails {
		m.mu.Unlock()
		return "", time.Time{}, false, errLost
	}
	put := text != "" && former == m.text && now.Sub(at).Abs() <= drift
	if put {
		m.text = text
	}
	have := m.text
	m.mu.Unlock()
	if fail < 2*m.fails {
		return "", time.Time{}, false, errLost
	}
	time.Sleep(slow + time.Duration(m.draw(2000))*time.Microsecond)
	return have, now, put, nil
}

// workers run keepers of one account, each of which makes requests as fast as it may.
func workers(ctx context.Context, n int, s Settings, store Store, request func(worker int) error) (made []time.Time) {
	var (
		mu sync.Mutex // covers made
		wg sync.WaitGroup
	)
	for i := range n {
		k := New("suite", s, store, slog.New(slog.DiscardHandler))
		wg.Go(func() {
			defer k.Close()
			for {
				p, err := k.Wait(ctx, queue.Lane(i%laneCount))
				if err != nil {
					return
				}
				mu.Lock()
				made = append(made, time.Now())
				mu.Unlock()
				k.Done(p, request(i))
			}
		})
	}
	wg.Wait()
	slices.SortFunc(made, time.Time.Compare)
	return made
}

func TestKeepersShareARate(t *testing.T) {
	for _, fails := range []int{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{rng: rand.New(rand.NewPCG(1, 2)), skew: -7 * time.Hour, fails: fails}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := Settings{PerSecond: 200, Burst: 50, BulkFloor: 0.05}
			made := workers(ctx, 4, s, m, func(int) error {
				time.Sleep(time.Duration(m.draw(5000)) * time.Microsecond)
				return nil
			})
			for i := range made {
				for j := i; j < len(made); j++ {
					// An answer takes some milliseconds, as does the worker's idea of the clock.
					if d := made[j].Sub(made[i]) + 10*time.Millisecond; float64(j-i+1) > s.Burst+s.PerSecond*d.Seconds() {
						t.Fatalf("%d requests in %v", j-i+1, d)
					}
				}
			}
			// With answers that are lost what they gave is lost too.
			if least := map[int]int{0: 11_000, 10: 5000}[fails]; len(made) < least {
				t.Errorf("with %d%% of failures %d requests, at least %d", fails, len(made), least)
			}
			// Four workers, each as eager as can be and three milliseconds away, are often in
			// each other's way.
			if m.calls > 5*len(made) {
				t.Errorf("%d calls for %d requests", m.calls, len(made))
			}
		})
	}
}

func TestKeepersShareABudget(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{rng: rand.New(rand.NewPCG(seed, 3)), skew: 3 * time.Hour, fails: int(seed % 20)}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			s := Settings{Daily: 500, Keep: 100}
			if seed%2 == 0 {
				s.PerSecond = 50
			}
			made := workers(ctx, 3, s, m, func(int) error {
				if m.draw(20) == 0 { // some have nothing to do for a while
					time.Sleep(time.Second)
				}
				return nil
			})
			if len(made) > 400 || m.fails == 0 && len(made) < 400 || len(made) < 100 {
				t.Fatalf("seed %d: %d requests", seed, len(made))
			}
		})
	}
}

// One worker is throttled, and all keep the wait; the rate is halved once.
func TestKeepersShareAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		s := Settings{PerSecond: 100}
		made := workers(ctx, 4, s, m, func(int) error {
			time.Sleep(20 * time.Millisecond)
			if d := time.Since(began); d > 5*time.Second && d < 5100*time.Millisecond {
				return &sinks.Throttled{Err: errors.New("429"), After: 10 * time.Second}
			}
			return nil
		})
		for _, at := range made {
			if d := at.Sub(began); d > 5200*time.Millisecond && d < 15*time.Second {
				t.Fatalf("a request after %v", d)
			}
		}
		a, err := parse(m.text)
		if err != nil || a.Generation != 1 || a.Rate < 60 {
			t.Errorf("state %s, %v", m.text, err)
		}
	})
}

// Without limits next to nothing is asked for, whatever the speed.
func TestFreeKeeperIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		made := workers(ctx, 1, Settings{}, m, func(int) error {
			time.Sleep(time.Millisecond)
			return nil
		})
		if len(made) < 50_000 || m.calls > 65 {
			t.Errorf("%d calls for %d requests", m.calls, len(made))
		}
	})
}

func BenchmarkFreeTake(b *testing.B) {
	m := &memory{rng: rand.New(rand.NewPCG(1, 2))}
	k := New("suite", Settings{}, m, slog.New(slog.DiscardHandler))
	defer k.Close()
	if _, err := k.Wait(b.Context(), queue.Normal); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, ok := k.Take(queue.Normal)
		if !ok {
			b.Fatal(fmt.Errorf("no permit"))
		}
		k.Done(p, nil)
	}
}
