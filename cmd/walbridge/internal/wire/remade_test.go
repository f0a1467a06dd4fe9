package wire

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// refers is a mapping that refers to others: to those in plain by columns.
type refers struct {
	name, target string
	parents      []string
	plain        string
}

func (r refers) Name() string      { return r.name }
func (r refers) Target() string    { return r.target }
func (r refers) Table() cdc.Table  { return cdc.Table{Schema: "public", Name: r.name} }
func (r refers) Parents() []string { return r.parents }

func (r refers) RefersTo(mapping string, sources []string) (string, bool) {
	return mapping + " IN " + strings.Join(sources, ","), mapping == r.plain
}

// What refers to records that were made anew is read again, each mapping for itself; not what
// refers to others, nor at other targets, nor without end.
func TestReread(t *testing.T) {
	mappings := []refers{
		{"people", "crm", []string{"accounts", "teams"}, "accounts"},
		{"deals", "crm", []string{"accounts"}, "accounts"},
		{"notes", "crm", []string{"accounts"}, ""},
		{"others", "crm", []string{"teams"}, "teams"},
		{"elsewhere", "mail", []string{"accounts"}, "accounts"},
	}
	records := []sinks.Record{{Mapping: "accounts", Source: `{"id":1}`}, {Mapping: "accounts", Source: `{"id":2}`}}
	var waiting []cdc.BackfillStatus
	add := func(n int, reason, meant string, state cdc.BackfillState) {
		for range n {
			waiting = append(waiting, cdc.BackfillStatus{Backfill: cdc.Backfill{Reason: reason, For: []string{meant}}, Progress: cdc.BackfillProgress{State: state}})
		}
	}
	add(remadeMost, cdc.ReasonRemade, "crm/people", cdc.BackfillDone)
	add(remadeMost, cdc.ReasonVerify, "crm/people", cdc.BackfillWaiting)
	add(remadeMost-1, cdc.ReasonRemade, "crm/people", cdc.BackfillRunning)
	add(remadeMost, cdc.ReasonRemade, "crm/deals", cdc.BackfillWaiting)
	list, left := reread("crm", mappings, records, waiting)
	if len(list) != 1 || list[0].Where != `accounts IN {"id":1},{"id":2}` || fmt.Sprint(list[0].For) != "[crm/people]" ||
		list[0].Table.Name != "people" || list[0].Reason != cdc.ReasonRemade || list[0].Generation {
		t.Errorf("backfills %+v", list)
	}
	if want := map[string]string{"crm/notes": "it refers to accounts by more than columns", "crm/deals": "too many backfills of that kind wait already"}; !maps.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}
