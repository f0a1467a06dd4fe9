package docs

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
)

// The mapping of the page compiles, its test passes, and it fills the columns of the page's table.
func TestPostgresTargetPage(t *testing.T) {
	page := read(t, "docs/targets/postgres.md")
	cat := &mapping.MemoryCatalog{TableColumns: tablesOf(strings.Join(blocks(page, "sql"), "\n"))}
	var text string
	for _, b := range blocks(page, "yaml") {
		if strings.Contains(b, "from: public.") {
			text = b
		}
	}
	f, err := mapping.Parse("page.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := mapping.CompileAll([]*mapping.File{f}, cat)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d mappings, %v", len(all), err)
	}
	for _, o := range all[0].Outputs() {
		if !strings.Contains(page, " "+o.Name+" ") {
			t.Errorf("the table of the page has no column %s", o.Name)
		}
	}
	s, err := trial.Parse(f.Path, []byte(text), trial.Subject{Table: f.From, Columns: cat.TableColumns[f.From], Key: f.Key.Field})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Cases) == 0 {
		t.Error("the mapping has no test")
	}
	for _, c := range s.Cases {
		if r := s.Run(all[0], c); !r.Passed {
			t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
		}
	}
}
