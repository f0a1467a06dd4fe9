package trial

import (
	"errors"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
)

// deals is the table of these tests, with a column of every kind.
var deals = []mapping.Column{
	{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "name", Type: "text"}, {Name: "stage", Type: "deal_stage", NotNull: true},
	{Name: "amount", Type: "numeric(12,2)"}, {Name: "exact", Type: "numeric"}, {Name: "small", Type: "smallint"}, {Name: "ratio", Type: "double precision"},
	{Name: "single", Type: "real"}, {Name: "open", Type: "boolean"}, {Name: "custom", Type: "jsonb"}, {Name: "verbatim", Type: "json"},
	{Name: "tags", Type: "text[]"}, {Name: "grid", Type: "integer[]"}, {Name: "prices", Type: "numeric(6,2)[]"}, {Name: "closed", Type: "date"},
	{Name: "seen", Type: "timestamp with time zone"}, {Name: "local", Type: "timestamp(3) without time zone"}, {Name: "code", Type: "character(3)"},
	{Name: "short", Type: "character varying(5)"}, {Name: "ref", Type: "uuid"}, {Name: "extra", Type: "hstore"}, {Name: "place", Type: "address"},
	{Name: "memo", Type: "text"}, {Name: "level", Type: "level", Labels: []string{"low", "high"}},
}

const mappingText = `name: deals-to-crm
from: public.deals
when: stage != 'draft'
to: crm/Opportunity
key: {External_Id__c: id}
fields:
  Name: name
  Amount: amount
  Memo: memo
`

func subject() Subject {
	return Subject{Table: cdc.Table{Schema: "public", Name: "deals"}, Columns: deals, Key: "External_Id__c"}
}

func compile(t testing.TB, text string) *mapping.Mapping {
	t.Helper()
	f, err := mapping.Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping.Compile(f, &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{subject().Table: deals}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parse(t testing.TB, text string) *Suite {
	t.Helper()
	s, err := Parse("m.yaml", []byte(text), subject())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one makes a file with one test out of what is behind its name.
func one(body string) string {
	return mappingText + "tests:\n  - name: x\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\n"
}

// Each test has one mistake, and the text that tells of it.
var badTests = []struct{ name, text, want string }{
	{"not a list", "tests: none\n", `1:8: tests: want a list of tests, not a text "none"; write - name: … below it, then given: and expect:`},
	{"not a test", "tests: [5]\n", `1:9: tests[0]: want a test with its keys, not a number "5"; write - name: … with given: and expect:`},
	{"no name", "tests: [{given: {after: {id: 1}}, expect: none}]\n", `1:9: tests[0].name: missing; add it, such as name: a won deal`},
	{"name of lines", "tests: [{name: \"a\\nb\", given: {after: {id: 1}}, expect: none}]\n", `1:16: tests[0].name: a name of several lines "a\nb"; write it in one line`},
	{"no given", "tests: [{name: x, expect: none}]\n", `1:9: tests[0].given: missing; add it, such as given: {after: {id: 1}}`},
	{"same name", "tests: [{name: x, given: {after: {id: 1}}}, {name: x, given: {after: {id: 1}}}]\n", `1:52: tests[1].name: the test in line 1 already has the name "x"; give one of the two another name`},
	{"unknown key", one("given: {after: {id: 1}}\nexpct: none"), `13:5: tests[0].expct: unknown key "expct"; did you mean expect?`},
	{"unknown key of given", one("given: {aftr: {id: 1}, after: {id: 1}}"), `12:13: tests[0].given.aftr: unknown key "aftr"; did you mean after?`},
	{"given is no map", one("given: 5"), `12:12: tests[0].given: want a section of keys, not a number; its keys are op, before, after, absent, delivered`},
	{"unknown op", one("given: {op: updat, after: {id: 1}}"), `12:17: tests[0].given.op: unknown kind of change "updat"; did you mean update?`},
	{"truncate", one("given: {op: truncate, after: {id: 1}}"), `12:17: tests[0].given.op: unknown kind of change "truncate"; write one of create, update, delete, read`},
	{"no after", one("given: {op: update, before: {id: 1}}"), `12:12: tests[0].given.after: missing; add it, such as after: {id: 1, name: Acme}`},
	{"no before", one("given: {op: delete}"), `12:12: tests[0].given.before: missing; add it, such as before: {id: 1}`},
	{"delete with after", one("given: {op: delete, before: {id: 1}, after: {id: 1}}"), `12:49: tests[0].given.after: a deleted row has no after; take it out; what is known of the row goes to before`},
	{"delete with absent", one("given: {op: delete, before: {id: 1}, absent: [memo]}"), `12:50: tests[0].given.absent: a delete has no absent columns; take it out: before has only what is written there`},
	{"create with before", one("given: {before: {id: 1}, after: {id: 1}}"), `12:21: tests[0].given.before: only an update or a delete has a row before it; take it out, or write op: update`},
	{"read with absent", one("given: {op: read, after: {id: 1}, absent: [memo]}"), `12:47: tests[0].given.absent: a row that a backfill reads has no absent columns; take it out, or write op: update`},
	{"after is no map", one("given: {after: [1]}"), `12:20: tests[0].given.after: want columns with their values, not a list; write {id: 1, name: Acme}`},
	{"unknown column", one("given: {after: {id: 1, nmae: x}}"), `12:28: tests[0].given.after.nmae: unknown column "nmae"; did you mean name?`},
	{"key missing", one("given: {after: {name: x}}"), `12:20: tests[0].given.after: a column of the table's key is missing: "id"; add it, such as id: 1`},
	{"key null", one("given: {after: {id: null}}"), `12:25: tests[0].given.after.id: the column is NOT NULL, and never null: "id"; give it a value, or leave it out where the test does not need it`},
	{"key changed", one("given: {op: update, before: {id: 2}, after: {id: 1}}"), `12:38: tests[0].given.before.id: an update does not change the table's key: "id"; a changed key comes as the delete of the old row and the create of the new one: write two tests`},
	{"absent is no list", one("given: {op: update, after: {id: 1}, absent: memo}"), `12:49: tests[0].given.absent: want a list of columns, not a text "memo"; write [memo]`},
	{"absent unknown", one("given: {op: update, after: {id: 1}, absent: [mem]}"), `12:50: tests[0].given.absent[0]: unknown column "mem"; did you mean memo?`},
	{"absent twice", one("given: {op: update, after: {id: 1}, absent: [memo, memo]}"), `12:56: tests[0].given.absent[1]: the column is named twice "memo"; name it once`},
	{"absent and given", one("given: {op: update, after: {id: 1, memo: x}, absent: [memo]}"), `12:59: tests[0].given.absent[0]: the column is in after too, and so is not absent: "memo"; take it out of one of the two`},
	{"absent key", one("given: {op: update, after: {id: 1}, absent: [id]}"), `12:50: tests[0].given.absent[0]: the column is in after too, and so is not absent: "id"; take it out of one of the two`},
	{"delivered text", one("given: {after: {id: 1}, delivered: soon}"), `12:40: tests[0].given.delivered: want true, false, or the target's key, not a text "soon"; write true, or {External_Id__c: …}`},
	{"delivered other field", one("given: {after: {id: 1}, delivered: {Id: 1}}"), `12:41: tests[0].given.delivered.Id: not the key field of the mapping "Id"; write {External_Id__c: …}`},
	{"delivered null", one("given: {after: {id: 1}, delivered: {External_Id__c: null}}"), `12:57: tests[0].given.delivered.External_Id__c: a record's key is never null; write its value, or delivered: false`},
	{"number for text", one("given: {after: {id: 1, name: 5}}"), `12:34: tests[0].given.after.name: want a text for a column of type text, not a number "5"; quote it: "5"`},
	{"long number for text", one("given: {after: {id: 1, name: 123456789012345678901234567890}}"), `12:34: tests[0].given.after.name: want a text for a column of type text, not a number "123456789012345678901234567890"; quote it: "123456789012345678901234567890"`},
	{"boolean for text", one("given: {after: {id: 1, name: true}}"), `12:34: tests[0].given.after.name: want a text for a column of type text, not a boolean "true"; quote it: "true"`},
	{"map for text", one("given: {after: {id: 1, name: {a: b}}}"), `12:34: tests[0].given.after.name: want a text for a column of type text, not a section of keys; write a text`},
	{"text for a number", one("given: {after: {id: \"1\"}}"), `12:25: tests[0].given.after.id: want a whole number for a column of type bigint, not a text "1"; write digits only, without quotes`},
	{"fraction for an integer", one("given: {after: {id: 1.5}}"), `12:25: tests[0].given.after.id: want a whole number for a column of type bigint, not a number "1.5"; write digits only, without quotes`},
	{"too large", one("given: {after: {id: 1, small: 32768}}"), `12:35: tests[0].given.after.small: out of the range of smallint "32768"; it goes from -32768 to 32767`},
	{"too large for bigint", one("given: {after: {id: 9223372036854775808}}"), `12:25: tests[0].given.after.id: out of the range of bigint "9223372036854775808"; it goes from -9223372036854775808 to 9223372036854775807`},
	{"too exact", one("given: {after: {id: 1, amount: 1.005}}"), `12:36: tests[0].given.after.amount: numeric(12,2) has 2 digits behind the point: "1.005"; round it: the database would`},
	{"too long", one("given: {after: {id: 1, amount: 12345678901}}"), `12:36: tests[0].given.after.amount: numeric(12,2) has 10 digits before the point: "12345678901"; write a value that the column can have`},
	{"text for a decimal", one("given: {after: {id: 1, amount: lots}}"), `12:36: tests[0].given.after.amount: want a number for a column of type numeric(12,2), not a text "lots"; write it as 12.50, without quotes, or NaN, Infinity, -Infinity`},
	{"octal", one("given: {after: {id: 1, exact: 007}}"), `12:35: tests[0].given.after.exact: want a number for a column of type numeric, not a number "007"; write it as 12.50, without quotes, or NaN, Infinity, -Infinity`},
	{"huge exponent", one("given: {after: {id: 1, exact: 1e999999999}}"), `12:35: tests[0].given.after.exact: more digits than can be calculated with "1e999999999"; write a shorter number`},
	{"huge float", one("given: {after: {id: 1, ratio: 1e400}}"), `12:35: tests[0].given.after.ratio: out of the range of double precision "1e400"; write a value that the column can have`},
	{"yes", one("given: {after: {id: 1, open: yes}}"), `12:34: tests[0].given.after.open: want true or false for a column of type boolean, not a text "yes"; write true or false, without quotes`},
	{"no list", one("given: {after: {id: 1, tags: x}}"), `12:34: tests[0].given.after.tags: want a list for a column of type text[], not a text "x"; write [a, b]`},
	{"number in a list of text", one("given: {after: {id: 1, tags: [a, 5]}}"), `12:38: tests[0].given.after.tags[1]: want a text for a column of type text[], not a number "5"; quote it: "5"`},
	{"strange number in json", one("given: {after: {id: 1, custom: {a: 0x1f}}}"), `12:40: tests[0].given.after.custom.a: not a number as JSON has it: "0x1f"; write it as 12.50, or quote it if it is text`},
	{"date", one("given: {after: {id: 1, closed: 31.1.2026}}"), `12:36: tests[0].given.after.closed: not a date as the database gives it: "31.1.2026"; write it as 2026-01-31`},
	{"no such day", one("given: {after: {id: 1, closed: 2026-02-30}}"), `12:36: tests[0].given.after.closed: not a date as the database gives it: "2026-02-30"; write it as 2026-01-31`},
	{"no such hour", one("given: {after: {id: 1, seen: \"2026-02-03T25:00:00+00:00\"}}"), `12:34: tests[0].given.after.seen: not a timestamp as the database gives it: "2026-02-03T25:00:00+00:00"; write it as "2026-01-31T10:00:00+00:00"`},
	{"zone", one("given: {after: {id: 1, seen: \"2026-01-31 10:00:00+02\"}}"), `12:34: tests[0].given.after.seen: not a timestamp as the database gives it: "2026-01-31 10:00:00+02"; write "2026-01-31T08:00:00+00:00": times come in UTC`},
	{"no time", one("given: {after: {id: 1, local: today}}"), `12:35: tests[0].given.after.local: not a timestamp as the database gives it: "today"; write it as "2026-01-31T10:00:00"`},
	{"uuid", one("given: {after: {id: 1, ref: ABC}}"), `12:33: tests[0].given.after.ref: not a uuid as the database gives it: "ABC"; write lower-case digits in groups, as 7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11`},
	{"long text", one("given: {after: {id: 1, short: abcdef}}"), `12:35: tests[0].given.after.short: a text of 6 characters is too long for character varying(5): "abcdef"; write a value that the column can have`},
	{"label", one("given: {after: {id: 1, level: hihg}}"), `12:35: tests[0].given.after.level: the enum has no such label: "hihg"; did you mean high?`},
	{"null", one("given: {after: {id: 1, stage: null}}"), `12:35: tests[0].given.after.stage: the column is NOT NULL, and never null: "stage"; give it a value, or leave it out where the test does not need it`},
	{"hstore", one("given: {after: {id: 1, extra: [1]}}"), `12:35: tests[0].given.after.extra: want keys with their texts for a column of type hstore, not a list; write {a: x, b: null}`},
	{"expect text", one("given: {after: {id: 1}}\nexpect: nothing"), `13:13: tests[0].expect: not an outcome "nothing"; write none, {key: …, fields: …}, {error: …} or {unresolved: […]}`},
	{"error and record", one("given: {after: {id: 1}}\nexpect: {error: x, key: {External_Id__c: 1}}"), `13:24: tests[0].expect.key: error stands alone, without "key"; take one of the two out`},
	{"both none and record", one("given: {after: {id: 1}}\nexpect: {op: none, fields: {A: 1}}"), `13:18: tests[0].expect.op: unknown operation "none"; write expect: none`},
	{"unknown operation", one("given: {after: {id: 1}}\nexpect: {op: upsrt, fields: {A: 1}}"), `13:18: tests[0].expect.op: unknown operation "upsrt"; did you mean upsert?`},
	{"empty error", one("given: {after: {id: 1}}\nexpect: {error: }"), `13:20: tests[0].expect.error: no value; write it, such as Name`},
	{"error of no text", one("given: {after: {id: 1}}\nexpect: {error: 5}"), `13:21: tests[0].expect.error: want a text, not a number "5"; put it in quotes`},
	{"unresolved column", one("given: {after: {id: 1}}\nexpect: {unresolved: [mem]}"), `13:27: tests[0].expect.unresolved[0]: unknown column "mem"; did you mean memo?`},
	{"no fields", one("given: {after: {id: 1}}\nexpect: {key: {External_Id__c: 1}}"), `13:13: tests[0].expect.fields: missing; add it, such as fields: {Name: Acme}`},
	{"fields of a delete", one("given: {after: {id: 1}}\nexpect: {op: delete, fields: {A: 1}}"), `13:34: tests[0].expect.fields: no fields are sent with "delete"; take them out`},
	{"fields is no map", one("given: {after: {id: 1}}\nexpect: {fields: 5}"), `13:22: tests[0].expect.fields: want target fields with their values, not a number "5"; write {Name: Acme}`},
	{"two keys", one("given: {after: {id: 1}}\nexpect: {key: {A: 1, B: 2}, fields: {A: 1}}"), `13:19: tests[0].expect.key: a record has one key field; write {External_Id__c: 1}`},
	{"strange number expected", one("given: {after: {id: 1}}\nexpect: {fields: {A: +5}}"), `13:26: tests[0].expect.fields.A: not a number as JSON has it: "+5"; write it as 12.50, or quote it if it is text`},
	{"unknown key of expect", one("given: {after: {id: 1}}\nexpect: {fields: {A: 1}, feilds: {A: 1}}"), `13:30: tests[0].expect.feilds: unknown key "feilds"; did you mean fields?`},
}

func TestBadTests(t *testing.T) {
	for _, c := range badTests {
		_, err := Parse("m.yaml", []byte(c.text), subject())
		var errs mapping.Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		if got := errs.Error(); got != "m.yaml:"+c.want {
			t.Errorf("%s:\n got %s\nwant m.yaml:%s", c.name, got, c.want)
		}
		if !strings.Contains(errs.Detail(), "^") {
			t.Errorf("%s: no excerpt", c.name)
		}
	}
}

// All mistakes of a file's tests are told at once, and YAML's by who reads the
// rest.
func TestAllMistakesOfTests(t *testing.T) {
	_, err := Parse("m.yaml", []byte("tests:\n- {name: 5, given: {op: x, after: {idd: 1, name: 2}}, expect: {error: 1}}\n- 7\n"), subject())
	var errs mapping.Errors
	if !errors.As(err, &errs) || len(errs) != 7 {
		t.Errorf("want 7 mistakes, got %v", err)
	}
	if _, err := Parse("m.yaml", []byte("tests: ["), subject()); err == nil {
		t.Error("bad YAML was read")
	}
	for _, none := range []string{"", "name: x\n", "tests:\n", "tests: []\n"} {
		if s, err := Parse("m.yaml", []byte(none), subject()); err != nil || len(s.Cases) != 0 {
			t.Errorf("%q: %v", none, err)
		}
	}
}
