package expr

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// asPostgres has expressions and what PostgreSQL calls the same.
var asPostgres = [][2]string{
	{"n + m", "n + m"}, {"n - m", "n - m"}, {"n * m", "n * m"}, {"i + j", "i::bigint + j"}, {"i * j", "i::bigint * j"}, {"i % 7", "i % 7"},
	{"n > m", "n > m"}, {"n == m", "n = m"}, {"i <= j", "i <= j"}, {"t < u", "t COLLATE \"C\" < u"}, {"t == u", "t = u"}, {"d < e", "d < e"}, {"ts >= us", "ts >= us"},
	{"t + u", "t || u"}, {"upper(t)", "replace(upper(t COLLATE \"und-x-icu\"), 'SS', 'ß')"}, {"lower(t)", "lower(t COLLATE \"und-x-icu\")"}, {"length(t)", "length(t)"},
	{"b && c", "b AND c"}, {"b || c", "b OR c"}, {"!b", "NOT b"}, {"b ? t : u", "CASE WHEN b THEN t ELSE u END"}, {"t ?? u", "coalesce(t, u)"},
	{"t in ['a', 'b', u]", "t IN ('a', 'b', u)"}, {"n in [1, 2.5, m]", "n IN (1, 2.5, m)"}, {"t in l", "t = ANY(l)"}, {"l[0]", "l[1]"}, {"length(l)", "cardinality(l)"},
	{"round(n, 2)", "round(n, 2)"}, {"round(n)", "round(n)"}, {"floor(n)", "floor(n)"}, {"ceil(n)", "ceil(n)"}, {"abs(n)", "abs(n)"}, {"least(n, m)", "least(n, m)"},
	{"greatest(i, j, 3)", "greatest(i, j, 3)"}, {"string(n)", "n::text"}, {"string(d)", "to_char(d, 'YYYY-MM-DD')"}, {"decimal(string(n))", "n"},
	{"year(d)", "extract(year FROM d)"}, {"month(ts)", "extract(month FROM ts AT TIME ZONE 'UTC')"}, {"day(d)", "extract(day FROM d)"}, {"weekday(d)", "extract(isodow FROM d)"},
	{"quarter(d)", "extract(quarter FROM d)"}, {"days_between(d, e)", "e - d"}, {"add_days(d, j)", "d + j"}, {"add_months(d, j)", "(d + make_interval(months => j))::date"},
	{"start_of(d, 'month')", "date_trunc('month', d)::date"}, {"start_of(d, 'quarter')", "date_trunc('quarter', d)::date"}, {"start_of(d, 'week')", "date_trunc('week', d)::date"},
	{"end_of(d, 'year')", "(date_trunc('year', d) + interval '1 year - 1 day')::date"}, {"end_of(d, 'month')", "(date_trunc('month', d) + interval '1 month - 1 day')::date"},
	{"date(ts, 'Europe/Berlin')", "(ts AT TIME ZONE 'Europe/Berlin')::date"}, {"date(ts)", "(ts AT TIME ZONE 'UTC')::date"}, {"in_zone(ts, 'America/New_York')", "ts AT TIME ZONE 'America/New_York'"},
	{"format_date(d, 'DD.MM.YYYY Q IW IYYY DDD D')", "to_char(d, 'DD.MM.YYYY Q IW IYYY DDD D')"}, {"format_date(d, 'Mon Dy YY')", "to_char(d, 'Mon Dy YY')"},
	{"format_date(ts, 'HH24:MI:SS.US AM HH12 MS', 'Asia/Tokyo')", "to_char(ts AT TIME ZONE 'Asia/Tokyo', 'HH24:MI:SS.US AM HH12 MS')"},
	{"epoch(ts)", "floor(extract(epoch FROM ts))"}, {"epoch_ms(ts)", "floor(extract(epoch FROM ts) * 1000)"}, {"ts", "ts"},
	{"string(j1.a)", "j1->>'a'"}, {"j1.b[1]", "j1->'b'->1"}, {"j1['c'].d", "j1->'c'->'d'"}, {"hash(t)", "encode(sha256(convert_to(t, 'UTF8')), 'hex')"}, {"hash(t, 'md5')", "md5(t)"},
	{"join(l, ';')", "array_to_string(l, ';')"}, {"t contains 'a'", "position('a' IN t) > 0"}, {"t startsWith 'a'", "starts_with(t, 'a')"}, {"t matches '^[a-c]+$'", "t ~ '^[a-c]+$'"},
	{"replace(t, '[ab]', '<$0>')", "regexp_replace(t, '[ab]', '<\\&>', 'g')"},
}

// Rows of random values, nulls among them, give what PostgreSQL gives of the same.
func TestExpressionsAgreeWithPostgres(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), servertest.SharedPostgres(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if _, err := conn.Exec(t.Context(), "SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	types := [][2]string{{"n", "numeric"}, {"m", "numeric"}, {"i", "integer"}, {"j", "integer"}, {"t", "text"}, {"u", "text"}, {"d", "date"}, {"e", "date"},
		{"ts", "timestamp with time zone"}, {"us", "timestamp with time zone"}, {"b", "boolean"}, {"c", "boolean"}, {"l", "text[]"}, {"j1", "jsonb"}}
	var columns []Column
	for _, c := range types {
		columns = append(columns, Column{Name: c[0], Type: c[1]})
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		var casts, wanted []string
		for _, c := range types {
			casts = append(casts, fmt.Sprintf("%s::%s AS %s", literal(rng, c[1]), c[1], c[0]))
		}
		for _, p := range asPostgres {
			wanted = append(wanted, "to_jsonb("+p[1]+")::text")
		}
		from := " FROM (SELECT " + strings.Join(casts, ", ") + ") r"
		var text string
		if err := conn.QueryRow(t.Context(), "SELECT to_jsonb(r)::text"+from).Scan(&text); err != nil {
			t.Fatal(err)
		}
		rows, err := conn.Query(t.Context(), "SELECT unnest(ARRAY["+strings.Join(wanted, ", ")+"])"+from)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := pgx.CollectRows(rows, pgx.RowTo[*string])
		if err != nil {
			t.Fatalf("%v%s", err, from)
		}
		compare(t, columns, text, theirs)
		if t.Failed() {
			return
		}
	}
}

func compare(t *testing.T, columns []Column, row string, theirs []*string) {
	t.Helper()
	for i, p := range asPostgres {
		s := NewScope(columns, nil)
		program, err := s.Compile(p[0], Any)
		if err != nil {
			t.Fatalf("%s: %v", p[0], err)
		}
		r := s.NewRow()
		s.Fill(r, valuesOf(t, row))
		v, err := program.Eval(r)
		want := "null"
		if theirs[i] != nil {
			want = strings.NewReplacer(`": `, `":`, ", ", ",").Replace(*theirs[i])
		}
		got := strings.NewReplacer(`": `, `":`, ", ", ",").Replace(v.JSON())
		if err != nil || got != want {
			t.Errorf("%s = %s, %v; PostgreSQL says %s = %s\n%s", p[0], got, err, p[1], want, row)
		}
	}
}

// literal gives a random value in SQL.
func literal(rng *rand.Rand, typ string) string {
	if rng.IntN(8) == 0 {
		return "NULL"
	}
	text := func() string {
		letters := []rune("abc Zß9é'")
		out := ""
		for range rng.IntN(6) {
			out += string(letters[rng.IntN(len(letters))])
		}
		return "'" + strings.ReplaceAll(out, "'", "''") + "'"
	}
	switch typ {
	case "numeric":
		return fmt.Sprintf("'%d.%0*d'", rng.IntN(2_000_000)-1_000_000, 1+rng.IntN(6), rng.IntN(10))
	case "integer":
		return fmt.Sprint(rng.IntN(4000) - 2000)
	case "date":
		return fmt.Sprintf("(date '1970-01-01' + %d)", rng.IntN(60_000)-30_000)
	case "timestamp with time zone":
		return fmt.Sprintf("(timestamptz '1970-01-01 00:00+00' + interval '%d seconds %d microseconds')", rng.Int64N(3_000_000_000)-500_000_000, rng.IntN(1_000_000))
	case "boolean":
		return fmt.Sprint(rng.IntN(2) == 0)
	case "text[]":
		return "ARRAY[" + text() + ", " + text() + "]"
	case "jsonb":
		return fmt.Sprintf(`'{"a": "x%d", "b": [1, %d], "c": {"d": null}}'`, rng.IntN(9), rng.IntN(9))
	}
	return text()
}

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }
