package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// A row gets another key, and what is stored apart is not sent along. Its commit is in
// the WAL, and not visible yet, since a standby has not confirmed it: a read of the
// source does not find the row. Nothing goes out before it does, and then all of it
// (I5, I16).
func TestCompletionWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	p := b.start("run")
	b.waitSlot(p)
	b.exec(insertDeal, 1, 1, "Acme", "new", 5, strings.Repeat("long ", 2000))
	b.drain(30*time.Second, p)

	b.exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	b.exec("SELECT pg_reload_conf()")
	until(t, 10*time.Second, func() string {
		v, err := b.text("SELECT current_setting('synchronous_standby_names')")
		return unless(v == "nobody", fmt.Sprintf("standby names %q, %v", v, err))
	})
	// Not before another process of the server has seen it are commits held.
	until(t, 10*time.Second, func() string {
		err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
			once, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			_, err := c.Exec(once, "SELECT pg_logical_emit_message(true, 'test', 'is a commit held?')")
			return err
		})
		return unless(errors.Is(err, context.DeadlineExceeded), fmt.Sprintf("a commit is not held: %v", err))
	})
	changed := make(chan error, 1)
	go func() {
		changed <- b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "UPDATE deals SET id = 2 WHERE id = 1")
			return err
		})
	}()
	created := false
	until(t, 20*time.Second, func() string {
		p.mustRun()
		created = created || b.inLog(t, `{"id":2}`)
		return unless(created && b.asks(t) > 0, fmt.Sprintf("in the log: %v, reads of the source: %d", created, b.asks(t)))
	})
	if n, err := b.text("SELECT count(*)::text FROM deals WHERE id = 2"); err != nil || n != "0" {
		t.Fatalf("%s rows are visible, %v: the commit was not held", n, err)
	}
	for _, r := range b.apps.answered() {
		for _, rec := range r.records {
			if r.app == "crm" && string(rec.Key["id"]) == "2" {
				t.Errorf("the CRM was sent %+v while the row could not be read", rec)
			}
		}
	}
	b.exec("ALTER SYSTEM SET synchronous_standby_names = ''")
	b.exec("SELECT pg_reload_conf()")
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	b.drain(60*time.Second, p)
	b.checkAll(verdict{})
}

// inLog tells whether the urgent lane, which is that of the deals, has a created row
// with the key.
func (b *bridge) inLog(t *testing.T, key string) bool {
	t.Helper()
	for partition := range partitions {
		entries, err := b.rdb.XRange(t.Context(), b.streamKey(partition, cdc.LaneUrgent), "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Values["key"] == key && e.Values["op"] == "c" {
				return true
			}
		}
	}
	return false
}

// asks counts the backends that have read rows by key for completion.
func (b *bridge) asks(t *testing.T) int {
	t.Helper()
	n := 0
	err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_visible_in_snapshot%' AND pid <> pg_backend_pid()").Scan(&n)
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return n
}
