package pgsource

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// typeQuery gives a type and all that it is made of: the base of a domain, the
// element of an array, the fields of a composite, and theirs. One statement sees
// one state of the catalog.
//
// What is an array is decided as to_jsonb decides it: by the subscript handler,
// since the category is up to the user, and points and names have elements too.
// Of the types with a cast to json, which to_jsonb uses, only hstore is known.
const typeQuery = `
WITH RECURSIVE need(oid) AS (
  SELECT $1::pg_catalog.oid
  UNION
  SELECT part.oid FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid
  CROSS JOIN LATERAL (SELECT t.typbasetype UNION ALL SELECT t.typelem UNION ALL
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS part(oid)
  WHERE part.oid <> 0)
SELECT t.oid, t.typtype::text, t.typbasetype,
  CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc THEN t.typelem ELSE 0 END,
  COALESCE(e.typdelim, ',')::text,
  t.typname = 'hstore' AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid AND x.extname = 'hstore'
    WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'),
  f.names, f.types
FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
LEFT JOIN LATERAL (
  SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS names, pg_catalog.array_agg(a.atttypid ORDER BY a.attnum) AS types
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS f ON true`

// typeInfo is a row of typeQuery.
type typeInfo struct {
	kind       string // typtype
	base, elem uint32
	delim      string
	hstore     bool
	names      []string
	types      []uint32
}

// readType asks the catalog for a type. One that is gone from it comes as text,
// as do the columns that had it.
func readType(ctx context.Context, conn *pgx.Conn, oid uint32) (pgoutput.Type, error) {
	rows, err := conn.Query(ctx, typeQuery, oid)
	if err != nil {
		return pgoutput.Type{}, fmt.Errorf("read type %d: %w", oid, err)
	}
	defer rows.Close()
	m := typeMaker{infos: map[uint32]typeInfo{}, made: map[uint32]*pgoutput.Type{}}
	for rows.Next() {
		var id uint32
		var t typeInfo
		if err := rows.Scan(&id, &t.kind, &t.base, &t.elem, &t.delim, &t.hstore, &t.names, &t.types); err != nil {
			return pgoutput.Type{}, fmt.Errorf("read type %d: %w", oid, err)
		}
		m.infos[id] = t
	}
	if err := rows.Err(); err != nil {
		return pgoutput.Type{}, fmt.Errorf("read type %d: %w", oid, err)
	}
	return *m.of(oid), nil
}

// typeMaker makes types of what the catalog says. Each is made once, however
// many composites have it: else their number could double with each level.
type typeMaker struct {
	infos map[uint32]typeInfo
	made  map[uint32]*pgoutput.Type
}

func (m *typeMaker) of(oid uint32) *pgoutput.Type {
	if t := m.made[oid]; t != nil {
		return t
	}
	// Here before its parts are, so that a catalog gone wrong, with a type that
	// is a part of itself, does not keep us for ever.
	t := &pgoutput.Type{}
	m.made[oid] = t
	if known, ok := pgoutput.Builtin(oid); ok {
		*t = known
		return t
	}
	switch info := m.infos[oid]; {
	case info.kind == "d":
		*t = *m.of(info.base)
	case info.elem != 0:
		*t = pgoutput.ArrayOf(m.of(info.elem), info.delim[0])
	case info.kind == "c":
		fields := make([]pgoutput.Field, len(info.names))
		for i, name := range info.names {
			fields[i] = pgoutput.Field{Name: name, Type: m.of(info.types[i])}
		}
		*t = pgoutput.CompositeOf(fields...)
	case info.hstore:
		t.Kind = pgoutput.HStore
	}
	return t
}

// catalog answers pgoutput's questions from the database, and remembers. It is
// used by the goroutine that owns the replication socket.
type catalog struct {
	source    *Source
	router    *router
	types     map[uint32]pgoutput.Type
	refreshed time.Time
}

// catalogTimeout bounds one question, which holds the stream up.
const catalogTimeout = 30 * time.Second

// refreshEvery is how often the catalog is read anew at most. A composite that
// does not fit is seldom alone: after ALTER TYPE all rows written before it may
// be like that.
const refreshEvery = time.Second

func (c *catalog) Type(oid uint32) (pgoutput.Type, error) {
	if t, ok := c.types[oid]; ok {
		return t, nil
	}
	var t pgoutput.Type
	err := c.ask(func(ctx context.Context, conn *pgx.Conn) (err error) {
		t, err = readType(ctx, conn, oid)
		return err
	})
	if err != nil {
		return t, err
	}
	if c.types == nil {
		c.types = map[uint32]pgoutput.Type{}
	}
	c.types[oid] = t
	return t, nil
}

// Refresh forgets all types, for what has changed in one has changed in those
// made of it.
func (c *catalog) Refresh(oid uint32) (pgoutput.Type, error) {
	if now := time.Now(); now.Sub(c.refreshed) >= refreshEvery {
		c.refreshed = now
		clear(c.types)
	}
	return c.Type(oid)
}

func (c *catalog) PrimaryKey(rel *pgoutput.Relation, from cdc.Position) (names []string, until cdc.Position, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
	defer cancel()
	return c.router.key(ctx, rel, from, func() ([]string, error) { return c.primaryKey(rel.OID) })
}

// primaryKey reads a primary key, in the order of the table's columns.
func (c *catalog) primaryKey(relation uint32) (names []string, err error) {
	err = c.ask(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT COALESCE(array_agg(a.attname::text ORDER BY a.attnum), '{}')
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
