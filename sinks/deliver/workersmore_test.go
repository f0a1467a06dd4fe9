package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// late has the next request of a row carried out some seconds after whoever made it is gone.
func (w *world) late(id int, after time.Duration) {
	w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		for _, r := range b.Records {
			if r.Source != keyOf(id) {
				continue
			}
			w.answers(acceptAll)
			<-ctx.Done()
			time.AfterFunc(after, func() {
				w.target.mu.Lock()
				defer w.target.mu.Unlock()
				w.target.apply(r)
			})
			return nil, nil, ctx.Err()
		}
		return acceptAll(ctx, b)
	})
}

// A worker is killed with a request of a replay under way. Its entry was dealt with long ago, so
// that no mark in the log tells of it: the newer state of its row waits all the same.
func TestKilledWithinReplay(t *testing.T) {
	replaying(t, func(w *world) {
		w.late(1, 3*time.Second)
		w.replays.ask(cdc.Replay{To: at(w.last), Force: true})
		rest(2 * time.Second)
		w.crash()
		w.put(cdc.LaneUrgent, 1, "a=9 b=9 note=3 c=4 d=5")
		w.holds(1, `{"id":1,"a":9,"b":9,"note":3,"c":4,"d":5}`)
		w.start()
		rest(4 * time.Second)
		w.wantHas(1, "C=4 D=5 Note=3 Sum=1+2")
		rest(time.Minute)
		w.wantHas(1, "C=4 D=5 Note=3 Sum=9+9")
	})
}

// So it is with what a sweep found.
func TestKilledWithinSweepOfARow(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(5 * time.Second)
		w.late(1, 3*time.Second)
		w.everywhere(cdc.Change{Op: cdc.OpTruncate})
		rest(2 * time.Second)
		w.crash()
		w.put(cdc.LaneUrgent, 1, "a=9 b=9")
		w.holds(1, `{"id":1,"a":9,"b":9}`)
		w.start()
		rest(time.Minute)
		w.wantHas(1, "Sum=9+9")
	})
}

// What comes of a partition that is being given back is the next owner's to see to: that its
// lease is lost ends nothing.
func TestWhatComesLateOfAPartitionThatIsGiven(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		s := newSession(w.engine)
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		defer s.cancel(nil)
		p := &part{releasing: true}
		lost := &state.LostError{}
		rp := &replayPart{of: &replay{}, p: p}
		for _, ev := range []event{
			&tendDone{p: p, err: lost}, &collectDone{p: p, err: lost}, &scanDone{p: p, sweep: &sweep{}, err: lost},
			&readDone{p: p, err: lost}, &backDone{p: p, all: []state.Deferred{{}}},
			&replayOpened{rp: rp, err: lost}, &replayRead{rp: rp, err: lost}, &replayWritten{rp: rp, err: lost},
		} {
			if ev.apply(s, time.Now()); s.ctx.Err() != nil {
				t.Fatalf("%T ends the session: %v", ev, context.Cause(s.ctx))
			}
		}
		p.releasing = false
		(&tendDone{p: p, err: lost}).apply(s, time.Now())
		if !errors.As(context.Cause(s.ctx), &lost) {
			t.Error("of a partition that is ours it does")
		}
	})
}

// As long as rows that wait aside rest, a partition is not given back as if nothing were under
// way: the next owner would not know.
func TestRestOfWhatIsAsideIsNotForgotten(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		s := newSession(w.engine)
		now := time.Now()
		at := map[string]cdc.Position{cdc.LaneBulk: at(3)}
		s.open(&found{n: 0, at: now, start: state.Start{Checkpoint: at, Sent: at},
			aside: []state.Deferred{{Key: state.Key(queue.Key{Mapping: w.mapper.Name(), Source: keyOf(1)}), Position: at[cdc.LaneBulk]}}})
		p := s.parts[0]
		if end := now.Add(w.target.limits.Timeout); p.clean(now) || p.clean(end.Add(-1)) || !p.clean(end) {
			t.Errorf("it counts as clean now %v, just before the rest is over %v, then %v", p.clean(now), p.clean(end.Add(-1)), p.clean(end))
		}
	})
}
