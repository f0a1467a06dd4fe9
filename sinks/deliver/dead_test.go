package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// quoting is a refusal whose detail may not stand in a log.
type quoting struct{ text string }

func (q *quoting) Error() string  { return "no" }
func (q *quoting) Detail() string { return q.text }

// noSevens refuses an a of 7, and quotes it.
func noSevens(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
	apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
	for i, r := range b.Records {
		if r.Op == sinks.Upsert && len(r.Fields) > 0 && string(r.Fields[0].Value) == `"7+1"` {
			apply[i], rs[i].Err = false, &sinks.Rejected{Code: "NO_SEVENS", Err: &quoting{"s3cret"}}
		}
	}
	return apply, rs, nil
}

// What is parked is counted, and goes with a newer value that is delivered, or that the
// mapping does not want sent.
func TestDeadLettersGoWithNewerValues(t *testing.T) {
	run(t, func(w *world) {
		w.answers(noSevens)
		for id := range 3 {
			w.put(cdc.LaneNormal, id, "a=7 b=1")
		}
		w.start()
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.DeadLetters != 3 || s.Parked != 3 || len(w.store.parked) != 3 {
			t.Fatalf("stats %+v, parked %+v", s, w.store.parked)
		}
		if l := w.store.parked[keyState(0)]; l.Error != "no" || l.Detail != "s3cret" || w.lines.count("s3cret") != 0 {
			t.Errorf("letter %+v\n%s", l, w.lines.text.String())
		}
		w.put(cdc.LaneNormal, 0, "a=1 b=1")
		w.put(cdc.LaneNormal, 1, "a=7 b=1 on=false")
		w.put(cdc.LaneNormal, 2, "a=7 b=1 note=5")
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.DeadLetters != 1 || s.Parked != 4 || len(w.store.parked) != 1 {
			t.Errorf("stats %+v, parked %+v", s, w.store.parked)
		}
		if l := w.store.parked[keyState(2)]; l.Position != at(6) {
			t.Errorf("letter %+v", l)
		}
	})
}

// Dead letters that are dropped are data_loss: logged and counted, also those of a
// process that did not come to it, and once.
func TestDroppedDeadLettersAreLoud(t *testing.T) {
	run(t, func(w *world) {
		w.answers(noSevens)
		w.store.bound = 2
		p := partitionOf(keyOf(0))
		n := 0
		for id := 0; n < 5; id++ {
			if partitionOf(keyOf(id)) == p {
				w.put(cdc.LaneNormal, id, "a=7 b=1")
				n++
			}
		}
		w.start()
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.DroppedFull != 3 || s.DeadLetters != 2 {
			t.Errorf("stats %+v", s)
		}
		const line = "level=ERROR msg=data_loss target=crm reason=dead_letters_full count=3"
		if w.lines.count(line) != 1 {
			t.Errorf("no %s in\n%s", line, w.lines.text.String())
		}
		w.crash()
		w.store.mu.Lock()
		w.store.totals[p].Old = 4 // dropped as the process was killed
		w.store.mu.Unlock()
		w.start()
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.DroppedOld != 4 || s.DroppedFull != 0 || w.lines.count("reason=dead_letters_old count=4") != 1 {
			t.Errorf("stats %+v\n%s", s, w.lines.text.String())
		}
		w.crash()
		w.start()
		rest(15 * time.Second)
		if n := w.lines.count("data_loss"); n != 2 {
			t.Errorf("data_loss was said %d times\n%s", n, w.lines.text.String())
		}
	})
}

// Looking after the dead letters is tried again where the server does not answer, and
// harms nothing else.
func TestTendFails(t *testing.T) {
	run(t, func(w *world) {
		fails := true
		w.storeFails(func(call string) (error, error) {
			if call == "tend" && fails {
				return errors.New("connection refused"), nil
			}
			return nil, nil
		})
		w.answers(noSevens)
		w.put(cdc.LaneNormal, 1, "a=7 b=1")
		w.put(cdc.LaneNormal, 2, "a=1 b=1")
		w.start()
		rest(time.Minute)
		w.wantHas(2, "Sum=1+1")
		if s := w.engine.Stats(); s.DeadLetters != 0 || !w.caughtUp() {
			t.Errorf("stats %+v", s)
		}
		w.store.mu.Lock()
		fails = false
		w.store.mu.Unlock()
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.DeadLetters != 1 {
			t.Errorf("stats %+v", s)
		}
		if w.lines.count(`msg="delivery goes on" target=crm after="look after the dead letters"`) != 1 {
			t.Error(w.lines.text.String())
		}
	})
}

// A server that lost writes counts lower than before: that is no event of its own.
func TestTotalsGoBack(t *testing.T) {
	run(t, func(w *world) {
		w.store.totals[0] = deadletter.Totals{Resolved: 9, Full: 5, ToldFull: 5}
		w.start()
		rest(time.Second)
		w.store.mu.Lock()
		w.store.totals[0] = deadletter.Totals{Resolved: 2}
		w.store.mu.Unlock()
		rest(15 * time.Second)
		if s := w.engine.Stats(); s.Resolved != 0 || s.DroppedFull != 0 || w.lines.count("data_loss") != 0 {
			t.Errorf("stats %+v\n%s", s, w.lines.text.String())
		}
	})
}
