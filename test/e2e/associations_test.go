package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// TestAssociationsAreMended has somebody delete a company in HubSpot. As its row changes it is
// made again, under another id and without the associations of the old one: its contacts are
// delivered again, and only these. What somebody takes away verify finds, and its repair mends.
func TestAssociationsAreMended(t *testing.T) {
	t.Parallel()
	account := hubspot.New(hubspot.Options{FreeArchived: true})
	server := httptest.NewServer(account)
	t.Cleanup(server.Close)
	b := newBridge(t, options{rewrite: func(config string) string {
		head, _, _ := strings.Cut(config, "\ntargets:\n")
		return head + "\ntargets:\n  crm: {type: hubspot, url: \"" + server.URL + "\", token: any, timeout: 2s, rate: {daily: 100000}}\n"
	}})
	b.noMappings()
	b.exec(`CREATE TABLE accounts (id bigint PRIMARY KEY, name text); CREATE TABLE people (id bigint PRIMARY KEY, account_id bigint, name text)`)
	b.write("mappings/accounts.yaml", "from: public.accounts\nto: crm/companies\nkey: {wb_key: string(id)}\nfields: {name: name}\ncoalesce: {quiet: 10ms, max_delay: 100ms}\n")
	b.write("mappings/people.yaml", "from: public.people\nto: crm/contacts\nkey: {wb_key: string(id)}\nfields: {firstname: name, association.companies: \"ref('accounts', account_id)\"}\ncoalesce: {quiet: 10ms, max_delay: 100ms}\n")
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads() // what they read mends, too
	b.exec(`INSERT INTO accounts SELECT i, 'company ' || i FROM generate_series(1, 3) i`)
	b.exec(`INSERT INTO people SELECT i, 1 + i % 3, 'person ' || i FROM generate_series(1, 30) i; INSERT INTO people VALUES (31, NULL, 'nobody''s')`)
	await := func(object, key, field, value string) (id string) {
		t.Helper()
		until(t, 30*time.Second, func() string {
			p.mustRun()
			for _, r := range account.Records(object, 0) {
				if sinks.ExactKey(r.Fields["wb_key"]) == key && sinks.ExactKey(r.Fields[field]) == value {
					id = r.ID
					return ""
				}
			}
			return fmt.Sprintf("%s %s is not there, or its %s is not %s", object, key, field, value)
		})
		return id
	}
	verify := func(args ...string) map[string]verified {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"verify", "-c", "walbridge.yaml", "--json"}, args...)...)
		cmd.Dir = b.dir
		out, err := cmd.Output()
		var told struct{ Mappings []verified }
		if jerr := json.Unmarshal(out, &told); jerr != nil || len(told.Mappings) != 2 {
			t.Fatalf("verify %v: %v\n%s", args, err, out)
		}
		return map[string]verified{told.Mappings[0].Mapping: told.Mappings[0], told.Mappings[1].Mapping: told.Mappings[1]}
	}
	old := await("companies", "1", "name", "company 1")
	await("contacts", "31", "firstname", "nobody's")
	until(t, 30*time.Second, func() string {
		return unless(account.Count("contacts") == 31, fmt.Sprintf("%d contacts are there", account.Count("contacts")))
	})
	if v := verify(); v["people"].Right != 31 || v["accounts"].Right != 3 || !v["people"].ReadBack || v["people"].ReadError != "" {
		t.Errorf("all is right: %+v", v)
	}

	post := func(path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer any"}, "Content-Type": {"application/json"}}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatal(res, err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	post("/crm/objects/2026-03/companies/batch/archive", `{"inputs":[{"id":"`+old+`"}]}`)
	b.exec(`UPDATE accounts SET name = 'made again' WHERE id = 1`)
	made := await("companies", "1", "name", "made again")
	if made == old {
		t.Fatal("the company has the same id again")
	}
	until(t, 30*time.Second, func() string {
		out, _ := b.command("backfill", "list", "-c=walbridge.yaml")
		return unless(strings.Count(out, " done ") == 3, "the contacts of the company were not read again:\n"+out)
	})
	if v := verify(); v["people"].Right != 31 || v["accounts"].Right != 3 {
		t.Errorf("a company was made again: %+v", v)
	}
	out, _ := b.command("backfill", "list", "-c=walbridge.yaml", "--json")
	if !strings.Contains(out, `"reason":"record_made_anew"`) && !strings.Contains(out, `"reason": "record_made_anew"`) || !strings.Contains(out, `"rows":10`) && !strings.Contains(out, `"rows": 10`) {
		t.Errorf("its ten contacts were not read again, or more than these: %s", out)
	}

	person := await("contacts", "3", "firstname", "person 3")
	post("/crm/v4/associations/contacts/companies/batch/archive", `{"inputs":[{"from":{"id":"`+person+`"},"to":[{"id":"`+made+`"}]}]}`)
	v := verify()
	if got := v["people"]; got.Different != 1 || got.Right != 30 || got.Fields["association.companies"] != 1 || v["accounts"].Right != 3 {
		t.Errorf("an association was taken away: %+v", v)
	}
	if v := verify("--state-only"); v["people"].Right != 31 {
		t.Errorf("what was delivered is as it was: %+v", v)
	}
	if v := verify("--repair"); v["people"].Mended != 1 || v["people"].Different != 0 {
		t.Errorf("the repair: %+v", v)
	}
	if v := verify(); v["people"].Right != 31 || v["accounts"].Right != 3 {
		t.Errorf("after the repair: %+v", v)
	}

	// What the account was charged for is what it has seen, of both processes, but for what this
	// test has asked for itself.
	until(t, 10*time.Second, func() string {
		seen := -2
		for _, n := range account.Calls() {
			seen += int(n)
		}
		want := fmt.Sprintf("; %d requests left of 100000 in a day", 100000-seen)
		out, _ := b.command("status", "-c", "walbridge.yaml")
		return unless(strings.Contains(out, want), fmt.Sprintf("%d requests were seen (%v), want%s:\n%s", seen, account.Calls(), want, out))
	})
}
