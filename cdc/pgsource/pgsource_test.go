package pgsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// I2 and section 2 of the design: every kind of change, and positions that count
// up within a transaction.
func TestChangesArriveAsEntries(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, name text, note text);
ALTER TABLE deals ALTER note SET STORAGE EXTERNAL; CREATE TABLE other (id int PRIMARY KEY)`, "deals")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1, 'a', repeat('x', 4000)), (2, 'b', NULL)`)
	b.exec(`UPDATE deals SET name = 'c' WHERE id = 1`)
	b.exec(`UPDATE deals SET id = 3 WHERE id = 2`)
	b.exec(`INSERT INTO other VALUES (1)`)
	b.exec(`DELETE FROM deals WHERE id = 3`)
	got := b.wait(c)
	wantLines(t, got,
		`c {"id":1} {"id":1,"name":"a","note":"`+strings.Repeat("x", 4000)+`"}`,
		`c {"id":2} {"id":2,"name":"b","note":null}`,
		`u {"id":1} {"id":1,"name":"c"}`,
		`d {"id":2} `, `c {"id":3} {"id":3,"name":"b","note":null}`,
		`d {"id":3} `)
	if got[0].Position.LSN != got[1].Position.LSN || got[1].Position.Ordinal != 2 {
		t.Errorf("rows of one transaction stand at %v and %v", got[0].Position, got[1].Position)
	}
	if !slices.Equal(got[2].Absent, []string{"note"}) {
		t.Errorf("absent columns %v, want note", got[2].Absent)
	}
	b.exec(`TRUNCATE deals`)
	got = b.wait(c)
	if n := len(got) - 6; n != len(b.log.Streams()) {
		t.Errorf("truncate gave %d entries, want one in each of %d streams", n, len(b.log.Streams()))
	}
}

// Values equal to_jsonb of the row (design section 4).
func TestValuesEqualToJSONB(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TYPE stage AS ENUM ('new', 'won');
CREATE DOMAIN money2 AS numeric(12,2);
CREATE TABLE v (id int PRIMARY KEY, i2 smallint, i8 bigint, n numeric, m money2, r real, d double precision, b bool, t text,
 vc varchar(10), c char(4), by bytea, da date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j jsonb, e stage,
 ai int[], at text[], ae stage[], an money2[], atz timestamptz[], ab bool[], inet inet, r4 int4range, arr int4range[], apt point[], abx box[], "Quoted ""name""" text)`, "v")
	c := b.start()
	b.exec(`INSERT INTO v VALUES
(1, -3, 9007199254740993, 12345678901234567890.123456789, 100.00, 1.5, 1e300, true, E'a"b\\c\nd\te', 'vc', 'c', '\xdeadbeef', '2026-02-03',
 '10:11:12.5', '2026-02-03 10:11:12.000001', '2026-02-03 10:11:12+02', '1 year 2 days 03:04:05', '7d444840-9dc0-11d1-b245-5ffdce74fad2',
 '{"a": [1, "x", null], "b": {"c": 1.10}}', 'won', '{1,NULL,3}', '{a,"b c",NULL,"NULL","q\"q"}', '{new,won}', '{1.50,2}', '{"2026-02-03 10:11:12+00"}', '{t,f}',
 '10.0.0.1/8', '[1,5)', '{"[1,5)",empty}', '{"(1,2)"}', '{(1,1),(0,0);(3,3),(2,2)}', 'Zürich 東京'),
(2, NULL, NULL, 'NaN', NULL, 'Infinity', '-Infinity', false, '', '', '', '', 'infinity', '00:00', '-infinity', '0044-03-15 10:00:00+00 BC', '-00:00:01', NULL,
 'null', NULL, '{}', '[0:1]={a,b}', '{}', '{}', NULL, '{{t,f},{f,t}}', '::1', 'empty', '{}', NULL, NULL, NULL)`)
	got := b.wait(c)
	if len(got) != 2 {
		t.Fatalf("%d entries, want 2", len(got))
	}
	for _, ch := range got {
		var want string
		b.exec(`SET TimeZone = 'UTC'`)
		if err := b.conn.QueryRow(t.Context(), `SELECT to_jsonb(v)::text FROM v WHERE to_jsonb(id) = $1::jsonb -> 'id'`, ch.Key).Scan(&want); err != nil {
			t.Fatal(err)
		}
		var same bool
		if err := b.conn.QueryRow(t.Context(), `SELECT $1::jsonb = $2::jsonb`, ch.After, want).Scan(&same); err != nil {
			t.Fatal(err)
		}
		if !same {
			t.Errorf("after is not to_jsonb of the row: %s", difference(t, ch.After, want))
		}
	}
}

func difference(t *testing.T, a, b string) string {
	t.Helper()
	var x, y map[string]json.RawMessage
	for text, m := range map[string]*map[string]json.RawMessage{a: &x, b: &y} {
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(x)) {
		var v, w any
		if json.Unmarshal(x[k], &v) != nil || json.Unmarshal(y[k], &w) != nil || !reflect.DeepEqual(v, w) {
			out = append(out, fmt.Sprintf("%s: %s, want %s", k, x[k], y[k]))
		}
	}
	return strings.Join(out, "; ")
}

// A capture that is stopped and started again goes on without a gap, and what
// the server sends again is held once.
func TestRestartLeavesNoGapAndNoDuplicate(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY)`, "deals")
	const runs, each = 4, 300
	for run := range runs {
		c := b.start()
		for i := range each {
			b.exec(`INSERT INTO deals VALUES ($1)`, run*each+i)
			if i == each/2 && run%2 == 0 {
				b.stop()
				c = b.start()
			}
		}
		if run == runs-1 {
			b.wait(c)
		}
		b.stop()
	}
	got := b.entries()
	for i, ch := range got {
		if want := fmt.Sprintf(`{"id":%d}`, i); ch.Key != want {
			t.Fatalf("entry %d is %s, want %s", i, ch.Key, want)
		}
	}
	if len(got) != runs*each {
		t.Errorf("%d entries, want %d", len(got), runs*each)
	}
}

// I1: the slot is never confirmed beyond the log's durable mark; and pitfall 2:
// with nothing to capture it still moves on.
func TestConfirmFollowsTheLogAndIdleSlotsMove(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY); CREATE TABLE noise (id int)`, "deals")
	b.start()
	confirmed := func() cdc.LSN {
		var s string
		if err := b.conn.QueryRow(t.Context(), `SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot).Scan(&s); err != nil {
			t.Fatal(err)
		}
		lsn, err := cdc.ParseLSN(s)
		if err != nil {
			t.Fatal(err)
		}
		// The mark is read after: it may only be higher.
		mark, ok, err := b.log.DurableMark(t.Context())
		if err != nil || !ok || lsn > mark {
			t.Fatalf("slot confirmed up to %v, durable mark %v (%v)", lsn, mark, err)
		}
		return lsn
	}
	first := confirmed()
	b.exec(`INSERT INTO noise SELECT generate_series(1, 1000)`)
	var end string
	if err := b.conn.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	lsn, err := cdc.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the idle slot to move beyond "+end, func() bool { return confirmed() >= lsn })
	if lsn <= first {
		t.Fatal("the test wrote no WAL")
	}
}

func TestBulkRowsOfALargeTransaction(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY)`, "deals")
	b.options.BulkAfter = 10
	c := b.start()
	b.exec(`INSERT INTO deals SELECT generate_series(1, 25)`)
	b.exec(`INSERT INTO deals VALUES (100)`)
	b.wait(c)
	count := map[string]int64{}
	for _, s := range b.log.Streams() {
		n, err := b.log.Client().XLen(t.Context(), b.log.Keys().Stream(s)).Result()
		if err != nil {
			t.Fatal(err)
		}
		count[s.Lane] += n
	}
	if want := map[string]int64{"urgent": 0, "normal": 11, "bulk": 15}; !maps.Equal(count, want) {
		t.Errorf("entries by lane %v, want %v", count, want)
	}
}

// A server that is killed and comes back is captured on, from where it was.
func TestPostgresIsKilledAndComesBack(t *testing.T) {
	pg := servertest.Postgres(t, servers.PostgresOptions{})
	b := newBench(t, pg.URL("postgres"), `CREATE TABLE deals (id int PRIMARY KEY)`, "deals")
	c := b.start()
	for round := range 2 {
		b.exec(`INSERT INTO deals SELECT generate_series($1::int, $1::int + 99)`, round*100)
		pg.Kill()
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if b.conn, err = pgx.Connect(t.Context(), pg.URL("postgres")); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(`INSERT INTO deals VALUES (200)`)
	got := b.wait(c)
	if len(got) != 201 {
		t.Errorf("%d entries, want 201", len(got))
	}
	b.stop()
	if err := b.conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// I16: a read that a change caused is thrown away while the change is in the WAL
// but not visible, as under synchronous replication to a standby that is gone.
func TestCompletionWaitsForVisibility(t *testing.T) {
	// Set from the start: a reload tells the sessions, but commits wait only once
	// the checkpointer has read the setting, and nothing shows when it has.
	pg := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{
		"synchronous_standby_names": "nobody", "synchronous_commit": "local"}})
	b := newBench(t, pg.URL("postgres"), `CREATE TABLE deals (id int PRIMARY KEY, name text); INSERT INTO deals VALUES (1, 'old'), (2, 'two')`, "deals")
	b.start()
	writer, err := pgx.Connect(t.Context(), pg.URL("postgres")+"&synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := writer.Exec(context.Background(), `UPDATE deals SET name = 'new' WHERE id = 1`)
		written <- errors.Join(err, writer.Close(context.Background()))
	}()
	var got []cdc.Change
	until(t, "the change to be in the log", func() bool { got = b.entries(); return len(got) == 1 })
	src, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	comp := src.NewCompleter()
	defer comp.Close()
	table := cdc.Table{Schema: "public", Name: "deals"}
	keys := []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if rows, err := comp.Complete(short, table, keys, []uint64{got[0].XID}); err == nil {
		t.Fatalf("read %v while the change was not visible", rows)
	}
	b.exec(`ALTER SYSTEM SET synchronous_standby_names = ''`)
	b.exec(`SELECT pg_reload_conf()`)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	rows, err := comp.Complete(t.Context(), table, keys, []uint64{got[0].XID})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{`{"id":1}`: `{"id":1,"name":"new"}`, `{"id":2}`: `{"id":2,"name":"two"}`}
	if !maps.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	// A transaction of the server before this one is not waited for.
	if rows, err := comp.Complete(t.Context(), table, keys, []uint64{got[0].XID, 1 << 40}); err != nil || !maps.Equal(rows, want) {
		t.Errorf("rows %v, %v", rows, err)
	}
}

// Each mistake in the setting up is one clear error with what to do.
func TestSetupErrors(t *testing.T) {
	plain := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{"wal_level": "replica"}})
	db := servertest.SharedPostgres(t)
	for _, tc := range []struct {
		name   string
		url    string
		schema string
		change func(*bench)
		want   []string
	}{
		{"wal_level", plain.URL("postgres"), `CREATE TABLE deals (id int PRIMARY KEY)`, nil, []string{"wal_level = replica", "ALTER SYSTEM SET wal_level = logical"}},
		{"no such table", db.URL, `CREATE SCHEMA s1`, nil, []string{"table public.deals does not exist", "mapping file"}},
		{"no primary key", db.URL, `CREATE TABLE deals (id int)`, nil, []string{"table public.deals has no primary key", "ALTER TABLE public.deals ADD PRIMARY KEY"}},
		{"unlogged", db.URL, `DROP TABLE deals; CREATE UNLOGGED TABLE deals (id int PRIMARY KEY)`, nil, []string{"unlogged", "ALTER TABLE public.deals SET LOGGED"}},
		{"a partition beside its table", db.URL, `DROP TABLE deals; CREATE TABLE deals (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE half PARTITION OF deals FOR VALUES FROM (1) TO (9) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF half FOR VALUES FROM (1) TO (5)`,
			func(b *bench) {
				b.options.Tables[cdc.Table{Schema: "public", Name: "low"}] = Lanes{Lane: cdc.LaneNormal}
			},
			[]string{"table public.low is a partition of public.deals, which is mapped too", "map public.deals in its place, with a when:"}},
		{"no privilege to replicate", db.URL, `DROP TABLE deals; CREATE TABLE deals (id int PRIMARY KEY); DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN`,
			func(b *bench) { b.options.URL = strings.Replace(b.options.URL, "postgres@", "poor@", 1) },
			[]string{"role poor may not replicate", "ALTER ROLE poor REPLICATION"}},
		{"no privilege to publish", db.URL, `ALTER ROLE poor REPLICATION`,
			func(b *bench) { b.options.URL = strings.Replace(b.options.URL, "postgres@", "poor@", 1) },
			[]string{"role poor may not make or change publication", "CREATE PUBLICATION"}},
		{"server is not there", "postgres://postgres@127.0.0.1:1/postgres", "", nil, []string{"postgres cannot be reached", "127.0.0.1:1"}},
		{"no such database", strings.Replace(db.URL, db.Name, "nodb", 1), "", nil, []string{"refuses the connection", "nodb", "check the database name"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := tc.url
			if tc.schema == "" {
				url = db.URL
			}
			b := newBench(t, url, tc.schema+";SELECT 1", "deals")
			b.options.URL = tc.url
			if tc.change != nil {
				tc.change(b)
			}
			s, err := New(b.options)
			if err != nil {
				t.Fatal(err)
			}
			err = NewCapture(s, b.log).Prepare(t.Context())
			var se *cdc.SetupError
			if !errors.As(err, &se) {
				t.Fatalf("error %v, want a SetupError", err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
		})
	}
}

// A server that was stopped, as a machine that vanished, is noticed; and one that
// only has nothing to say is not given up.
func TestSilenceIsAskedAbout(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY)`, "deals")
	s, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewCapture(s, b.log).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	repl, err := s.connectReplication(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(repl)
	c := NewCapture(s, b.log)
	if err := c.start(t.Context(), repl); err != nil {
		t.Fatal(err)
	}
	app, err := b.log.NewAppender(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st := newStream(c, repl, app, streamStart{})
	began := time.Now()
	st.heard = began.Add(-askAfter - time.Second)
	if err := st.status(t.Context()); err != nil { // asks, since nothing was heard
		t.Fatal(err)
	}
	if err := repl.Conn().SetReadDeadline(began.Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := repl.ReceiveMessage(context.Background()); err != nil {
		t.Fatalf("the server did not answer: %v", err)
	}
	st.told, st.messages = 7, 7
	if err := st.tick(t.Context(), began.Add(silentAfter)); err == nil || !strings.Contains(err.Error(), "nothing heard") {
		t.Errorf("after a long silence: error %v, want that nothing was heard", err)
	}
	st.messages++
	if err := st.tick(t.Context(), began.Add(silentAfter)); err != nil {
		t.Errorf("after a message: %v", err)
	}
}
