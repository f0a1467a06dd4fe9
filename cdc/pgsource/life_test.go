package pgsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

const deals = `CREATE TABLE deals (id int PRIMARY KEY, name text)`

// Item 4 of the issue, and pitfall 9: one capture of a bridge is active, the others
// wait, and take over when it is gone. Nobody steals, nobody exits.
func TestStandby(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.options.SlotWait = 100 * time.Millisecond // it is a sibling that is waited for
	first := b.start()
	stopFirst := b.stop
	b.exec(`INSERT INTO deals VALUES (1)`)
	b.wait(first)
	b.err = make(chan error, 1)
	said := b.listen()
	second := b.start()
	until(t, "the second to wait", func() bool { return second.Stats().State == Standby })
	for i := range 20 {
		b.exec(`INSERT INTO deals VALUES ($1)`, 10+i)
	}
	b.wait(first)
	if s := second.Stats(); s.State != Standby || s.Rows != 0 {
		t.Errorf("the second did something: %+v", s)
	}
	if n := strings.Count(said.String(), "waiting for the slot"); n != 1 {
		t.Errorf("the wait was said %d times:\n%s", n, said)
	}
	stopFirst()
	began := time.Now()
	until(t, "the second to take over", func() bool { return second.Stats().State == Streaming })
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the second took over after %v", d)
	}
	b.exec(`INSERT INTO deals VALUES (2)`)
	if got := b.wait(second); len(got) != 22 {
		t.Errorf("%d entries, want 22", len(got))
	}
	if strings.Contains(said.String(), "another process writes") {
		t.Errorf("the hand-over was not clean:\n%s", said)
	}
}

// A slot that a stranger holds is said to be, with who it is, at the first start.
func TestSlotInUse(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.once()
	release := b.hold("somebody else")
	b.options.SlotWait = 100 * time.Millisecond
	err := b.run()
	var se *cdc.SetupError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), "somebody else") {
		t.Fatalf("error %v, want that the slot is in use by somebody else", err)
	}
	release()
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (2)`)
	b.wait(c)
}

// Two bridges that were given one name: the second, with a log or a database of its own, is
// told so, and takes neither slot nor publication from the first.
func TestNameTwice(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1)`)
	b.wait(c)
	other := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals") // with a log and a database of its own
	server := newBench(t, servertest.Postgres(t, servers.PostgresOptions{}).URL("postgres"), deals, "deals")
	for name, tc := range map[string]struct {
		url, want string
		log       cdc.Log
	}{
		"another log":      {b.options.URL, "fills another log than the one that redis.url leads to", other.log},
		"another server":   {server.options.URL, "is being filled by another capture now, from slot " + b.options.Slot, b.log},
		"another database": {other.options.URL, "is not a pgoutput slot of database", b.log},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.options
			o.URL, o.SlotWait, o.AfterLoss = tc.url, 100*time.Millisecond, HealAfterLoss
			o.Tables = map[cdc.Table]Lanes{{Schema: "public", Name: "deals"}: {Lane: cdc.LaneUrgent}}
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			err = NewCapture(s, tc.log).Prepare(t.Context())
			var se *cdc.SetupError
			if !errors.As(err, &se) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
	b.exec(`INSERT INTO deals VALUES (2)`)
	b.wait(c)
	if s := c.Stats(); s.State != Streaming || len(s.Losses) != 0 {
		t.Errorf("the first was disturbed: %+v", s)
	}
}

// hold reads the bench's slot as a stranger.
func (b *bench) hold(name string) (release func()) {
	b.t.Helper()
	cfg, err := pgconn.ParseConfig(b.options.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg.RuntimeParams["replication"], cfg.RuntimeParams["application_name"] = "database", name
	conn, err := pgconn.ConnectConfig(b.t.Context(), cfg)
	if err == nil {
		err = pglogrepl.StartReplication(b.t.Context(), conn, b.options.Slot, 0, pglogrepl.StartReplicationOptions{
			PluginArgs: []string{"proto_version '1'", "publication_names '" + b.options.Publication + "'"}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return func() { closeConn(conn) }
}

// Pitfall 11: the making of the slot waits for a transaction that runs, says for
// which, and ends when the process is asked to; a start while another process is
// still making it does not take the half-made slot for one.
func TestSlotWaitsForTransactions(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	said := b.listen()
	open, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(open)
	tx, err := open.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO deals VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	prepare := func(ctx context.Context) (*Capture, chan error) {
		s, err := New(b.options)
		if err != nil {
			t.Fatal(err)
		}
		c, done := NewCapture(s, b.log), make(chan error, 1)
		go func() { done <- c.Prepare(ctx) }()
		return c, done
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, first := prepare(ctx)
	pid := fmt.Sprint("pid=", open.PgConn().PID())
	until(t, "the wait to be said", func() bool {
		return strings.Contains(said.String(), "waits for a transaction to end") && strings.Contains(said.String(), pid)
	})
	_, second := prepare(t.Context())
	until(t, "the second to see that it is being made", func() bool { return strings.Contains(said.String(), "is being made by another process") })
	cancel()
	if err := <-first; err == nil {
		t.Error("a start that was asked to end went on")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (2)`)
	wantLines(t, b.wait(c), `c {"id":2} {"id":2,"name":null}`)
}

// The slot is one that standbys get too, where the server can.
func TestFailoverSlot(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.start()
	s, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Facts(t.Context(), b.conn)
	if err != nil {
		t.Fatal(err)
	}
	if want := f.Version >= failoverVersion; !f.HasSlot || f.Failover != want {
		t.Errorf("on version %d: %+v, want failover %v", f.Version, f, want)
	}
}

func (b *bench) version() (n int) {
	b.t.Helper()
	if err := b.conn.QueryRow(b.t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// I15: from 18 on the server refuses updates of a published table with REPLICA
// IDENTITY FULL and generated columns; walbridge does not publish such a table.
func TestFullWithGeneratedColumns(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a + 1) STORED);
ALTER TABLE deals REPLICA IDENTITY FULL; INSERT INTO deals VALUES (1, 1)`, "deals")
	if b.version() >= 180000 {
		err := b.run()
		var se *cdc.SetupError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), "REPLICA IDENTITY FULL and generated columns") {
			t.Fatalf("error %v, want one about the generated column", err)
		}
		b.exec(`UPDATE deals SET a = 2`)
		b.exec(`ALTER TABLE deals REPLICA IDENTITY DEFAULT`)
	}
	c := b.start()
	b.exec(`UPDATE deals SET a = 3`)
	wantLines(t, b.wait(c), `u {"id":1} {"id":1,"a":3}`)
}

// A publication that others made is not taken over.
func TestForeignPublication(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE theirs (id int PRIMARY KEY)", "deals")
	b.exec("CREATE PUBLICATION " + b.options.Publication + " FOR TABLE theirs")
	err := b.run()
	var se *cdc.SetupError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), "exists already") {
		t.Fatalf("error %v, want that the publication exists", err)
	}
	var n int
	if err := b.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_publication_tables WHERE pubname = $1 AND tablename = 'theirs'`, b.options.Publication).Scan(&n); err != nil || n != 1 {
		t.Errorf("their table was taken out: %d, %v", n, err)
	}
}

// A table that inherits from a mapped one has rows of its own: they are not sent, and
// the server goes on taking updates of it though it has no key.
func TestInheritance(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `DROP TABLE IF EXISTS deals CASCADE; CREATE TABLE deals (id int PRIMARY KEY, a int);
CREATE TABLE old_deals () INHERITS (deals); INSERT INTO old_deals VALUES (1, 1)`, "deals")
	c := b.start()
	b.exec(`UPDATE old_deals SET a = 2; INSERT INTO deals VALUES (1, 3)`)
	wantLines(t, b.wait(c), `c {"id":1} {"id":1,"a":3}`)
	published := func() (n int) {
		t.Helper()
		if err := b.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_publication_tables WHERE pubname = $1`, b.options.Publication).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := published(); n != 1 {
		t.Errorf("the publication has %d tables, want deals alone", n)
	}
	b.exec("ALTER TABLE deals DROP CONSTRAINT deals_pkey")
	until(t, "the table without a key to be taken out alone", func() bool { return published() == 0 })
}
