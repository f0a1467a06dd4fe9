package pgsource

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests mostly wait for servers: more of them than processors run at a time.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err) // the flag is the testing package's own
	}
	os.Exit(servertest.Run(m))
}

// bench is a database, a log and a capture between them.
type bench struct {
	t       *testing.T
	conn    *pgx.Conn
	options Options
	log     *redislog.Log
	stop    func()
	err     chan error
}

func newBench(t *testing.T, url, schema string, tables ...string) *bench {
	t.Helper()
	k := servertest.SharedRedis(t)
	b := &bench{t: t, err: make(chan error, 1), stop: func() {}}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	b.conn = conn
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.exec(schema)
	b.options = Options{URL: url, Slot: k.Name, Publication: k.Name, Tables: map[cdc.Table]Lanes{},
		BulkAfter: 1000, Heartbeat: 100 * time.Millisecond, SlotWait: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)}
	for _, name := range tables {
		b.options.Tables[cdc.Table{Schema: "public", Name: name}] = Lanes{Lane: cdc.LaneNormal}
	}
	b.log, err = redislog.Open(t.Context(), redislog.Options{URL: k.Server.URL(), Name: k.Name, Partitions: 2, Logger: b.options.Logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.conn.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// start runs a capture until stop.
func (b *bench) start() *Capture {
	b.t.Helper()
	return b.startInto(b.log)
}

// startInto is start with something between the capture and the bench's log.
func (b *bench) startInto(log cdc.Log) *Capture {
	b.t.Helper()
	s, err := New(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	c := NewCapture(s, log)
	if err := c.Prepare(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	go func() { b.err <- c.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-b.err; err != nil {
			b.t.Error(err)
		}
		b.stop = func() {}
	}
	b.t.Cleanup(func() { b.stop() })
	return c
}

// once has a first capture see one row of deals and stop; it gives the entry, as soon as
// the server has let go of the slot.
func (b *bench) once() []cdc.Change {
	b.t.Helper()
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1)`)
	seen := b.wait(c)
	b.stop()
	b.free()
	return seen
}

// wait reads all entries once the capture has appended what is committed now.
func (b *bench) wait(c *Capture) []cdc.Change {
	b.t.Helper()
	end := b.end()
	until(b.t, "capture to reach "+end.String(), func() bool { return c.Stats().Appended >= end })
	return b.entries()
}

// end is where the server's WAL ends.
func (b *bench) end() cdc.LSN {
	b.t.Helper()
	var end string
	if err := b.conn.QueryRow(b.t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		b.t.Fatal(err)
	}
	lsn, err := cdc.ParseLSN(end)
	if err != nil {
		b.t.Fatal(err)
	}
	return lsn
}

// until polls for something that has no event to wait for.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// entries reads the whole log, in the order of positions.
func (b *bench) entries() []cdc.Change {
	b.t.Helper()
	var out []cdc.Change
	for _, s := range b.log.Streams() {
		out = append(out, b.read(s)...)
	}
	slices.SortFunc(out, func(a, b cdc.Change) int { return a.Position.Compare(b.Position) })
	return out
}

// read reads one stream of the log.
func (b *bench) read(s cdc.Stream) (out []cdc.Change) {
	b.t.Helper()
	msgs, err := b.log.Client().XRange(b.t.Context(), b.log.Keys().Stream(s), "-", "+").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range msgs {
		var fields []any
		for k, v := range m.Values {
			fields = append(fields, k, v)
		}
		c, _, err := redislog.ParseEntry(m.ID, fields)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func lines(changes []cdc.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%v %s %s", c.Op, c.Key, c.After))
	}
	return out
}

func wantLines(t *testing.T, got []cdc.Change, want ...string) {
	t.Helper()
	if g := lines(got); !slices.Equal(g, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(want, "\n"))
	}
}
