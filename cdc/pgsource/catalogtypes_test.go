package pgsource

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Composites follow the catalog: one that changes is found out, and rows from
// before the change, which nothing describes any more, have it absent, so that
// who needs it reads it from the source.
func TestCompositesFollowTheCatalog(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TYPE address AS (city text, zip text);
CREATE TABLE deals (id int PRIMARY KEY, a address, name text)`, "deals")
	said := b.listen()
	c := b.start()
	complete := c.source.NewCompleter()
	defer complete.Close()
	table := cdc.Table{Schema: "public", Name: "deals"}
	completed := func(id int, want string) {
		t.Helper()
		key := fmt.Sprintf(`{"id":%d}`, id)
		rows, err := complete.Complete(t.Context(), table, []string{key}, nil)
		if err != nil || rows[key] != want {
			t.Errorf("row %d is completed as %s (%v), want %s", id, rows[key], err, want)
		}
	}
	b.exec(`INSERT INTO deals VALUES (1, ROW('a', '1'), 'x')`)
	wantLines(t, b.wait(c), `c {"id":1} {"id":1,"a":{"city":"a","zip":"1"},"name":"x"}`)
	completed(1, `{"id":1,"a":{"city":"a","zip":"1"},"name":"x"}`)

	b.exec(`ALTER TYPE address ADD ATTRIBUTE land text`)
	b.exec(`INSERT INTO deals VALUES (2, ROW('b', '2', 'y'), 'x')`)
	wantLines(t, b.wait(c)[1:], `c {"id":2} {"id":2,"a":{"city":"b","zip":"2","land":"y"},"name":"x"}`)
	completed(1, `{"id":1,"a":{"city":"a","zip":"1","land":null},"name":"x"}`)
	b.stop()

	b.exec(`INSERT INTO deals VALUES (3, ROW('c', '3', 'z'), 'x'), (4, ROW('d', NULL, NULL), 'x')`)
	b.exec(`ALTER TYPE address DROP ATTRIBUTE zip`)
	b.exec(`INSERT INTO deals VALUES (5, ROW('e', 'z'), 'x')`)
	c = b.start()
	got := b.wait(c)[2:]
	wantLines(t, got, `c {"id":3} {"id":3,"name":"x"}`, `c {"id":4} {"id":4,"name":"x"}`, `c {"id":5} {"id":5,"a":{"city":"e","land":"z"},"name":"x"}`)
	if !slices.Equal(got[0].Absent, []string{"a"}) || !slices.Equal(got[1].Absent, []string{"a"}) || got[2].Absent != nil {
		t.Errorf("absent are %v, %v and %v, want a, a and nothing", got[0].Absent, got[1].Absent, got[2].Absent)
	}
	// Rows that the server sends again, because they were not confirmed, count again.
	if n := c.Stats().Misfits; n < 2 {
		t.Errorf("%d misfits counted, want 2 at least", n)
	}
	if n := strings.Count(said.String(), "composite does not fit"); n != 1 || !strings.Contains(said.String(), "table=public.deals column=a") {
		t.Errorf("misfits were told of %d times, want once by name:\n%s", n, said)
	}
	completed(3, `{"id":3,"a":{"city":"c","land":"z"},"name":"x"}`)
}

// json is kept as it was written, even where it cannot be jsonb, in whatever it
// stands.
func TestJSONIsKeptAsWritten(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TYPE noted AS (n int, j json);
CREATE TABLE notes (id int PRIMARY KEY, j json, js json[], c noted, cs noted[])`, "notes")
	c := b.start()
	texts := []string{`"\u0000"`, `1e1000000`, "{\"b\" :\t[1.0 ,\n2], \"a\":1,\"a\":2}", ` null `, `"\ud83d\ude00 \" \\"`}
	for i, text := range texts {
		b.exec(`INSERT INTO notes VALUES ($1, $2::text::json, ARRAY[$2::text::json, NULL], ROW(1, $2::text::json), ARRAY[ROW(2, $2::text::json)::noted])`, i, text)
	}
	complete := c.source.NewCompleter()
	defer complete.Close()
	for i, ch := range b.wait(c) {
		want := fmt.Sprintf(`{"id":%d,"j":%[2]s,"js":[%[2]s,null],"c":{"n":1,"j":%[2]s},"cs":[{"n":2,"j":%[2]s}]}`, i, texts[i])
		if ch.After != want {
			t.Errorf("captured %s, want %s", ch.After, want)
		}
		rows, err := complete.Complete(t.Context(), cdc.Table{Schema: "public", Name: "notes"}, []string{ch.Key}, nil)
		if err != nil || rows[ch.Key] != want {
			t.Errorf("completed as %s (%v), want %s", rows[ch.Key], err, want)
		}
	}
}

// A completion finds rows by keys of any type, those of extensions too, whose
// operators stand in other schemas.
func TestCompletionByKeysOfManyTypes(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE SCHEMA ext; CREATE TYPE stage AS ENUM ('new', 'won');
CREATE TYPE pair AS (n int, s text); CREATE DOMAIN code AS varchar(10)`)
	values := map[string]string{"bigint": "9007199254740993", "numeric": "12345678901234567890.10", "text": `a "b" \`, "char(5)": "ab", "uuid": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
		"timestamptz": "2026-01-02 03:04:05.000006Z", "date": "0044-03-15 BC", "bytea": `\x00ff`, "boolean": "t", "stage": "won", "pair": `(1,"a b")`, "code": "c",
		"int[]": "{1,NULL}", "jsonb": `{"a": [1.50]}`, "float8": "-Infinity", "int4range": "[1,5)", "inet": "10.0.0.1/8", `"char"`: "c", "oid": "7"}
	for extension, value := range map[string]string{"citext": `Ab "c"`, "ltree": "a.b"} {
		if b.extension(extension, "ext") {
			values["ext."+extension] = value
		}
	}
	types := map[string]string{}
	for typ := range values {
		name := fmt.Sprintf("keyed_%d", len(types))
		types[name] = typ
		b.exec(fmt.Sprintf(`CREATE TABLE %s (x text, "k ""1""" %s, "Ü" int, PRIMARY KEY ("Ü", "k ""1"""))`, name, typ))
		b.options.Tables[cdc.Table{Schema: "public", Name: name}] = Lanes{Lane: cdc.LaneNormal}
	}
	c := b.start()
	for name, typ := range types {
		b.exec(fmt.Sprintf(`INSERT INTO %s VALUES ('x', $1::text::%s, 1)`, name, typ), values[typ])
	}
	complete := c.source.NewCompleter()
	defer complete.Close()
	got := b.wait(c)
	for _, ch := range got {
		rows, err := complete.Complete(t.Context(), ch.Table, []string{ch.Key}, []uint64{ch.XID})
		if err != nil || rows[ch.Key] != ch.After {
			t.Errorf("key of type %s: completed as %s (%v), want %s", types[ch.Table.Name], rows[ch.Key], err, ch.After)
		}
	}
	if len(got) != len(types) {
		t.Errorf("%d rows, want %d", len(got), len(types))
	}
}

// What the catalog says of types is not trusted to end, nor to stay small.
func TestTypesMadeOfThemselves(t *testing.T) {
	m := typeMaker{infos: map[uint32]typeInfo{
		20000: {kind: "d", base: 20001}, 20001: {kind: "d", base: 20000},
		20002: {kind: "b", elem: 20002, delim: ","}, 20003: {kind: "c", names: []string{"a"}, types: []uint32{20003}},
	}, made: map[uint32]*pgoutput.Type{}}
	for i := range uint32(64) { // each has the one before it twice
		m.infos[30001+i] = typeInfo{kind: "c", names: []string{"a", "b"}, types: []uint32{30000 + i, 30000 + i}}
	}
	for oid := range m.infos {
		typ := m.of(oid)
		for _, text := range []string{"x", "{{{{{{{{", `("(""(",)`} {
			if out, err := pgoutput.AppendValue(nil, typ, []byte(text)); err == nil && !json.Valid(out) {
				t.Errorf("type %d: %s became %s", oid, text, out)
			}
		}
	}
}

// A million rows that do not fit do not read the catalog a million times.
func TestRefreshIsNotTooOften(t *testing.T) {
	c := &catalog{types: map[uint32]pgoutput.Type{20000: {Kind: pgoutput.HStore}}, refreshed: time.Now()}
	for range 3 { // it has no source that it could ask
		if typ, err := c.Refresh(20000); err != nil || typ.Kind != pgoutput.HStore {
			t.Fatalf("type %v, %v, want the one remembered", typ, err)
		}
	}
}
