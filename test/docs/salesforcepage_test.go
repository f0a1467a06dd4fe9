package docs

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
)

// The mapping of the page compiles against the table of the page, and its tests pass.
func TestMappingOfTheSalesforcePage(t *testing.T) {
	page := read(t, "docs/targets/salesforce.md")
	cat := &mapping.MemoryCatalog{TableColumns: tablesOf(strings.Join(blocks(page, "sql"), "\n"))}
	tests := 0
	for _, text := range blocks(page, "yaml") {
		if !strings.Contains(text, "\nfrom: ") {
			continue
		}
		f, err := mapping.Parse("page.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all, err := mapping.CompileAll([]*mapping.File{f}, cat)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trial.Parse(f.Path, []byte(text), trial.Subject{Table: f.From, Columns: cat.TableColumns[f.From], Key: f.Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Cases {
			tests++
			if r := s.Run(all[0], c); !r.Passed {
				t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
			}
		}
	}
	if tests == 0 {
		t.Error("the page shows no test")
	}
}

// The mappings of the pack fit an org of Salesforce as it is, with references by external id.
func TestPackFitsSalesforce(t *testing.T) {
	server := httptest.NewServer(sandbox.New(sandbox.Options{}))
	defer server.Close()
	client, err := salesforce.New(salesforce.Options{URL: server.URL,
		Login: salesforce.Login{Grant: salesforce.GrantClientCredentials, ClientID: "walbridge", ClientSecret: "any"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, s := range suitesOf(t, "docs/examples/salesforce-crm") {
		schema, err := client.Describe(t.Context(), s.mapping.Object())
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range s.mapping.Outputs() {
			if schema.Field(out.Name) == nil {
				t.Errorf("%s has no field %s", s.mapping.Object(), out.Name)
			}
		}
		var parents sinks.Batch
		for _, id := range []string{"5", "7"} {
			parents.Object = "Account"
			parents.Records = append(parents.Records, sinks.Record{Mapping: "accounts", Object: "Account", Op: sinks.Upsert,
				Key: sinks.Field{Name: "External_Id__c", Value: json.RawMessage(id)}, Fields: []sinks.Field{{Name: "Name", Value: json.RawMessage(`"n"`)}}})
		}
		if rs, err := client.Deliver(t.Context(), parents); err != nil || rs[0].Err != nil || rs[1].Err != nil {
			t.Fatal(rs, err)
		}
		s.deliver(t, client)
	}
}
