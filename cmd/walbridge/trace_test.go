package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
	"github.com/walbridge/walbridge/sinks/trace"
)

var update = flag.Bool("update", false, "write the golden files")

// golden holds what was written against a file of testdata, or writes that.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if that is meant, run go test ./cmd/walbridge -run %s -update\ngot\n%s", path, t.Name(), got)
	}
}

// TestWriteTrace holds what people read of each kind of line.
func TestWriteTrace(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(n uint64) cdc.Position { return cdc.Position{LSN: cdc.LSN(n)} }
	after := func(d time.Duration) time.Time { return noon.Add(d) }
	request := func(id string, records int) *wire.TraceCarrier {
		return &wire.TraceCarrier{ID: id, Began: after(1200 * time.Millisecond), Seconds: 0.0342, Records: records}
	}
	r := &wire.TraceReport{Table: "public.deals", Key: json.RawMessage(`{"id":42}`), Partition: 3, Now: after(time.Hour), Earlier: 7,
		Log: []wire.TraceLane{{Lane: "urgent"}, {Lane: "normal", Oldest: noon.Add(-time.Hour), Trimmed: true}, {Lane: "bulk", Oldest: noon}},
		Changes: []wire.TraceChange{
			{Position: at(100), LSN: "0/64", Time: noon, Lane: "normal", Op: "c", XID: 771, Columns: []string{"name", "stage"}, Absent: []string{"note"}},
			{Position: at(200), LSN: "0/C8", Time: after(time.Second), Lane: "urgent", Op: "u", XID: 772, Columns: []string{"stage"}, Compared: true, After: json.RawMessage(`{"id":42,"stage":"won"}`)},
			{Position: at(300), Time: after(time.Minute), Lane: "bulk", Op: "r", XID: 773, For: []string{"crm"}},
			{Position: at(400), LSN: "0/190", Time: after(2 * time.Minute), Lane: "normal", Op: "s", XID: 774, Since: "50-0"},
			{Position: at(500), LSN: "0/1F4", Time: after(50 * time.Minute), Lane: "normal", Op: "u", XID: 775, Compared: true},
		},
		Targets: []wire.TraceMapping{
			{Target: "commission", Mapping: "won-to-commission", Object: "Deal", Now: wire.TraceNow{Condition: "no process delivers to it", Newest: at(500), Lane: "normal", Read: at(400)}},
			{Target: "crm", Mapping: "deals-to-crm", Object: "Opportunity", Earlier: 2, Damaged: 1, History: noon, HistoryBulk: noon.Add(-time.Hour),
				Steps: []wire.TraceStep{
					{Time: after(2 * time.Second), Fate: trace.Accepted, Op: "upsert", From: at(100), To: at(200), Changes: 2, RemoteID: "006A\x1b[2J", Request: request("ab-1", 200)},
					{Time: after(3 * time.Second), Fate: trace.Parent, WaitsFor: "accounts-to-crm", Op: "upsert", From: at(200), To: at(200), Changes: 1, Next: after(33 * time.Second)},
					{Time: after(4 * time.Second), Fate: trace.Failed, Op: "upsert", From: at(200), To: at(200), Changes: 1, Attempts: 1, Code: "retryable", Error: "the target refused the record: ROW_LOCK", Next: after(5 * time.Second), Request: request("ab-2", 1)},
					{Time: after(5 * time.Second), Fate: trace.Later, Op: "upsert", From: at(200), To: at(200), Changes: 1, Attempts: 2, Next: after(24 * time.Hour),
						Request: &wire.TraceCarrier{ID: "ab-3", Began: after(time.Second), Seconds: 75, Records: 9000, Job: true, Code: "unknown_outcome", Error: "no answer"}},
					{Time: after(6 * time.Second), Fate: trace.Aside, To: at(200), Attempts: 3},
					{Time: after(7 * time.Second), Fate: trace.Refused, Op: "upsert", From: at(200), To: at(200), Changes: 1, Code: "TOO_LONG", Error: "the target refused the record: TOO_LONG", Request: request("ab-4", 2)},
					{Time: after(61 * time.Second), Fate: trace.Same, From: at(300), To: at(300), Changes: 1},
				},
				Now: wire.TraceNow{Known: true, Seen: at(300), Live: true, Lacking: true, TargetKey: json.RawMessage(`{"Ext__c":"42"}`), Moved: true, RemoteID: "006A",
					Aside: &wire.TraceAside{Since: after(6 * time.Second), Due: after(2 * time.Hour), Waiting: true, Parents: []wire.TraceParent{{Mapping: "accounts-to-crm"}}},
					Dead:  &wire.TraceDead{Time: after(7 * time.Second), Position: at(200), Code: "TOO_LONG", Error: "refused", Attempts: 1, Detail: "no to\x1b[2J this", Payload: json.RawMessage(`{"op":"upsert"}`)}}},
		},
	}
	r.Targets[0].Now.Owner = &wire.TraceOwner{Mapping: "other-deals", Key: json.RawMessage(`{"id":7}`), Leaves: true}
	r.Targets[1].Now.Owner = &wire.TraceOwner{Same: true, Mapping: "deals-to-crm"}
	var b bytes.Buffer
	if err := writeTrace(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "trace.golden", b.Bytes())
	r.Targets, r.Changes = nil, nil
	b.Reset()
	if err := writeTrace(&b, r); err != nil || !strings.Contains(b.String(), "no mapping leads from this table") {
		t.Errorf("%v, without a mapping is told\n%s", err, b.String())
	}
}
