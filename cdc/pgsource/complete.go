package pgsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// Completer reads current rows of the source for records that lack columns
// (unchanged TOAST, I5). It may be used from several goroutines; its one
// connection serves one read at a time, which bounds the load on the source.
//
// The rows are read as text and encoded as those of the stream are, so that both
// have the same values in the same form: to_json would give what we do not know,
// such as the casts to json that extensions bring.
type Completer struct {
	source *Source

	turn  chan struct{} // held by who uses what is below
	conn  *pgx.Conn
	types map[uint32]pgoutput.Type
	// queries are those of the tables' keys, by table and names of the columns.
	queries map[string]string
}

// NewCompleter gives a completer. It connects when it is first needed.
func (s *Source) NewCompleter() *Completer {
	return &Completer{source: s, turn: make(chan struct{}, 1), types: map[uint32]pgoutput.Type{}, queries: map[string]string{}}
}

// visiblePause is how long to wait for a transaction to become visible that the
// WAL shows committed already.
const visiblePause = 20 * time.Millisecond

// Complete reads the rows of a table with the given keys, each a JSON object as
// in the log, and gives key → row as a JSON object. Keys without a row are left
// out. An answer counts only if it was made by a snapshot in which all of xids,
// the transactions that caused the read, are visible (I16); otherwise it is
// thrown away and read again after a pause, until ctx ends.
func (c *Completer) Complete(ctx context.Context, table cdc.Table, keys []string, xids []uint64) (map[string]string, error) {
	// The key's columns may have been changed since: each set is a query of its own.
	bySet := map[string][]string{}
	columns := map[string][]string{}
	for _, key := range keys {
		row, err := cdc.ParseRow(key)
		if err != nil {
			return nil, fmt.Errorf("parse key: %w", err)
		}
		var names []string
		for _, col := range row {
			names = append(names, col.Name)
		}
		id := strings.Join(names, "\x00")
		columns[id], bySet[id] = names, append(bySet[id], key)
	}
	out := map[string]string{}
	for id, set := range bySet {
		rows, err := c.visible(ctx, table, columns[id], [2]any{set, signed(xids)})
		if err != nil {
			return nil, fmt.Errorf("read rows of %s: %w", table, withoutValues(err))
		}
		maps.Copy(out, rows)
	}
	return out, nil
}

// visible reads until the answer counts. In the pauses others may read: what they
// wait for may be visible.
func (c *Completer) visible(ctx context.Context, table cdc.Table, columns []string, args [2]any) (map[string]string, error) {
	began, looked := time.Now(), false
	for {
		if !looked && time.Since(began) > foreignAfter {
			looked = true
			xids, err := c.ownXIDs(ctx, args[1].([]int64))
			if err != nil {
				return nil, err
			}
			args[1] = xids
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for other reads: %w", ctx.Err())
		case c.turn <- struct{}{}:
		}
		rows, visible, err := c.readLocked(ctx, table, columns, args)
		<-c.turn
		if err != nil {
			return nil, err
		}
		if visible {
			return rows, nil
		}
		if err := cdc.Sleep(ctx, visiblePause); err != nil {
			return nil, fmt.Errorf("wait for the change to be visible: %w", err)
		}
	}
}

// foreignAfter is after how long it is looked whether the transactions that are waited
// for are of this server at all.
const foreignAfter = time.Second

// ownXIDs leaves out transaction ids that this server has not given out yet: the change
// is of the one before it, as after a dump and restore, and nothing of it is to come.
func (c *Completer) ownXIDs(ctx context.Context, xids []int64) ([]int64, error) {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	next, err := nextXID(ctx, conn)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(xids), func(x int64) bool { return uint64(x) > next }), nil
}

// withoutValues takes the server's own words from an error about data, which may
// quote a value (I14).
func withoutValues(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && strings.HasPrefix(pe.Code, "22") {
		return fmt.Errorf("postgres cannot make use of a value, of a key or in a condition (SQLSTATE %s)", pe.Code)
	}
	return err
}

// signed gives transaction ids as PostgreSQL's bigint.
func signed(xids []uint64) []int64 {
	out := make([]int64, len(xids))
	for i, x := range xids {
		out[i] = int64(x)
	}
	return out
}

// keyQuery gives the types of a key's columns, and the operators by which the index
// of the table's key tells keys apart. Those of extensions stand in schemas that
// the session's search_path does not have: without a name citext would compare as
// text, which its index does not serve, and ltree not at all.
const keyQuery = `
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), COALESCE((
  SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)
  FROM pg_catalog.pg_class t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid
       AND CASE t.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
  CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) AS k(attnum, class)
  JOIN pg_catalog.pg_opclass c ON c.oid = k.class
  JOIN pg_catalog.pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3
       AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
  JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  WHERE t.oid = a.attrelid AND k.attnum = a.attnum LIMIT 1), '=')
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::text::pg_catalog.regclass AND NOT a.attisdropped AND a.attname = ANY ($2)`

// queryLocked gives the query that finds rows by the columns of a key. The key is
// turned into the table's own types, so that the index of the key serves; but not
// into its row type, where a domain may forbid the nulls of the other columns.
func (c *Completer) queryLocked(ctx context.Context, table cdc.Table, columns []string) (string, error) {
	id := table.String() + "\x00" + strings.Join(columns, "\x00")
	if q, ok := c.queries[id]; ok {
		return q, nil
	}
	rows, err := c.conn.Query(ctx, keyQuery, table.SQL(), columns)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	var on, record []string
	var name, typ, equals string
	if _, err := pgx.ForEachRow(rows, []any{&name, &typ, &equals}, func() error {
		quoted := pgx.Identifier{name}.Sanitize()
		on = append(on, fmt.Sprintf("t.%s %s r.%[1]s", quoted, equals))
		record = append(record, quoted+" "+typ)
		return nil
	}); err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	if len(on) != len(columns) {
		return "", fmt.Errorf("the table does not have the columns of the key any more: %s", strings.Join(columns, ", "))
	}
	// Generated columns are not part of the stream either.
	q := fmt.Sprintf(`SELECT s.visible, k.key, s.generated, t.*
FROM (SELECT COALESCE(bool_and(pg_visible_in_snapshot(x::text::xid8, pg_current_snapshot())), true) AS visible,
        ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = $3::text::regclass AND a.attgenerated <> '') AS generated
      FROM unnest($2::bigint[]) AS x) AS s
LEFT JOIN (unnest($1::text[]) AS k(key)
  CROSS JOIN LATERAL jsonb_to_record(k.key::jsonb) AS r(%s)
  JOIN %s AS t ON %s) ON true`, strings.Join(record, ", "), table.SQL(), strings.Join(on, " AND "))
	c.queries[id] = q
	return q, nil
}

// ownColumns is how many columns stand before those of the table.
const ownColumns = 3

func (c *Completer) readLocked(ctx context.Context, table cdc.Table, columns []string, args [2]any) (_ map[string]string, visible bool, err error) {
	if c.conn == nil || c.conn.IsClosed() {
		if c.conn, err = c.source.Connect(ctx); err != nil {
			return nil, false, err
		}
		clear(c.types)
	}
	defer func() {
		if err != nil { // the table may have been changed
			clear(c.queries)
		}
	}()
	query, err := c.queryLocked(ctx, table, columns)
	if err != nil {
		return nil, false, err
	}
	var read []uint32 // types that were read for this answer
	for {
		// Without a statement in the cache, which would not outlive a change of
		// the table's columns.
		rows, err := c.conn.Query(ctx, query, pgx.QueryExecModeExec, args[0], args[1], table.SQL())
		if err != nil {
			return nil, false, err
		}
		out, visible, err := c.collectLocked(rows)
		var want *wantType
		if !errors.As(err, &want) || slices.Contains(read, want.oid) {
			return out, visible, err
		}
		read = append(read, want.oid)
		if c.types[want.oid], err = readType(ctx, c.conn, want.oid); err != nil {
			return nil, false, err
		}
	}
}

// wantType says that a type has to be read before rows can be encoded: it is not
// known yet, or is otherwise by now.
type wantType struct {
	oid    uint32
	column string
	err    error
}

func (w *wantType) Error() string { return fmt.Sprintf("encode column %s: %v", w.column, w.err) }

func (w *wantType) Unwrap() error { return w.err }

// collectLocked encodes the rows of an answer.
func (c *Completer) collectLocked(rows pgx.Rows) (map[string]string, bool, error) {
	defer rows.Close()
	out := map[string]string{}
	visible := false
	var key *string
	var generated []string
	var into []any // nil for the table's columns, which are taken raw
	var buf []byte
	for rows.Next() {
		fields, values := rows.FieldDescriptions(), rows.RawValues()
		if into == nil {
			into = append([]any{&visible, &key, &generated}, make([]any, len(fields)-ownColumns)...)
		}
		if err := rows.Scan(into...); err != nil {
			return nil, false, err
		}
		if key == nil {
			continue
		}
		var err error
		if buf, err = c.appendRowLocked(buf[:0], fields[ownColumns:], values[ownColumns:], generated); err != nil {
			return nil, false, err
		}
		out[*key] = string(buf)
	}
	return out, visible, rows.Err()
}

func (c *Completer) appendRowLocked(dst []byte, fields []pgconn.FieldDescription, values [][]byte, generated []string) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, f := range fields {
		if slices.Contains(generated, f.Name) {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		if dst, err = pgoutput.AppendValue(dst, &pgoutput.Type{}, []byte(f.Name)); err != nil {
			return dst, fmt.Errorf("encode name of column: %w", err)
		}
		dst = append(dst, ':')
		if values[i] == nil {
			dst = append(dst, "null"...)
			continue
		}
		t, ok := pgoutput.Builtin(f.DataTypeOID)
		if !ok {
			if t, ok = c.types[f.DataTypeOID]; !ok {
				return dst, &wantType{oid: f.DataTypeOID, column: f.Name, err: errors.New("its type is not known")}
			}
		}
		if dst, err = pgoutput.AppendValue(dst, &t, values[i]); err != nil {
			var misfit *pgoutput.MisfitError
			if errors.As(err, &misfit) {
				return dst, &wantType{oid: f.DataTypeOID, column: f.Name, err: err}
			}
			return dst, fmt.Errorf("encode column %s: %w", f.Name, err)
		}
	}
	return append(dst, '}'), nil
}

// Close ends the connection.
func (c *Completer) Close() {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.conn != nil {
		closeConn(c.conn)
		c.conn = nil
	}
}
