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

// A delete that a newer row without all its columns overtook is read again together
// with that row, after the read that it caused had no answer: the row is still made
// whole.
func TestDeleteOvertakenByTheRowAfterIt(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		w.start()
		rest(time.Second)
		w.last++ // the delete, which comes later, in another lane
		deleted := w.last
		w.put(cdc.LaneNormal, 1, "a=2 b=2 note=?")
		rest(time.Second)
		w.wantHas(1, "Note=1 Sum=2+2")
		w.holds(1, `{"id":1,"a":2,"b":2,"note":3}`)
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, []sinks.Result{{Err: &sinks.Retryable{Unknown: true, Err: errors.New("unclear")}}}, nil
		})
		w.store.mu.Lock()
		for s := range w.store.checkpoints { // so that both are read again
			w.store.checkpoints[s] = at(1)
		}
		w.store.mu.Unlock()
		w.log.append(cdc.LaneUrgent, cdc.Change{Position: at(deleted), Op: cdc.OpDelete, Table: deals, Key: keyOf(1), Time: time.Now(), XID: uint64(deleted)})
		rest(time.Second)
		w.crash()
		w.answers(acceptAll)
		w.start()
		rest(time.Minute)
		w.wantHas(1, "Note=3 Sum=2+2")
	})
}

// A record that was marked as left without an answer, and whose row is meant again,
// is made whole: the mark may have replaced what the row does not send.
func TestLeftWithoutAnswer(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.gone = "set"
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=5 on=true")
		w.start()
		rest(time.Second)
		w.holds(1, `{"id":1,"a":2,"b":2,"note":5,"on":true}`)
		first := true
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if first {
				first = false
				return all(1, true), nil, &sinks.Retryable{Unknown: true, Err: errors.New("timeout")}
			}
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=? on=false")
		rest(10 * time.Millisecond)
		w.put(cdc.LaneNormal, 1, "a=2 b=2 note=? on=true")
		rest(time.Minute)
		w.wantHas(1, "Note=5 Sum=2+2")
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
