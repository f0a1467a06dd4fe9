package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestWaitsForTheOwner(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.store.other(time.Now().Add(time.Minute))
		w.start()
		rest(30 * time.Second)
		if w.engine.Stats().Read != 0 || w.lines.count("waiting for partitions") != 1 {
			t.Errorf("log:\n%s", w.lines.text.String())
		}
		rest(40 * time.Second)
		w.wantHas(1, "Sum=1+1")
	})
}

func TestLostLeaseStartsOver(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		w.store.steal()
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(30 * time.Second)
		w.wantHas(1, "Sum=1+1")
		if w.lines.count("starts over") == 0 {
			t.Error("the loss was not noticed")
		}
	})
}

// With Redis away the session ends before the lease does, and goes on after it.
func TestStoreAway(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		rest(time.Second)
		w.storeFails(func(string) (error, error) { return errors.New("connection refused"), nil })
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(9 * time.Second)
		if s := w.engine.Stats(); s.Owner || s.Delivered != 0 {
			t.Errorf("stats %+v", s)
		}
		rest(time.Minute)
		w.storeFails(func(string) (error, error) { return nil, nil })
		rest(time.Minute)
		w.wantHas(1, "Sum=1+1")
	})
}

func TestStopWaitsForRequests(t *testing.T) {
	run(t, func(w *world) {
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(2 * time.Second) // the bubble's time
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		w.put(cdc.LaneNormal, 1, "a=2 b=1")
		rest(time.Millisecond)
		began := time.Now()
		w.end()
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("stopped after %v", d)
		}
		if k := w.store.known[keyState(1)]; k.Seen != at(1) || w.store.owned() > 0 || w.lines.count("pending=1 in_flight=0") != 1 {
			t.Errorf("state %+v, owned %d, log:\n%s", k, w.store.owned(), w.lines.text.String())
		}
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	run(t, func(w *world) {
		w.target.limits.Timeout = time.Hour
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		began := time.Now()
		w.end()
		if d := time.Since(began); d != 10*time.Second || w.store.owned() == 0 {
			t.Errorf("stopped after %v; the lease must run out, since a request was cut", d)
		}
	})
}

func TestMetrics(t *testing.T) {
	run(t, func(w *world) {
		reg := prometheus.NewPedanticRegistry()
		w.put(cdc.LaneUrgent, 1, "a=1 b=1")
		w.start(func(o *Options) { o.Registerer = reg })
		rest(time.Second)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) != 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		found := 0
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if m.GetLabel()[len(m.GetLabel())-1].GetValue() != "crm" {
					t.Errorf("%s has labels %v", f.GetName(), m.GetLabel())
				}
				if f.GetName() == "walbridge_delivery_records_delivered_total" && m.GetCounter().GetValue() == 1 {
					found++
				}
				if h := m.GetHistogram(); h != nil && h.GetSampleCount() == 1 && m.GetLabel()[0].GetValue() == cdc.LaneUrgent {
					found++
				}
			}
		}
		if found != 2 {
			t.Errorf("metrics: %v", families)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	w := newWorld(t)
	for name, o := range map[string]Options{
		"no name":   {Target: w.target, Reader: w.log, Logger: w.logger(), Partitions: 1},
		"no target": {Name: "x", Reader: w.log, Logger: w.logger(), Partitions: 1},
		"no limits": {Name: "x", Target: &fakeTarget{}, Reader: w.log, Logger: w.logger(), Partitions: 1},
		"twice":     {Name: "x", Target: w.target, Reader: w.log, Logger: w.logger(), Partitions: 1, Mappers: []Mapper{w.mapper, w.mapper}},
		"no parts":  {Name: "x", Target: w.target, Reader: w.log, Logger: w.logger()},
	} {
		if _, err := newEngine(o, w.store.leases()); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := New(Options{Name: "x"}); err == nil {
		t.Error("no state is taken")
	}
}
