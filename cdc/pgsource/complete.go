package pgsource

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Completer reads current rows of the source for records that lack columns
// (unchanged TOAST, I5). It may be used from several goroutines; its one
// connection serves one read at a time, which bounds the load on the source.
type Completer struct {
	source *Source

	mu   sync.Mutex // covers conn
	conn *pgx.Conn
}

// NewCompleter gives a completer. It connects when it is first needed.
func (s *Source) NewCompleter() *Completer { return &Completer{source: s} }

// visiblePause is how long to wait for a transaction to become visible that the
// WAL shows committed already.
const visiblePause = 20 * time.Millisecond

// Complete reads the rows of a table with the given keys, each a JSON object as
// in the log, and gives key → row as a JSON object. Keys without a row are left
// out. An answer counts only if it was made by a snapshot in which all of xids,
// the transactions that caused the read, are visible (I16); otherwise it is
// thrown away and read again after a pause, until ctx ends.
func (c *Completer) Complete(ctx context.Context, table cdc.Table, keys []string, xids []uint64) (map[string]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	query, err := completeQuery(table, keys[0])
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		rows, visible, err := c.readLocked(ctx, query, keys, xids)
		if err != nil {
			return nil, fmt.Errorf("read rows of %s: %w", table, err)
		}
		if visible {
			return rows, nil
		}
		t := time.NewTimer(visiblePause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("read rows of %s: wait for the change to be visible: %w", table, ctx.Err())
		case <-t.C:
		}
	}
}

// completeQuery finds rows by the columns that a key names. The key is turned
// into the table's own types, so that the primary key's index serves.
func completeQuery(table cdc.Table, key string) (string, error) {
	row, err := cdc.ParseRow(key)
	if err != nil {
		return "", fmt.Errorf("parse key: %w", err)
	}
	var on []string
	for _, col := range row {
		name := `"` + strings.ReplaceAll(col.Name, `"`, `""`) + `"`
		on = append(on, "t."+name+" = r."+name)
	}
	return fmt.Sprintf(`SELECT s.visible, k.key, to_json(t)::text
FROM (SELECT COALESCE(bool_and(pg_visible_in_snapshot(x::text::xid8, pg_current_snapshot())), true) AS visible
      FROM unnest($2::bigint[]) AS x) AS s
LEFT JOIN (unnest($1::text[]) AS k(key)
  CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, k.key::jsonb) AS r
  JOIN %[1]s AS t ON %s) ON true`, table, strings.Join(on, " AND ")), nil
}

func (c *Completer) readLocked(ctx context.Context, query string, keys []string, xids []uint64) (_ map[string]string, visible bool, err error) {
	if c.conn == nil || c.conn.IsClosed() {
		if c.conn, err = c.source.Connect(ctx); err != nil {
			return nil, false, err
		}
	}
	signed := make([]int64, len(xids))
	for i, x := range xids {
		signed[i] = int64(x)
	}
	rows, err := c.conn.Query(ctx, query, keys, signed)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var key, row *string
		if err := rows.Scan(&visible, &key, &row); err != nil {
			return nil, false, err
		}
		if key != nil && row != nil {
			out[*key] = *row
		}
	}
	return out, visible, rows.Err()
}

// Close ends the connection.
func (c *Completer) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		closeConn(c.conn)
		c.conn = nil
	}
}
