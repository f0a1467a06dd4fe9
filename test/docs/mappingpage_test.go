package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/trial"
)

// tablesOf reads the columns of CREATE TABLE statements, as far as this page has them.
func tablesOf(sql string) map[cdc.Table][]mapping.Column {
	out := map[cdc.Table][]mapping.Column{}
	for _, m := range regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\);`).FindAllStringSubmatch(sql, -1) {
		table := cdc.Table{Schema: "public", Name: m[1]}
		for _, def := range regexp.MustCompile(`,\s`).Split(m[2], -1) {
			words := strings.Fields(def)
			typ := strings.NewReplacer("timestamptz", "timestamp with time zone", "char(", "character(").Replace(words[1])
			out[table] = append(out[table], mapping.Column{Name: words[0], Type: typ, Key: strings.Contains(def, "PRIMARY KEY"), NotNull: strings.Contains(def, "NOT NULL") || strings.Contains(def, "PRIMARY KEY")})
		}
	}
	return out
}

// The mappings that the page shows compile against the tables that it shows, together, and
// their tests pass.
func TestMappingsOfThePage(t *testing.T) {
	page := read(t, "docs/mapping.md")
	cat := &mapping.MemoryCatalog{TableColumns: tablesOf(strings.Join(blocks(page, "sql"), "\n"))}
	var files []*mapping.File
	texts := map[string]string{}
	for i, text := range blocks(page, "yaml") {
		if !strings.Contains(text, "from: ") {
			continue
		}
		name := fmt.Sprintf("page-%d.yaml", i)
		f, err := mapping.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files, texts[name] = append(files, f), text
	}
	all, err := mapping.CompileAll(files, cat)
	if err != nil || len(all) < 4 {
		t.Fatalf("%d mappings, %v", len(all), err)
	}
	tests := 0
	for i, f := range files {
		s, err := trial.Parse(f.Path, []byte(texts[f.Path]), trial.Subject{Table: f.From, Columns: cat.TableColumns[f.From], Key: f.Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Cases {
			tests++
			if r := s.Run(all[i], c); !r.Passed {
				t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
			}
		}
	}
	if tests < 2 {
		t.Errorf("the page shows %d tests", tests)
	}
}

// The page has every function, as the program tells it. That each example gives what it
// says is a test of package expr.
func TestFunctionsOfThePage(t *testing.T) {
	page := read(t, "docs/mapping.md")
	_, tables, ok := strings.Cut(page, "\n## Functions\n")
	if !ok {
		t.Fatal("there is no part for functions")
	}
	rows := strings.Count(tables, "\n| `")
	for _, f := range expr.Functions() {
		if !strings.Contains(tables, "\n"+f.Row()+"\n") {
			t.Errorf("the page lacks, or has otherwise:\n%s", f.Row())
		}
	}
	if n := len(expr.Functions()); rows != n {
		t.Errorf("the page has %d functions, the program %d", rows, n)
	}
}

// It names each key that a file can have.
func TestKeysOfThePage(t *testing.T) {
	page := read(t, "docs/mapping.md")
	_, err := mapping.Parse("m.yaml", []byte("nonsense: 1\n"))
	m := regexp.MustCompile(`known keys are ([a-z_, ]+)`).FindStringSubmatch(fmt.Sprint(err))
	if m == nil {
		t.Fatalf("the error does not list the keys: %v", err)
	}
	for _, key := range strings.Split(m[1], ", ") {
		if !regexp.MustCompile("\n\\| `" + key + "[`.]").MatchString(page) {
			t.Errorf("the page does not tell of the key %s", key)
		}
	}
}

// So does the mapping of the README, beside one that it refers to.
func TestMappingOfTheReadme(t *testing.T) {
	deals := cdc.Table{Schema: "public", Name: "deals"}
	cat := &mapping.MemoryCatalog{TableColumns: tablesOf(`CREATE TABLE deals (id bigint PRIMARY KEY, account_id bigint, name text, stage text, amount numeric(12,2), currency text, close_date date, closed_at timestamptz, owner_email text);
CREATE TABLE accounts (id bigint PRIMARY KEY, name text);`)}
	accounts, err := mapping.Parse("accounts-to-crm.yaml", []byte("from: accounts\nto: crm/Account\nkey: {K: id}\nfields: {Name: name}\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, text := range blocks(read(t, "README.md"), "yaml") {
		if !strings.Contains(text, "from: ") {
			continue
		}
		found++
		f, err := mapping.Parse("deals.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, err := mapping.CompileAmong(f, []*mapping.File{f, accounts}, cat)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trial.Parse("deals.yaml", []byte(text), trial.Subject{Table: deals, Columns: cat.TableColumns[deals], Key: f.Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Cases {
			if r := s.Run(m, c); !r.Passed {
				t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
			}
		}
	}
	if found != 1 {
		t.Errorf("the README shows %d mappings", found)
	}
}
