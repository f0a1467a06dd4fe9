package docs

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/hubspot"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// The mappings of the page compile, their tests pass, each field is one of the object's, and
// the deal of the test arrives, associated with its company.
func TestHubSpotPage(t *testing.T) {
	page := read(t, "docs/targets/hubspot.md")
	cat := &mapping.MemoryCatalog{TableColumns: tablesOf(strings.Join(blocks(page, "sql"), "\n"))}
	var files []*mapping.File
	var texts []string
	for _, text := range blocks(page, "yaml") {
		if !strings.Contains(text, "from: public.") {
			continue
		}
		f, err := mapping.Parse("page.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files, texts = append(files, f), append(texts, text)
	}
	all, err := mapping.CompileAll(files, cat)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d mappings, %v", len(all), err)
	}
	account := sandbox.New(sandbox.Options{})
	server := httptest.NewServer(account)
	defer server.Close()
	client, err := hubspot.New(hubspot.Options{URL: server.URL, Token: "page"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, m := range all {
		schema, err := client.Describe(t.Context(), m.Object())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Outputs() {
			if f := schema.Field(o.Name); f == nil || f.ReadOnly && !o.Key || o.Key && !f.Key {
				t.Errorf("%s/%s is described as %+v", m.Object(), o.Name, f)
			}
		}
		s, err := trial.Parse(files[i].Path, []byte(texts[i]), trial.Subject{Table: files[i].From, Columns: cat.TableColumns[files[i].From], Key: files[i].Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Cases {
			if r := s.Run(m, c); !r.Passed {
				t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
			}
		}
	}
	parent := sinks.Record{Object: "companies", Op: sinks.Upsert, Key: sinks.Field{Name: "wb_key", Value: json.RawMessage(`"3"`)},
		Fields: []sinks.Field{{Name: "name", Value: json.RawMessage(`"Acme"`)}}}
	deal := sinks.Record{Object: "deals", Op: sinks.Upsert, Key: sinks.Field{Name: "wb_key", Value: json.RawMessage(`"7"`)},
		Fields:  []sinks.Field{{Name: "dealname", Value: json.RawMessage(`"Big one"`)}, {Name: "association.companies", Value: json.RawMessage(`"3"`)}},
		Parents: []sinks.Parent{{Field: "association.companies", Mapping: "accounts-to-hubspot", Key: parent.Key}}}
	for _, r := range []sinks.Record{parent, deal} {
		rs, err := client.Deliver(t.Context(), sinks.Batch{Object: r.Object, Records: []sinks.Record{r}})
		if err != nil || rs[0].Err != nil {
			t.Errorf("%s: %+v %v", r.Object, rs, err)
		}
	}
	if n := account.Calls()["associations_create"]; n != 1 {
		t.Errorf("%d calls to associate", n)
	}
}
