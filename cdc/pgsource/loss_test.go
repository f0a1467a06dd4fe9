package pgsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// words collects what is logged.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// listen makes the bench's captures write into what it gives.
func (b *bench) listen() *words {
	w := &words{}
	b.options.Logger = slog.New(slog.NewTextHandler(w, nil))
	return w
}

// run runs a capture to its end, which must come by itself.
func (b *bench) run() error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	s, err := New(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	c := NewCapture(s, b.log)
	if err = c.Prepare(ctx); err == nil {
		err = c.Run(ctx)
	}
	if ctx.Err() != nil {
		b.t.Error("the capture went on and on")
	}
	return err
}

// wantLoss checks an error that ends a capture.
func wantLoss(t *testing.T, err error, want ...string) {
	t.Helper()
	var se *cdc.SetupError
	if !errors.As(err, &se) {
		t.Fatalf("error %v, want a SetupError", err)
	}
	for _, w := range append(want, "data_loss", "on_loss: heal") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

// harms are what can happen to slot, log and publication while nobody looks.
var harms = []struct {
	name string
	harm func(*bench)
	want string
}{
	{"pitfall 6: slot dropped", func(b *bench) { b.exec(`SELECT pg_drop_replication_slot($1)`, b.options.Slot) }, "is gone from the server"},
	{"pitfall 6: slot made anew", func(b *bench) {
		b.exec(`SELECT pg_drop_replication_slot($1)`, b.options.Slot)
		b.exec(`INSERT INTO deals VALUES (2)`)
		b.exec(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, b.options.Slot)
	}, "it was moved or made anew"},
	{"slot moved", func(b *bench) {
		b.exec(`INSERT INTO deals VALUES (2)`)
		b.exec(`SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())`, b.options.Slot)
	}, "it was moved or made anew"},
	{"log wiped", func(b *bench) { b.del(b.log.Keys().Meta(), b.log.Keys().Durable()) }, "the log has no record of it"},
	{"log without its mark", func(b *bench) { b.del(b.log.Keys().Durable()) }, "the log has entries but no durable mark"},
	{"pitfall 23: log rolled back", func(b *bench) {
		if err := b.log.SetDurableMark(b.t.Context(), 1); err != nil {
			b.t.Fatal(err)
		}
	}, "the log holds changes only up to 0/1"},
	{"log with a hole", func(b *bench) {
		if err := b.log.Client().HSet(b.t.Context(), b.log.Keys().Meta(), "broken", "an entry was refused").Err(); err != nil {
			b.t.Fatal(err)
		}
	}, "the log has a hole: an entry was refused"},
	{"another server", func(b *bench) {
		if err := b.log.SetEpoch(b.t.Context(), cdc.Epoch{SystemID: "1", Timeline: 1, Slot: b.options.Slot}); err != nil {
			b.t.Fatal(err)
		}
	}, "it was restored or failed over"},
	{"server restored to an earlier point", func(b *bench) {
		if err := b.log.SetDurableMark(b.t.Context(), 1<<60); err != nil {
			b.t.Fatal(err)
		}
	}, "the server was restored to an earlier point"},
	{"pitfall 10: publication dropped", func(b *bench) { b.exec("DROP PUBLICATION " + b.options.Publication) }, "was dropped"},
	{"pitfall 10: publication made anew", func(b *bench) {
		b.exec("DROP PUBLICATION " + b.options.Publication)
		b.exec(`INSERT INTO deals VALUES (2)`)
		b.exec("CREATE PUBLICATION " + b.options.Publication + " FOR TABLE deals WITH (publish_via_partition_root = true)")
	}, "publication"},
	{"publication without deletes", func(b *bench) {
		b.exec("ALTER PUBLICATION " + b.options.Publication + " SET (publish = 'insert, update')")
	}, "does not publish all kinds of changes"},
	{"table taken out", func(b *bench) {
		b.exec("ALTER PUBLICATION " + b.options.Publication + " DROP TABLE deals")
	}, "is not in the publication any more"},
	{"table taken out and put in", func(b *bench) {
		b.exec("ALTER PUBLICATION " + b.options.Publication + " DROP TABLE deals")
		b.exec("ALTER PUBLICATION " + b.options.Publication + " ADD TABLE deals")
	}, "taken out of the publication and put in again"},
	{"table replaced", func(b *bench) {
		b.exec("DROP TABLE deals; " + deals)
	}, "dropped or replaced"},
}

// free waits until the server has let go of the slot, a moment after its connection
// has ended.
func (b *bench) free() {
	b.t.Helper()
	until(b.t, "the slot to be free", func() (free bool) {
		if err := b.conn.QueryRow(b.t.Context(), `SELECT NOT active FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot).Scan(&free); err != nil {
			b.t.Fatal(err)
		}
		return free
	})
}

func (b *bench) del(keys ...string) {
	b.t.Helper()
	if err := b.log.Client().Del(b.t.Context(), keys...).Err(); err != nil {
		b.t.Fatal(err)
	}
}

// What was lost is said and stops the capture: it is never assumed to be there
// (I12). Where the setting says so it goes on in a new epoch, whose entries lie
// above all that are there.
func TestLoss(t *testing.T) {
	for _, tc := range harms {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
			before := b.once()
			tc.harm(b)
			for range 2 { // not a loop that a restart ends
				wantLoss(t, b.run(), tc.want)
			}
			b.options.AfterLoss = GoOnAfterLoss
			said := b.listen()
			c := b.start()
			defer func() {
				if t.Failed() {
					t.Logf("the capture said:\n%s", said)
				}
			}()
			until(t, "the capture to go on", func() bool { return c.Stats().State == Streaming })
			b.exec(`INSERT INTO deals VALUES (3)`)
			b.exec(`UPDATE deals SET id = 4 WHERE id = 3`)
			var after []cdc.Change
			until(t, "the changes after the loss", func() bool {
				after = b.entries()
				return len(after) > 0 && after[len(after)-1].Key == `{"id":4}`
			})
			if !slices.IsSortedFunc(after, func(a, b cdc.Change) int { return a.Position.Compare(b.Position) }) || !after[len(after)-3].Position.Before(after[len(after)-1].Position) ||
				!before[0].Position.Before(after[len(after)-3].Position) {
				t.Errorf("entries after the loss are not above those before: %v", after)
			}
			if n := strings.Count(said.String(), "msg=data_loss"); n != 1 {
				t.Errorf("data_loss was said %d times:\n%s", n, said)
			}
			total := uint64(0)
			for _, n := range c.Stats().Losses {
				total += n
			}
			if total != 1 {
				t.Errorf("losses counted: %v", c.Stats().Losses)
			}
		})
	}
}

// Pitfall 7: a slot that the server invalidated for its WAL.
func TestInvalidatedSlot(t *testing.T) {
	pg := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{"max_slot_wal_keep_size": "1MB", "wal_keep_size": "0", "min_wal_size": "32MB", "max_wal_size": "32MB"}})
	b := newBench(t, pg.URL("postgres"), deals, "deals")
	b.once()
	for i := 0; ; i++ {
		var status string
		if err := b.conn.QueryRow(t.Context(), `SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot).Scan(&status); err != nil {
			t.Fatal(err)
		}
		if status == "lost" {
			break
		}
		if i == 20 {
			t.Fatalf("the slot is still %s", status)
		}
		b.exec(`INSERT INTO deals SELECT g, repeat('x', 1000) FROM generate_series($1::int, $1::int + 9999) g`, 10+i*10000)
		b.exec(`SELECT pg_switch_wal()`)
		b.exec(`CHECKPOINT`)
	}
	wantLoss(t, b.run(), "was invalidated by the server")
	b.options.AfterLoss = GoOnAfterLoss
	c := b.start()
	until(t, "the capture to go on", func() bool { return c.Stats().State == Streaming })
	b.exec(`INSERT INTO deals VALUES (2)`)
	until(t, "the change after the loss", func() bool {
		all := b.entries()
		return all[len(all)-1].Key == `{"id":2}`
	})
}

// Loss while the capture runs is found by the watch, not only at the next start.
func TestLossWhileRunning(t *testing.T) {
	for name, tc := range map[string]struct{ harm, want string }{
		"publication dropped":          {"DROP PUBLICATION %s", "was dropped"},
		"publication without truncate": {"ALTER PUBLICATION %s SET (publish = 'insert, update, delete')", "all kinds of changes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
			s, err := New(b.options)
			if err != nil {
				t.Fatal(err)
			}
			c := NewCapture(s, b.log)
			if err := c.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- c.Run(t.Context()) }()
			until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
			b.exec(fmt.Sprintf(tc.harm, b.options.Publication))
			wantLoss(t, <-done, tc.want)
		})
	}
}

// A table that is lost stops alone, the others go on; it is named in the log and
// refused at the next start. A table that lost its identity is taken out of the
// publication, so that the application can update it again (I15).
func TestTableIsStoppedAlone(t *testing.T) {
	for name, tc := range map[string]struct{ harm, want string }{
		"key dropped":   {"ALTER TABLE deals DROP CONSTRAINT deals_pkey", "no usable replica identity"},
		"taken out":     {"ALTER PUBLICATION %s DROP TABLE deals", "is not in the publication any more"},
		"table dropped": {"DROP TABLE deals", "it was dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE leads (id int PRIMARY KEY)", "deals", "leads")
			said := b.listen()
			c := b.start()
			b.exec(`INSERT INTO deals VALUES (1)`)
			b.wait(c)
			if strings.Contains(tc.harm, "%s") {
				tc.harm = fmt.Sprintf(tc.harm, b.options.Publication)
			}
			b.exec(tc.harm)
			until(t, "the table to be stopped", func() bool { return c.Stats().Losses[LossTableStopped] == 1 })
			if name == "key dropped" {
				b.exec(`UPDATE deals SET name = 'the application goes on'`)
			}
			b.exec(`INSERT INTO leads VALUES (7)`)
			got := b.wait(c)
			wantLines(t, got, `c {"id":1} {"id":1,"name":null}`, `c {"id":7} {"id":7}`)
			stopped, err := b.log.Stopped(t.Context())
			if err != nil || !strings.Contains(stopped[cdc.Table{Schema: "public", Name: "deals"}], tc.want) {
				t.Errorf("stopped tables %v, error %v, want %q", stopped, err, tc.want)
			}
			if n := strings.Count(said.String(), "msg=data_loss"); n != 1 {
				t.Errorf("data_loss was said %d times:\n%s", n, said)
			}
			// A connection that breaks ends nothing.
			b.exec(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot)
			b.exec(`INSERT INTO leads VALUES (8)`)
			if got := b.wait(c); len(got) != 3 {
				t.Errorf("after a reconnect: %v", lines(got))
			}
			b.stop()
			if name == "key dropped" {
				b.exec(`ALTER TABLE deals ADD PRIMARY KEY (id)`)
				wantLoss(t, b.run(), "table public.deals was stopped", tc.want)
			}
			// Once no mapping names it nobody misses it any more.
			delete(b.options.Tables, cdc.Table{Schema: "public", Name: "deals"})
			c = b.start()
			b.exec(`INSERT INTO leads VALUES (9)`)
			b.wait(c)
			if stopped, err := b.log.Stopped(t.Context()); err != nil || len(stopped) > 0 {
				t.Errorf("stopped tables %v, error %v, want none", stopped, err)
			}
		})
	}
}

// moved is a log that another capture moves on each time it is looked at.
type moved struct {
	cdc.Log
	b *bench
}

func (m moved) DurableMark(ctx context.Context) (cdc.LSN, bool, error) {
	var now string
	_, err := m.b.conn.Exec(ctx, `INSERT INTO deals SELECT max(id) + 1 FROM deals`)
	if err == nil {
		err = m.b.conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&now)
	}
	if err != nil {
		return 0, false, err
	}
	lsn, err := cdc.ParseLSN(now)
	if err != nil {
		return 0, false, err
	}
	return lsn, true, m.SetDurableMark(ctx, lsn)
}

// A log that another capture moves on between two looks, as when this one was frozen
// just after it had got the slot, has lost nothing (found by nemesis, seed 114139).
func TestLogMovesWhileLookedAt(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.once()
	said := b.listen()
	c := b.startInto(moved{b.log, b})
	until(t, "the capture to go on", func() bool { return c.Stats().State == Streaming })
	if text := said.String(); strings.Contains(text, "data_loss") {
		t.Errorf("said %s", text)
	}
}

// A server that ends at 10 and was confirmed up to 9 is held against the mark of before
// it was looked at for what it lacks, and that of after for what the log lacks.
func TestDiagnoseWhileTheLogMoves(t *testing.T) {
	const slot = "s"
	server := Facts{HasSlot: true, Now: 10, Confirmed: 9}
	server.Publication.Exists = true
	at := func(mark, base cdc.LSN) LogFacts {
		return LogFacts{Described: true, Marked: true, Epoch: cdc.Epoch{Slot: slot, Base: base}, Mark: mark}
	}
	for name, tc := range map[string]struct {
		before, after LogFacts
		want          string
	}{
		"at rest":                    {at(10, 0), at(10, 0), ""},
		"moved past the server":      {at(9, 0), at(12, 0), ""},
		"moved up to the slot":       {at(5, 0), at(9, 0), ""},
		"ahead of the server":        {at(11, 0), at(12, 0), LossSourceChanged},
		"healed by somebody else":    {at(11, 0), at(9, 20), ""},
		"behind the slot":            {at(5, 0), at(8, 0), LossSlotMoved},
		"behind the slot, and stays": {at(8, 0), at(8, 0), LossSlotMoved},
	} {
		got := ""
		if loss := Diagnose(slot, server, tc.before, tc.after); loss != nil {
			got = loss.Reason
		}
		if got != tc.want {
			t.Errorf("%s: loss %q, want %q", name, got, tc.want)
		}
	}
}
