package deliver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
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
