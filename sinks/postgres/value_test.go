package postgres

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestTextOf(t *testing.T) {
	text, number, integer := &column{Type: "text"}, &column{Type: "numeric"}, &column{Type: "bigint"}
	list, doc := &column{Type: "text[]"}, &column{Type: "jsonb"}
	for _, c := range []struct {
		in   string
		of   *column
		want string // "NULL" for none
	}{
		{`null`, text, "NULL"}, {` null `, doc, "NULL"}, {`null`, list, "NULL"},
		{`"a"`, text, "a"}, {`""`, text, ""}, {`"a\"b\\c\u00e9\n"`, text, "a\"b\\cé\n"}, {`"null"`, text, "null"},
		{`12345678901234567.890`, text, "12345678901234567.890"}, {`true`, text, "true"}, {`{"a": 1}`, text, `{"a": 1}`}, {`[1]`, text, `[1]`},
		{`12345678901234567.890`, number, "12345678901234567.890"}, {`1e3`, number, "1e3"}, {`"NaN"`, number, "NaN"},
		{`12.000`, integer, "12"}, {`12.5`, integer, "12.5"}, {`-7`, integer, "-7"}, {`1e3`, integer, "1e3"}, {`"12.0"`, integer, "12.0"},
		{`"a"`, doc, `"a"`}, {`{"a":[1,null]}`, doc, `{"a":[1,null]}`}, {`[1, 2]`, doc, `[1, 2]`}, {`false`, doc, "false"},
		{`[]`, list, `{}`}, {`["a",null,"b c","null"]`, list, `{"a",NULL,"b c","null"}`}, {`["q\"\\ü,{}"]`, list, `{"q\"\\ü,{}"}`},
		{`[1,2.50,true]`, list, `{"1","2.50","true"}`}, {`[[1,2],[3,4]]`, list, `{{"1","2"},{"3","4"}}`}, {`"{a,b}"`, list, `{a,b}`},
	} {
		got, err := textOf(json.RawMessage(c.in), c.of)
		if s := string(got); err != nil || got == nil && c.want != "NULL" || got != nil && s != c.want {
			t.Errorf("%s for a %s is %q (%v), want %q", c.in, c.of.Type, s, err, c.want)
		}
	}
	for _, bad := range []string{"", " ", `"\x"`} {
		if got, err := textOf(json.RawMessage(bad), text); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
	if _, err := textOf(json.RawMessage(`["a",`), list); err == nil {
		t.Error("half a list is one")
	}
}

// The order of the numbers is that of the positions.
func TestPositionText(t *testing.T) {
	positions := []cdc.Position{{}, {Ordinal: 1}, {Ordinal: 10}, {Ordinal: math.MaxUint64}, {LSN: 1}, {LSN: 1, Ordinal: 9}, {LSN: 9}, {LSN: 10}, {LSN: math.MaxUint64}}
	var texts []string
	for _, p := range positions {
		texts = append(texts, string(positionText(p)))
	}
	want := []string{"0.00000000000000000000", "0.00000000000000000001", "0.00000000000000000010", "0.18446744073709551615", "1.00000000000000000000",
		"1.00000000000000000009", "9.00000000000000000000", "10.00000000000000000000", "18446744073709551615.00000000000000000000"}
	if !slices.Equal(texts, want) {
		t.Errorf("got %q", texts)
	}
}

func TestArrayParam(t *testing.T) {
	got := arrayParam([][][]byte{{[]byte("ab"), nil}, {nil, nil}, {{}, nil}}, 0)
	want := []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 'a', 'b', 255, 255, 255, 255, 0, 0, 0, 0}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func testTable() *table {
	return &table{schema: "s", name: `T"x`, position: "_p", columns: []column{{Name: "id", Type: "bigint", Unique: true, NotNull: true},
		{Name: "a b", Type: "numeric"}, {Name: "c", Type: "text", NotNull: true}, {Name: "_p", Type: "numeric", Mod: -1}}}
}

func TestStatements(t *testing.T) {
	tab := testTable()
	for _, c := range []struct {
		op     sinks.Op
		fields []string
		want   string
	}{
		{sinks.Delete, nil, `DELETE FROM "s"."T""x" AS t USING unnest($1::text[], $2::text[]) AS x(c0, c1) WHERE t."id" = x.c0::bigint AND (t."_p" IS NULL OR t."_p" <= x.c1::numeric)`},
		{sinks.Upsert, []string{"a b", "c"}, `INSERT INTO "s"."T""x" AS t ("id", "a b", "c", "_p") SELECT x.c0::bigint, x.c1::numeric, x.c2::text, x.c3::numeric FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS x(c0, c1, c2, c3) ON CONFLICT ("id") DO UPDATE SET "a b" = excluded."a b", "c" = excluded."c", "_p" = excluded."_p" WHERE t."_p" IS NULL OR t."_p" <= excluded."_p"`},
		{sinks.Upsert, []string{"a b"}, `WITH v("id", "a b", "_p") AS (SELECT x.c0::bigint, x.c1::numeric, x.c2::numeric FROM unnest($1::text[], $2::text[], $3::text[]) AS x(c0, c1, c2)), u AS (UPDATE "s"."T""x" AS t SET "a b" = v."a b", "_p" = v."_p" FROM v WHERE t."id" = v."id" AND (t."_p" IS NULL OR t."_p" <= v."_p"))
INSERT INTO "s"."T""x" AS t ("id", "a b", "_p") SELECT * FROM v WHERE NOT EXISTS (SELECT FROM "s"."T""x" AS o WHERE o."id" = v."id") ON CONFLICT ("id") DO UPDATE SET "a b" = excluded."a b", "_p" = excluded."_p" WHERE t."_p" IS NULL OR t."_p" <= excluded."_p"`},
	} {
		if got := tab.statement(c.op, "id", c.fields); got != c.want {
			t.Errorf("%s %v:\n%s\nwant\n%s", c.op, c.fields, got, c.want)
		}
	}
}

// Records with the same fields are one statement, in the order of their keys; each result is that
// of its record.
func TestParts(t *testing.T) {
	tab := testTable()
	rec := func(op sinks.Op, key string, fields ...string) sinks.Record {
		r := sinks.Record{Op: op, Key: sinks.Field{Name: "id", Value: json.RawMessage(key)}}
		for _, f := range fields {
			r.Fields = append(r.Fields, sinks.Field{Name: f, Value: json.RawMessage(`"v"`)})
		}
		return r
	}
	results := make([]sinks.Result, 7)
	parts, err := tab.parts([]sinks.Record{rec(sinks.Upsert, "3", "c", "id"), rec(sinks.Delete, "2"), rec(sinks.Upsert, "1", "c", "id"), rec(sinks.Archive, "4"),
		rec(sinks.Upsert, "5", "a b", "c"), rec(sinks.Upsert, "", "c", "id"), rec(sinks.Upsert, "2", "c", "id")}, results)
	if err != nil {
		t.Fatal(err)
	}
	var at [][]int
	for _, p := range parts {
		at = append(at, p.at)
	}
	if want := [][]int{{2, 6, 0}, {1}, {4}}; !slices.EqualFunc(at, want, slices.Equal[[]int]) {
		t.Errorf("records %v, want %v", at, want)
	}
	if len(parts[0].rows[0]) != 3 || string(parts[0].rows[1][0]) != "2" || string(parts[0].rows[0][1]) != "v" {
		t.Errorf("rows %s", parts[0].rows)
	}
	if sinks.Code(results[3].Err) != sinks.CodeNoDelete || sinks.Code(results[5].Err) != "encode" || results[0].Err != nil {
		t.Errorf("results %v", results)
	}
}

// A part is cut until each record is alone; none is lost, and none is there twice.
func TestSplit(t *testing.T) {
	for n := 2; n < 600; n++ {
		p := &part{sql: "x", deletes: true}
		for i := range n {
			p.rows, p.at = append(p.rows, [][]byte{}), append(p.at, i)
		}
		var at []int
		for _, s := range p.split() {
			if len(s.rows) == n || len(s.rows) != len(s.at) || s.sql != "x" || !s.deletes {
				t.Fatalf("%d: %d rows, %d places, %q", n, len(s.rows), len(s.at), s.sql)
			}
			at = append(at, s.at...)
		}
		if !slices.Equal(at, p.at) || len(p.split()) > pieces {
			t.Fatalf("%d: %v", n, at)
		}
	}
}
