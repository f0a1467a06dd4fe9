package vendors

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors/formfile"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
	"github.com/walbridge/walbridge/sinks"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../../docs/targets", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks gives the pieces of a page in a language.
func blocks(page, language string) (list []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

// columns reads the table of a page.
func columns(t *testing.T, page string) (table cdc.Table, out []mapping.Column) {
	t.Helper()
	m := regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\);`).FindStringSubmatch(strings.Join(blocks(page, "sql"), "\n"))
	if m == nil {
		t.Fatal("the page shows no table")
	}
	for _, def := range regexp.MustCompile(`,\s`).Split(m[2], -1) {
		words := strings.Fields(def)
		out = append(out, mapping.Column{Name: words[0], Type: words[1], Key: strings.Contains(def, "PRIMARY KEY"), NotNull: strings.Contains(def, "NOT NULL") || strings.Contains(def, "PRIMARY KEY")})
	}
	return cdc.Table{Schema: "public", Name: m[1]}, out
}

// opened gives the targets of a piece of configuration.
func opened(t *testing.T, text string) (list []Target) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "walbridge.yaml")
	whole := "postgres: {url: \"postgres://localhost/sales\"}\nredis: {url: \"redis://localhost\"}\nmappings: [m.yaml]\n" + text
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, func(name string) (string, bool) {
		if name == "WEBHOOK_SECRET" {
			return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true
		}
		return "a-secret", true
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, c := range cfg.Targets {
		target, err := Open(c, Stores{})
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		t.Cleanup(target.Close)
		list = append(list, target)
	}
	return list
}

// What each page shows opens, compiles, and passes its tests; a target that knows its fields
// has those of the mapping.
func TestPagesOfPresets(t *testing.T) {
	for _, name := range []string{"captivateiq", "quotapath", "spiff", "webhook"} {
		t.Run(name, func(t *testing.T) {
			text := page(t, name)
			table, cols := columns(t, text)
			var targets []Target
			mappings := 0
			for _, block := range blocks(text, "yaml") {
				if strings.HasPrefix(block, "targets:") {
					targets = append(targets, opened(t, block)...)
					continue
				}
				mappings++
				f, err := mapping.Parse("page.yaml", []byte(block))
				if err != nil {
					t.Fatal(err)
				}
				m, err := mapping.Compile(f, &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{table: cols}})
				if err != nil {
					t.Fatal(err)
				}
				s, err := trial.Parse("page.yaml", []byte(block), trial.Subject{Table: table, Columns: cols, Key: f.Key.Field})
				if err != nil || len(s.Cases) == 0 {
					t.Fatalf("%d tests, %v", len(s.Cases), err)
				}
				for _, c := range s.Cases {
					if r := s.Run(m, c); !r.Passed {
						t.Errorf("%s: %s %v", c.Name, r.Problem, r.Diff())
					}
				}
				hasFields(t, targets, m)
			}
			if len(targets) == 0 || mappings != 1 {
				t.Errorf("the page shows %d targets and %d mappings", len(targets), mappings)
			}
		})
	}
}

func hasFields(t *testing.T, targets []Target, m *mapping.Mapping) {
	t.Helper()
	for _, target := range targets {
		d, ok := sinks.As[interface {
			sinks.Describer
			Describes() bool
		}](target)
		if !ok || !d.Describes() {
			continue
		}
		schema, err := d.Describe(t.Context(), m.Object())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Outputs() {
			if f := schema.Field(o.Name); f == nil || f.ReadOnly {
				t.Errorf("%s is described as %+v", o.Name, f)
			}
		}
	}
}

// The page of forms shows what can be opened, and tells of every key, placeholder and preset.
func TestPageOfForms(t *testing.T) {
	text := page(t, "http")
	forms := 0
	for _, block := range blocks(text, "yaml") {
		if strings.HasPrefix(block, "targets:") {
			opened(t, block)
			continue
		}
		forms++
		path := filepath.Join(t.TempDir(), "form.yaml")
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := formfile.Make(formfile.Source{File: path}); err != nil {
			t.Errorf("%v\n%s", err, block)
		}
	}
	if forms != 1 {
		t.Errorf("%d forms", forms)
	}
	for what, keys := range map[string][]string{"form": formfile.Keys, "request": formfile.RequestKeys, "results": formfile.ResultsKeys, "field": formfile.FieldKeys,
		"auth": formfile.AuthKeys, "secret": config.AuthSecrets, "preset": Presets()} {
		for _, key := range keys {
			if !strings.Contains(text, "`"+key+"`") {
				t.Errorf("the page does not tell of %s, of %s", key, what)
			}
		}
	}
	// An error of a placeholder lists those that there are.
	_, err := formfile.Make(formfile.Source{File: write(t, "url: https://x\nrequests:\n  upsert: {path: /x, record: '{x}', body: ['{records}', '{x}']}\n")})
	for _, name := range regexp.MustCompile(`\{[a-z_.]+(NAME)?\}`).FindAllString(fmt.Sprint(err), -1) {
		if name != "{x}" && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the page does not tell of %s", name)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "form.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
