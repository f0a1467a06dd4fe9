package pgsource

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// awkward is what texts are made of that have to be quoted somewhere.
var awkward = []rune("aB0 \t\n\r\x01\x7f\"'\\\\,;:=>(){}[]NUL/\u00fc\u6771\U0001F469\u2028")

// randomRow gives a row as jsonb_populate_record takes it.
func randomRow(r *rand.Rand, id int, hstore bool) map[string]any {
	some := func(f func() any) any { // null now and then
		if r.IntN(6) == 0 {
			return nil
		}
		return f()
	}
	list := func(f func() any) any {
		out := make([]any, r.IntN(4))
		for i := range out {
			out[i] = some(f)
		}
		return out
	}
	text := func() any {
		s := make([]rune, r.IntN(12))
		for i := range s {
			s[i] = awkward[r.IntN(len(awkward))]
		}
		return string(s)
	}
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte('0' + byte(r.IntN(10)))
		}
		return b.String()
	}
	number := func() any {
		if r.IntN(8) == 0 {
			return []string{"NaN", "Infinity", "-Infinity"}[r.IntN(3)]
		}
		return json.Number([]string{"", "-"}[r.IntN(2)] + "1" + digits(r.IntN(40)) + "." + digits(1+r.IntN(40)))
	}
	float := func() any { return json.Number(fmt.Sprint(math.Ldexp(r.Float64()-0.5, r.IntN(2000)-1000))) }
	moment := func() any { return time.UnixMicro(r.Int64N(2e17)).UTC().Format("2006-01-02 15:04:05.999999Z07:00") }
	leaf := func() any {
		return map[string]any{"s": some(text), "n": some(number), "t": some(moment), "list": some(func() any { return list(text) })}
	}
	tree := func() any {
		return map[string]any{"one": some(leaf), "many": some(func() any { return list(leaf) }), "der \"Name\"": some(text)}
	}
	row := map[string]any{"id": id, "s": some(text), "n": some(number), "f": some(float), "z": some(moment), "j": some(tree), "jb": some(tree),
		"ss": some(func() any { return list(text) }), "ns": some(func() any { return list(number) }), "js": some(func() any { return list(tree) }),
		"tree": some(tree), "trees": some(func() any { return list(tree) }),
		"i": some(func() any {
			return fmt.Sprintf("%d mon %d days %d.%06d secs", r.IntN(1e5)-5e4, r.IntN(1e5)-5e4, r.Int64N(1e9)-5e8, r.IntN(1e6))
		})}
	if hstore {
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		row["h"] = some(func() any {
			return fmt.Sprintf(`"%s"=>"%s", "%s"=>NULL`, quote.Replace(text().(string)), quote.Replace(text().(string)), quote.Replace(text().(string)))
		})
	}
	return row
}

// The same for random values, in a table with REPLICA IDENTITY FULL, whose old
// rows are as the new ones were.
func TestValuesAtRandom(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TYPE leaf AS (s text, n numeric, t timestamptz, list text[]);
CREATE TYPE tree AS (one leaf, many leaf[], "der ""Name""" text);
CREATE TABLE "Zufällig, ""x""" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s text, n numeric, f float8, z timestamptz, j json, jb jsonb, ss text[], ns numeric[],
  js json[], tree tree, trees tree[], i interval, derived text GENERATED ALWAYS AS (upper(s)) STORED);
CREATE SCHEMA ext`, `Zufällig, "x"`)
	table := cdc.Table{Schema: "public", Name: `Zufällig, "x"`}
	hstore := b.extension("hstore", "ext")
	if hstore {
		b.exec(fmt.Sprintf("ALTER TABLE %s ADD h ext.hstore", table))
	}
	if b.version() >= 180000 { // refused there: see TestFullWithGeneratedColumns
		b.exec(fmt.Sprintf("ALTER TABLE %s DROP derived", table))
	}
	b.exec(fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", table))
	const seed = 20261124
	r := rand.New(rand.NewPCG(seed, 0))
	var rows []any
	for id := range 400 {
		rows = append(rows, randomRow(r, id, hstore))
	}
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	c := b.start()
	var names string
	if err := b.conn.QueryRow(t.Context(), `SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`, table.String()).Scan(&names); err != nil {
		t.Fatal(err)
	}
	b.exec(fmt.Sprintf(`INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM jsonb_populate_recordset(NULL::%[1]s, $1::text::jsonb)`, table, names), string(text))
	b.equalToSource(c)
	b.exec(fmt.Sprintf("DELETE FROM %s", table))
	after := map[string]string{}
	for _, ch := range b.wait(c) {
		if ch.Op == cdc.OpCreate {
			after[ch.Key] = ch.After
		} else if ch.Before != after[ch.Key] {
			t.Errorf("deleted was %s, want %s", ch.Before, after[ch.Key])
		}
	}
	if len(after) != len(rows) {
		t.Errorf("%d rows, want %d", len(after), len(rows))
	}
}
