package mapping

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

var opportunities = cdc.Table{Schema: "public", Name: "opportunities"}

func testCatalog() *MemoryCatalog {
	return &MemoryCatalog{
		TargetNames: []string{"crm", "forecast"},
		TableColumns: map[cdc.Table][]Column{
			opportunities: {
				{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "name", Type: "text"}, {Name: "stage", Type: "deal_stage"},
				{Name: "amount", Type: "numeric(12,2)"}, {Name: "quantity", Type: "integer"}, {Name: "custom", Type: "jsonb"},
				{Name: "notes", Type: "text"}, {Name: "Close Date", Type: "date"},
			},
			{Schema: "public", Name: "notes"}: {{Name: "note_id", Type: "bigint", NotNull: true}, {Name: "body", Type: "text"}},
			{Schema: "public", Name: "logs"}:  {{Name: "line", Type: "text"}},
		},
	}
}

func compile(t testing.TB, text string) *Mapping {
	t.Helper()
	f, err := Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(f, testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// badFiles has, for each file with one mistake, the whole error text.
var badFiles = map[string]string{
	"alias":               `m.yml:6:7: when: anchors, aliases, merge keys and tags are not taken here "&"; write the value out, or quote it if it is text`,
	"bad-name":            `m.yml:6:7: name: not a name for a mapping "Opportunities to CRM"; write name: with lower-case letters, digits, - and _ only`,
	"bad-table":           `m.yml:1:7: from: not a table "a.b.c"; write schema.table, such as public.opportunities`,
	"bad-to":              `m.yml:2:5: to: not a target and its object "Opportunity"; write target/object, such as crm/Opportunity`,
	"batch-range":         `m.yml:6:23: coalesce.max_batch: out of range "0"; write a number from 1 to 10000`,
	"batch-type":          `m.yml:6:23: coalesce.max_batch: want a whole number, not a text "200"; write digits only, without quotes`,
	"block-expression":    `m.yml:8:7: fields.Big: unknown column "quantty"; did you mean quantity?`,
	"constant-key":        `m.yml:3:23: key.External_Id__c: the key is the same for every row: "5"; name a column that identifies the record, such as id`,
	"delete-policy":       `m.yml:6:9: delete: unknown delete policy "archve"; did you mean archive?`,
	"delete-set-column":   `m.yml:6:23: delete.set.Stage: not a constant: "stage"; a deleted row has no columns left: write a constant, such as true or '"gone"'`,
	"delete-unknown":      "m.yml:6:9: delete.set: missing; add it, such as set: {IsDeleted: true}\nm.yml:6:10: delete.sett: unknown key \"sett\"; did you mean set?",
	"duration":            `m.yml:6:19: coalesce.quiet: not a duration "200"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"empty":               `m.yml:1:1: the file is empty; a mapping needs from, to, key and fields`,
	"empty-field":         `m.yml:6:11: fields.Amount: no expression; write a column, a constant such as '"text"', or null`,
	"empty-from":          `m.yml:1:6: from: no value; write it, such as public.opportunities`,
	"from-type":           `m.yml:1:7: from: want a text, not a number "5"; put it in quotes`,
	"json-key":            `m.yml:3:23: key.External_Id__c: a json, jsonb or array column cannot be a key: "custom"; name a column of text or numbers`,
	"key-in-fields":       `m.yml:6:19: fields.External_Id__c: the field is already the key "External_Id__c"; take it out of fields`,
	"start":               `m.yml:6:8: start: unknown start "bakfill"; did you mean backfill?`,
	"lane":                `m.yml:6:7: lane: unknown lane "urgnt"; did you mean urgent?`,
	"list":                `m.yml:1:1: want a section of keys, not a list; its keys are name, from, when, to, key, fields, delete, lane, start, coalesce, tests`,
	"list-field":          `m.yml:6:11: fields.Amount: want an expression, not a list; write it as text; quote it if it has a colon, # or braces`,
	"missing-to":          `m.yml:1:1: to: missing; add it, such as to: crm/Opportunity`,
	"near-key":            `m.yml:6:1: wen: unknown key "wen"; did you mean when?`,
	"no-fields":           `m.yml:4:9: fields: no field; write at least one, such as Name: name`,
	"no-identity":         `m.yml:1:7: from: the table has no primary key, nor another replica identity: "public.notes"; run ALTER TABLE public.notes ADD PRIMARY KEY (note_id); or, with a unique index on columns that are NOT NULL, ALTER TABLE public.notes REPLICA IDENTITY USING INDEX notes_note_id_key;`,
	"other-schema":        `m.yml:1:7: from: no such table "sales.opportunities"; did you mean public.opportunities?`,
	"quiet-longer":        `m.yml:6:19: coalesce.quiet: quiet (5s) is longer than max_delay (2s); make max_delay at least as long: it bounds the wait that quiet makes`,
	"repeated-field":      `m.yml:6:3: fields.Name: repeated key "Name"; it is already given in line 5: keep one`,
	"repeated-key":        `m.yml:6:1: to: repeated key "to"; it is already given in line 2: keep one`,
	"section-type":        `m.yml:6:11: coalesce: want a section of keys, not a text; its keys are quiet, max_delay, max_batch`,
	"syntax":              `m.yml:4:1: not YAML: ',' or '}' must be specified; check indentation, quotes and colons here and in the line above`,
	"text-without-quotes": `m.yml:6:11: fields.Source: unknown column "walbridge"; the table has id, name, stage, amount, quantity, custom, notes, Close Date; text is written in quotes: '"walbridge"'`,
	"two-documents":       `m.yml:7:1: a second document; one file holds one document: take out the line ---`,
	"two-keys":            `m.yml:3:27: key.Name: a second key field "Name"; a record has one key; join columns if it needs several, such as 'string(a) + "-" + string(b)'`,
	"type-mismatch":       `m.yml:6:31: fields.Big: a decimal cannot be compared with text; write text in quotes and numbers without; string(x) makes text of a number`,
	"unknown-column":      `m.yml:6:17: fields.Amount: unknown column "amout"; did you mean amount?`,
	"unknown-function":    `m.yml:6:11: fields.Stage: unknown function "uper"; did you mean upper?`,
	"unknown-key":         `m.yml:6:1: filter: unknown key "filter"; known keys are name, from, when, to, key, fields, delete, lane, start, coalesce, tests`,
	"unknown-table":       `m.yml:1:7: from: no such table "public.oportunities"; did you mean public.opportunities?`,
	"unknown-target":      `m.yml:2:5: to: unknown target "crn"; did you mean crm?`,
	"when-not-bool":       `m.yml:6:7: when: the expression gives a decimal, but a boolean is wanted; compare it with something, such as x > 0 or x != nil`,
	"when-syntax":         `m.yml:6:14: when: unexpected token Operator("="); compare with ==`,
}

func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(paths) != len(badFiles) {
		t.Fatalf("%d bad files for %d texts (%v)", len(paths), len(badFiles), err)
	}
	for name, want := range badFiles {
		f, err := Parse("m.yml", read(t, name+".bad.yml"))
		if err == nil {
			_, err = Compile(f, testCatalog())
		}
		var errs Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: got %v, want Errors", name, err)
			continue
		}
		if errs.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", name, errs, want)
		}
		if !strings.Contains(errs.Detail(), "| ") {
			t.Errorf("%s: no excerpt in %s", name, errs.Detail())
		}
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	f, err := Parse("m.yml", []byte("from: notes\nto: nowhere/Note\nkey: {Id: not_id}\nfields: {A: bdy, B: uper(body), C: body > 1}\nwhen: body\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // compiling again does not add to what was found before
		_, err = Compile(f, testCatalog())
		var errs Errors
		if !errors.As(err, &errs) || len(errs) != 7 {
			t.Errorf("want 7 mistakes, got %v", err)
		}
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 || one.Path != "from" || one.Hint == "" {
		t.Errorf("the first mistake is %+v", one)
	}
	_, err = Parse("m.yml", []byte("form: notes\nto: 1\nlane: fast\ncoalesce: {quiet: x, max_batch: y}\n"))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 8 {
		t.Errorf("want 8 mistakes, got %v", err)
	}
}

func TestNoColumnForAKey(t *testing.T) {
	f, err := Parse("m.yml", []byte("from: logs\nto: crm/Log\nkey: {Id: line}\nfields: {A: line}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(f, testCatalog())
	if err == nil || !strings.Contains(err.Error(), "ALTER TABLE public.logs ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;") {
		t.Errorf("got %v", err)
	}
}

func TestFullFile(t *testing.T) {
	f, err := Parse("dir/x.yml", read(t, "full.good.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range f.Fields {
		names = append(names, a.Field)
	}
	if want := []string{"Name", "Amount", "Weighted", "Source__c", "Cleared", "Priority", "CloseDate"}; !reflect.DeepEqual(names, want) {
		t.Errorf("fields %v, want %v", names, want)
	}
	m, err := Compile(f, testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if m.Name() != "opportunities-to-crm" || m.Table() != opportunities || m.Target() != "crm" || m.Object() != "Opportunity" || m.Lane() != cdc.LaneUrgent {
		t.Errorf("got %s %s %s/%s %s", m.Name(), m.Table(), m.Target(), m.Object(), m.Lane())
	}
	if want := (sinks.Coalesce{Quiet: 100 * time.Millisecond, MaxDelay: time.Second, MaxBatch: 50}); m.Coalesce() != want {
		t.Errorf("coalesce %+v, want %+v", m.Coalesce(), want)
	}
}

// An empty section keeps its defaults, and so does an empty value.
func TestMinimalFile(t *testing.T) {
	f, err := Parse("dir/opps_2.yaml", read(t, "minimal.good.yml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(f, testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if m.Name() != "opps_2" || m.Table() != opportunities || m.Lane() != cdc.LaneNormal || m.Coalesce() != DefaultCoalesce() || f.Delete.Action != DeleteRecord || f.When != nil {
		t.Errorf("got %+v", f)
	}
}

func TestCheckTarget(t *testing.T) {
	f, err := Parse("m.yml", read(t, "minimal.good.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckTarget([]string{"crm"}); err != nil {
		t.Error(err)
	}
	if err := f.CheckTarget([]string{"hubspot"}); err == nil || !strings.Contains(err.Error(), "targets in the configuration are hubspot") {
		t.Errorf("got %v", err)
	}
}

func TestLoadGlob(t *testing.T) {
	dir := t.TempDir()
	good := string(read(t, "minimal.good.yml"))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", good)
	write("b.yaml", good)
	files, err := LoadGlob([]string{"a.yaml", "*.yaml"}, dir)
	if err != nil || len(files) != 2 || files[0].Name != "a" || files[1].Name != "b" {
		t.Fatalf("got %v, %v", files, err)
	}
	write("c.yaml", "name: a\n"+good)
	write("d.yaml", "form: x\n")
	_, err = LoadGlob([]string{"*.yaml", "none/*.yaml", "["}, dir)
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		filepath.Join(dir, "c.yaml") + `:1:7: name: the file ` + filepath.Join(dir, "a.yaml") + ` already has the mapping name "a"`,
		filepath.Join(dir, "d.yaml") + `:1:1: form: unknown key "form"; did you mean from?`,
		filepath.Join(dir, "none/*.yaml") + ": no mapping file is here",
		"[: not a pattern",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		f.Add(read(f, filepath.Base(p)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("m.yml", data)
		if err == nil {
			_, err = Compile(file, testCatalog())
		}
		var errs Errors
		if err != nil && (!errors.As(err, &errs) || errs.Detail() == "") {
			t.Fatalf("got %#v, want Errors", err)
		}
	})
}
