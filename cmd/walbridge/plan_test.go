package main

import (
	"bytes"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire/plan"
)

// TestWritePlan holds what people read of each kind of mapping.
func TestWritePlan(t *testing.T) {
	keys := func(list ...string) []string { return list }
	cost := func(records, requests int64) plan.Cost { return plan.Cost{Records: records, Requests: requests} }
	p := &wire.Plan{
		Sample: 1, Notes: []string{"no process delivers to target erp"},
		Mappings: []plan.Mapping{
			{Mapping: "deals-to-crm", Target: "crm", Object: "Opportunity", Table: "public.deals", State: plan.Changed, Rows: 48_210, Create: 3, Update: 48_000, Move: 4, Remove: 12, Same: 150, Unsure: 20, NotMeant: 18, Refused: 3,
				Untouched: 2, Unsettled: 1, Delete: "delete", Fields: []plan.Field{{Name: "Region__c", Added: 198}, {Name: "Stage", Changed: 7}}, Looked: 200, Told: 199, DeadLetters: 2, Waited: true, InFlight: 9,
				Refusals: []plan.Refusal{{Code: "null_key", Error: "map deals-to-crm: the key field Id is null", Rows: 2, Examples: keys(`{"id":7}`, `{"id":8}`)},
					{Code: "unmapped", Error: "map deals-to-crm: field Stage: the value is not among the keys", Rows: 1, Examples: keys(`{"id":9}`)}},
				Examples: map[string][]string{"create": keys(`{"id":1}`), "update": keys(`{"id":2}`, `{"id":3}`), "move": keys(`{"id":4}`), "remove": keys(`{"id":5}`)},
				Replay:   plan.Cost{Records: 48_039, Requests: 242, Seconds: 130, Beyond: 42}, Backfill: plan.Cost{Records: 48_189, Requests: 242, Seconds: 130, Beyond: 42}},
			{Mapping: "narrowed", Target: "crm", Object: "Task", Table: "public.tasks", State: plan.Changed, Rows: 10, Stay: 4, Same: 6, Delete: "ignore", Examples: map[string][]string{"stay": keys(`{"id":1}`)}},
			{Mapping: "marked", Target: "crm", Object: "Note", Table: "public.notes", State: plan.Changed, Rows: 10, Update: 1, Remove: 1, Same: 8, Looked: 1, Delete: "set",
				Replay: cost(2, 1), Backfill: plan.Cost{Records: 10, Requests: 1, Never: true}},
			{Mapping: "untouched", Target: "crm", Object: "Lead", Table: "public.leads", State: plan.Same, Rows: 5, Same: 5},
			{Mapping: "leads-to-erp", Target: "erp", Object: "Lead", Table: "public.leads", State: plan.New, Rows: 9000, Create: 9000, Untouched: 9000, Begins: &plan.Begins{How: plan.ByBackfill, NewTarget: true},
				Examples: map[string][]string{"create": keys(`{"id":1}`)}, Delete: "delete", Sends: plan.Cost{Records: 9000, Requests: 45, Jobs: true}},
			{Mapping: "notes-to-erp", Target: "erp", Object: "Note", Table: "public.notes", State: plan.New, Rows: 9, Create: 9, Untouched: 9, Begins: &plan.Begins{How: plan.ByNow, Setting: "start: now"}, Backfill: cost(9, 1)},
			{Mapping: "tasks-to-erp", Target: "erp", Object: "Task", Table: "public.tasks", State: plan.New, Rows: 9, Create: 9, Untouched: 9, Begins: &plan.Begins{How: plan.ByLog, Setting: "targets.erp.from: beginning", Log: 4}, Sends: cost(4, 1), Backfill: cost(9, 1)},
			{Mapping: "empty-to-erp", Target: "erp", Object: "Empty", Table: "public.empty", State: plan.New, Begins: &plan.Begins{How: plan.ByLog, Setting: "targets.erp.from: beginning"}},
			{Mapping: "calls-to-erp", Target: "erp", Object: "Call", Table: "public.calls", State: plan.Same, Rows: 9, Create: 5, Same: 4, Untouched: 5, Begins: &plan.Begins{How: plan.ByReading, Backfill: "1a2b3c4d"}, Sends: cost(5, 1)},
			{Mapping: "begun-to-erp", Target: "erp", Object: "Begun", Table: "public.begun", State: plan.New, Rows: 1, Create: 1, Untouched: 1, Backlog: true, Replay: cost(1, 1), Backfill: cost(1, 1)},
			{Mapping: "back-to-erp", Target: "erp", Object: "Back", Table: "public.back", State: plan.Back, Rows: 3, Create: 1, Remove: 2, Orphans: 1, Same: 2, Delete: "archive", Begins: &plan.Begins{How: plan.ByBackfill}, Sends: cost(5, 1)},
		},
		Accounts: []plan.Account{
			{Account: "crm", Targets: []string{"crm"}, Words: "10 requests a second; 200 requests left of 1000 in a day, 200 kept for people"},
			{Account: "shared", Targets: []string{"erp", "mail"}, Words: "any number of requests a second", Sends: plan.Cost{Records: 5018, Requests: 48, Seconds: 200_000}},
		},
		Gone: []plan.Gone{{Target: "erp", Mapping: "old-deals", Records: 1}, {Target: "ancient"}},
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	p.Sample, p.Mappings, p.Gone, p.Notes = .05, p.Mappings[3:4], nil, nil
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.golden", b.Bytes())
}
