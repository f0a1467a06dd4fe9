package pgsource

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// failingLog refuses some calls.
type failingLog struct {
	cdc.Log
	mu     sync.Mutex // covers refill
	refill int        // how many are refused
}

func (l *failingLog) Refill(ctx context.Context, m []string, list []cdc.Backfill) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refill--; l.refill >= 0 {
		return errors.New("refused")
	}
	return l.Log.Refill(ctx, m, list)
}

// ended waits until all backfills of a reason are done, one at the least.
func (b *bench) ended(c *Capture, reason string) []cdc.Change {
	b.t.Helper()
	until(b.t, "backfills of "+reason+" to be done", func() bool {
		list, err := b.log.Backfills(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		list = slices.DeleteFunc(list, func(s cdc.BackfillStatus) bool { return s.Reason != reason })
		return len(list) > 0 && !slices.ContainsFunc(list, func(s cdc.BackfillStatus) bool { return s.Progress.State != cdc.BackfillDone })
	})
	return b.wait(c)
}

func streaming(t *testing.T, c *Capture) {
	t.Helper()
	until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
}

// The marks of another bridge of the same database, and those of a capture that has lost
// its slot, are none of ours.
func TestBackfillBesideAnotherBridge(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, n int); CREATE TABLE tiny (id int PRIMARY KEY);
INSERT INTO deals SELECT g, 0 FROM generate_series(1, 3000) g; INSERT INTO tiny VALUES (1)`, "deals")
	o := newBench(t, b.options.URL, `SELECT 1`, "tiny")
	c := b.start()
	o.start()
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			conn, err := pgx.Connect(t.Context(), b.options.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer closeConn(conn)
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for ctx.Err() == nil {
				if _, err := conn.Exec(t.Context(), "UPDATE deals SET n = n + 1 WHERE id = $1", r.IntN(3000)+1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	id := b.backfill(cdc.Backfill{Table: public("deals"), Rate: 1000})
	b.waitBackfill(id, cdc.BackfillRunning)
	for !b.progress(id).Progress.State.Final() { // each begins and ends a tracking of its own
		o.waitBackfill(o.backfill(cdc.Backfill{Table: public("tiny")}), cdc.BackfillDone)
	}
	stop()
	writers.Wait()
	b.same(b.wait(c), "deals", "id")
}

// A transaction id is taken, not read off a snapshot, whose end may lie below one that
// runs.
func TestNextXIDIsAboveAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	tx, err := b.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var xid uint64
	if err := tx.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text::bigint`).Scan(&xid); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(other)
	after, err := nextXID(t.Context(), other)
	if err != nil || after <= xid {
		t.Errorf("next id %d, %d runs (%v)", after, xid, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

// A loss whose healing is interrupted is found again, also where what it could be known
// by is mended already.
func TestInterruptedHealing(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.options.AfterLoss = HealAfterLoss
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1, 'a'), (2, 'b')`)
	b.wait(c)
	b.stop()
	b.free()
	b.exec("ALTER PUBLICATION " + b.options.Publication + " SET (publish = 'insert, update')")
	b.exec(`DELETE FROM deals WHERE id = 1`)
	c = b.startInto(&failingLog{Log: b.log, refill: 1})
	b.same(b.healed(c, 1), "deals", "id")
}

// A table that is stopped when everything else is lost is still stopped afterwards, and
// is read when it comes back.
func TestStoppedTableOutlivesALoss(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE leads (id int PRIMARY KEY)", "deals", "leads")
	b.options.AfterLoss = HealAfterLoss
	b.options.Mappings = []Start{{Name: "crm/deals", Table: public("deals")}, {Name: "crm/leads", Table: public("leads")}}
	b.exec(`INSERT INTO deals SELECT g, 'first' FROM generate_series(1, 5) g; INSERT INTO leads VALUES (1)`)
	c := b.start()
	b.loaded(c)
	b.exec(`ALTER TABLE deals DROP CONSTRAINT deals_pkey`)
	until(t, "the table to be stopped", func() bool { return c.Stats().Losses[LossTableStopped] == 1 })
	b.exec(`DELETE FROM deals WHERE id = 3; UPDATE deals SET name = 'unseen' WHERE id = 4`)
	until(t, "the slot to be dropped", func() bool {
		_, err := b.conn.Exec(t.Context(), `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, b.options.Slot)
		if err == nil {
			_, err = b.conn.Exec(t.Context(), `SELECT pg_drop_replication_slot($1)`, b.options.Slot)
		}
		return err == nil
	})
	b.ended(c, LossSlotGone)
	b.stop()
	b.free()
	b.exec(`ALTER TABLE deals ADD PRIMARY KEY (id)`)
	c = b.start()
	b.same(b.ended(c, LossTableStopped), "deals", "id")
}

// A mapping that was taken away and comes back makes up for what it has missed, deletes
// too; while the delivery does not know it yet, it waits.
func TestMappingComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE leads (id int PRIMARY KEY)", "deals", "leads")
	all := []Start{{Name: "crm/deals", Table: public("deals")}, {Name: "crm/leads", Table: public("leads")}}
	b.options.Mappings = all
	b.exec(`INSERT INTO deals SELECT g, 'first' FROM generate_series(1, 5) g; INSERT INTO leads VALUES (1)`)
	b.loaded(b.start())
	b.stop()
	b.free()
	delete(b.options.Tables, public("deals"))
	b.options.Mappings = all[1:]
	c := b.start()
	streaming(t, c)
	b.exec(`DELETE FROM deals WHERE id = 3; UPDATE deals SET name = 'unseen' WHERE id = 4`)
	b.wait(c)
	b.stop()
	b.free()
	if err := b.log.SetReader(t.Context(), "crm", []string{"leads"}); err != nil {
		t.Fatal(err)
	}
	b.options.Tables[public("deals")] = Lanes{Lane: cdc.LaneNormal}
	b.options.Mappings = all
	said := b.listen()
	c = b.start()
	until(t, "the mapping to wait", func() bool { return strings.Contains(said.String(), "the delivery does not know the mapping yet") })
	if list := c.Backfills(); slices.ContainsFunc(list, func(s cdc.BackfillStatus) bool { return !s.Progress.State.Final() }) {
		t.Errorf("backfills before the delivery knows: %+v", list)
	}
	if err := b.log.SetReader(t.Context(), "crm", []string{"leads", "deals"}); err != nil {
		t.Fatal(err)
	}
	until(t, "a third backfill", func() bool { return len(c.Backfills()) == 3 })
	b.same(b.loaded(c), "deals", "id")
}

// With the least privileges a table that cannot be put back stays stopped alone, with
// what to do, and comes back when somebody has done it.
func TestTableThatWeCannotPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE leads (id int PRIMARY KEY); DROP ROLE IF EXISTS least; CREATE ROLE least LOGIN SUPERUSER", "deals", "leads")
	b.options.AfterLoss = HealAfterLoss
	b.exec("CREATE PUBLICATION " + b.options.Publication + " FOR TABLE deals, leads WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)")
	b.exec("ALTER PUBLICATION " + b.options.Publication + " OWNER TO least")
	b.exec("ALTER ROLE least NOSUPERUSER REPLICATION; GRANT SELECT ON deals, leads TO least")
	u, err := url.Parse(b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("least")
	b.options.URL = u.String()
	said := b.listen()
	c := b.start()
	streaming(t, c)
	b.exec(`INSERT INTO deals VALUES (1, 'a'), (2, 'b')`)
	b.wait(c)
	b.exec("ALTER TABLE deals DROP CONSTRAINT deals_pkey")
	until(t, "the table to be stopped", func() bool { return c.Stats().Losses[LossTableStopped] == 1 })
	b.exec("DELETE FROM deals WHERE id = 1; ALTER TABLE deals ADD PRIMARY KEY (id)")
	until(t, "it to be said what to do", func() bool {
		return strings.Contains(said.String(), "run as the owner of the tables: ALTER PUBLICATION")
	})
	streaming(t, c)
	b.exec("INSERT INTO leads VALUES (7)")
	if got := b.wait(c); got[len(got)-1].Key != `{"id":7}` {
		t.Errorf("the other table does not go on: %v", lines(got))
	}
	b.exec("ALTER PUBLICATION " + b.options.Publication + " ADD TABLE deals")
	b.same(b.ended(c, LossTableStopped), "deals", "id")
}

// Going on without what is lost does not take the rows of a new mapping for lost.
func TestGoOnWithANewMapping(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+"; CREATE TABLE leads (id int PRIMARY KEY); INSERT INTO leads VALUES (1)", "deals")
	b.options.AfterLoss = GoOnAfterLoss
	b.options.Mappings = []Start{{Name: "crm/deals", Table: public("deals")}}
	b.loaded(b.start())
	b.stop()
	b.free()
	b.exec(`SELECT pg_drop_replication_slot($1)`, b.options.Slot)
	b.options.Tables[public("leads")] = Lanes{Lane: cdc.LaneNormal}
	b.options.Mappings = append(b.options.Mappings, Start{Name: "crm/leads", Table: public("leads")})
	c := b.start()
	until(t, "a second backfill", func() bool { return len(c.Backfills()) == 2 })
	b.same(b.loaded(c), "leads", "id")
}

// A publication of all tables in place of ours is not ours to alter: that is said once,
// and not tried for ever.
func TestPublicationOfAllTables(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.options.AfterLoss = HealAfterLoss
	said := b.listen()
	streaming(t, b.start())
	b.exec("DROP PUBLICATION " + b.options.Publication + "; CREATE PUBLICATION " + b.options.Publication + " FOR ALL TABLES WITH (publish_via_partition_root = true)")
	err := <-b.err
	b.err <- nil
	if err == nil || !strings.Contains(err.Error(), "run DROP PUBLICATION") {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(said.String(), "msg=data_loss"); n != 1 {
		t.Errorf("data_loss was said %d times:\n%s", n, said)
	}
}
