package trial

import (
	"reflect"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// Values become the JSON that the capture has of them.
func TestValues(t *testing.T) {
	for _, c := range []struct{ column, yaml, want string }{
		{"name", "Acme", `"Acme"`},
		{"name", `"a\"b\nü <&>"`, `"a\"b\nü <&>"`},
		{"name", `"5"`, `"5"`},
		{"name", "2026-01-31", `"2026-01-31"`},
		{"name", "null", "null"},
		{"name", "", "null"},
		{"stage", "won", `"won"`},
		{"amount", "100.00", "100.00"},
		{"amount", "100", "100.00"},
		{"amount", "1.5e1", "15.00"},
		{"amount", "-0", "0.00"},
		{"amount", ".NaN", ""}, // below: no value
		{"amount", "NaN", `"NaN"`},
		{"exact", "100.0", "100.0"},
		{"exact", "0.00", "0.00"},
		{"exact", "-0.05", "-0.05"},
		{"exact", "1e21", "1000000000000000000000"},
		{"exact", "12e-3", "0.012"},
		{"exact", "123456789012345678901234567890.5", "123456789012345678901234567890.5"},
		{"exact", "-Infinity", `"-Infinity"`},
		{"small", "-32768", "-32768"},
		{"ratio", "100.00", "100"},
		{"ratio", "0.1", "0.1"},
		{"single", "0.1", "0.1"},
		{"open", "true", "true"},
		{"open", "False", "false"},
		{"custom", "{list: [1, 1.50, x, null], a: {ok: true}, b: 1e2}", `{"a": {"ok": true}, "b": 100, "list": [1, 1.50, "x", null]}`},
		{"custom", `'{"a": 1}'`, `"{\"a\": 1}"`},
		{"custom", "5", "5"},
		{"verbatim", `{list: [1e2], a: "5"}`, `{"list":[1e2],"a":"5"}`},
		{"tags", "[a, null, \"5\"]", `["a",null,"5"]`},
		{"grid", "[[1, 2], [3, null]]", "[[1,2],[3,null]]"},
		{"prices", "[1, 2.5]", "[1.00,2.50]"},
		{"closed", "2026-01-31", `"2026-01-31"`},
		{"closed", "infinity", `"infinity"`},
		{"seen", `"2026-01-31T10:00:00.5+00:00"`, `"2026-01-31T10:00:00.5+00:00"`},
		{"local", "2026-01-31T10:00:00", `"2026-01-31T10:00:00"`},
		{"code", "ab", `"ab "`},
		{"short", "abcde", `"abcde"`},
		{"extra", "{a: x, b: null}", `{"a":"x","b":null}`},
		{"place", "{street: Main, no: 5}", `{"street":"Main","no":5}`},
		{"place", "north", `"north"`},
	} {
		text := one("given: {after: {id: 1, " + c.column + ": " + c.yaml + "}}")
		s, err := Parse("m.yaml", []byte(text), subject())
		if c.want == "" {
			if err == nil {
				t.Errorf("%s %s was taken", c.column, c.yaml)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", c.column, c.yaml, err)
			continue
		}
		after, err := cdc.ParseRow(s.Cases[0].change.After)
		if got := after.Get(c.column).JSON(); err != nil || got != c.want {
			t.Errorf("%s %s: got %s, want %s (%v)", c.column, c.yaml, got, c.want, err)
		}
	}
}

// A change has what the test names, in the order of the table, and null for what
// it does not.
func TestChanges(t *testing.T) {
	text := mappingText + `tests:
  - name: create
    given: {after: {name: Acme, id: 7}}
  - name: update
    given: {op: update, before: {name: Old, id: 7}, after: {id: 7, name: New}, absent: [memo, custom]}
  - name: delete
    given: {op: delete, before: {id: 7}}
`
	const rest = `"stage":null,"amount":null,"exact":null,"small":null,"ratio":null,"single":null,"open":null,`
	const more = `"verbatim":null,"tags":null,"grid":null,"prices":null,"closed":null,"seen":null,"local":null,"code":null,"short":null,"ref":null,"extra":null,"place":null`
	const level = `,"level":null}`
	want := []cdc.Change{
		{Op: cdc.OpCreate, After: `{"id":7,"name":"Acme",` + rest + `"custom":null,` + more + `,"memo":null` + level},
		{Op: cdc.OpUpdate, After: `{"id":7,"name":"New",` + rest + more + level, Before: `{"id":7,"name":"Old"}`, Absent: []string{"custom", "memo"}},
		{Op: cdc.OpDelete, Before: `{"id":7}`},
	}
	for i, c := range parse(t, text).Cases {
		w := want[i]
		w.Table, w.Key, w.Position = subject().Table, `{"id":7}`, cdc.Position{LSN: 1}
		if !reflect.DeepEqual(c.change, w) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.Name, c.change, w)
		}
	}
}

// A type is told by what format_type says of it, or by its other names.
func TestTypes(t *testing.T) {
	for text, want := range map[string]columnType{
		"numeric(12,2)":                  {base: "numeric", mods: []int{12, 2}},
		"numeric(12,2)[]":                {base: "numeric", mods: []int{12, 2}, list: true},
		"timestamp(3) without time zone": {base: "timestamp without time zone", mods: []int{3}},
		"timestamptz":                    {base: "timestamp with time zone"},
		"varchar(80)":                    {base: "character varying", mods: []int{80}},
		"INT4":                           {base: "integer"},
		`"Stage"`:                        {base: `"Stage"`},
		"sales.stage[]":                  {base: "sales.stage", list: true},
	} {
		want.text = text
		if got := parseType(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", text, got)
		}
	}
	for _, c := range []struct{ value, typ string }{{"100", "numeric(3,-2)"}, {"0.001", "numeric(2,3)"}, {"0", "numeric(2,5)"}, {"99999", "numeric(3,-2)"}} {
		s := subject()
		s.Columns = append(s.Columns[:1:1], deals[1])
		s.Columns[1].Type = c.typ
		if _, err := Parse("m.yaml", []byte("tests: [{name: x, given: {after: {id: 1, name: "+c.value+"}}}]"), s); err != nil {
			t.Errorf("%s for %s: %v", c.value, c.typ, err)
		}
	}
}
