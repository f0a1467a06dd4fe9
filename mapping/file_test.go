package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
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
		Others:      map[cdc.Table]string{{Schema: "public", Name: "won"}: "a view"},
		TableColumns: map[cdc.Table][]Column{
			opportunities: {
				{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "name", Type: "text"}, {Name: "stage", Type: "deal_stage"},
				{Name: "amount", Type: "numeric(12,2)"}, {Name: "quantity", Type: "integer"}, {Name: "custom", Type: "jsonb"},
				{Name: "notes", Type: "text"}, {Name: "Close Date", Type: "date"}, {Name: "closed_at", Type: "timestamp with time zone"},
				{Name: "active", Type: "boolean"}, {Name: "tags", Type: "text[]"}, {Name: "account_id", Type: "bigint"},
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
	"absent-environment":   `m.yml:6:19: fields.Region.const: the environment variable is not set: "WALBRIDGE_NOT_SET"; set it, or write ${WALBRIDGE_NOT_SET:-default}`,
	"bad-pattern":          "m.yml:6:23: fields.Code: not a regular expression (missing closing ]: `[0-9`): \"[0-9\"; patterns are RE2's: github.com/google/re2/wiki/Syntax; a backslash is doubled within quotes",
	"bad-time-zone":        `m.yml:6:24: fields.Day: unknown time zone "Europe/Berln"; write a name of the tz database, such as 'Europe/Berlin'`,
	"bool-arithmetic":      `m.yml:6:13: fields.X: a boolean cannot be calculated with by "+"`,
	"clock":                `m.yml:6:11: fields.Synced: unknown function "now"; there is no clock, so that a replay gives the same: take a column such as updated_at`,
	"coalesce-key":         `m.yml:6:12: coalesce.quit: unknown key "quit"; did you mean quiet?`,
	"colon":                `m.yml:6:6: not YAML: mapping value is not allowed in this context; a value with a colon in it, such as a ? b : c, must be in quotes as a whole, or in lines of its own below a |`,
	"const-list":           `m.yml:6:17: fields.Tags.const: want a constant, not a list; write a text, a number, true, false or null`,
	"const-number":         `m.yml:6:17: fields.Code.const: not a plain number "0x1F"; write digits and a point only, or quote it if it is text`,
	"currency":             `m.yml:6:30: fields.Cents: not a currency's code of three letters: "EURO"; write a code of ISO 4217, such as 'EUR'`,
	"date-arithmetic":      `m.yml:6:26: fields.Due: a date cannot be calculated with by "+"; write add_days(d, 30), add_months(d, 1) or days_between(a, b)`,
	"date-compare":         `m.yml:6:29: fields.Late: not a date: "31.01.2026"; write it as '2026-01-31'`,
	"date-format":          `m.yml:6:39: fields.Day: unknown in a pattern for dates: "dd"; write YYYY-MM-DD, HH24:MI and their like; put other words in double quotes`,
	"date-needs-no-clock":  `m.yml:6:39: fields.Day: a date has no time of day: "HH24:MI"; take the letters for hours, minutes and seconds out`,
	"delete-set-key":       `m.yml:6:16: delete.set.External_Id__c: the key cannot be set "External_Id__c"; take it out of set`,
	"delete-set-write":     `m.yml:6:16: delete.set.Gone: write has no meaning here "Gone"; take it out: these fields are sent once, when the row is gone`,
	"delete-type":          `m.yml:6:9: delete: unknown delete policy "5"; write delete, archive, ignore, or {set: {IsDeleted: true}}`,
	"description-type":     `m.yml:6:14: description: want a text, not a number "2026"; put it in quotes`,
	"different-types":      `m.yml:6:29: fields.X: the two sides of : have different types, a decimal and text; make text of one with string(x)`,
	"division-by-zero":     `m.yml:6:8: fields.X: division by zero; test the divisor first, such as x == 0 ? nil : y / x`,
	"double-from":          `m.yml:1:7: from: no such table "public.\"opportunities, notes\""; check the schema and the name, and that walbridge's user may see the table`,
	"environment-in-lane":  `m.yml:7:13: lane[0].urgent: the environment is not known here: "env"; write the value out`,
	"field-both":           `m.yml:6:27: fields.X.const: both value and const; keep one of them`,
	"field-key":            "m.yml:6:6: fields.X: no value; write value: with an expression, or const: with a constant\nm.yml:6:7: fields.X.valu: unknown key \"valu\"; did you mean value?",
	"field-none":           `m.yml:6:6: fields.X: no value; write value: with an expression, or const: with a constant`,
	"fiscal-month":         `m.yml:6:40: fields.Q: it must be a number from 1 to 12, written out, in "fiscal_quarter"; write fiscal_quarter(x, 2)`,
	"json-compare":         `m.yml:6:9: fields.Gold: a JSON value cannot be calculated with: "custom.tier"; say what it holds: string(custom.tier), int(…), decimal(…) or bool(…); or send it as it is, as a field of its own`,
	"key-constant-section": `m.yml:3:31: key.External_Id__c.const: the key is the same for every row: "a"; name a column that identifies the record, such as id`,
	"key-write":            `m.yml:3:23: key.External_Id__c: a key is sent with every record; take write: out`,
	"lane-constant":        `m.yml:7:13: lane[0].urgent: the condition is the same for every row: "1 > 0"; name a column, or write the lane alone`,
	"lane-early":           `m.yml:7:5: lane[0]: a lane without a condition before the end "urgent"; what stands behind it never holds: make it the last`,
	"lane-empty":           `m.yml:6:7: lane: no rule; write - urgent: amount > 100000, or a lane such as urgent`,
	"lane-rule-form":       `m.yml:7:5: lane[0]: not a rule for a lane; write - urgent: amount > 100000, and at the end a lane alone`,
	"lane-rule-lane":       `m.yml:7:5: lane[0].urgnt: unknown lane "urgnt"; did you mean urgent?`,
	"lane-rule-type":       `m.yml:7:13: lane[0].urgent: the expression gives a decimal, but a boolean is wanted; compare it with something, such as x > 0 or x != nil`,
	"list-compare":         `m.yml:6:6: fields.X: a list cannot be compared: "tags"; write 'a' in tags, or compare an item such as tags[0]`,
	"map-default":          `m.yml:6:30: fields.X: the values of the map have different types, a whole number and text; make text of one with string(x)`,
	"map-key-type":         `m.yml:6:22: fields.X: a key of the map is text, but the first argument is a whole number, in "map"; write the keys as the first argument's type has them`,
	"map-twice":            `m.yml:6:29: fields.X: the key is there twice: "won"; keep one of them`,
	"negative-duration":    `m.yml:6:6: slo: a duration below zero "-5s"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"nested-list":          `m.yml:6:6: fields.X: want an expression, not a list; write it as text; quote it if it has a colon, # or braces`,
	"no-argument":          `m.yml:6:6: fields.X: wrong number of arguments, 0, for "trim"; write trim(x)`,
	"number-in-text":       `m.yml:6:7: name: want a text, not a number "5"; put it in quotes`,
	"open-bracket":         `m.yml:6:15: fields.X: unexpected token EOF; something is missing at the end; within braces { } a comma ends a value that is not in quotes`,
	"open-quote":           `m.yml:6:16: fields.X: literal not terminated; close the quote`,
	"phone-country":        `m.yml:6:18: fields.P: not a country's code of two letters: "Austria"; write a code of ISO 3166, such as 'DE'`,
	"ref-alone":            `m.yml:6:21: fields.Account: a reference stands alone, not within another expression: "ref"; make it a field of its own; a key that is null gives null`,
	"ref-unknown":          `m.yml:6:16: fields.Account: unknown mapping "acounts"; mappings are m`,
	"ref-without-key":      `m.yml:6:12: fields.Account: wrong number of arguments, 1, for "ref"; write ref('accounts-to-crm', account_id)`,
	"round-mode":           `m.yml:6:23: fields.X: unknown word for round: "bankers"; known are half_up, half_even, half_down, up, down, ceiling, floor`,
	"round-scale":          `m.yml:6:20: fields.X: it must be a number from 0 to 30, written out, in "round"; write round(x), round(x, 2), round(x, 2, 'half_even')`,
	"slo-quiet":            `m.yml:6:6: slo: slo (100ms) can never be met: every change waits for coalesce.quiet (200ms); make coalesce.quiet shorter, or slo longer`,
	"slo-type":             `m.yml:6:6: slo: not a duration "fast"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"slo-zero":             `m.yml:6:6: slo: out of range "0s"; write how long a change may take from its commit to the target, such as 5s`,
	"sql-and":              `m.yml:6:19: when: unexpected token Identifier("AND"); write && or ||`,
	"sql-is-null":          `m.yml:6:12: when: unexpected token Identifier("IS"); write x == nil or x != nil`,
	"sql-not-equal":        `m.yml:6:15: when: unexpected token Operator(">"); write != for not equal`,
	"tab":                  `m.yml:6:1: not YAML: found character '	' that cannot start any token; check indentation, quotes and colons here and in the line above`,
	"tag":                  `m.yml:6:6: fields.X: anchors, aliases, merge keys and tags are not taken here "!!str"; write the value out, or quote it if it is text`,
	"text-function":        `m.yml:6:12: fields.X: the function needs text, not a decimal: "upper"; string(x) makes text of it`,
	"truncate-literal":     `m.yml:6:21: fields.X: it must be a number from 0 to 100000, written out, in "truncate"; write truncate(x, 80), truncate(x, 80, '…')`,
	"use-missing":          `m.yml:6:7: use[0]: the file cannot be read (no such file or directory): "shared/nothing.yaml"; the path is relative to this file`,
	"use-type":             `m.yml:6:6: use: want a list of files, not a text "shared/a.yaml"; write [shared/audit.yaml]`,
	"whole-number":         `m.yml:6:35: fields.X: a whole number of more than 64 bits; write it with a point, such as 10000000000000000000.0`,
	"write-type":           `m.yml:6:27: fields.X.write: want a text, not a boolean "true"; put it in quotes`,
	"write":                `m.yml:6:27: fields.X.write: unknown way of writing "if_change"; did you mean if_changed?`,
	"alias":                `m.yml:6:7: when: anchors, aliases, merge keys and tags are not taken here "&"; write the value out, or quote it if it is text`,
	"bad-name":             `m.yml:6:7: name: not a name for a mapping "Opportunities to CRM"; write name: with lower-case letters, digits, - and _ only`,
	"bad-table":            `m.yml:1:7: from: not a table "a.b.c"; write schema.table, such as public.opportunities`,
	"bad-to":               `m.yml:2:5: to: not a target and its object "Opportunity"; write target/object, such as crm/Opportunity`,
	"batch-range":          `m.yml:6:23: coalesce.max_batch: out of range "0"; write a number from 1 to 10000`,
	"batch-type":           `m.yml:6:23: coalesce.max_batch: want a whole number, not a text "200"; write digits only, without quotes`,
	"block-expression":     `m.yml:8:7: fields.Big: unknown column "quantty"; did you mean quantity?`,
	"constant-key":         `m.yml:3:23: key.External_Id__c: the key is the same for every row: "5"; name a column that identifies the record, such as id`,
	"delete-policy":        `m.yml:6:9: delete: unknown delete policy "archve"; did you mean archive?`,
	"delete-set-column":    `m.yml:6:23: delete.set.Stage: not a constant: "stage"; a deleted row has no columns left: write a constant, such as true or '"gone"'`,
	"delete-unknown":       "m.yml:6:9: delete.set: missing; add it, such as set: {IsDeleted: true}\nm.yml:6:10: delete.sett: unknown key \"sett\"; did you mean set?",
	"duration":             `m.yml:6:19: coalesce.quiet: not a duration "200"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"empty":                `m.yml:1:1: the file is empty; a mapping needs from, to, key and fields`,
	"empty-field":          `m.yml:6:11: fields.Amount: no expression; write a column, a constant such as '"text"', or null`,
	"empty-from":           `m.yml:1:6: from: no value; write it, such as public.opportunities`,
	"from-type":            `m.yml:1:7: from: want a text, not a number "5"; put it in quotes`,
	"json-key":             `m.yml:3:23: key.External_Id__c: a json, jsonb or array column cannot be a key: "custom"; name a column of text or numbers`,
	"key-in-fields":        `m.yml:6:3: fields.External_Id__c: the field is already the key "External_Id__c"; take it out of fields`,
	"start":                `m.yml:6:8: start: unknown start "bakfill"; did you mean backfill?`,
	"lane":                 `m.yml:6:7: lane: unknown lane "urgnt"; did you mean urgent?`,
	"list":                 `m.yml:1:1: want a section of keys, not a list; its keys are name, description, from, when, to, key, use, fields, delete, lane, start, coalesce, slo, tests`,
	"list-field":           `m.yml:6:11: fields.Amount: want an expression, not a list; write it as text; quote it if it has a colon, # or braces`,
	"missing-to":           `m.yml:1:1: to: missing; add it, such as to: crm/Opportunity`,
	"near-key":             `m.yml:6:1: wen: unknown key "wen"; did you mean when?`,
	"no-fields":            `m.yml:4:9: fields: no field; write at least one, such as Name: name`,
	"no-identity":          `m.yml:1:7: from: the table has no primary key, nor another replica identity: "public.notes"; run ALTER TABLE public.notes ADD PRIMARY KEY (note_id); or, with a unique index on columns that are NOT NULL, ALTER TABLE public.notes REPLICA IDENTITY USING INDEX notes_note_id_key;`,
	"other-schema":         `m.yml:1:7: from: no such table "sales.opportunities"; did you mean public.opportunities?`,
	"quiet-longer":         `m.yml:6:19: coalesce.quiet: quiet (5s) is longer than max_delay (2s); make max_delay at least as long: it bounds the wait that quiet makes`,
	"repeated-field":       `m.yml:6:3: fields.Name: repeated key "Name"; it is already given in line 5: keep one`,
	"repeated-key":         `m.yml:6:1: to: repeated key "to"; it is already given in line 2: keep one`,
	"section-type":         `m.yml:6:11: coalesce: want a section of keys, not a text; its keys are quiet, max_delay, max_batch`,
	"syntax":               `m.yml:4:1: not YAML: ',' or '}' must be specified; check indentation, quotes and colons here and in the line above`,
	"text-without-quotes":  `m.yml:6:11: fields.Source: unknown column "walbridge"; the table has id, name, stage, amount, quantity, custom, notes, Close Date, closed_at, active, tags, account_id; text is written in quotes: '"walbridge"'`,
	"two-documents":        `m.yml:6:1: a second document; one file holds one document: take out the line ---`,
	"two-keys":             `m.yml:3:27: key.Name: a second key field "Name"; a record has one key; join columns if it needs several, such as 'string(a) + "-" + string(b)'`,
	"type-mismatch":        `m.yml:6:31: fields.Big: a decimal cannot be compared with text; write text in quotes and numbers without; string(x) makes text of a number`,
	"unknown-column":       `m.yml:6:17: fields.Amount: unknown column "amout"; did you mean amount?`,
	"unknown-function":     `m.yml:6:11: fields.Stage: unknown function "uper"; did you mean upper?`,
	"unknown-key":          `m.yml:6:1: filter: unknown key "filter"; known keys are name, description, from, when, to, key, use, fields, delete, lane, start, coalesce, slo, tests`,
	"unknown-table":        `m.yml:1:7: from: no such table "public.oportunities"; did you mean public.opportunities?`,
	"unknown-target":       `m.yml:2:5: to: unknown target "crn"; did you mean crm?`,
	"view":                 `m.yml:1:7: from: it is a view, of which there are no changes to capture "public.won"; map the tables that it is made of, one mapping for each`,
	"when-not-bool":        `m.yml:6:7: when: the expression gives a decimal, but a boolean is wanted; compare it with something, such as x > 0 or x != nil`,
	"when-syntax":          `m.yml:6:14: when: unexpected token Operator("="); compare with ==`,
}

func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(paths) != len(badFiles) {
		t.Fatalf("%d bad files for %d texts (%v)", len(paths), len(badFiles), err)
	}
	for name, want := range badFiles {
		f, err := Parse("m.yml", read(t, name+".bad.yml"))
		if f != nil {
			var more error
			_, more = Compile(f, testCatalog())
			err = Join(err, more)
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
	if each, eachErr := LoadEach([]string{"a.yaml", "d.yaml"}, dir); len(each) != 2 || each[0].Name != "a" || eachErr == nil {
		t.Errorf("beside a file with a mistake: got %v, %v", each, eachErr)
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

const fuzzRow = `{"id":7,"name":"Ada","stage":"won","amount":12.50,"quantity":3,"custom":{"a":[1]},"notes":null,"Close Date":"2026-01-31","closed_at":"2026-01-31T10:00:00+00:00","active":true,"tags":["a",null],"account_id":5}`

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		f.Add(read(f, filepath.Base(p)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// What takes seconds at a few kilobytes has no bound.
		defer time.AfterFunc(8*time.Second, func() { panic(fmt.Sprintf("it takes too long: %q", data)) }).Stop()
		file, err := loader(nil, nil).Parse("m.yml", data)
		var m *Mapping
		if file != nil {
			var more error
			m, more = Compile(file, testCatalog())
			err = Join(err, more)
		}
		var errs Errors
		if err != nil && (!errors.As(err, &errs) || errs.Detail() == "") {
			t.Fatalf("got %#v, want Errors", err)
		}
		if err != nil {
			return
		}
		for _, prior := range []sinks.Prior{{}, {Live: true, Sent: "x"}} {
			rec, send, err := m.Map(upsert(fuzzRow), prior)
			for _, f := range rec.Fields {
				if err == nil && send && !json.Valid(f.Value) {
					t.Fatalf("field %s is %q, which is not JSON", f.Name, f.Value)
				}
			}
		}
		rules, err := LaneRules([]*Mapping{m})
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := rules[opportunities]; ok {
			lane, err := CompileLaneRules(text)
			if err != nil || lane(fuzzRow) == "" {
				t.Fatalf("the rules %s: %v", text, err)
			}
		}
	})
}
