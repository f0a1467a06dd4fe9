package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// bed is a database with a target of it.
type bed struct {
	*testing.T
	conn   *pgx.Conn
	target *Target
	lsn    uint64
}

func newBed(t *testing.T, schema string, change ...func(*Options)) *bed {
	t.Helper()
	dsn := servertest.SharedPostgres(t).URL
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	b := &bed{T: t, conn: conn}
	b.exec(schema)
	o := Options{URL: transport.Secret(dsn)}
	for _, f := range change {
		f(&o)
	}
	if b.target, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.target.Close)
	return b
}

func (b *bed) exec(sql string) {
	b.Helper()
	if _, err := b.conn.Exec(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
}

// ask gives the one value of a query as text.
func (b *bed) ask(sql string) (s string) {
	b.Helper()
	if err := b.conn.QueryRow(b.Context(), sql).Scan(&s); err != nil {
		b.Fatal(err)
	}
	return s
}

// rec makes an upsert of name, value, name, value…, the first of which is the key; or a delete,
// if there is only that.
func (b *bed) rec(fields ...string) sinks.Record {
	b.lsn++
	r := sinks.Record{Op: sinks.Upsert, Key: sinks.Field{Name: fields[0], Value: json.RawMessage(fields[1])}, Position: cdc.Position{LSN: cdc.LSN(b.lsn)}}
	for i := 2; i+1 < len(fields); i += 2 {
		r.Fields = append(r.Fields, sinks.Field{Name: fields[i], Value: json.RawMessage(fields[i+1])})
	}
	if len(fields) == 2 {
		r.Op = sinks.Delete
	}
	return r
}

// deliver gives a word for each record: its code.
func (b *bed) deliver(records ...sinks.Record) (codes []string) {
	b.Helper()
	rs, err := b.target.Deliver(b.Context(), sinks.Batch{Object: "t", Records: records})
	for i := range records {
		e := err
		if err == nil {
			e = rs[i].Err
		}
		codes = append(codes, sinks.Code(e))
	}
	return codes
}

func (b *bed) want(got []string, want ...string) {
	b.Helper()
	if strings.Join(got, " ") != strings.Join(want, " ") {
		b.Errorf("got %v, want %v", got, want)
	}
}

const position = `, "_walbridge_position" numeric(40,20)`

// Every type takes what its text form takes, exactly.
func TestTypes(t *testing.T) {
	b := newBed(t, `CREATE TYPE mood AS ENUM ('calm', 'cross'); CREATE DOMAIN short AS varchar(3) CHECK (value <> 'bad');
		CREATE TABLE t (id bigint PRIMARY KEY, v varchar(5), c char(4), n numeric, m numeric(6,2), i int, f float8, b boolean, d date, z timestamptz,
		l timestamp, u uuid, j jsonb, k json, a text[], e int[][], o mood, s short, y bytea, r interval`+position+`)`)
	b.want(b.deliver(b.rec("id", "1", "v", `"abcde"`, "c", `"ab"`, "n", "12345678901234567.890", "m", `"7.5"`, "i", "12.0", "f", "0.1", "b", "true", "d", `"2026-01-31"`,
		"z", `"2026-01-31T09:30:00+02:00"`, "l", `"2026-01-31T09:30:00"`, "u", `"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"`, "j", `{"b":1.10,"a":"\u00fc"}`, "k", `"text"`,
		"a", `["x","y \"z\"",null]`, "e", "[[1,2],[3,4]]", "o", `"calm"`, "s", `"abc"`, "y", `"\\x00ff"`, "r", `"1 day"`)), "ok")
	const want = `{"a": ["x", "y \"z\"", null], "b": true, "c": "ab  ", "d": "2026-01-31", "e": [[1, 2], [3, 4]], "f": 0.1, "i": 12, "j": {"a": "ü", "b": 1.10}, "k": "text", "l": "2026-01-31T09:30:00", "m": 7.50, "n": 12345678901234567.890, "o": "calm", "r": "1 day", "s": "abc", "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "v": "abcde", "y": "\\x00ff", "z": "2026-01-31T07:30:00+00:00", "id": 1}`
	b.exec("SET TimeZone TO 'UTC'")
	if got := b.ask(`SELECT (to_jsonb(t) - '_walbridge_position')::text FROM t`); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// What does not fit is refused, and never cut off or rounded in silence.
	for field, value := range map[string]string{"v": `"abcdef"`, "c": `"abcde"`, "i": "12.5", "n": `"many"`, "b": `"maybe"`, "d": `"2026-02-30"`, "u": `"1"`, "j": `{"a":`,
		"a": `"x"`, "o": `"glad"`, "s": `"bad"`, "m": "123456", "z": `"noon"`} {
		rec := b.rec("id", "2", field, value)
		if code := b.deliver(rec)[0]; len(code) != 5 || code[:2] != "22" && code[:2] != "23" {
			t.Errorf("%s of %s is %s", field, value, code)
		}
	}
	b.want(b.deliver(b.rec("id", "3", "s", `"abcd"`)), "22001")
	if got := b.ask("SELECT count(*)::text FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
}

// One bad row of a full batch harms itself only, and is found in a few round trips (I6).
func TestCulprits(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, n int, x int`+position+`)`)
	var records []sinks.Record
	var want []string
	for i := range 1000 {
		switch v := fmt.Sprint(i); {
		case i == 17 || i == 500 || i == 501:
			records, want = append(records, b.rec("id", v, "n", `"bad"`)), append(want, "22P02")
		case i%10 == 3:
			records, want = append(records, b.rec("id", v, "x", "1")), append(want, "ok")
		default:
			records, want = append(records, b.rec("id", v, "n", v)), append(want, "ok")
		}
	}
	b.want(b.deliver(records...), want...)
	if got := b.ask("SELECT count(*) || ' ' || sum(n) FROM t"); got != fmt.Sprint("997 ", 499500-17-500-501-49800) {
		t.Errorf("got %s", got)
	}
	// A key that is there twice in a batch is no reason to refuse either.
	b.want(b.deliver(b.rec("id", "7", "n", "1"), b.rec("id", `"007"`, "n", "2"), b.rec("id", "8", "n", "3")), "ok", "ok", "ok")
}

// A row that needs a value to be made does not need it to be changed (I5).
func TestPartOfARowWithRequiredColumns(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, must text NOT NULL, made text NOT NULL DEFAULT 'x', n int`+position+`)`)
	b.want(b.deliver(b.rec("id", "1", "must", `"a"`, "n", "1")), "ok")
	old := b.rec("id", "1", "n", "5")
	b.want(b.deliver(b.rec("id", "1", "n", "2"), b.rec("id", "2", "n", "2")), "ok", "23502")
	b.want(b.deliver(old), "ok")
	if got := b.ask("SELECT string_agg(id || must || made || n, ',') FROM t"); got != "1ax2" {
		t.Errorf("got %s", got)
	}
	b.want(b.deliver(b.rec("id", "1", "must", "null")), "23502")
}

// A row that walbridge has not written has no Position, and is taken over.
func TestRowsOfOthers(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, n int`+position+`); INSERT INTO t VALUES (1, 1), (2, 2)`)
	b.want(b.deliver(b.rec("id", "1", "n", "5"), b.rec("id", "2")), "ok", "ok")
	if got := b.ask(`SELECT string_agg(id || ':' || n || '@' || "_walbridge_position", ',') FROM t`); got != "1:5@1.00000000000000000000" {
		t.Errorf("got %s", got)
	}
}

func TestParents(t *testing.T) {
	b := newBed(t, `CREATE TABLE p (id int PRIMARY KEY`+position+`); CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p, q int REFERENCES p DEFERRABLE INITIALLY DEFERRED`+position+`); INSERT INTO p VALUES (1)`)
	rs, err := b.target.Deliver(t.Context(), sinks.Batch{Object: "t", Records: []sinks.Record{b.rec("id", "1", "p", "1"), b.rec("id", "2", "p", "7"), b.rec("id", "3", "q", "7"), b.rec("id", "4", "q", "1")}})
	if err != nil {
		t.Fatal(err)
	}
	var wait *sinks.WaitForParent
	for i, r := range rs {
		if orphan := i == 1 || i == 2; errors.As(r.Err, &wait) != orphan || !orphan && r.Err != nil {
			t.Errorf("record %d: %v", i, r.Err)
		}
	}
	rs, err = b.target.Deliver(t.Context(), sinks.Batch{Object: "p", Records: []sinks.Record{b.rec("id", "1")}})
	if err != nil || sinks.Code(rs[0].Err) != "retryable" {
		t.Errorf("a parent that others refer to: %v, %v", rs, err)
	}
}

// What is wrong with a table is told before anything is sent, with what mends it.
func TestMisfits(t *testing.T) {
	for name, c := range map[string]struct{ table, hint string }{
		"no table":       {"", "create: true"},
		"no column":      {`CREATE TABLE t (id int PRIMARY KEY` + position + `)`, `ALTER TABLE "public"."t" ADD COLUMN "n"`},
		"no unique key":  {`CREATE TABLE t (id int, n int` + position + `)`, `CREATE UNIQUE INDEX ON "public"."t" ("id")`},
		"partial index":  {`CREATE TABLE t (id int, n int` + position + `); CREATE UNIQUE INDEX ON t (id) WHERE n > 0`, `CREATE UNIQUE INDEX ON "public"."t" ("id")`},
		"two columns":    {`CREATE TABLE t (id int, n int` + position + `, UNIQUE (id, n))`, `CREATE UNIQUE INDEX ON "public"."t" ("id")`},
		"no position":    {`CREATE TABLE t (id int PRIMARY KEY, n int)`, `ALTER TABLE "public"."t" ADD COLUMN "_walbridge_position" numeric(40,20)`},
		"text position":  {`CREATE TABLE t (id int PRIMARY KEY, n int, "_walbridge_position" text)`, "numeric(40,20)"},
		"small position": {`CREATE TABLE t (id int PRIMARY KEY, n int, "_walbridge_position" numeric(30,20))`, "numeric(40,20)"},
		"whole position": {`CREATE TABLE t (id int PRIMARY KEY, n int, "_walbridge_position" numeric(39))`, "numeric(40,20)"},
		"generated":      {`CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS (1) STORED` + position + `)`, "take it out of the mapping"},
		"collation":      {`CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE t (id text COLLATE any_case PRIMARY KEY, n int` + position + `)`, "key_case"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, c.table)
			_, err := b.target.Deliver(t.Context(), sinks.Batch{Object: "t", Records: []sinks.Record{b.rec("id", "1", "n", "1")}})
			var mis *sinks.Misconfigured
			if !errors.As(err, &mis) || !strings.Contains(mis.Hint, c.hint) {
				t.Errorf("got %v, want a hint with %s", err, c.hint)
			}
		})
	}
}

// A table may change under a target that knows it.
func TestChangedTable(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, n int`+position+`)`)
	b.want(b.deliver(b.rec("id", "1", "n", "1")), "ok")
	b.exec(`ALTER TABLE t ALTER n TYPE text, ADD more numeric`)
	b.want(b.deliver(b.rec("id", "1", "n", `"two"`, "more", "0.10")), "ok")
	b.exec(`DROP TABLE t`)
	b.want(b.deliver(b.rec("id", "1", "n", `"three"`)), "misconfigured")
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, n text` + position + `)`)
	b.want(b.deliver(b.rec("id", "1", "n", `"three"`)), "ok")
	if got := b.ask("SELECT n FROM t"); got != "three" {
		t.Errorf("got %s", got)
	}
}

func tables(o *Options) {
	o.Create, o.Schema = true, "sales"
	o.Tables = map[string]Table{"t": {Key: "id", Columns: []Column{{"id", "text"}, {"amount", "numeric"}, {"tags", "text[]"}}}}
}

func TestCreate(t *testing.T) {
	b := newBed(t, "", tables)
	s, err := b.target.Describe(t.Context(), "t")
	if err != nil || !s.Open || len(s.Fields) > 0 {
		t.Fatalf("before there is a table: %+v, %v", s, err)
	}
	if got := b.ask("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'sales'"); got != "0" {
		t.Error("to describe made something")
	}
	var wg sync.WaitGroup
	for range 4 { // at once, as several processes may
		wg.Go(func() {
			other, err := New(b.target.o)
			if err != nil {
				t.Error(err)
				return
			}
			defer other.Close()
			rs, err := other.Deliver(t.Context(), sinks.Batch{Object: "t", Records: []sinks.Record{{Op: sinks.Upsert, Key: sinks.Field{Name: "id", Value: json.RawMessage(`"a"`)},
				Fields: []sinks.Field{{Name: "amount", Value: json.RawMessage("0.10")}, {Name: "tags", Value: json.RawMessage(`["x"]`)}}}}})
			if err != nil || rs[0].Err != nil {
				t.Errorf("%v, %v", rs, err)
			}
		})
	}
	wg.Wait()
	if got := b.ask("SELECT id || amount || tags::text FROM sales.t"); got != "a0.10{x}" {
		t.Errorf("got %s", got)
	}
	b.exec(`ALTER TABLE sales.t DROP COLUMN tags, DROP COLUMN "_walbridge_position"`)
	if s, err := b.target.Describe(t.Context(), "t"); err != nil || !s.Open || len(s.Fields) != 2 {
		t.Errorf("a table that lacks columns: %+v, %v", s, err)
	}
	b.want(b.deliver(b.rec("id", `"b"`, "tags", `["y"]`)), "ok")
	if got := b.ask("SELECT tags::text FROM sales.t WHERE id = 'b'"); got != "{y}" {
		t.Errorf("got %s", got)
	}
	_, err = b.target.Deliver(t.Context(), sinks.Batch{Object: "unknown", Records: []sinks.Record{b.rec("id", `"b"`, "n", "1")}})
	var mis *sinks.Misconfigured
	if !errors.As(err, &mis) {
		t.Errorf("a table that nobody described: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	b := newBed(t, `CREATE TYPE mood AS ENUM ('calm', 'cross');
		CREATE TABLE t (id varchar(18) PRIMARY KEY, n numeric(12,2) NOT NULL, o mood, d text NOT NULL DEFAULT '', g int GENERATED ALWAYS AS IDENTITY`+position+`)`)
	s, err := b.target.Describe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"fields":[{"name":"id","type":"text","length":18,"required":true,"not_null":true,"key":true},{"name":"n","type":"number","precision":12,"scale":2,"required":true,"not_null":true},{"name":"o","type":"text","values":["calm","cross"]},{"name":"d","type":"text","not_null":true},{"name":"g","type":"integer","not_null":true,"read_only":true}]}`
	if got, err := json.Marshal(s); err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	var unknown *sinks.UnknownObject
	if _, err := b.target.Describe(t.Context(), "u"); !errors.As(err, &unknown) || len(unknown.Known) != 1 || unknown.Known[0] != "t" {
		t.Errorf("got %v", err)
	}
}

// What a table lacks is said as the statements that make it.
func TestMend(t *testing.T) {
	var o Options
	tables(&o)
	want := `CREATE SCHEMA IF NOT EXISTS "sales"; CREATE TABLE IF NOT EXISTS "sales"."t" ("id" text PRIMARY KEY, "amount" numeric, "tags" text[], "_walbridge_position" numeric(40,20))`
	if got := strings.Join(Mend(o, "t", nil), "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = `ALTER TABLE "sales"."t" ADD COLUMN IF NOT EXISTS "amount" numeric`
	if got := strings.Join(Mend(o, "t", &sinks.Schema{Fields: []sinks.SchemaField{{Name: "id"}, {Name: "tags"}}}), "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Mend(o, "unknown", nil); got != nil {
		t.Errorf("got %s", got)
	}
}

// What check asks for says which right is missing.
func TestRights(t *testing.T) {
	b := newBed(t, `CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, n int`+position+`); CREATE TABLE s.bare (id int PRIMARY KEY); CREATE ROLE clerk_pgtarget LOGIN`)
	defer b.exec("DROP OWNED BY clerk_pgtarget; DROP ROLE clerk_pgtarget")
	clerk, err := New(Options{URL: transport.Secret(strings.Replace(b.target.o.URL.Reveal(), "postgres@", "clerk_pgtarget@", 1)), Schema: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	for _, step := range []struct{ hint, then string }{
		{`GRANT USAGE ON SCHEMA "s" TO "clerk_pgtarget"`, `GRANT USAGE ON SCHEMA s TO clerk_pgtarget`},
		{`GRANT SELECT, INSERT, UPDATE, DELETE ON "s"."t" TO "clerk_pgtarget"`, `GRANT SELECT, INSERT, UPDATE ON s.t TO clerk_pgtarget`},
		{`GRANT SELECT, INSERT, UPDATE, DELETE ON "s"."t" TO "clerk_pgtarget"`, ``},
	} {
		_, err := clerk.Describe(t.Context(), "t")
		var mis *sinks.Misconfigured
		if !errors.As(err, &mis) || !strings.Contains(mis.Hint, step.hint) {
			t.Errorf("got %v, want %s", err, step.hint)
		}
		b.exec(step.then)
	}
	rs, err := clerk.Deliver(t.Context(), sinks.Batch{Object: "t", Records: []sinks.Record{b.rec("id", "1", "n", "1"), b.rec("id", "2")}})
	if err != nil || rs[0].Err != nil || sinks.Code(rs[1].Err) != "misconfigured" {
		t.Errorf("without the right to delete: %v, %v", rs, err)
	}
	b.exec(`GRANT DELETE ON s.t TO clerk_pgtarget`)
	if _, err := clerk.Describe(t.Context(), "t"); err != nil {
		t.Errorf("with all rights: %v", err)
	}
	maker, err := New(Options{URL: clerk.o.URL, Schema: "s", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	for _, step := range []struct{ object, hint, then string }{
		{"new", `run GRANT USAGE, CREATE ON SCHEMA "s" TO "clerk_pgtarget"`, `GRANT CREATE ON SCHEMA s TO clerk_pgtarget`},
		{"other.new", `run GRANT CREATE ON DATABASE "`, `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO clerk_pgtarget', current_database()); END $$`},
		{"t", "", `ALTER TABLE s.t OWNER TO clerk_pgtarget; GRANT SELECT, INSERT, UPDATE, DELETE ON s.bare TO clerk_pgtarget`},
		{"bare", `run ALTER TABLE "s"."bare" ADD COLUMN "_walbridge_position" numeric(40,20), or have the role of the target's url own`, `ALTER TABLE s.bare OWNER TO clerk_pgtarget`},
	} {
		s, err := maker.Describe(t.Context(), step.object)
		var mis *sinks.Misconfigured
		if step.hint != "" && (!errors.As(err, &mis) || !strings.HasPrefix(mis.Hint, step.hint)) || step.hint == "" && (err != nil || s.Open) {
			t.Errorf("%s before %s: %+v, %v, want %s", step.object, step.then, s, err, step.hint)
		}
		b.exec(step.then)
		if s, err := maker.Describe(t.Context(), step.object); err != nil || !s.Open {
			t.Errorf("%s after %s: %+v, %v", step.object, step.then, s, err)
		}
	}
}

// Each class of SQLSTATE is of its kind; the server's text about a row is for the dead letter only.
func TestAnswered(t *testing.T) {
	target, err := New(Options{URL: "postgres://u:p@host/d"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	for code, want := range map[string]string{
		"21000": "21000", "22001": "22001", "22P02": "22P02", "23502": "23502", "23505": "23505", "23514": "23514", "44000": "44000", "54000": "54000", "P0001": "P0001",
		"23503": "23503", "40001": "retryable", "40P01": "retryable", "40003": "unknown_outcome", "55P03": "retryable", "53100": "retryable", "53300": "retryable",
		"57014": "retryable", "57P03": "retryable", "08006": "retryable", "58030": "retryable", "XX000": "retryable", "28000": "unauthorized", "28P01": "unauthorized",
		"42501": "misconfigured", "42703": "misconfigured", "42P01": "misconfigured", "42804": "misconfigured", "3D000": "misconfigured", "3F000": "misconfigured",
		"0A000": "misconfigured", "25006": "paused", "ZZ999": "retryable", "": "retryable",
	} {
		pe := &pgconn.PgError{Code: code, Severity: "ERROR", SeverityUnlocalized: "ERROR", Message: "said", Detail: "Key (id)=(row value)"}
		err := target.answered(pe, true)
		var a *sinks.Answer
		if sinks.Code(err) != want || strings.Contains(err.Error(), "row value") || !errors.As(err, &a) || a.Code != code || a.Message != "said (Key (id)=(row value))" {
			t.Errorf("%s is %s (%v), want %s", code, sinks.Code(err), err, want)
		}
		var mis *sinks.Misconfigured
		if errors.As(err, &mis) && mis.Hint == "" {
			t.Errorf("%s: nobody is told what to do", code)
		}
		if code == "23503" != errors.As(err, new(*sinks.WaitForParent)) {
			t.Errorf("%s: %T", code, err)
		}
		pe.SeverityUnlocalized = "FATAL"
		if err := target.answered(pe, true); !sinks.Unknown(err) || !gone(err) || sinks.Code(err) != "unknown_outcome" {
			t.Errorf("%s that ends the connection is %v", code, err)
		}
		if err := target.answered(pe, false); code != "40003" && sinks.Unknown(err) {
			t.Errorf("%s before anything was sent is %v", code, err)
		}
	}
}

// The page of the target tells what comes of each of them.
func TestPageTellsOfAllCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/targets/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range append([]string{"40", "55", "57", "58", "XX", "08", "53", "28", "42", "3D", "3F", "0A"}, perRow...) {
		if !strings.Contains(string(page), "`"+code+"…`") {
			t.Errorf("the page does not tell of %s", code)
		}
	}
	for _, code := range []string{"23503", "25006"} {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("the page does not tell of %s", code)
		}
	}
}

// The errors that a server makes for want of rights, of a lock, of time.
func TestServerSaysNo(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, n int`+position+`)`, func(o *Options) { o.Timeout = 2 * time.Second })
	b.exec(`INSERT INTO t VALUES (1, 1); BEGIN; UPDATE t SET n = 2`)
	start := time.Now()
	if code := b.deliver(b.rec("id", "1", "n", "3"))[0]; code != "unknown_outcome" && code != "retryable" {
		t.Errorf("a row that is locked: %s", code)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	b.exec(`ROLLBACK`)
	b.want(b.deliver(b.rec("id", "1", "n", "4")), "ok")
	b.exec(`ALTER DATABASE ` + pgx.Identifier{b.ask("SELECT current_database()")}.Sanitize() + ` SET default_transaction_read_only = on`)
	b.target.pool.Reset()
	b.want(b.deliver(b.rec("id", "1", "n", "5")), "paused")
}

// No role of a test server has a password, so what fails is the database, and the role.
func TestCannotConnect(t *testing.T) {
	b := newBed(t, "CREATE ROLE nobody_pgtarget NOLOGIN")
	dsn := b.target.o.URL.Reveal()
	for url, want := range map[string]string{
		strings.Replace(dsn, "postgres@", "nobody_pgtarget:s3cret@", 1): "unauthorized",
		dsn[:strings.LastIndex(dsn, "/")] + "/none?sslmode=disable":     "misconfigured",
	} {
		target, err := New(Options{URL: transport.Secret(url)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = target.Deliver(t.Context(), sinks.Batch{Object: "t", Records: []sinks.Record{b.rec("id", "1", "n", "5")}})
		target.Close()
		if sinks.Code(err) != want || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	b.exec("DROP ROLE nobody_pgtarget")
}

func TestAddresses(t *testing.T) {
	b := newBed(t, "", func(o *Options) { o.Addresses = sinks.Addresses{"public"} })
	var mis *sinks.Misconfigured
	if err := b.target.Probe(t.Context()); !errors.As(err, &mis) {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, url := range []transport.Secret{"", "http://h/s3cret", "postgres://u:s3cret%zz@h/d", "postgres://u:s3cret@h:port/d"} {
		if _, err := New(Options{URL: url}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
	target, err := New(Options{URL: "postgres://u:p@h/d?statement_timeout=7"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if l := target.Limits(); l != (sinks.Limits{MaxBatch: 1000, MaxInFlight: 4, Timeout: 15 * time.Second}) {
		t.Errorf("limits %+v", l)
	}
	if got := target.pool.Config().ConnConfig.RuntimeParams["statement_timeout"]; got != "7" {
		t.Errorf("the url's own statement_timeout became %q", got)
	}
}

// Two batches of the same rows in another order do not wait for each other for ever.
func TestNoDeadlocks(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id text PRIMARY KEY, n int`+position+`)`)
	batch := func(g, round int) (rs []sinks.Record) {
		for i := range 200 {
			if g%2 == 0 {
				i = 199 - i
			}
			rs = append(rs, sinks.Record{Op: sinks.Upsert, Key: sinks.Field{Name: "id", Value: json.RawMessage(fmt.Sprintf(`"%d"`, i))},
				Fields: []sinks.Field{{Name: "n", Value: json.RawMessage("1")}}, Position: cdc.Position{LSN: cdc.LSN(round)}})
		}
		return rs
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for round := range 10 {
				rs, err := b.target.Deliver(t.Context(), sinks.Batch{Object: "t", Records: batch(g, round)})
				if err != nil || rs[0].Err != nil {
					t.Errorf("%v %v", rs, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// In whatever order upserts and deletes of a key come, cut into batches, with repeats: what is left
// is the newest of what came since the last delete that found a row (I4, I9).
func TestOrder(t *testing.T) {
	b := newBed(t, `CREATE TABLE t (id int PRIMARY KEY, a int, b int`+position+`)`)
	rapid.Check(t, func(rt *rapid.T) {
		b.exec("TRUNCATE t")
		type row struct {
			at   cdc.Position
			a, b int
		}
		model := map[int]*row{}
		steps := rapid.IntRange(1, 12).Draw(rt, "steps")
		for range steps {
			var batch []sinks.Record
			for id := range 3 {
				if !rapid.Bool().Draw(rt, "in") {
					continue
				}
				pos := cdc.Position{LSN: cdc.LSN(rapid.IntRange(0, 3).Draw(rt, "lsn")), Ordinal: uint64(rapid.IntRange(0, 2).Draw(rt, "ordinal"))}
				n := int(pos.LSN)*10 + int(pos.Ordinal)
				r := sinks.Record{Op: sinks.Upsert, Key: sinks.Field{Name: "id", Value: json.RawMessage(fmt.Sprint(id))}, Position: pos}
				m := model[id]
				stale := m != nil && pos.Before(m.at)
				switch rapid.IntRange(0, 4).Draw(rt, "op") {
				case 0:
					r.Op = sinks.Delete
					if !stale {
						delete(model, id)
					}
				case 1: // one of the two fields, both of which the Position stands for
					r.Fields = []sinks.Field{{Name: "a", Value: json.RawMessage(fmt.Sprint(n))}}
					if !stale {
						if m == nil {
							m = &row{b: -1}
							model[id] = m
						}
						m.at, m.a = pos, n
					}
				default:
					r.Fields = []sinks.Field{{Name: "a", Value: json.RawMessage(fmt.Sprint(n))}, {Name: "b", Value: json.RawMessage(fmt.Sprint(n))}}
					if !stale {
						model[id] = &row{pos, n, n}
					}
				}
				batch = append(batch, r)
			}
			for range rapid.IntRange(1, 2).Draw(rt, "times") {
				if len(batch) == 0 {
					break
				}
				for i, code := range b.deliver(batch...) {
					if code != "ok" {
						rt.Fatalf("record %d: %s", i, code)
					}
				}
			}
		}
		want := ""
		for id := range 3 {
			if m := model[id]; m != nil {
				want += fmt.Sprintf("%d:%d,%d@%s ", id, m.a, m.b, positionText(m.at))
			}
		}
		got := b.ask(`SELECT coalesce(string_agg(id || ':' || a || ',' || coalesce(b, -1) || '@' || "_walbridge_position" || ' ', '' ORDER BY id), '') FROM t`)
		if got != want {
			rt.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}
