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
	"github.com/walbridge/walbridge/sinks"
)

// file is a mapping file as far as these tests need it.
type file struct {
	Name, From, When, To, Delete, Lane string
	Key, Fields, Coalesce              map[string]string

	path string
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
		f.path = name
		out[f.Name] = f
	}
	return out
}

// compile makes plans of the mapping files, by name, against the database's own columns.
func compile(t *testing.T, conn *pgx.Conn) map[string]*mapping.Mapping {
	t.Helper()
	fsys, err := Mappings()
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*mapping.File
	catalog := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{}}
	for _, f := range readMappings(t) {
		text, err := fs.ReadFile(fsys, f.path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := mapping.Parse(f.path, text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
		rows, err := conn.Query(t.Context(), `select attname::text, format_type(atttypid, atttypmod), attnum = 1 from pg_attribute
			where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum`, p.From.SQL())
		if err != nil {
			t.Fatal(err)
		}
		if catalog.TableColumns[p.From], err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c mapping.Column, err error) {
			return c, row.Scan(&c.Name, &c.Type, &c.Key)
		}); err != nil {
			t.Fatalf("%s: columns of %s: %v", f.path, p.From, err)
		}
	}
	list, err := mapping.CompileAll(parsed, catalog)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*mapping.Mapping{}
	for _, m := range list {
		out[m.Name()] = m
	}
	return out
}

// apply gives the objects that the mapping makes of the table as it is.
func apply(t *testing.T, conn *pgx.Conn, m *mapping.Mapping) map[string]map[string]json.RawMessage {
	t.Helper()
	rows, err := conn.Query(t.Context(), "select to_jsonb(t)::text from "+m.Table().SQL()+" t")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]map[string]json.RawMessage)
	for _, text := range texts {
		rec, send, err := m.Map(&cdc.Change{Op: cdc.OpRead, Table: m.Table(), After: text}, sinks.Prior{})
		if err != nil {
			t.Fatal(err)
		}
		if !send {
			continue
		}
		fields := make(map[string]json.RawMessage)
		for _, f := range rec.Fields {
			fields[f.Name] = f.Value
		}
		out[sinks.ExactKey(rec.Key.Value)] = fields
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
	files, compiled := readMappings(t), compile(t, conn)
	ts := make(targets)
	for _, c := range checks() {
		f, ok := files[c.name]
		if !ok || f.To != c.app+"/"+c.object {
			t.Fatalf("no mapping file %s to %s/%s", c.name, c.app, c.object)
		}
		ts[f.To] = apply(t, conn, compiled[c.name])
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
