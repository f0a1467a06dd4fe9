package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// everywhere appends an entry without a key to every stream.
func (w *world) everywhere(ch cdc.Change) cdc.Position {
	w.last++
	ch.Position, ch.Table, ch.Time, ch.XID = at(w.last), deals, time.Now(), uint64(w.last)
	for _, lane := range cdc.Lanes() {
		w.log.append(lane, ch)
	}
	return ch.Position
}

// read appends a row that a backfill read.
func (w *world) read(id int, row string, meant ...string) {
	w.last++
	w.log.append(cdc.LaneBulk, cdc.Change{Position: at(w.last), Op: cdc.OpRead, Table: deals, Key: keyOf(id), After: row, Time: time.Now(), XID: uint64(w.last), For: meant})
}

// A generation deletes at the target what it neither read nor saw changed, and what the
// source does not have: not what it has after all, nor what came since.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.end()
		for id := range 5 {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1")
		}
		rest(time.Second)
		w.wantHas(4, "Note=1 Sum=1+1")
		since := w.put(cdc.LaneUrgent, 1, "a=2 b=2 note=2") // changed since the start
		w.read(2, `{"id":2,"a":3,"b":3,"note":3}`)
		w.holds(3, `{"id":3,"a":4,"b":4,"note":4}`) // not read, but there
		w.everywhere(cdc.Change{Op: cdc.OpSweep, Since: since})
		rest(time.Second)
		w.wantHas(0, "nothing")
		w.wantHas(1, "Note=2 Sum=2+2")
		w.wantHas(2, "Note=3 Sum=3+3")
		w.wantHas(3, "Note=4 Sum=4+4")
		w.wantHas(4, "nothing")
		if !w.caughtUp() {
			t.Error("the sweep holds the checkpoint")
		}
	})
}

// What a truncate took away is deleted at the target, also where an older row comes in
// another lane later; what came after it stays.
func TestTruncate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1")
		rest(time.Second)
		w.last++
		old := cdc.Change{Position: at(w.last), Op: cdc.OpUpdate, Table: deals, Key: keyOf(3), After: `{"id":3,"a":9,"b":9,"note":9}`, Time: time.Now()}
		w.last++
		cut := cdc.Change{Position: at(w.last), Op: cdc.OpTruncate, Table: deals, Time: time.Now(), XID: uint64(w.last)}
		w.log.append(cdc.LaneUrgent, cut)
		w.log.append(cdc.LaneNormal, cut)
		w.put(cdc.LaneUrgent, 2, "a=5 b=5 note=5")
		w.holds(2, `{"id":2,"a":5,"b":5,"note":5}`)
		rest(time.Minute)
		w.wantHas(1, "Note=1 Sum=1+1") // the bulk lane may still have something older
		w.log.append(cdc.LaneBulk, old)
		w.log.append(cdc.LaneBulk, cut)
		rest(time.Minute)
		w.wantHas(1, "nothing")
		w.wantHas(2, "Note=5 Sum=5+5")
		w.wantHas(3, "nothing")
		if !w.caughtUp() {
			t.Error("the truncate holds the checkpoint")
		}
	})
}

// Rows that a backfill read for some are not for the others.
func TestReadForSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.end()
		w.read(1, `{"id":1,"a":1,"b":1,"note":1}`, "crm")
		w.read(2, `{"id":2,"a":1,"b":1,"note":1}`, "other", "crm/deals")
		w.read(3, `{"id":3,"a":1,"b":1,"note":1}`, "other", "crm/leads")
		w.everywhere(cdc.Change{Op: cdc.OpSweep, Since: at(w.last + 1), For: []string{"other"}})
		rest(time.Minute)
		w.wantHas(1, "Note=1 Sum=1+1")
		w.wantHas(2, "Note=1 Sum=1+1")
		w.wantHas(3, "nothing")
		if !w.caughtUp() {
			t.Error("what is for others holds the checkpoint")
		}
	})
}

// A sweep that was interrupted is begun again.
func TestSweepAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		for id := range 9 {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1")
		}
		rest(time.Second)
		w.storeFails(func(call string) (error, error) {
			if call == "scan" {
				w.engine.kill(errKilled)
			}
			return nil, nil
		})
		w.everywhere(cdc.Change{Op: cdc.OpTruncate})
		<-w.ended
		w.stop()
		w.store.steal()
		w.storeFails(func(string) (error, error) { return nil, nil })
		w.start()
		defer w.end()
		rest(time.Minute)
		for id := range 9 {
			w.wantHas(id, "nothing")
		}
		if !w.caughtUp() {
			t.Error("the sweep holds the checkpoint")
		}
	})
}

// A generation's end that has come in some lanes only waits for the others, whose streams
// may lag: something older may still come in them. What never comes in them, as the log lost
// it, is done with the next one.
func TestSweepInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		rest(time.Second)
		w.last++
		old := cdc.Change{Position: at(w.last), Op: cdc.OpRead, Table: deals, Key: keyOf(2), After: `{"id":2,"a":9,"b":9,"note":9}`, Time: time.Now()}
		w.last++
		end := cdc.Change{Position: at(w.last), Op: cdc.OpSweep, Since: at(w.last), Table: deals, Time: time.Now(), XID: uint64(w.last)}
		w.log.append(cdc.LaneUrgent, end)
		rest(time.Minute)
		w.wantHas(1, "Note=1 Sum=1+1")
		w.log.append(cdc.LaneBulk, old)
		rest(time.Minute)
		w.wantHas(2, "Note=9 Sum=9+9")
		w.everywhere(cdc.Change{Op: cdc.OpSweep, Since: at(w.last)})
		rest(time.Minute)
		w.wantHas(1, "nothing")
		w.wantHas(2, "nothing")
		if !w.caughtUp() {
			t.Error("it holds the checkpoint")
		}
	})
}

// A table that is truncated again and again is looked through once for all that wait.
func TestManyTruncates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for id := range 6 {
			w.put(cdc.LaneNormal, id, "a=1 b=1 note=1")
		}
		w.start()
		rest(time.Second)
		scans := 0
		w.storeFails(func(call string) (error, error) {
			if call == "scan" {
				scans++
			}
			return nil, nil
		})
		w.end()
		for range 50 {
			w.everywhere(cdc.Change{Op: cdc.OpTruncate})
		}
		w.put(cdc.LaneUrgent, 3, "a=2 b=2 note=2")
		w.holds(3, `{"id":3,"a":2,"b":2,"note":2}`)
		w.start()
		defer w.end()
		rest(time.Minute)
		w.wantHas(1, "nothing")
		w.wantHas(3, "Note=2 Sum=2+2")
		if scans > 20 {
			t.Errorf("the state was read %d times", scans)
		}
		if !w.caughtUp() {
			t.Error("the truncates hold the checkpoint")
		}
	})
}

// dies ends the engine as a kill -9 would once the target has carried out a change of a row
// at a Position, before that is written.
func (w *world) dies(id int, at cdc.Position) {
	w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		for _, r := range b.Records {
			if r.Source == keyOf(id) && r.Position == at {
				w.engine.kill(errKilled)
			}
		}
		return acceptAll(ctx, b)
	})
}

// revive waits for what dies, and starts the next engine, for a target that takes all.
func (w *world) revive(change ...func(*Options)) {
	<-w.ended
	w.stop()
	w.store.steal()
	w.answers(acceptAll)
	w.start(change...)
}

// halting is a log that fails for a while after its first answers.
type halting struct {
	*fakeLog
	until time.Time
	asked map[int]int
}

func (h *halting) Read(ctx context.Context, partition int, from map[string]cdc.Position, most int) ([]cdc.Message, error) {
	h.mu.Lock()
	h.asked[partition]++
	halts := h.asked[partition] > 2 && time.Now().Before(h.until)
	h.mu.Unlock()
	if halts {
		return nil, errors.New("no connection")
	}
	return h.fakeLog.Read(ctx, partition, from, most)
}

// A row that a sweep found was sent as the source has it, or deleted, at the sweep's Position,
// by a session that ended before it could write that. What is older than the sweep does not
// come after it: neither from the log, which is read again from below, nor from aside.
func TestCrashWithinSweep(t *testing.T) {
	ids := samePartition(2)
	id, other := ids[0], ids[1]
	crash := func(w *world, lost bool, older func()) {
		w.put(cdc.LaneUrgent, id, "a=1 b=1 note=1")
		for range 5 { // the sweep is behind them in that lane only
			w.put(cdc.LaneUrgent, other, "a=1 b=1 note=1")
		}
		w.start(patient)
		rest(time.Second)
		w.end() // nothing is left of what was noted
		w.start(patient)
		older()
		w.dies(id, at(w.last+1))
		if !lost {
			w.everywhere(cdc.Change{Op: cdc.OpTruncate})
		} else { // in the other lanes
			w.last++
			w.log.append(cdc.LaneUrgent, cdc.Change{Position: at(w.last), Op: cdc.OpTruncate, Table: deals, Time: time.Now(), XID: uint64(w.last)})
			w.put(cdc.LaneNormal, other, "a=1 b=1 note=1")
			w.put(cdc.LaneBulk, other, "a=1 b=1 note=1")
		}
		<-w.ended
		w.store.mu.Lock()
		clear(w.store.checkpoints) // as if they were not written yet
		w.store.mu.Unlock()
		w.giveAtMost(1)
		w.revive(patient, func(o *Options) { o.Reader = &halting{w.log, time.Now().Add(20 * time.Second), map[int]int{}} })
		rest(time.Minute)
		if !lost && !w.caughtUp() || w.aside() != 0 { // the other partition waits for what is lost
			t.Errorf("caught up %v, %d aside", w.caughtUp(), w.aside())
		}
	}
	older := map[string]func(*world){
		"read again": func(w *world) {
			w.put(cdc.LaneBulk, id, "a=2 b=1 note=?")
			rest(time.Second)
		},
		"aside": func(w *world) {
			w.busyWith(10*time.Minute, id)
			w.put(cdc.LaneBulk, id, "a=2 b=2 note=2")
			rest(9 * time.Minute) // shorter than a hold before it comes back
			if w.aside() != 1 {
				t.Fatalf("%d aside", w.aside())
			}
		},
	}
	for name, f := range older {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, there, lost %v", name, lost), func(t *testing.T) {
				run(t, func(w *world) {
					w.holds(id, fmt.Sprintf(`{"id":%d,"a":9,"b":9,"note":9}`, id))
					crash(w, lost, func() { f(w) })
					w.wantHas(id, "Note=9 Sum=9+9")
				})
			})
			t.Run(fmt.Sprintf("%s, gone, lost %v", name, lost), func(t *testing.T) {
				run(t, func(w *world) {
					crash(w, lost, func() { f(w) })
					w.wantHas(id, "nothing")
				})
			})
		}
	}
}

// The same where it is the server that lost what was written.
func TestRolledBackWithinSweep(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		w.start()
		rest(time.Second)
		s := w.store
		s.mu.Lock()
		known, checkpoints, last, sent, swept := maps.Clone(s.known), maps.Clone(s.checkpoints), s.last, maps.Clone(s.sent), s.swept
		s.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=2 b=2 note=2")
		rest(time.Second)
		w.holds(1, `{"id":1,"a":9,"b":9,"note":9}`)
		w.everywhere(cdc.Change{Op: cdc.OpTruncate})
		rest(time.Second)
		w.wantHas(1, "Note=9 Sum=9+9")
		s.mu.Lock()
		s.known, s.checkpoints, s.last, s.sent, s.swept = known, checkpoints, last, sent, swept
		s.mu.Unlock()
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1")
		rest(time.Minute)
		w.wantHas(1, "Note=9 Sum=9+9")
		if w.lines.count("starts over") == 0 {
			t.Error("the loss was not seen")
		}
	})
}
