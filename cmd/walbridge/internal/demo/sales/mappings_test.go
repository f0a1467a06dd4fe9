package sales

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/expr"
)

// file is a mapping file as far as these tests need it.
type file struct {
	Name, From, When, To, Delete, Lane string
	Key, Fields, Coalesce              map[string]string
}

func readMappings(t *testing.T) map[string]file {
	t.Helper()
	fsys, err := Mappings()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]file)
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mapping.Parse(name, text); err != nil {
			t.Errorf("the loader refuses it: %v", err)
		}
		var f file
		if err := yaml.UnmarshalWithOptions(text, &f, yaml.DisallowUnknownField()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[f.Name] = f
	}
	return out
}

// compiled is a mapping file ready to be applied to rows.
type compiled struct {
	when   *expr.Program
	key    *expr.Program
	fields map[string]*expr.Program
}

func compile(t *testing.T, conn *pgx.Conn, f file) compiled {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select attname::text, format_type(atttypid, atttypmod) from pg_attribute
		where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum`, f.From)
	if err != nil {
		t.Fatal(err)
	}
	cols, err := pgx.CollectRows(rows, pgx.RowToStructByPos[expr.Column])
	if err != nil || len(cols) == 0 {
		t.Fatalf("%s: columns of %s: %v, %v", f.Name, f.From, cols, err)
	}
	program := func(src string, want expr.Type) *expr.Program {
		p, err := expr.Compile(src, cols, want)
		if err != nil {
			t.Fatalf("%s: %q: %v", f.Name, src, err)
		}
		return p
	}
	c := compiled{fields: make(map[string]*expr.Program)}
	if f.When != "" {
		c.when = program(f.When, expr.Bool)
	}
	for _, src := range f.Key {
		c.key = program(src, expr.Any)
	}
	for name, src := range f.Fields {
		c.fields[name] = program(src, expr.Any)
	}
	return c
}

// apply gives the objects that the mapping makes of the table as it is.
func (c compiled) apply(t *testing.T, conn *pgx.Conn, table string) map[string]map[string]json.RawMessage {
	t.Helper()
	rows, err := conn.Query(t.Context(), "select to_jsonb(t)::text from "+table+" t")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]map[string]json.RawMessage)
	for _, text := range texts {
		row, err := cdc.ParseRow(text)
		if err != nil {
			t.Fatal(err)
		}
		value := func(p *expr.Program) string {
			v, err := p.Eval(row.Get)
			if err != nil {
				t.Fatal(err)
			}
			return v.JSON()
		}
		if c.when != nil && value(c.when) != "true" {
			continue
		}
		fields := make(map[string]json.RawMessage)
		for name, p := range c.fields {
			fields[name] = json.RawMessage(value(p))
		}
		out[value(c.key)] = fields
	}
	return out
}

// TestMappingsAndReconcileAgree runs both opinions on the same rows: the mapping
// files with the real expressions, and the SQL of the checks.
func TestMappingsAndReconcileAgree(t *testing.T) {
	url, conn := newDatabase(t, 1)
	if err := NewLife(connector(url), Options{Seed: 9, Rate: -1, Limit: 600}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, conn, "set timezone = 'UTC'")
	files := readMappings(t)
	ts := make(targets)
	for _, c := range checks() {
		f, ok := files[c.name]
		if !ok || f.To != c.app+"/"+c.object {
			t.Fatalf("no mapping file %s to %s/%s", c.name, c.app, c.object)
		}
		ts[f.To] = compile(t, conn, f).apply(t, conn, f.From)
	}
	report, text := judge(t, conn, ts)
	if !report.OK() {
		t.Errorf("the mapping files and the checks disagree:\n%s", text)
	}
	if len(report.Won) < 5 {
		t.Errorf("won sums of %d owners, want more", len(report.Won))
	}
	for _, m := range report.Mappings {
		if m.Expected < 50 || m.Expected != m.Found {
			t.Errorf("%s: %d expected, %d found", m.Name, m.Expected, m.Found)
		}
	}
	if len(files) != len(checks()) {
		t.Errorf("%d mapping files (%s), but %d checks", len(files), strings.Join(slices.Sorted(maps.Keys(files)), ", "), len(checks()))
	}
}

func TestMappingsUseTheWholeFormat(t *testing.T) {
	deletes, lanes := map[string]bool{}, map[string]bool{}
	for _, f := range readMappings(t) {
		deletes[f.Delete], lanes[f.Lane] = true, true
		if len(f.Key) != 1 || f.Coalesce["quiet"] == "" || f.Coalesce["max_delay"] == "" || f.Coalesce["max_batch"] == "" {
			t.Errorf("%s: key %v, coalesce %v", f.Name, f.Key, f.Coalesce)
		}
	}
	if !deletes["delete"] || !deletes["archive"] || !lanes["urgent"] || !lanes["normal"] {
		t.Errorf("deletes %v, lanes %v", deletes, lanes)
	}
}
