package wire

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
)

func someBackfills() []cdc.BackfillStatus {
	deals := cdc.Table{Schema: "public", Name: "deals"}
	of := func(id string, p cdc.BackfillProgress) cdc.BackfillStatus {
		return cdc.BackfillStatus{Backfill: cdc.Backfill{ID: id, Table: deals, Reason: cdc.ReasonRequest}, Progress: p}
	}
	return []cdc.BackfillStatus{
		of("a", cdc.BackfillProgress{State: cdc.BackfillRunning, Rows: 100, Estimate: 400, RowsPerSecond: 50}),
		of("b", cdc.BackfillProgress{State: cdc.BackfillFailed, Note: "no privilege"}),
		of("c", cdc.BackfillProgress{State: cdc.BackfillDone, Rows: 7}),
	}
}

// Progress and time to finish are in the metrics and on the console; what has ended well
// is in neither but for its count.
func TestBackfillProgressIsShown(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(&backfillCollector{list: someBackfills})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"walbridge_backfill_rows a": 100, "walbridge_backfill_estimated_rows a": 400, "walbridge_backfill_rows_per_second a": 50,
		"walbridge_backfill_rows b": 0, "walbridge_backfill_estimated_rows b": 0, "walbridge_backfill_rows_per_second b": 0,
		"walbridge_backfills done": 1, "walbridge_backfills failed": 1, "walbridge_backfills paused": 0, "walbridge_backfills running": 1, "walbridge_backfills waiting": 0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
	list := shownBackfills(someBackfills())
	if len(list) != 2 || list[0].LeftSeconds != (6*time.Second).Seconds() || list[1].LeftSeconds != 0 || list[1].Note != "no privilege" {
		t.Errorf("the console shows %+v", list)
	}
}
