package pgsource

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// ScannedRow is a row as a statement saw it, in the form of the log.
type ScannedRow struct{ Key, After string }

// scanLimit is how many rows a statement reads at the most.
const scanLimit = 5_000

// Scan reads all rows of a table in the order of its key, in chunks of one short statement
// each: there is no lock, no long transaction, and the whole is not of one moment. f is
// called with each chunk, which is its own; an error of it ends the scan.
func (s *Source) Scan(ctx context.Context, table cdc.Table, f func([]ScannedRow) error) error {
	r := &chunkReader{source: s, misfit: func(string, string) {}}
	defer r.close()
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	r.conn = conn
	if err := conn.QueryRow(ctx, "SELECT $1::text::regclass::oid", pgx.Identifier{table.Schema, table.Name}.Sanitize()).Scan(&r.table); err != nil {
		return fmt.Errorf("find table %s: %w", table, err)
	}
	p, limit := &part{}, firstRows
	for {
		if err := r.open(ctx); err != nil {
			return fmt.Errorf("scan %s: %w", table, err)
		}
		c := &chunk{part: p}
		last, more, err := r.read(ctx, c, limit)
		if err != nil {
			return fmt.Errorf("scan %s: %w", table, withoutValues(err))
		}
		if err := f(c.rows.scanned()); err != nil || !more {
			return err
		}
		switch n := len(c.rows.list); { // rows may be of any size
		case n < limit:
			limit = max(n, leastRows)
		case len(c.rows.arena) < chunkBytes/2:
			limit = min(2*limit, scanLimit)
		}
		p = &part{from: append([]string(nil), last...)}
	}
}

// scanned gives the rows as texts of their own.
func (r *rows) scanned() []ScannedRow {
	out := make([]ScannedRow, len(r.list))
	text, at := string(r.arena), 0
	for i, e := range r.list {
		out[i] = ScannedRow{Key: text[at:e.key], After: text[e.key:e.after]}
		at = e.unread
	}
	return out
}
