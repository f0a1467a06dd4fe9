package wire

import (
	"maps"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
)

type laneOf struct{ table, lane string }

func (l laneOf) Table() cdc.Table { return cdc.Table{Schema: "public", Name: l.table} }
func (l laneOf) Lane() string     { return l.lane }

// A table travels in the most urgent lane of its mappings. One whose lane depends on the
// row counts by the rules alone.
func TestLanesOfTables(t *testing.T) {
	table := func(name string) cdc.Table { return cdc.Table{Schema: "public", Name: name} }
	mappings := []laneOf{{"deals", cdc.LaneBulk}, {"deals", cdc.LaneUrgent}, {"deals", cdc.LaneNormal},
		{"leads", ""}, {"leads", cdc.LaneBulk}, {"notes", ""}}
	got := lanes(mappings, map[cdc.Table]string{table("leads"): "r1", table("notes"): "r2", table("gone"): "r3"})
	want := map[cdc.Table]pgsource.Lanes{
		table("deals"): {Lane: cdc.LaneUrgent},
		table("leads"): {Lane: cdc.LaneBulk, Rules: "r1"},
		table("notes"): {Lane: cdc.LaneNormal, Rules: "r2"},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
