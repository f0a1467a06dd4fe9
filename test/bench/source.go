package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/test/servers"
)

// shape is a backlog: so many transactions of so many rows.
type shape struct {
	name         string
	transactions int
	rows         int
}

func (s shape) total() int64 { return int64(s.transactions) * int64(s.rows) }

// shapes are drained when none is named, largeShapes only by name.
var (
	shapes = []shape{
		{"one", 200_000, 1},
		{"hundred", 3_000, 100},
		{"bulk", 3, 100_000},
	}
	largeShapes = []shape{{"million", 1, 1_000_000}, {"two_million", 1, 2_000_000}}
)

// schema is a table of twenty columns, about 400 bytes a row.
const schema = `
CREATE TABLE deals (
  id bigint PRIMARY KEY, name text, stage text, amount numeric(14,2), probability int, owner_id bigint,
  account_id bigint, close_date date, created_at timestamptz, updated_at timestamptz, source text, campaign text,
  region text, currency text, is_open boolean, score double precision, email text, phone text, custom jsonb, note text);
CREATE SEQUENCE deal_ids;
CREATE PROCEDURE load(transactions int, rows int) LANGUAGE plpgsql AS $$
BEGIN
  FOR t IN 1..transactions LOOP
    INSERT INTO deals SELECT nextval('deal_ids'), 'Deal with customer ' || i, 'negotiation', 12345.67 + i, 40, i % 50,
      i % 1000, date '2026-01-01' + i % 300, now(), now(), 'web', 'spring campaign of the year', 'north-west', 'EUR', i % 2 = 0,
      0.1 * i, 'someone.' || i || '@example.com', '+49 30 1234567', '{"tier": "gold", "seats": 25, "tags": ["a", "b"]}',
      'A note of some length about the "deal", with quotes, as people write them, and a little more'
      FROM generate_series(1, rows) i;
    COMMIT;
  END LOOP;
END $$;
CREATE PUBLICATION bench FOR TABLE deals WITH (publish_via_partition_root = true);`

// startSource starts a server with the schema in it.
func startSource(ctx context.Context) (*servers.Postgres, *pgx.Conn, error) {
	pg, err := servers.StartPostgres(ctx, servers.PostgresOptions{
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Settings: map[string]string{"max_wal_size": "8GB", "shared_buffers": "256MB", "checkpoint_timeout": "30min",
			"autovacuum": "off"},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start postgres: %w", err)
	}
	conn, err := pgx.Connect(ctx, pg.URL("postgres"))
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := conn.Exec(ctx, schema); err != nil {
		return nil, nil, fmt.Errorf("make schema: %w", err)
	}
	return pg, conn, nil
}

// backlog fills the WAL behind a slot and gives the slot and where the WAL ends.
func backlog(ctx context.Context, conn *pgx.Conn, sh shape) (slot, end string, err error) {
	slot = "base_" + sh.name
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot); err != nil {
		return "", "", fmt.Errorf("make slot: %w", err)
	}
	if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return "", "", fmt.Errorf("load: %w", err)
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("CALL load(%d, %d)", sh.transactions, sh.rows)); err != nil {
		return "", "", fmt.Errorf("load: %w", err)
	}
	// A commit that is flushed flushes all before it; and the reference ends at
	// a position that lies behind the last row.
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on"); err != nil {
		return "", "", fmt.Errorf("load: %w", err)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'bench', 'end')"); err != nil {
		return "", "", fmt.Errorf("load: %w", err)
	}
	err = conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&end)
	return slot, end, err
}

// copySlot gives a slot that begins where another does.
func copySlot(ctx context.Context, conn *pgx.Conn, from, to string) error {
	if _, err := conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot($1, $2)", from, to); err != nil {
		return fmt.Errorf("copy slot: %w", err)
	}
	return nil
}

// dropSlot drops a slot once the server has noticed that its reader is gone.
func dropSlot(ctx context.Context, conn *pgx.Conn, name string) error {
	for {
		_, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", name)
		var pe *pgconn.PgError
		if err == nil {
			return nil
		}
		if !errors.As(err, &pe) || pe.Code != objectInUse {
			return fmt.Errorf("drop slot: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drop slot: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// objectInUse is the code of the server's error for a slot that is read.
const objectInUse = "55006"
