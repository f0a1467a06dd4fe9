package docs

import (
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
)

// The tests that the page shows pass.
func TestMappingTestsOfThePage(t *testing.T) {
	deals := cdc.Table{Schema: "public", Name: "deals"}
	columns := []mapping.Column{
		{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "stage", Type: "text"}, {Name: "name", Type: "text"},
		{Name: "amount", Type: "numeric(12,2)"}, {Name: "notes", Type: "text"}, {Name: "memo", Type: "text"},
	}
	cat := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{deals: columns}}
	tests := 0
	for _, text := range blocks(read(t, "docs/mapping-tests.md"), "yaml") {
		f, err := mapping.Parse("page.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, err := mapping.Compile(f, cat)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trial.Parse("page.yaml", []byte(text), trial.Subject{Table: deals, Columns: columns, Key: f.Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Cases {
			tests++
			if r := s.Run(m, c); !r.Passed {
				t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
			}
		}
	}
	if tests == 0 {
		t.Error("the page shows no tests")
	}
}
