package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// rulesMapping is the mapping to the CRM with all that a mapping file can say of how and
// when.
const rulesMapping = `from: public.deals
use: [../shared/origin.yaml]
to: crm/Deal
key: {id: "'D-' + string(id)"}
fields:
  name: {value: name, write: if_changed}
  stage: "map(stage, {'won': 'Closed Won', 'new': 'Open'})"
  amount: round(amount, 1)
  parent: ref('deals-to-crm', owner)
lane:
  - urgent: amount >= 1000 || stage == 'won'
  - bulk: stage == 'imported'
  - normal
coalesce: {quiet: 10ms, max_delay: 100ms}
slo: 30s
`

// What a mapping file says of lanes, of ways to write a field, of shared fields and of
// references comes out at the log and at the target.
func TestRulesOfMappingFiles(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{rewrite: func(config string) string { // nobody waits for long for the parent, which there is not
		return strings.Replace(config, "delivery: {", "delivery: {parents: {wait: 10ms}, ", 1)
	}})
	b.write(filepath.Join("mappings", "deals-to-crm.yaml"), rulesMapping)
	b.write(filepath.Join("shared", "origin.yaml"), "fields:\n  origin: {const: \"${WALBRIDGE_TEST_ORIGIN:-db}\", write: on_create}\n")
	for _, other := range []string{"won-to-commission.yaml", "forecasts.yaml"} {
		b.write(filepath.Join("mappings", other), strings.Replace(mappingFiles[other], "lane: urgent", "lane: bulk", 1)) // the most urgent one wins
	}
	p := b.start("run")
	b.waitSlot(p)
	until(t, 20*time.Second, func() string { // the first load of both tables ends with a sweep each, in all streams
		for partition := range partitions {
			if n, err := b.rdb.XLen(t.Context(), b.streamKey(partition, cdc.LaneBulk)).Result(); err != nil || n < 2 {
				return fmt.Sprintf("%d entries in the bulk lane, %v", n, err)
			}
		}
		return ""
	})
	steps := []struct{ sql, sent, lane string }{
		{"INSERT INTO deals VALUES (1, 7, 'Acme', 'new', 10.55)", `{"amount":10.6,"name":"Acme","origin":"db","parent":"D-7","stage":"Open"}`, cdc.LaneNormal},
		{"UPDATE deals SET amount = 2000 WHERE id = 1", `{"amount":2000.0,"parent":"D-7","stage":"Open"}`, cdc.LaneUrgent},
		{"UPDATE deals SET name = 'Acme Ltd', amount = 20 WHERE id = 1", `{"amount":20.0,"name":"Acme Ltd","parent":"D-7","stage":"Open"}`, cdc.LaneNormal},
		{"UPDATE deals SET stage = 'won', owner = NULL WHERE id = 1", `{"amount":20.0,"parent":null,"stage":"Closed Won"}`, cdc.LaneUrgent},
	}
	for i, s := range steps {
		b.exec(s.sql)
		until(t, 20*time.Second, func() string {
			p.mustRun()
			return unless(len(b.sentToCRM(t)) > i, fmt.Sprintf("nothing came of %s", s.sql))
		})
		if got := b.sentToCRM(t)[i]; got != s.sent {
			t.Errorf("%s: the CRM got %s, want %s", s.sql, got, s.sent)
		}
	}
	// A stage that the picklist does not have is parked alone; a restart forgets nothing.
	b.exec("INSERT INTO deals VALUES (2, 1, 'Odd', 'imported', 5)")
	b.drain(20*time.Second, p)
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 { // after a crash it would be in doubt what the CRM has
		t.Fatalf("status %d", status)
	}
	p = b.start("run")
	b.exec("UPDATE deals SET amount = 21 WHERE id = 1")
	b.drain(30*time.Second, p)
	if got, want := b.sentToCRM(t)[len(steps):], []string{`{"amount":21.0,"parent":null,"stage":"Closed Won"}`}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after a restart the CRM got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(b.lanesOfRows(t)), "[normal urgent normal urgent bulk urgent]"; got != want {
		t.Errorf("the entries travelled in %s, want %s", got, want)
	}
}

// lanesOfRows gives the lanes that rows travelled in, in the order of their Positions.
func (b *bridge) lanesOfRows(t *testing.T) (out []string) {
	t.Helper()
	byPosition := map[cdc.Position]string{}
	for partition := range partitions {
		for _, lane := range cdc.Lanes() {
			entries, err := b.rdb.XRange(t.Context(), b.streamKey(partition, lane), "-", "+").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				at, err := cdc.ParsePosition(e.ID)
				if err != nil {
					t.Fatal(err)
				}
				if e.Values["key"] != nil {
					byPosition[at] = lane
				}
			}
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(byPosition), cdc.Position.Compare) {
		out = append(out, byPosition[at])
	}
	return out
}

// sentToCRM gives the fields of each record of the first deal that the CRM accepted.
func (b *bridge) sentToCRM(t *testing.T) (out []string) {
	t.Helper()
	for _, r := range b.apps.answered() {
		if r.app != "crm" || r.status != 200 {
			continue
		}
		for _, rec := range r.records {
			if !bytes.Contains(rec.Key["id"], []byte("D-1")) {
				t.Errorf("the CRM got a record with the key %s", rec.Key)
				continue
			}
			text, err := json.Marshal(rec.Fields)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(text))
		}
	}
	return out
}
