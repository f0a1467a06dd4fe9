package pgsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// Column is a column of a table as the catalog has it.
type Column struct {
	Name    string
	Type    string // as format_type writes it; of a domain, its base type
	TypeOID uint32
	NotNull bool
	// Key tells whether it belongs to the key of the table's entries: the
	// primary key, or the index that the replica identity names.
	Key bool
	// Labels are those of an enum, in its order; nil for any other type.
	Labels []string
}

// TableInfo is a table as the catalog has it.
type TableInfo struct {
	OID      uint32
	Table    cdc.Table
	Identity pgoutput.Identity
	Kind     string // relkind: r a table, p a partitioned one
	Logged   bool   // false for unlogged and temporary tables
	Columns  []Column
}

// Keyed tells whether rows of the table can be told apart in the stream.
func (t *TableInfo) Keyed() bool {
	return t.Identity != pgoutput.IdentityNothing && slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Key })
}

// untold names the columns of a key that the stream does not tell: it calls every
// column of a table with REPLICA IDENTITY FULL part of it.
func (t *TableInfo) untold() (key []string) {
	if t.Identity != pgoutput.IdentityFull {
		return nil
	}
	for _, c := range t.Columns {
		if c.Key {
			key = append(key, c.Name)
		}
	}
	return key
}

// tablesQuery lists the columns of all tables that a user made, without generated
// ones, which PostgreSQL does not send. The key is the index of the replica identity,
// or the primary key under DEFAULT and FULL. One that is deferrable is no replica
// identity to the server.
const tablesQuery = `
SELECT c.oid, n.nspname, c.relname, c.relreplident::text, c.relkind::text, c.relpersistence = 'p',
       a.attname, CASE WHEN t.typbasetype = 0 THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
                       ELSE pg_catalog.format_type(t.typbasetype, t.typtypmod) END, a.atttypid, a.attnotnull,
       COALESCE(a.attnum = ANY (i.indkey::int2[]), false),
       CASE WHEN COALESCE(b.typtype, t.typtype) = 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
         WHERE e.enumtypid = COALESCE(b.oid, t.oid) ORDER BY e.enumsortorder) END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
     AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'f' THEN i.indisprimary ELSE i.indisprimary AND i.indimmediate END
WHERE c.relkind IN ('r', 'p') AND a.attgenerated = '' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname, a.attnum`

// Catalog reads the tables of the database over a connection of its own. A
// server that cannot be reached is a SetupError.
func (s *Source) Catalog(ctx context.Context) ([]TableInfo, error) {
	conn, err := s.firstConnection(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	return Tables(ctx, conn)
}

// Tables reads the catalog.
func Tables(ctx context.Context, conn *pgx.Conn) ([]TableInfo, error) {
	rows, err := conn.Query(ctx, tablesQuery)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	defer rows.Close()
	var out []TableInfo
	for rows.Next() {
		var t TableInfo
		var c Column
		var identity string
		if err := rows.Scan(&t.OID, &t.Table.Schema, &t.Table.Name, &identity, &t.Kind, &t.Logged,
			&c.Name, &c.Type, &c.TypeOID, &c.NotNull, &c.Key, &c.Labels); err != nil {
			return nil, fmt.Errorf("read catalog: %w", err)
		}
		if len(out) == 0 || out[len(out)-1].OID != t.OID {
			t.Identity = pgoutput.Identity(identity[0])
			out = append(out, t)
		}
		last := &out[len(out)-1]
		last.Columns = append(last.Columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return out, nil
}

// Others gives what stands beside tables and has no changes in the WAL, with what it is, such
// as "a view".
func (s *Source) Others(ctx context.Context) (map[cdc.Table]string, error) {
	conn, err := s.firstConnection(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, CASE c.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'a foreign table' END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	out := map[cdc.Table]string{}
	var t cdc.Table
	var kind string
	if _, err := pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &kind}, func() error {
		out[t] = kind
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return out, nil
}

// closeConn ends a connection that is of no more use; what the server says to
// that changes nothing.
func closeConn(conn interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// names joins tables as a publication wants them: without those that inherit from them,
// whose rows are not theirs, and whose updates the server refuses if they have no key.
func names(tables []cdc.Table) string {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("ONLY ")
		b.WriteString(t.SQL())
	}
	return b.String()
}
