package deliver

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// failing makes a target that fails every batch with one of these ids in it.
func failing(err error, ids ...int) func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
	bad := map[string]bool{}
	for _, id := range ids {
		bad[keyOf(id)] = true
	}
	return func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		for _, r := range b.Records {
			if bad[r.Source] {
				return nil, nil, err
			}
		}
		return acceptAll(ctx, b)
	}
}

// Records that make their whole batch fail are parked alone in the end, however
// the target words it; an outage parks none.
func TestPoison(t *testing.T) {
	for name, err := range map[string]error{
		"500": &sinks.Retryable{Unknown: true, Err: errors.New("500")},
		"403": &sinks.Unauthorized{Forbidden: true, Err: errors.New("403")},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.answers(failing(err, 3, 4))
				for id := range 10 {
					w.put(cdc.LaneNormal, id, "a=1 b=2")
				}
				w.start()
				rest(2 * time.Hour)
				if s := w.engine.Stats(); s.Parked != 2 || s.Delivered != 8 || !w.caughtUp() {
					t.Errorf("stats %+v", s)
				}
				w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) { return nil, nil, err })
				before := w.engine.Stats().Requests
				for id := range 10 {
					w.put(cdc.LaneNormal, 100+id, "a=1 b=2")
				}
				rest(2 * time.Hour)
				if s := w.engine.Stats(); s.Parked != 2 || s.Requests-before > 2000 {
					t.Errorf("after an outage: stats %+v", s)
				}
				w.answers(acceptAll)
				rest(10 * time.Minute)
				w.wantHas(105, "Sum=1+2")
			})
		})
	}
}

// When a target refuses every record alone with one code, it is not the records.
func TestAllRefused(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Rejected{Code: "http_400", Err: errors.New("400")}
		})
		for id := range 8 {
			w.put(cdc.LaneNormal, id, "a=1 b=2")
		}
		w.start()
		rest(time.Minute)
		if s := w.engine.Stats(); s.Parked != 0 || w.lines.count("waits for somebody") != 1 {
			t.Errorf("stats %+v, log:\n%s", s, w.lines.text.String())
		}
		w.answers(acceptAll)
		rest(10 * time.Minute)
		w.wantHas(7, "Sum=1+2")
	})
}

// A request whose connection broke and that is carried out later does not come
// after a newer state, in this session or the next.
func TestLateRequest(t *testing.T) {
	for name, crash := range map[string]bool{"same session": false, "after a crash": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				first := true
				w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					if !first {
						return acceptAll(ctx, b)
					}
					first = false
					time.AfterFunc(4*time.Second, func() {
						w.target.mu.Lock()
						defer w.target.mu.Unlock()
						for _, r := range b.Records {
							w.target.apply(r)
						}
					})
					return nil, nil, &sinks.Retryable{Unknown: true, Err: errors.New("reset")}
				})
				w.start()
				w.put(cdc.LaneNormal, 1, "a=1 b=2")
				rest(10 * time.Millisecond)
				if crash {
					w.crash()
					w.start()
				}
				w.put(cdc.LaneNormal, 1, "a=9 b=9")
				rest(time.Minute)
				w.wantHas(1, "Sum=9+9")
			})
		})
	}
}

// A key that the source does not answer for harms itself alone.
type pickySource struct {
	*fakeSource
	hang bool
	bad  map[string]bool // guarded by fakeSource.mu
}

func (s *pickySource) isBad(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad[key]
}

func (s *pickySource) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = nil
}

func (s *pickySource) Complete(ctx context.Context, t cdc.Table, keys []string, xids []uint64) (map[string]string, error) {
	for _, k := range keys {
		if s.isBad(k) {
			if s.hang {
				<-ctx.Done()
			}
			return nil, errors.New("not visible yet")
		}
	}
	return s.fakeSource.Complete(ctx, t, keys, xids)
}

func TestCompletionOfOthers(t *testing.T) {
	for name, hang := range map[string]bool{"error": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.target.limits.MaxInFlight = 1
				source := &pickySource{fakeSource: w.source, hang: hang, bad: map[string]bool{keyOf(1): true}}
				for id := range 8 {
					w.holds(id, `{"a":1,"b":8}`)
					w.put(cdc.LaneNormal, id, "a=1 b=?")
				}
				w.put(cdc.LaneNormal, 100, "a=1 b=1")
				w.start(func(o *Options) { o.Completer, o.MaxAttempts = source, 100 })
				rest(time.Second)
				w.wantHas(100, "Sum=1+1")
				rest(5 * time.Minute)
				for id := range 8 {
					if id != 1 {
						w.wantHas(id, "Sum=1+8")
					}
				}
				source.mend()
				rest(5 * time.Minute)
				w.wantHas(1, "Sum=1+8")
			})
		})
	}
}

// A record that was left alone for a while is made whole when its row is meant
// again.
func TestLeftAndBack(t *testing.T) {
	for _, policy := range []string{"ignore", "set"} {
		t.Run(policy, func(t *testing.T) {
			run(t, func(w *world) {
				w.mapper.gone = policy
				w.start()
				w.put(cdc.LaneNormal, 1, "a=1 b=2 on=true note=5")
				rest(time.Second)
				w.put(cdc.LaneNormal, 1, "a=1 b=2 on=false note=6")
				rest(time.Second)
				w.holds(1, `{"id":1,"a":1,"b":2,"on":true,"note":6}`)
				w.put(cdc.LaneNormal, 1, "a=1 b=2 on=true note=?")
				rest(time.Minute)
				w.wantHas(1, "Note=6 Sum=1+2")
			})
		})
	}
}

// A target that answers one request of a batch and fails the next has answered: the wait is
// that after a first failure, not after all those that came before it answered.
func TestAnswerEndsARowOfFailures(t *testing.T) {
	m := &fakeMapper{}
	e, err := newEngine(Options{Name: "x", Target: newFakeTarget(), Mappers: []Mapper{m}, Reader: newFakeLog(), Logger: slog.New(slog.DiscardHandler), Partitions: 1}, newFakeStore().leases())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := newSession(e)
	s.faults = 6
	for _, c := range []struct {
		asked  bool
		faults int
		most   time.Duration
	}{{false, 7, targetWaits.max}, {true, 1, targetWaits.initial}, {false, 2, 2 * targetWaits.initial}} {
		now = now.Add(2 * targetWaits.max)
		s.weigh(&job{s: s, mapper: m, asked: c.asked, halt: &fault{err: errBusy, waits: targetWaits}}, now)
		if wait := s.queue.PausedUntil().Sub(now); s.faults != c.faults || wait > c.most {
			t.Errorf("asked %v: %d failures in a row, want %d; it waits %v, want %v at the most", c.asked, s.faults, c.faults, wait, c.most)
		}
	}
}
