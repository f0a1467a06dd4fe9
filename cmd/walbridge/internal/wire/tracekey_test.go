package wire

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/trace"
)

// A key is found in each form that a person may write it in; a number may be a text.
func TestMeantKeys(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns string
		want    string
	}{
		{"42", "id", `{"id":42} {"id":"42"}`},
		{"id=42", "id", `{"id":42} {"id":"42"} {"id":"id=42"}`},
		{`{"id": 42}`, "id", `{"id":42} {"id":"42"}`},
		{`{"id":"42"}`, "id", `{"id":42} {"id":"42"}`},
		{"null", "id", `{"id":"null"}`},
		{"1.50", "id", `{"id":1.50} {"id":"1.50"}`},
		{"true", "id", `{"id":true} {"id":"true"}`},
		{"a b", "id", `{"id":"a b"}`},
		{`"x"`, "id", `{"id":"\"x\""}`},
		{"", "id", `{"id":""}`},
		{"7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11", "id", `{"id":"7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11"}`},
		{"region=EU, quarter=4", "region quarter", `{"region":"EU","quarter":4} {"region":"EU","quarter":"4"}`},
		{`{"quarter": 4, "region": "EU"}`, "region quarter", `{"region":"EU","quarter":4} {"region":"EU","quarter":"4"}`},
		{"EU", "region quarter", ""},
		{"region=EU", "region quarter", ""},
		{"region=EU,qarter=4", "region quarter", ""},
		{"42", "", ""},
		{"a=1,b=1,c=1,d=1,e=1,f=1,g=1", "a b c d e f g", ""}, // too many forms
	} {
		if got := strings.Join(meantKeys(c.text, strings.Fields(c.columns)), " "); got != c.want {
			t.Errorf("%q of %s: %s, want %s", c.text, c.columns, got, c.want)
		}
	}
	if got := asObject("region=EU,quarter=4"); !cdc.SameKey(got, `{"region":"EU","quarter":4}`) {
		t.Errorf("as an object: %s", got)
	}
}

// A change stands before what became of it, also where the clock of the worker is behind, and
// is only told to whom it is meant for.
func TestEvents(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	change := func(n int, after time.Duration, who ...string) TraceChange {
		return TraceChange{Position: cdc.Position{LSN: cdc.LSN(n)}, Time: noon.Add(after), Op: "u", For: who}
	}
	step := func(to int, after time.Duration, fate trace.Fate) TraceStep {
		return TraceStep{To: cdc.Position{LSN: cdc.LSN(to)}, Time: noon.Add(after), Fate: fate}
	}
	r := &TraceReport{Changes: []TraceChange{change(1, 0), change(2, time.Second), change(3, 2*time.Second, "other"), change(4, 3*time.Second, "crm/deals"), change(5, 20*time.Second)}}
	m := &TraceMapping{Target: "crm", Mapping: "deals", Steps: []TraceStep{step(4, 5*time.Second, trace.Failed), step(2, -time.Minute, trace.Accepted), step(4, 9*time.Second, trace.Accepted)}}
	sortSteps(m.Steps)
	var got []string
	for _, e := range r.Events(m) {
		if e.Change != nil {
			got = append(got, fmt.Sprint(e.Change.Position.LSN))
		} else {
			got = append(got, string(e.Step.Fate))
		}
	}
	if want := []string{"0/1", "0/2", "accepted", "0/4", "failed", "accepted", "0/5"}; !slices.Equal(got, want) {
		t.Errorf("told are %q, want %q", got, want)
	}
}

// Each word at the head of a line is explained in the docs.
func TestFatesAreExplained(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/trace.md")
	if err != nil {
		t.Fatal(err)
	}
	for fate := range fateWords {
		if label := (&TraceStep{Fate: fate}).Label(); !strings.Contains(string(page), "\n| `"+label+"` |") {
			t.Errorf("docs/trace.md does not tell of %s", label)
		}
	}
}

// Of an update those columns are named that changed, as far as the log tells.
func TestTraceChangeColumns(t *testing.T) {
	entry := func(op, before, after string) *LogEntry {
		return &LogEntry{Op: op, Key: raw(`{"id":1}`), Before: raw(before), After: raw(after)}
	}
	for _, c := range []struct {
		e        *LogEntry
		was      string
		want     string
		compared bool
	}{
		{entry("c", "", `{"id":1,"a":1,"b":2}`), "", "a b", false},
		{entry("u", "", `{"id":1,"a":1,"b":2}`), "", "a b", false},
		{entry("u", "", `{"id":1,"a":1,"b":3}`), `{"id":1,"a":1,"b":2}`, "b", true},
		{entry("u", `{"id":1}`, `{"id":1,"a":1,"b":3}`), `{"id":1,"a":1,"b":2}`, "b", true},
		{entry("u", `{"id":1,"a":1,"b":3}`, `{"id":1,"a":2,"b":3}`), `{"id":1,"a":1,"b":2}`, "a", true},
		{entry("u", "", `{"id":1,"a":1,"b":2}`), `{"id":1,"a":1,"b":2}`, "", true},
		{entry("u", "", `{"id":1,"a":1,"b":2}`), `{"id":1,"a":1}`, "b", true},
		{entry("r", "", `{"id":1,"a":1,"b":2}`), "", "a b", false},
		{entry("r", "", `{"id":1,"a":1,"b":2}`), `{"id":1,"a":1,"b":3}`, "b", true},
		{entry("d", `{"id":1}`, ""), `{"id":1,"a":1}`, "", false},
	} {
		got := traceChange(c.e, cdc.Position{}, raw(c.was), false)
		if cols := strings.Join(got.Columns, " "); cols != c.want || got.Compared != c.compared || got.After != nil {
			t.Errorf("%s after %s: %q %v, want %q %v", c.e.After, c.was, cols, got.Compared, c.want, c.compared)
		}
	}
}
