package pgsource

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Pitfall 8: after a failover the slot is not there, or stands where the standby got
// it. The server, which becomes its own standby and is promoted, has another timeline.
func TestPitfall8Failover(t *testing.T) {
	for name, slotKept := range map[string]bool{"slot gone": false, "slot kept": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := servertest.Postgres(t, servers.PostgresOptions{})
			b := newBench(t, pg.URL("postgres"), deals, "deals")
			before := b.once()
			if !slotKept {
				b.exec(`SELECT pg_drop_replication_slot($1)`, b.options.Slot)
			}
			b.becomeStandby(pg)
			said := b.listen()
			failed := make(chan error, 1)
			go func() { failed <- b.run() }() // it waits for the standby to be promoted
			until(t, "the capture to meet the standby", func() bool { return strings.Contains(said.String(), "the server is a standby") })
			b.exec(`SELECT pg_promote()`)
			b.exec(`INSERT INTO deals VALUES (2)`)
			wantLoss(t, <-failed, "it was restored or failed over")
			b.options.AfterLoss = GoOnAfterLoss
			c := b.start()
			until(t, "the capture to go on", func() bool { return c.Stats().State == Streaming })
			b.exec(`INSERT INTO deals VALUES (3)`)
			var after []cdc.Change
			until(t, "the change after the failover", func() bool {
				after = b.entries()
				return after[len(after)-1].Key == `{"id":3}`
			})
			if !before[0].Position.Before(after[len(after)-1].Position) {
				t.Errorf("entries after the failover are not above those before: %v", after)
			}
		})
	}
}

// A new bridge cannot begin at a standby.
func TestStandbyServerIsRefused(t *testing.T) {
	t.Parallel()
	pg := servertest.Postgres(t, servers.PostgresOptions{})
	b := newBench(t, pg.URL("postgres"), deals, "deals")
	b.becomeStandby(pg)
	err := b.run()
	var se *cdc.SetupError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), "is a standby") || !strings.Contains(err.Error(), "set postgres.url to the primary") {
		t.Errorf("error %v, want one that names the standby", err)
	}
}

// becomeStandby restarts the server as a standby, in which nothing can be written.
func (b *bench) becomeStandby(pg *servers.Postgres) {
	b.t.Helper()
	if err := b.conn.Close(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	err := pg.Stop(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pg.DataDir(), "standby.signal"), nil, 0o644); err != nil {
		b.t.Fatal(err)
	}
	if err := pg.Start(ctx); err != nil {
		b.t.Fatal(err)
	}
	if b.conn, err = pgx.Connect(ctx, pg.URL("postgres")); err != nil {
		b.t.Fatal(err)
	}
	conn := b.conn
	b.t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			b.t.Error(err)
		}
	})
}
