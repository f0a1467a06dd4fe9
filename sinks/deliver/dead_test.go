package deliver

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// gathered gives the metrics of dead letters by name, with the reason where there is one.
func gathered(t testing.TB, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		name, ok := strings.CutPrefix(f.GetName(), "walbridge_delivery_dead_letters")
		for _, m := range f.GetMetric() {
			if l := m.GetLabel()[0]; l.GetName() == "reason" {
				out[name+" "+l.GetValue()] = m.GetCounter().GetValue()
			} else if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); ok && v != 0 {
				out[name] = v
			}
		}
	}
	return out
}

// What is parked is counted, and goes with a newer value that is delivered, or that the
// mapping does not want sent.
func TestDeadLettersGoWithNewerValues(t *testing.T) {
	run(t, func(w *world) {
		w.answers(noSevens)
		for id := range 3 {
			w.put(cdc.LaneNormal, id, "a=7 b=1")
		}
		reg := prometheus.NewPedanticRegistry()
		w.start(func(o *Options) { o.Registerer = reg })
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
		w.store.mu.Lock()
		for p := range w.store.totals {
			w.store.totals[p].Discarded += 2
			w.store.totals[p].Old++
		}
		w.store.mu.Unlock()
		rest(15 * time.Second)
		want := map[string]float64{"": 1, "_resolved_total": 2, "_replaced_total": 1, "_discarded_total": 4,
			"_dropped_total " + LossOld: 2, "_dropped_total " + LossFull: 0}
		if got := gathered(t, reg); !maps.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		if first, second := w.engine.Window(), w.engine.Window(); first.Resolved != 2 || first.DroppedOld != 2 || second.Resolved+second.Replaced+second.Discarded+second.DroppedOld != 0 {
			t.Errorf("windows %+v %+v", first, second)
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
		rest(2 * time.Second) // at once, not when its time comes
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

// What is dropped within a minute is said in one line, the rest at the end of the session.
func TestDroppedAreToldTogether(t *testing.T) {
	run(t, func(w *world) {
		drop := func(n int64) {
			w.store.mu.Lock()
			w.store.totals[0].Full += n
			w.store.mu.Unlock()
		}
		said := func(want ...string) {
			t.Helper()
			for _, l := range want {
				if w.lines.count("reason=dead_letters_full "+l) != 1 {
					t.Errorf("not said: %s", l)
				}
			}
			if n := w.lines.count("data_loss"); n != len(want) {
				t.Errorf("data_loss was said %d times, want %d\n%s", n, len(want), w.lines.text.String())
			}
		}
		w.start()
		rest(time.Second)
		drop(3)
		rest(12 * time.Second)
		said("count=3")
		drop(2)
		rest(15 * time.Second)
		drop(2)
		rest(15 * time.Second)
		said("count=3")
		rest(30 * time.Second)
		said("count=3", "count=4")
		drop(1)
		rest(12 * time.Second)
		w.end()
		said("count=3", "count=4", "count=1")
	})
}
