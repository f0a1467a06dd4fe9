package pgsource

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// witnessLog writes down what an appender is told, and holds I1 against it: when
// everything up to an LSN is said to have been passed, nothing that committed below it
// comes later.
type witnessLog struct {
	cdc.Log
	mu     sync.Mutex // covers what follows
	marks  []cdc.LSN
	marked cdc.LSN
	wrong  []string
}

func (l *witnessLog) NewAppender(ctx context.Context) (cdc.Appender, error) {
	a, err := l.Log.NewAppender(ctx)
	return witnessAppender{a, l}, err
}

type witnessAppender struct {
	cdc.Appender
	log *witnessLog
}

func (a witnessAppender) Append(s cdc.Stream, e *cdc.Entry) {
	a.log.mu.Lock()
	if e.Position.LSN < a.log.marked {
		a.log.wrong = append(a.log.wrong, fmt.Sprintf("entry %v after the mark %v", e.Position, a.log.marked))
	}
	a.log.mu.Unlock()
	a.Appender.Append(s, e)
}

func (a witnessAppender) Mark(end cdc.LSN, at time.Time) {
	a.log.mu.Lock()
	if end < a.log.marked {
		a.log.wrong = append(a.log.wrong, fmt.Sprintf("mark %v after the mark %v", end, a.log.marked))
	}
	a.log.marked = end
	a.log.marks = append(a.log.marks, end)
	a.log.mu.Unlock()
	a.Appender.Mark(end, at)
}

// told is an appender that only remembers.
type told struct {
	cdc.Appender // what is not called
	lines        []string
}

func (a *told) Append(_ cdc.Stream, e *cdc.Entry) {
	a.lines = append(a.lines, fmt.Sprintf("%v %s", e.Position, e.Key))
}
func (a *told) Mark(end cdc.LSN, _ time.Time) {
	a.lines = append(a.lines, fmt.Sprintf("mark %d", end))
}

func (l *routedLog) Partitions() int { return routedPartitions }

// fed is a stream that is given messages by hand.
func fed(t *testing.T) (*stream, *told) {
	t.Helper()
	s, err := New(Options{URL: "postgres://u@127.0.0.1:1/d", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	log, app := &routedLog{}, &told{}
	r, err := newRouter(t.Context(), log, cdc.Routing{BulkAfter: 10, Tables: []cdc.RoutedTable{
		{OID: 7, Name: cdc.Table{Schema: "public", Name: "deals"}, Lane: cdc.LaneNormal}}}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newStream(NewCapture(s, log), nil, app, streamStart{router: r}), app
}

func numbers(kind byte, list ...uint64) []byte {
	b := []byte{kind}
	for _, n := range list {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// wal puts a message of pgoutput into one of the stream.
func wal(payload []byte) []byte { return append(numbers('w', 1, 1, 0), payload...) }

func keepalive(end uint64) []byte { return append(numbers('k', end, 0), 0) }

var (
	dealsRelation = slices.Concat([]byte{'R', 0, 0, 0, 7}, []byte("public\x00deals\x00d"), []byte{0, 1, 1}, []byte("id\x00"), []byte{0, 0, 0, 23, 0xff, 0xff, 0xff, 0xff})
	dealsRow      = slices.Concat([]byte{'I', 0, 0, 0, 7, 'N', 0, 1, 't', 0, 0, 0, 1}, []byte("5"))
)

func beginAt(commit uint64) []byte { return append(numbers('B', commit, 0), 0, 0, 0, 9) }

func commitAt(commit, end uint64) []byte {
	return append([]byte{'C'}, numbers(0, commit, end, 0)...)
}

// Pitfall 1: what a keepalive says is written up to here is never confirmed while a
// transaction is in flight. Pitfall 5: what is confirmed is the end of a transaction, or
// with nothing in flight the end of the WAL.
func TestPitfall1KeepaliveWithinATransaction(t *testing.T) {
	t.Parallel()
	s, app := fed(t)
	for _, m := range [][]byte{
		keepalive(50), wal(beginAt(100)), keepalive(90), wal(dealsRelation), keepalive(120), wal(dealsRow), keepalive(200), wal(dealsRow),
		wal(commitAt(100, 108)), keepalive(150), wal(beginAt(160)), keepalive(300), wal(commitAt(160, 170)), keepalive(300),
	} {
		if err := s.data(m); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"mark 50", `100-0 {"id":5}`, `100-2 {"id":5}`, "mark 108", "mark 150", "mark 170", "mark 300"}
	if !slices.Equal(app.lines, want) {
		t.Errorf("the log was told\n%v, want\n%v", app.lines, want)
	}
}

// Pitfall 21: a message that cannot be decoded ends the session with an error that says
// where. It is not skipped, and nothing beyond it is confirmed.
func TestPitfall21WhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		message []byte
		want    string
	}{
		"unknown kind":        {wal([]byte{'Z', 1, 2}), "at commit 0/64: unknown kind"},
		"row cut short":       {wal(dealsRow[:len(dealsRow)-1]), "at commit 0/64"},
		"table not described": {wal(slices.Concat([]byte{'I', 0, 0, 0, 8}, dealsRow[5:])), "row of table 8, which was not described"},
		"columns missing":     {wal([]byte{'I', 0, 0, 0, 7, 'N', 0, 0}), "row of public.deals has 0 columns, its description 1"},
		"streamed in parts":   {wal([]byte{'S', 0, 0, 0, 9, 1}), "unknown kind"},
		"begin within":        {wal(beginAt(200)), "a transaction begins within another"},
		"empty":               {nil, "an empty message"},
		"header cut short":    {[]byte{'w', 1, 2}, "too short"},
		"keepalive cut short": {[]byte{'k', 1, 2}, "too short"},
		"unknown message":     {[]byte{'?'}, "unknown message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, app := fed(t)
			for _, m := range [][]byte{wal(beginAt(100)), wal(dealsRelation), wal(dealsRow)} {
				if err := s.data(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.data(tc.message); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if want := []string{`100-0 {"id":5}`}; !slices.Equal(app.lines, want) {
				t.Errorf("the log was told %v, want %v", app.lines, want)
			}
		})
	}
}

// Pitfall 21, with a real server: the key of a row does not fit its type any more. The
// capture says so and stays before it, at any number of tries.
func TestPitfall21StaysBeforeIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TYPE pair AS (a int, b int); CREATE TABLE deals (id pair PRIMARY KEY, name text)`, "deals")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES ((1, 2), 'a')`)
	b.wait(c)
	b.stop()
	before := b.end()
	b.exec(`INSERT INTO deals VALUES ((3, 4), 'b')`)
	b.exec(`ALTER TYPE pair ADD ATTRIBUTE c int`)
	b.exec(`INSERT INTO deals VALUES ((5, 6, 7), 'c')`)
	said := b.listen()
	c = b.start()
	until(t, "a second try", func() bool { return strings.Count(said.String(), "capture interrupted") >= 2 })
	if !strings.Contains(said.String(), "encode key column id of public.deals") {
		t.Errorf("the capture said:\n%s", said)
	}
	if got := b.entries(); len(got) != 1 {
		t.Errorf("it went on: %v", story(got))
	}
	if s := c.Stats(); s.Confirmed > before {
		t.Errorf("confirmed up to %v, beyond the row after %v", s.Confirmed, before)
	}
	b.exec(`ALTER TYPE pair DROP ATTRIBUTE c`) // the row of three is the one that does not fit now
	until(t, "the row", func() bool { return len(b.entries()) == 2 })
	b.exec(`DELETE FROM deals`)
	b.stop()
}

// Pitfalls 1 and 5 with a real server: while transactions of several writers come, small
// ones and a large one, what the log is told to be complete up to is, and the slot is
// only ever confirmed at such a place, never within a transaction.
func TestPitfall5ConfirmsAreEndsOfTransactions(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	log := &witnessLog{Log: b.log}
	c := b.startInto(log)
	until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
	began := c.Stats().Confirmed
	witness := b.options.Slot + "_w"
	b.exec(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, witness)
	const writers, each, large = 3, 40, 30_000
	done := make(chan error, writers)
	for w := range writers {
		go func() { done <- writeSome(t.Context(), b.options.URL, 1_000_000*(w+1), each) }()
	}
	b.exec(`INSERT INTO deals SELECT g, repeat('x', 50) FROM generate_series(1, $1::int) g`, large)
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	end := b.end()
	seen := map[cdc.LSN]bool{}
	until(t, "the slot to be confirmed", func() bool {
		lsn := b.confirmed()
		seen[lsn] = true
		return lsn >= end
	})
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, w := range log.wrong {
		t.Error(w)
	}
	marks := map[cdc.LSN]bool{began: true}
	for _, m := range log.marks {
		marks[m] = true
	}
	for lsn := range seen {
		if lsn >= began && !marks[lsn] {
			t.Errorf("the slot was confirmed up to %v, which the log was never told of", lsn)
		}
	}
	spans := b.spans(witness)
	if len(spans) < writers*each+1 {
		t.Fatalf("the server tells of %d transactions only", len(spans))
	}
	for _, s := range spans {
		if s.end > end {
			continue // of later, such as a heartbeat, which 14 tells of too
		}
		for m := range marks {
			if s.commit < m && m < s.end {
				t.Errorf("mark %v is within the commit %v to %v", m, s.commit, s.end)
			}
		}
		if !marks[s.end] {
			t.Errorf("the end %v of a transaction was not told", s.end)
		}
	}
}

// writeSome commits transactions of one to five rows.
func writeSome(ctx context.Context, url string, from, n int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for i := range n {
		if _, err := conn.Exec(ctx, `INSERT INTO deals SELECT $1::int + g FROM generate_series(1, $2::int) g`, from+10*i, 1+i%5); err != nil {
			return err
		}
	}
	return nil
}

// confirmed is where the server has the bench's slot.
func (b *bench) confirmed() cdc.LSN {
	b.t.Helper()
	var s string
	if err := b.conn.QueryRow(b.t.Context(), `SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot).Scan(&s); err != nil {
		b.t.Fatal(err)
	}
	lsn, err := cdc.ParseLSN(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return lsn
}

// Pitfall 2: a database in which nothing happens does not keep the WAL that another
// database of the server writes, with the heartbeat and, by keepalives alone, without.
// Pitfall 3: the heartbeat is a message, so that no table of its own must be published.
func TestPitfall2AnotherDatabaseIsBusy(t *testing.T) {
	t.Parallel()
	for name, heartbeat := range map[string]time.Duration{"with the heartbeat": 100 * time.Millisecond, "without": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			busy := servertest.SharedPostgres(t)
			conn, err := pgx.Connect(t.Context(), busy.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer closeConn(conn)
			b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
			b.options.Heartbeat = heartbeat
			c := b.start()
			until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
			if _, err := conn.Exec(t.Context(), `CREATE TABLE noise (id int); INSERT INTO noise SELECT generate_series(1, 20000)`); err != nil {
				t.Fatal(err)
			}
			end := b.end()
			until(t, "the idle slot to move beyond "+end.String(), func() bool { return b.confirmed() >= end })
			if got := b.entries(); len(got) > 0 {
				t.Errorf("entries came: %v", story(got))
			}
		})
	}
}

// Pitfall 12: one goroutine owns the connection, and so must both read and answer. The
// server ends one that it does not hear from for wal_sender_timeout. It hears from us
// also while the log takes nothing, and while a transaction is in flight.
func TestServerHearsFromUsWhileTheLogBlocks(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL+"&wal_sender_timeout=1s", deals, "deals")
	redis := servertest.Redis(t)
	log, err := redislog.Open(t.Context(), redislog.Options{URL: redis.URL(), Name: "blocks", Partitions: 2, Logger: b.options.Logger})
	if err != nil {
		t.Fatal(err)
	}
	shared := b.log
	b.log = log
	t.Cleanup(func() {
		b.log = shared
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	said := b.listen()
	c := b.start()
	until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
	b.exec(`INSERT INTO deals VALUES (0)`)
	b.wait(c)
	pid := func() (pid int) {
		if err := b.conn.QueryRow(t.Context(), `SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	was := pid()
	const blocked = 4 * time.Second
	if err := log.Client().Do(t.Context(), "client", "pause", blocked.Milliseconds(), "all").Err(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.exec(`INSERT INTO deals SELECT g, repeat('x', 200) FROM generate_series(1, 40000) g`) // more than fits anywhere
	end := b.end()
	until(t, "the capture to go on", func() bool { return c.Stats().Appended >= end })
	if d := time.Since(began); d < blocked-time.Second {
		t.Errorf("the log was blocked for %v only", d)
	}
	if now := pid(); now != was || strings.Contains(said.String(), "capture interrupted") {
		t.Errorf("the connection was lost: pid %d, was %d; the capture said:\n%s", now, was, said)
	}
	b.stop()
}
