package docs

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
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
