package trial

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// What a test gives for a column is, as JSON, what the server makes of the same
// value, up to the noughts of a number and the order of keys.
func TestValuesAreTheServers(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), servertest.Postgres(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, c := range deals {
		types[c.Name] = c.Type
	}
	for _, c := range []struct{ column, yaml, sql string }{
		{"name", `"Zürich \"AG\""`, `Zürich "AG"`}, {"name", "2026-01-31", "2026-01-31"}, {"amount", "100", "100"}, {"amount", "1.5e1", "1.5e1"},
		{"amount", "-0", "-0"}, {"amount", "NaN", "NaN"}, {"exact", "100.0", "100.0"}, {"exact", "-0.050", "-0.050"}, {"exact", "1.50e3", "1.50e3"},
		{"exact", "12e-3", "12e-3"}, {"exact", "0.000", "0.000"}, {"exact", "-Infinity", "-Infinity"}, {"small", "-32768", "-32768"},
		{"ratio", "100.00", "100.00"}, {"ratio", "0.1", "0.1"}, {"ratio", "1e21", "1e21"}, {"single", "0.1", "0.1"}, {"single", "16777217", "16777217"},
		{"open", "true", "true"}, {"custom", "{list: [1, 1.50, x, null], a: {ok: true}, b: 1e2}", `{"list":[1,1.50,"x",null],"a":{"ok":true},"b":1e2}`},
		{"custom", "-0.0", "-0.0"}, {"tags", `[a, null, "5"]`, `{a,NULL,5}`}, {"grid", "[[1, 2], [3, null]]", "{{1,2},{3,NULL}}"},
		{"prices", "[1, 2.5]", "{1,2.5}"}, {"closed", "2026-01-31", "2026-01-31"}, {"closed", "infinity", "infinity"}, {"closed", "0044-03-15 BC", "0044-03-15 BC"},
		{"seen", `"2026-01-31T08:00:00.5+00:00"`, "2026-01-31 10:00:00.5+02"}, {"local", "2026-01-31T10:00:00", "2026-01-31 10:00"},
		{"code", "ab", "ab"}, {"short", "abcde", "abcde"}, {"ref", "7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11", "7F0B3C52-64A4-4F0A-9A3E-3D0D2D8F5C11"},
	} {
		s := parse(t, one("given: {after: {id: 1, "+c.column+": "+c.yaml+"}}"))
		row, err := cdc.ParseRow(s.Cases[0].change.After)
		if err != nil {
			t.Fatal(err)
		}
		got := row.Get(c.column).JSON()
		var want, ours string
		q := "SELECT to_jsonb(CAST($1::text AS " + types[c.column] + "))::text, $2::text::jsonb::text"
		if err := conn.QueryRow(t.Context(), q, c.sql, got).Scan(&want, &ours); err != nil {
			t.Fatalf("%s %s: %v", c.column, c.sql, err)
		}
		if ours != want || c.column == "custom" && got != want {
			t.Errorf("%s %s: got %s, the server has %s", c.column, c.yaml, got, want)
		}
	}
}
