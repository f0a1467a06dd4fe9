package deliver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// replaying runs a world in which ten rows were delivered, in all lanes.
func replaying(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer func() {
			if t.Failed() {
				w.engine.kill(errKilled)
				<-w.ended
			}
		}()
		for id := range 10 {
			w.put(cdc.Lanes()[id%3], id, "a=1 b=2 note=3 c=4 d=5")
			w.holds(id, fmt.Sprintf(`{"id":%d,"a":1,"b":2,"note":3,"c":4,"d":5}`, id))
		}
		rest(5 * time.Second)
		if !w.caughtUp() {
			t.Fatal("not all was delivered")
		}
		f(w)
		w.end()
		for _, wrong := range w.target.wrong {
			t.Error("order:", wrong)
		}
	})
}

// everything is a replay of all that there is.
func (w *world) everything() cdc.Replay { return cdc.Replay{To: at(w.last)} }

// replayed asks for a replay and waits for its end; it gives what it counted and how many
// requests were made meanwhile.
func (w *world) replayed(spec cdc.Replay) (p cdc.ReplayProgress, requests int) {
	w.Helper()
	before := w.sent()
	id := w.replays.ask(spec)
	rest(time.Minute)
	p, ended := w.replays.progress(id)
	if !ended {
		w.Fatalf("the replay has not ended: %+v\n%s", p, w.lines.text.String())
	}
	return p, w.sent() - before
}

// longReplay delivers so many rows more, and asks for a replay that sends all of them again and
// lasts a while.
func (w *world) longReplay(rows int) (id string) {
	for id := range rows {
		w.put(cdc.LaneBulk, 1000+id, "a=1 b=2 note=3 c=4 d=5")
	}
	rest(10 * time.Minute)
	w.giveAtMost(50)
	w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		time.Sleep(200 * time.Millisecond) // the bubble's time
		return acceptAll(ctx, b)
	})
	return w.replays.ask(cdc.Replay{To: at(w.last), Force: true})
}

func (w *world) sent() int {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	return len(w.target.batches)
}

// A mapping that did not change sends nothing, whatever the rows have been through.
func TestReplayOfUnchangedSendsNothing(t *testing.T) {
	replaying(t, func(w *world) {
		for id := range 5 {
			w.put(cdc.LaneNormal, id, "a=7 b=2 note=3 c=4 d=5")
			w.holds(id, fmt.Sprintf(`{"id":%d,"a":7,"b":2,"note":3,"c":4,"d":5}`, id))
		}
		w.put(cdc.LaneUrgent, 5, "gone")
		w.put(cdc.LaneUrgent, 20, "a=1 b=2 on=false")
		rest(5 * time.Second)
		checkpoints := fmt.Sprint(w.store.checkpoints)
		p, requests := w.replayed(w.everything())
		if requests != 0 {
			t.Errorf("%d requests: %v", requests, w.target.batches)
		}
		if p.Changes != 17 || p.Older != 6 || p.Same != 11 || p.Queued != 0 || p.Live != 0 {
			t.Errorf("counted %+v", p)
		}
		if now := fmt.Sprint(w.store.checkpoints); now != checkpoints {
			t.Errorf("checkpoints of live delivery moved from %s to %s", checkpoints, now)
		}
		if seen := w.engine.Stats().SLO; len(seen) != 0 {
			t.Errorf("objectives: %v", seen)
		}
	})
}

// A mapping that changed sends its records anew, each once, as bulk, at the Positions at
// which they were dealt with; a second replay sends nothing.
func TestReplayOfChangedMapping(t *testing.T) {
	replaying(t, func(w *world) {
		w.put(cdc.LaneNormal, 3, "a=9 b=2 note=3 c=4 d=5")
		rest(time.Second)
		w.end()
		w.mapper.flipped = true
		w.start()
		rest(time.Second)
		order := map[string]cdc.Position{}
		for k, v := range w.target.order {
			order[k] = v
		}
		p, requests := w.replayed(w.everything())
		if requests == 0 || requests > 3 || p.Queued != 10 || p.Older != 1 {
			t.Errorf("%d requests, %+v", requests, p)
		}
		for k, v := range w.target.order {
			if order[k] != v {
				t.Errorf("%s went to %v, it was dealt with at %v", k, v, order[k])
			}
		}
		if _, requests := w.replayed(w.everything()); requests != 0 {
			t.Errorf("%d requests for what the target has", requests)
		}
		if p, requests := w.replayed(cdc.Replay{To: at(w.last), Force: true}); requests == 0 || p.Queued != 10 {
			t.Errorf("by force %d requests, %+v", requests, p)
		}
	})
}

// A record of which the last change left columns out was not delivered whole: it is, once.
func TestReplayCompletes(t *testing.T) {
	replaying(t, func(w *world) {
		w.put(cdc.LaneNormal, 3, "a=7 b=2 note=? c=4 d=?")
		w.holds(3, `{"id":3,"a":7,"b":2,"note":3,"c":4,"d":5}`)
		rest(5 * time.Second)
		for i, want := range []int{1, 0} {
			if _, requests := w.replayed(w.everything()); requests != want {
				t.Errorf("replay %d: %d requests, want %d", i, requests, want)
			}
		}
		w.wantHas(3, "C=4 D=5 Note=3 Sum=7+2")
	})
}

// One mapping, or one row, is replayed alone.
func TestReplayOfOneRow(t *testing.T) {
	replaying(t, func(w *world) {
		for _, spec := range []cdc.Replay{{Key: "4"}, {Key: `{"id": 4}`}} {
			spec.To, spec.Force = at(w.last), true
			p, requests := w.replayed(spec)
			if requests != 1 || p.Changes != 1 || p.Queued != 1 {
				t.Errorf("%s: %d requests, %+v", spec.Key, requests, p)
			}
		}
		if p, requests := w.replayed(cdc.Replay{To: at(w.last), Force: true, Mapping: "others"}); requests != 0 || p.Changes != 0 {
			t.Errorf("of another mapping: %d requests, %+v", requests, p)
		}
	})
}

// A row whose newest state lies behind the range is sent as the source has it, once, or not
// at all; never as the range has it.
func TestReplayOfRowsThatMovedOn(t *testing.T) {
	replaying(t, func(w *world) {
		to := at(w.last)
		w.put(cdc.LaneUrgent, 3, "a=2 b=2 note=3 c=4 d=5")
		w.put(cdc.LaneUrgent, 4, "gone")
		rest(time.Second)
		w.holds(3, `{"id":3,"a":2,"b":2,"note":8,"c":4,"d":5}`)
		delete(w.source.rows, keyOf(4))
		p, requests := w.replayed(cdc.Replay{To: to, Within: true})
		if requests != 0 || p.Older != 2 {
			t.Errorf("within: %d requests, %+v", requests, p)
		}
		p, requests = w.replayed(cdc.Replay{To: to})
		if requests != 1 || p.Source != 2 {
			t.Errorf("%d requests, %+v", requests, p)
		}
		w.wantHas(3, "C=4 D=5 Note=8 Sum=2+2")
		w.wantHas(4, "nothing")
	})
}

// What live delivery has not come to is its own, and what the target refused is tried again.
func TestReplayBesideTrouble(t *testing.T) {
	replaying(t, func(w *world) {
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			rs := make([]sinks.Result, len(b.Records))
			for i := range rs {
				rs[i].Err = &sinks.Rejected{Code: "NO", Err: errors.New("no")}
			}
			return all(len(rs), false), rs, nil
		})
		w.put(cdc.LaneNormal, 3, "a=2 b=2 note=3 c=4 d=5")
		rest(time.Second)
		if len(w.store.parked) != 1 {
			t.Fatalf("parked are %v", w.store.parked)
		}
		w.answers(acceptAll)
		if _, requests := w.replayed(w.everything()); requests != 1 {
			t.Errorf("%d requests for one that was parked", requests)
		}
		w.wantHas(3, "C=4 D=5 Note=3 Sum=2+2")
		if len(w.store.parked) != 0 {
			t.Errorf("still parked: %v", w.store.parked)
		}
	})
}

// later is a target that has one row tried again after some time.
func later(id int, after time.Duration) answer {
	return func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
		for i, r := range b.Records {
			if r.Source == keyOf(id) {
				apply[i], rs[i].Err = false, &sinks.Retryable{After: after, Err: errors.New("locked")}
			}
		}
		return apply, rs, nil
	}
}

// What is not dealt with yet is live delivery's: a replay does not wait for it, whether it
// holds the checkpoint or waits aside.
func TestReplayLeavesWhatIsLive(t *testing.T) {
	for _, hold := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		replaying(t, func(w *world) {
			w.end()
			w.start(func(o *Options) { o.Hold = hold })
			w.answers(later(3, 10*time.Minute))
			w.put(cdc.LaneNormal, 3, "a=2 b=2 note=3 c=4 d=5")
			rest(time.Minute)
			if aside := len(w.store.deferred) == 1; aside != (hold < time.Minute) {
				t.Fatalf("aside are %v", w.store.deferred)
			}
			p, requests := w.replayed(w.everything())
			if requests != 0 || p.Changes != 11 || hold == time.Hour && (p.Live != 1 || p.Queued != 0) {
				t.Errorf("%d requests, %+v", requests, p)
			}
			w.answers(acceptAll)
			rest(10 * time.Minute)
			w.wantHas(3, "C=4 D=5 Note=3 Sum=2+2")
		})
	}
}

// A row that a truncate took away is not brought back, whatever the mapping makes of it now.
func TestReplayBringsNothingBack(t *testing.T) {
	replaying(t, func(w *world) {
		w.put(cdc.LaneNormal, 30, "a=1 b=2 note=3 on=false")
		rest(time.Second)
		w.source.mu.Lock()
		clear(w.source.rows)
		w.source.mu.Unlock()
		w.last++
		for _, lane := range cdc.Lanes() {
			w.log.append(lane, cdc.Change{Position: at(w.last), Op: cdc.OpTruncate, Table: deals, Time: time.Now(), XID: uint64(w.last)})
		}
		rest(time.Minute)
		w.wantHas(3, "nothing")
		// Now it would be wanted.
		w.log.mu.Lock()
		for s, list := range w.log.streams {
			for i := range list {
				if list[i].Key == keyOf(30) {
					w.log.streams[s][i].After = `{"id":30,"a":1,"b":2,"note":3}`
				}
			}
		}
		w.log.mu.Unlock()
		w.replayed(cdc.Replay{To: at(w.last), Force: true})
		for id := range 31 {
			if got := w.has(id); got != "nothing" {
				t.Errorf("the target has %s of %d, which is gone", got, id)
			}
		}
	})
}

// A newer state that is on its way when a replay comes to an older one stays the newest.
func TestReplayIsOvertaken(t *testing.T) {
	replaying(t, func(w *world) {
		asked, goOn := make(chan struct{}), make(chan struct{})
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			close(asked)
			<-goOn
			w.answers(acceptAll)
			return acceptAll(ctx, b)
		})
		to := at(w.last)
		w.put(cdc.LaneUrgent, 3, "a=2 b=2 note=3 c=4 d=5")
		<-asked
		id, before := w.replays.ask(cdc.Replay{To: to, Key: "3", Force: true}), w.sent()
		rest(3 * time.Second)
		if p, ended := w.replays.progress(id); ended {
			t.Errorf("the replay has ended, its row is on its way: %+v", p)
		}
		close(goOn)
		rest(10 * time.Second)
		if p, ended := w.replays.progress(id); !ended || p.Queued != 1 || w.sent() != before+1 {
			t.Errorf("ended %v, %+v, %d requests", ended, p, w.sent()-before)
		}
		w.wantHas(3, "C=4 D=5 Note=3 Sum=2+2")
	})
}

// A replay goes on where it was after a stop, and after a crash; stopped it does nothing.
func TestReplayGoesOn(t *testing.T) {
	replaying(t, func(w *world) {
		id := w.longReplay(4000)
		rest(3 * time.Second)
		w.replays.wish(id, false)
		rest(time.Minute)
		some, _ := w.replays.progress(id)
		before := w.sent()
		rest(time.Minute)
		if w.sent() != before || some.Changes == 0 || some.Changes >= 4010 {
			t.Fatalf("stopped, and %d requests were made; at %+v", w.sent()-before, some)
		}
		w.replays.wish(id, true)
		rest(2 * time.Second)
		w.crash()
		w.start()
		rest(10 * time.Minute)
		p, ended := w.replays.progress(id)
		if !ended || p.Changes != 4010 {
			t.Errorf("ended %v, %+v", ended, p)
		}
		if n := w.sent() - before; n > 4010/10+220 {
			t.Errorf("%d requests: it began anew", n)
		}
	})
}

// The hash of what was delivered is forgotten before a replay sends another record: an end
// in between leaves no key that counts as unchanged (I11).
func TestReplayForgetsTheHashFirst(t *testing.T) {
	replaying(t, func(w *world) {
		w.end()
		w.mapper.flipped = true
		asked := make(chan struct{})
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			close(asked)
			<-ctx.Done()
			return all(len(b.Records), true), nil, ctx.Err()
		})
		w.start()
		w.replays.ask(cdc.Replay{To: at(w.last), Key: "3"})
		<-asked
		if k := w.store.known[keyState(3)]; k.Payload != 0 || !k.Live {
			t.Errorf("while it is being sent the state is %+v", k)
		}
		w.crash()
		w.answers(acceptAll)
		w.start()
		rest(time.Minute)
	})
}
