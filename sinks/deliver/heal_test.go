package deliver

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// When the server lost writes while the lease lives on, delivery reads again from
// the checkpoint that is left, and steps back over nothing it handed out.
func TestStateRolledBack(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Second)
		w.store.mu.Lock()
		known, checkpoints, sent, last := maps.Clone(w.store.known), maps.Clone(w.store.checkpoints), maps.Clone(w.store.sent), w.store.last
		w.store.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=2 b=1")
		rest(time.Second)
		w.put(cdc.LaneNormal, 1, "a=3 b=1")
		rest(time.Second)
		w.giveAtMost(1) // so that what was sent last is not read at once
		w.store.mu.Lock()
		w.store.known, w.store.checkpoints, w.store.sent, w.store.last = known, checkpoints, sent, last
		w.store.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=4 b=1")
		rest(time.Minute)
		w.wantHas(1, "Sum=4+1")
		if !w.caughtUp() || w.lines.count("starts over") == 0 {
			t.Errorf("caught up %v, log:\n%s", w.caughtUp(), w.lines.text.String())
		}
	})
}

// A new session keeps to the pause that the target asked for.
func TestPauseOutlivesSession(t *testing.T) {
	run(t, func(w *world) {
		var calls []time.Time
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if calls = append(calls, time.Now()); len(calls) == 1 {
				return nil, nil, &sinks.Throttled{Err: errors.New("429"), After: 5 * time.Minute}
			}
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		w.store.steal()
		rest(10 * time.Minute)
		w.wantHas(1, "Sum=1+1")
		if d := calls[1].Sub(calls[0]); d < 5*time.Minute {
			t.Errorf("asked again after %v", d)
		}
	})
}

// The time of the lease counts from before it was asked for.
func TestSlowClaim(t *testing.T) {
	run(t, func(w *world) {
		began := time.Now()
		w.storeFails(func(call string) (before, after error) {
			switch call {
			case "claim":
				time.Sleep(6 * time.Second) // the bubble's time: the answer is slow
			case "renew":
				return errors.New("connection refused"), nil
			}
			return nil, nil
		})
		w.start()
		for w.lines.count("could not be renewed") == 0 {
			rest(100 * time.Millisecond)
		}
		if d := time.Since(began); d > 9500*time.Millisecond {
			t.Errorf("the session ended %v after the lease was asked for", d)
		}
		w.storeFails(func(string) (error, error) { return nil, nil })
	})
}
