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

// tablesQuery lists the columns of all tables that a user made. The key is the
// index of the replica identity, or the primary key under DEFAULT and FULL.
const tablesQuery = `
SELECT c.oid, n.nspname, c.relname, c.relreplident::text, c.relkind::text, c.relpersistence = 'p',
       a.attname, CASE WHEN t.typbasetype = 0 THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
                       ELSE pg_catalog.format_type(t.typbasetype, t.typtypmod) END, a.atttypid, a.attnotnull,
       COALESCE(a.attnum = ANY (i.indkey::int2[]), false)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
     AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
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
			&c.Name, &c.Type, &c.TypeOID, &c.NotNull, &c.Key); err != nil {
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

// typesQuery gives every type with what it is made of: the base of a domain, the
// element of an array. The vectors of the catalog's own tables are in category A
// but not written as arrays.
const typesQuery = `SELECT t.oid, t.typtype::text, t.typcategory = 'A' AND t.typname NOT IN ('int2vector', 'oidvector'),
t.typbasetype, t.typelem, COALESCE(e.typdelim, ',')::text
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem`

type typeInfo struct {
	kind       string
	array      bool
	base, elem uint32
	delim      string
}

// catalog answers pgoutput's questions from the database, and remembers. It is
// used by the goroutine that owns the replication socket.
type catalog struct {
	source *Source
	types  map[uint32]typeInfo
}

// catalogTimeout bounds one question, which holds the stream up.
const catalogTimeout = 30 * time.Second

func (c *catalog) Type(oid uint32) (pgoutput.Type, error) {
	if _, ok := c.types[oid]; !ok {
		if err := c.loadTypes(); err != nil {
			return pgoutput.Type{}, err
		}
	}
	return c.resolve(oid), nil
}

// resolve follows domains to their base. A type that is gone from the catalog
// comes as text.
func (c *catalog) resolve(oid uint32) pgoutput.Type {
	for range 32 { // domains over domains; the bound is for a catalog gone wrong
		if t, ok := pgoutput.Builtin(oid); ok {
			return t
		}
		info := c.types[oid]
		switch {
		case info.kind == "d":
			oid = info.base
			continue
		case info.array && info.elem != 0:
			el := c.resolve(info.elem)
			if el.Array { // of a domain over an array: as text
				return pgoutput.Type{}
			}
			return pgoutput.Type{Kind: el.Kind, Array: true, Delim: info.delim[0]}
		}
		break
	}
	return pgoutput.Type{}
}

func (c *catalog) loadTypes() error {
	return c.ask(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, typesQuery)
		if err != nil {
			return fmt.Errorf("read types: %w", err)
		}
		defer rows.Close()
		c.types = map[uint32]typeInfo{}
		for rows.Next() {
			var oid uint32
			var t typeInfo
			if err := rows.Scan(&oid, &t.kind, &t.array, &t.base, &t.elem, &t.delim); err != nil {
				return fmt.Errorf("read types: %w", err)
			}
			c.types[oid] = t
		}
		return rows.Err()
	})
}

func (c *catalog) PrimaryKey(relation uint32) (names []string, err error) {
	err = c.ask(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT COALESCE(array_agg(a.attname::text), '{}')
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
WHERE i.indrelid = $1 AND i.indisprimary`, relation).Scan(&names)
	})
	return names, err
}

func (c *catalog) ask(f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
	defer cancel()
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	return f(ctx, conn)
}

// closeConn ends a connection that is of no more use; what the server says to
// that changes nothing.
func closeConn(conn interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// names joins tables as SQL wants them.
func names(tables []cdc.Table) string {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.String())
	}
	return b.String()
}
