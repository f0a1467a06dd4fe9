package deliver

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Each record counts once, by the commit of its newest change: up to the objective it is
// met. What a backfill read and what was not accepted does not count.
func TestSLO(t *testing.T) {
	run(t, func(w *world) {
		reg := prometheus.NewPedanticRegistry()
		w.mapper.slo = time.Second
		w.mapper.coalesce = sinks.Coalesce{Quiet: 600 * time.Millisecond, MaxDelay: time.Minute, MaxBatch: 10}
		w.start(func(o *Options) { o.Mappers, o.Registerer = []Mapper{w.mapper, newOther()}, reg })
		want := func(met, missed uint64) {
			t.Helper()
			s := w.engine.Stats().SLO
			if len(s) != 1 || s[0] != (SLOStats{Mapping: "deals", Within: time.Second, Met: met, Missed: missed}) {
				t.Fatalf("counted %+v, want %d met and %d missed", s, met, missed)
			}
			if got := counter(t, reg, "walbridge_slo_met_total"); got != float64(met) {
				t.Errorf("met by the metric: %v", got)
			}
			if got := counter(t, reg, "walbridge_slo_missed_total"); got != float64(missed) {
				t.Errorf("missed by the metric: %v", got)
			}
		}
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(500 * time.Millisecond)
		w.put(cdc.LaneNormal, 1, "a=2 b=1") // 1.1 s after the oldest, 600 ms after this
		w.putOther(9)                       // nothing was promised
		rest(time.Second)
		want(1, 0)
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(400 * time.Millisecond) // the bubble's time
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "a=3 b=1")
		rest(2 * time.Second)
		want(2, 0) // a second, exactly
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(400*time.Millisecond + 1)
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneNormal, 1, "gone")
		rest(2 * time.Second)
		want(2, 1)
		w.read(2, `{"id":2,"a":1,"b":1}`)
		rest(5 * time.Second)
		w.wantHas(2, "Sum=1+1")
		w.put(cdc.LaneNormal, 3, "a=1 b=1 on=false")
		w.put(cdc.LaneNormal, 4, "a=1 b=1 bad=true")
		rest(5 * time.Second)
		want(2, 1)
		first, second := w.engine.Window().SLO[0], w.engine.Window().SLO[0]
		if first.Met != 2 || first.Missed != 1 || second.Met != 0 || second.Missed != 0 {
			t.Errorf("windows %+v %+v", first, second)
		}
		want(2, 1)
	})
}

func counter(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		if m := f.GetMetric(); len(m) == 1 && m[0].GetLabel()[0].GetValue() == "deals" && m[0].GetLabel()[1].GetValue() == "crm" {
			return m[0].GetCounter().GetValue()
		}
		t.Fatalf("%s is %v", name, f.GetMetric())
	}
	t.Fatalf("there is no %s", name)
	return 0
}
