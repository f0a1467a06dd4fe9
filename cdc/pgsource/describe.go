package pgsource

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Description is a table with what a person wants to know who is about to capture it.
type Description struct {
	TableInfo
	// Rows is the server's estimate, of a partitioned table of all partitions; below zero
	// if it has none.
	Rows int64
	// Root is the table that it is a partition of; zero if it is none.
	Root cdc.Table
	// UniqueIndex is one that could be the replica identity; empty if there is none.
	UniqueIndex string
	// Wrong says what keeps it from being captured; nil if nothing does.
	Wrong *cdc.SetupError
	// Details are of all columns in their order, those too that the server does not send.
	Details []ColumnDetail
}

// ColumnDetail is what the catalog says of a column to people.
type ColumnDetail struct {
	Name, Type string
	// Generated ones are computed by the server, which does not send them.
	Generated bool
	// Large tells that its values can be kept outside of the row.
	Large   bool
	Comment string
}

// An index that is partial, over expressions, or deferrable is no replica identity, nor
// is one over a column that can be null.
const describeQuery = `
SELECT c.oid, CASE c.relkind WHEN 'p' THEN (SELECT CASE WHEN max(l.reltuples) < 0 THEN -1 ELSE COALESCE(sum(greatest(l.reltuples, 0)), 0) END
         FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf AND l.relkind <> 'p') ELSE c.reltuples END::bigint,
       COALESCE(CASE WHEN c.relispartition THEN rn.nspname END, ''), COALESCE(CASE WHEN c.relispartition THEN r.relname END, ''),
       COALESCE((SELECT ic.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
         AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey::int2[]) AS k(n) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n
           WHERE NOT a.attnotnull)
         ORDER BY i.indnkeyatts, ic.relname LIMIT 1), ''),
       a.attname, CASE WHEN t.typbasetype = 0 THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
                       ELSE pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
       a.attgenerated <> '', a.attlen = -1 AND a.attstorage <> 'p', COALESCE(pg_catalog.col_description(c.oid, a.attnum), '')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY c.oid, a.attnum`

// Describe describes all tables of the database over a connection that cannot write.
func (s *Source) Describe(ctx context.Context) ([]Description, error) {
	conn, err := s.readOnly(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	infos, err := Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	out := make([]Description, len(infos))
	at := map[uint32]*Description{}
	names := make([]cdc.Table, len(infos))
	for i, t := range infos {
		out[i].TableInfo, names[i] = t, t.Table
		at[t.OID] = &out[i]
	}
	wrong, err := s.wrongWith(ctx, conn, names)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, describeQuery)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	var oid uint32
	var d Description
	var c ColumnDetail
	if _, err := pgx.ForEachRow(rows, []any{&oid, &d.Rows, &d.Root.Schema, &d.Root.Name, &d.UniqueIndex,
		&c.Name, &c.Type, &c.Generated, &c.Large, &c.Comment}, func() error {
		if t := at[oid]; t != nil { // else it was made after the first look
			t.Rows, t.Root, t.UniqueIndex, t.Wrong = d.Rows, d.Root, d.UniqueIndex, wrong[t.Table]
			t.Details = append(t.Details, c)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return out, nil
}

func (s *Source) readOnly(ctx context.Context) (*pgx.Conn, error) {
	conn, err := s.firstConnection(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
		closeConn(conn)
		return nil, fmt.Errorf("make the connection read only: %w", err)
	}
	return conn, nil
}

// How many rows are looked at to measure their values, and for how long.
const (
	measuredRows = 1000
	measureTime  = 5 * time.Second
)

// Measure gives the size in bytes of the greatest value that is kept of each column,
// among some rows. Columns of rows that have no value are zero.
func (s *Source) Measure(ctx context.Context, t cdc.Table, columns []string) (map[string]int, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	conn, err := s.readOnly(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	var list, sizes []string
	for _, c := range columns {
		name := pgx.Identifier{c}.Sanitize()
		list = append(list, name)
		sizes = append(sizes, "COALESCE(max(pg_catalog.pg_column_size("+name+")), 0)")
	}
	out := make([]int, len(columns))
	dest := make([]any, len(columns))
	for i := range out {
		dest[i] = &out[i]
	}
	query := fmt.Sprintf("SELECT %s FROM (SELECT %s FROM %s LIMIT %d) AS t", strings.Join(sizes, ", "), strings.Join(list, ", "), t.SQL(), measuredRows)
	if err := conn.QueryRow(ctx, query).Scan(dest...); err != nil {
		return nil, fmt.Errorf("measure values of %s: %w", t, err)
	}
	byName := map[string]int{}
	for i, c := range columns {
		byName[c] = out[i]
	}
	return byName, nil
}
