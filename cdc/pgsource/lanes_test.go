package pgsource

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

var errNotMine = errors.New("not a rule of this version")

// below compiles rules such as "v 3 urgent, v 5 bulk": the lane of the first whose column
// is a number below its bound.
func below(text string) (func(string) string, error) {
	type rule struct {
		column, lane string
		bound        int
	}
	var rules []rule
	for part := range strings.SplitSeq(text, ", ") {
		var r rule
		if n, err := fmt.Sscan(part, &r.column, &r.bound, &r.lane); err != nil || n != 3 {
			return nil, errNotMine
		}
		rules = append(rules, r)
	}
	return func(row string) string {
		for _, r := range rules {
			lane := ""
			if err := cdc.EachColumn(row, func(name string, v cdc.Value) bool {
				if n, err := strconv.Atoi(v.JSON()); name == r.column && err == nil && n < r.bound {
					lane = r.lane
				}
				return lane == ""
			}); err != nil {
				return "no row"
			}
			if lane != "" {
				return lane
			}
		}
		return ""
	}, nil
}

// somewhere draws rules that tell rows apart by ids up to a number.
func somewhere(rng *rand.Rand, most int) string {
	if rng.IntN(4) == 0 {
		return ""
	}
	low := rng.IntN(most)
	return fmt.Sprintf("id %d %s, id %d %s", low, cdc.Lanes()[rng.IntN(3)], low+rng.IntN(most), cdc.Lanes()[rng.IntN(3)])
}

// rel7 and rel8 are tables as the stream describes them.
var rel7, rel8 = &pgoutput.Relation{OID: 7}, &pgoutput.Relation{OID: 8}

// ruled is a routing of table 7, with rules, and 8, without.
func ruled(above uint64, rules string) cdc.Routing {
	return cdc.Routing{Above: cdc.Position{LSN: cdc.LSN(above)}, BulkAfter: 3, Tables: []cdc.RoutedTable{
		{OID: 7, Name: public("deals"), Lane: cdc.LaneNormal, Rules: rules}, {OID: 8, Name: public("leads"), Lane: cdc.LaneBulk}}}
}

// The rules see what an entry has of the row, and are not asked where the size of the
// transaction decides, nor of tables that have none.
func TestRulesDecideTheLaneOfARow(t *testing.T) {
	var asked []string
	compile := func(text string) (func(string) string, error) {
		rule, err := below(text)
		return func(row string) string {
			asked = append(asked, row)
			return rule(row)
		}, err
	}
	r, err := newRouter(t.Context(), &routedLog{}, ruled(0, "v 3 urgent"), 0, compile)
	if err != nil {
		t.Fatal(err)
	}
	after := func(text string) *cdc.Entry {
		return &cdc.Entry{Op: cdc.OpUpdate, After: []byte(text), Before: []byte(`{"v":9}`)}
	}
	before := func(text string) *cdc.Entry { return &cdc.Entry{Op: cdc.OpDelete, Before: []byte(text)} }
	for _, tc := range []struct {
		name string
		rel  *pgoutput.Relation
		rows uint64
		e    *cdc.Entry
		lane string
		asks bool
	}{
		{"a rule holds", rel7, 1, after(`{"v":2}`), cdc.LaneUrgent, true},
		{"none holds", rel7, 1, after(`{"v":3}`), cdc.LaneNormal, true},
		{"the column is absent", rel7, 1, after(`{"id":2}`), cdc.LaneNormal, true},
		{"deleted, the old row is known", rel7, 1, before(`{"id":1,"v":1}`), cdc.LaneUrgent, true},
		{"deleted, only the key is known", rel7, 1, before(`{"id":1}`), cdc.LaneNormal, true},
		{"the last row that is not too many", rel7, 3, after(`{"v":2}`), cdc.LaneUrgent, true},
		{"one row too many", rel7, 4, after(`{"v":2}`), cdc.LaneBulk, false},
		{"a table without rules", rel8, 1, after(`{"v":2}`), cdc.LaneBulk, false},
	} {
		asked = nil
		lane, err := r.find(tc.rel, cdc.Position{LSN: 5}).lane(tc.rows, tc.e)
		if err != nil || lane != tc.lane || len(asked) > 0 != tc.asks {
			t.Errorf("%s: lane %q, asked %q, error %v, want %q", tc.name, lane, asked, err, tc.lane)
		}
	}
}

// A lane that the log does not have is an error: its writer would put the row anywhere.
func TestRulesThatGiveNoLane(t *testing.T) {
	r, err := newRouter(t.Context(), &routedLog{}, ruled(0, "v 3 express"), 0, below)
	if err != nil {
		t.Fatal(err)
	}
	lane, err := r.find(rel7, cdc.Position{LSN: 5}).lane(1, &cdc.Entry{Op: cdc.OpCreate, After: []byte(`{"v":1}`)})
	if err == nil || !strings.Contains(err.Error(), `public.deals: its rules give the lane "express"`) {
		t.Errorf("lane %q, error %v", lane, err)
	}
}

// Rules are compiled when a session begins, each once, and no more when rows of several
// tables and routings take turns, or a key is noted.
func TestRulesAreCompiledOnce(t *testing.T) {
	compiled := map[string]int{}
	compile := func(text string) (func(string) string, error) {
		compiled[text]++
		return below(text)
	}
	l := &routedLog{list: []cdc.Routing{ruled(0, "v 1 urgent"), ruled(20, "v 2 urgent"), ruled(30, "v 1 urgent")},
		tails: map[cdc.Stream]cdc.Position{{}: {LSN: 40}}}
	want := ruled(0, "v 3 urgent")
	want.Tables[1].Rules = "v 2 urgent"
	r, err := newRouter(t.Context(), l, want, 10, compile)
	if err != nil {
		t.Fatal(err)
	}
	holds := map[string]int{"v 1 urgent": 1, "v 2 urgent": 1, "v 3 urgent": 1}
	if !maps.Equal(compiled, holds) {
		t.Errorf("compiled %v, want %v", compiled, holds)
	}
	lanes := ""
	for _, lsn := range []cdc.LSN{11, 21, 31, 41, 50} {
		if lsn == 50 {
			if err := r.note(t.Context(), 7, cdc.Position{LSN: 50}, []string{"id"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, rel := range []*pgoutput.Relation{rel7, rel8, rel7} {
			lane, err := r.find(rel, cdc.Position{LSN: lsn}).lane(1, &cdc.Entry{Op: cdc.OpCreate, After: []byte(`{"v":1}`)})
			if err != nil {
				t.Fatal(err)
			}
			lanes += lane[:1]
		}
		lanes += " "
	}
	if lanes != "nbn ubu nbn uuu uuu " {
		t.Errorf("lanes %s", lanes)
	}
	if !maps.Equal(compiled, holds) {
		t.Errorf("in the end compiled %v, want %v", compiled, holds)
	}
}

// Other rules are another routing, which begins above all that the log has.
func TestOtherRulesBeginARouting(t *testing.T) {
	tail := cdc.Position{LSN: 40, Ordinal: 6}
	l := &routedLog{list: []cdc.Routing{ruled(0, "v 1 urgent")}, tails: map[cdc.Stream]cdc.Position{{}: {LSN: 12}, {Partition: 1}: tail}}
	for _, rules := range []string{"v 1 urgent", "v 2 urgent", "v 2 urgent", ""} {
		if _, err := newRouter(t.Context(), l, ruled(0, rules), 10, below); err != nil {
			t.Fatal(err)
		}
		if last := l.list[len(l.list)-1]; last.Tables[0].Rules != rules || rules != "v 1 urgent" && last.Above != tail || rules == "v 1 urgent" && !last.Above.IsZero() {
			t.Errorf("with the rules %q: %+v", rules, l.list)
		}
	}
	if len(l.list) != 2 { // those in between began where nothing was routed by them
		t.Errorf("%d routings: %+v", len(l.list), l.list)
	}
}

// Rules of another version end the start while a row may come again that went by them,
// and leave the log as it is; afterwards nobody asks for them.
func TestRulesOfAnotherVersion(t *testing.T) {
	list := []cdc.Routing{ruled(0, "v 1 urgent"), ruled(20, "v2: urgent"), ruled(30, "v 2 urgent")}
	l := &routedLog{list: slices.Clone(list), tails: map[cdc.Stream]cdc.Position{{}: {LSN: 40}}}
	for _, confirmed := range []cdc.LSN{10, 20, 21, 30} { // row 30 may come again
		_, err := newRouter(t.Context(), l, ruled(0, ""), confirmed, below)
		wantSetupError(t, err, "rows of table public.deals may come again", "cannot read: not a rule of this version", "run the version that ran before")
		if !reflect.DeepEqual(l.list, list) {
			t.Fatalf("the log has %+v by now", l.list)
		}
	}
	if _, err := newRouter(t.Context(), l, ruled(0, ""), 31, below); err != nil {
		t.Errorf("with nothing to come again: %v", err)
	}
	if len(l.list) != 2 {
		t.Errorf("routings %+v", l.list)
	}
	_, err := newRouter(t.Context(), l, ruled(0, "v3: urgent"), 31, below)
	wantSetupError(t, err, "the lane rules of table public.deals cannot be used: not a rule of this version", "mapping files")
	_, err = newRouter(t.Context(), l, ruled(0, ""), 31, nil)
	wantSetupError(t, err, "it knows no lane rules")
}

// A table that is renamed while it is captured keeps its rules.
func TestRulesOfARenamedTable(t *testing.T) {
	lanes := Lanes{Lane: cdc.LaneNormal, Rules: "v 1 urgent"}
	s, err := New(Options{URL: "postgres://u@127.0.0.1:1/d", Logger: slog.New(slog.DiscardHandler), Tables: map[cdc.Table]Lanes{public("deals"): lanes}})
	if err != nil {
		t.Fatal(err)
	}
	s.rename(map[uint32]cdc.Table{7: public("deals")}, map[uint32]cdc.Table{7: public("offers")})
	if want := (map[cdc.Table]Lanes{public("offers"): lanes}); !maps.Equal(s.options.Tables, want) {
		t.Errorf("tables %v, want %v", s.options.Tables, want)
	}
}

func wantSetupError(t *testing.T, err error, parts ...string) {
	t.Helper()
	var se *cdc.SetupError
	if !errors.As(err, &se) {
		t.Fatalf("error %v, want a SetupError", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}
