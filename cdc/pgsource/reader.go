package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// shape is a table as a backfill reads it.
type shape struct {
	oid     uint32
	table   cdc.Table // at the source
	kind    string
	columns []pgoutput.RowColumn
	// keys are the columns of the key in the order of its index.
	keys     []keyColumn
	estimate int64
	types    []uint32 // of the columns in answers, from the first one on
}

// keyColumn is a column of a key.
type keyColumn struct {
	name string
	typ  string // as a cast wants it, without what bounds its length
	full string // with that
	// below, equal and above are the operators of the index; foreign tells that they are
	// not the server's own, as those of extensions.
	below, equal, above string
	foreign             bool
}

// shapeQuery reads the columns that are captured. Rows of a key's index stand in its
// order, so that paging by key follows it.
const shapeQuery = `
SELECT a.attname::text, a.atttypid, COALESCE(k.n, 0), pg_catalog.format_type(a.atttypid, -1), pg_catalog.format_type(a.atttypid, a.atttypmod),
  COALESCE(o.names, '{<,=,>}'), COALESCE(o.others, false)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN LATERAL (
  SELECT k.n, oc.opcfamily, oc.opcintype FROM pg_catalog.pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k(attnum, class, n)
  JOIN pg_catalog.pg_opclass oc ON oc.oid = k.class
  WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
    AND k.attnum = a.attnum AND k.n <= i.indnkeyatts) k ON true
LEFT JOIN LATERAL (
  SELECT array_agg(pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname) ORDER BY m.amopstrategy) AS names, bool_or(n.nspname <> 'pg_catalog') AS others
  FROM pg_catalog.pg_amop m JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  WHERE m.amopfamily = k.opcfamily AND m.amoplefttype = k.opcintype AND m.amoprighttype = k.opcintype AND m.amopstrategy IN (1, 3, 5)) o ON true
WHERE c.oid = $1 ORDER BY a.attnum`

// relationQuery finds a table, and about how many rows it has.
const relationQuery = `
SELECT n.nspname, c.relname, c.relkind::text, GREATEST(c.reltuples, (SELECT sum(GREATEST(l.reltuples, 0))
  FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf), 0)::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`

// errTableGone says that a table does not exist any more, or has no key.
var errTableGone = errors.New("the table is not there any more, or has no key")

func readShape(ctx context.Context, conn *pgx.Conn, oid uint32) (*shape, error) {
	s := &shape{oid: oid}
	err := conn.QueryRow(ctx, relationQuery, oid).Scan(&s.table.Schema, &s.table.Name, &s.kind, &s.estimate)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errTableGone
	}
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	rows, err := conn.Query(ctx, shapeQuery, oid)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", s.table, err)
	}
	var c pgoutput.RowColumn
	var k keyColumn
	var n int
	var operators []string
	places := map[int]keyColumn{}
	if _, err := pgx.ForEachRow(rows, []any{&c.Name, &c.OID, &n, &k.typ, &k.full, &operators, &k.foreign}, func() error {
		c.Key = n > 0
		s.columns = append(s.columns, c)
		if n > 0 && len(operators) == 3 {
			k.name, k.below, k.equal, k.above = c.Name, operators[0], operators[1], operators[2]
			places[n] = k
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", s.table, err)
	}
	for i := range len(places) {
		s.keys = append(s.keys, places[i+1])
	}
	if len(s.keys) == 0 {
		return nil, errTableGone
	}
	return s, nil
}

// chunkReader reads chunks of one backfill over one connection.
type chunkReader struct {
	source *Source
	x      *exchange
	table  uint32
	where  string
	conn   *pgx.Conn
	shape  *shape
	rows   *pgoutput.Rows
	misfit func(table, column string)
	looked time.Time // when the shape was read
}

// shapeFor is how long a table is taken to be as it was: an ALTER shows in the stream
// only with the next change.
const shapeFor = 2 * time.Second

// open connects, if it has to, and reads the table's shape.
func (r *chunkReader) open(ctx context.Context) (err error) {
	if r.conn == nil || r.conn.IsClosed() {
		if r.conn, err = r.source.Connect(ctx); err != nil {
			return err
		}
		r.shape = nil
		// The marks must not hang when commits of the application do. The role's own
		// bounds are made for other statements.
		if _, err = r.conn.Exec(ctx, "SET synchronous_commit = local; SET statement_timeout = '5min'; SET idle_session_timeout = 0"); err != nil {
			return fmt.Errorf("set up connection: %w", err)
		}
	}
	if r.shape != nil && time.Since(r.looked) < shapeFor {
		return nil
	}
	r.looked = time.Now()
	if r.shape, err = readShape(ctx, r.conn, r.table); err != nil {
		return err
	}
	r.rows, err = pgoutput.NewRows(r.shape.table, r.shape.columns, pgoutput.Options{Catalog: &catalog{source: r.source}, Misfit: r.misfit})
	return err
}

func (r *chunkReader) close() {
	if r.conn != nil {
		closeConn(r.conn)
		r.conn = nil
	}
}

// mark writes a logical message that the stream will see: a transaction of its own.
func (r *chunkReader) mark(ctx context.Context, words ...string) error {
	if _, err := r.conn.Exec(ctx, "SELECT pg_logical_emit_message(true, $1, $2)", Prefix, r.x.id+" "+strings.Join(words, " ")); err != nil {
		return fmt.Errorf("write a mark: %w", err)
	}
	return nil
}

// snapshot asks which transactions a statement sees now.
func (r *chunkReader) snapshot(ctx context.Context) (s snapshot, err error) {
	var text string
	if err := r.conn.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&text); err != nil {
		return s, fmt.Errorf("read snapshot: %w", err)
	}
	return parseSnapshot(text)
}

// chunkBytes is about how much a chunk holds at the most: two batches of the log.
const chunkBytes = 2 << 20

// read fills a chunk with the rows of its part, at most limit of them. It tells the key
// of the last one, and whether there may be more.
func (r *chunkReader) read(ctx context.Context, c *chunk, limit int) (last []string, more bool, err error) {
	if len(c.part.keys) > 0 {
		return nil, false, r.readKeys(ctx, c)
	}
	query, args := r.shape.rangeQuery(c.part, r.where, limit)
	// A context of its own: a result that is cut short is cancelled.
	once, cancel := context.WithCancel(ctx)
	defer cancel()
	res := r.conn.PgConn().ExecParams(once, query, args, nil, nil, nil)
	defer func() {
		if _, cerr := res.Close(); err == nil && !more {
			err = cerr
		}
		if err == nil && more && r.conn.IsClosed() {
			r.conn = nil // by the cut
		}
	}()
	n, own := 0, 2
	var cells [][]byte
	for res.NextRow() {
		v := res.Values()
		if c.snap.xmax == 0 {
			if c.snap, err = parseSnapshot(string(v[0])); err != nil {
				return nil, false, err
			}
			if !r.shape.describes(res.FieldDescriptions()[own:]) {
				r.shape = nil
				return nil, false, errors.New("the table was altered")
			}
		}
		n++
		cells = v[own:]
		last = r.shape.keyOf(last[:0], cells)
		if v[1][0] != 't' {
			continue
		}
		e, err := r.rows.Encode(cells)
		if err != nil {
			return nil, false, err
		}
		c.rows.add(e)
		if len(c.rows.arena) >= chunkBytes && n < limit {
			cancel() // rows are much larger than they were
			return last, true, nil
		}
	}
	_, err = res.Close()
	return last, n == limit, err
}

// describes tells whether the columns of an answer have the types of the first one. Those
// of the catalog are others where they are domains.
func (s *shape) describes(fields []pgconn.FieldDescription) bool {
	if s.types == nil {
		for _, f := range fields {
			s.types = append(s.types, f.DataTypeOID)
		}
	}
	return slices.EqualFunc(s.types, fields, func(oid uint32, f pgconn.FieldDescription) bool { return oid == f.DataTypeOID })
}

// keyOf gives the key of a row in the order of its index.
func (s *shape) keyOf(dst []string, cells [][]byte) []string {
	for _, k := range s.keys {
		i := slices.IndexFunc(s.columns, func(c pgoutput.RowColumn) bool { return c.Name == k.name })
		dst = append(dst, string(cells[i]))
	}
	return dst
}

// source is what rows are selected from: a table without those that inherit from it,
// which are captured as tables of their own, or a partitioned one with its partitions.
func (s *shape) source() string {
	if s.kind == "p" {
		return s.table.SQL()
	}
	return "ONLY " + s.table.SQL()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// list gives the columns of the table, of an alias.
func (s *shape) list(alias string) string {
	out := make([]string, len(s.columns))
	for i, c := range s.columns {
		out[i] = alias + "." + quote(c.Name)
	}
	return strings.Join(out, ", ")
}

// rangeQuery selects the rows of a part in the order of the key, never by an offset.
// Each has the statement's snapshot and whether it fulfils the condition before it: one
// that does not still moves the cursor, so that no statement runs longer than a chunk.
func (s *shape) rangeQuery(t *part, where string, limit int) (query string, args [][]byte) {
	var on []string
	bound := func(key []string, op string) {
		on = append(on, s.compare(len(args), op))
		for _, v := range key {
			args = append(args, []byte(v))
		}
	}
	if t.from != nil {
		bound(t.from, ">")
	}
	if t.to != nil {
		bound(t.to, "<=")
	}
	order := make([]string, len(s.keys))
	for i, k := range s.keys {
		order[i] = "t." + quote(k.name)
		if k.foreign {
			order[i] += " USING " + k.below
		}
	}
	cond, matches := "", "true"
	if len(on) > 0 {
		cond = " WHERE " + strings.Join(on, " AND ")
	}
	if where != "" {
		matches = "(" + where + "\n) IS TRUE" // it may end with a comment
	}
	query = fmt.Sprintf(`SELECT pg_current_snapshot()::text, %s, %s FROM %s AS t%s ORDER BY %s LIMIT %d`,
		matches, s.list("t"), s.source(), cond, strings.Join(order, ", "), limit)
	return query, args
}

// compare gives the condition that a row's key stands above, or not above, the key in
// the arguments from first on. A comparison of rows is what an index serves; it knows
// only the operators that stand in the search path, and those of extensions do not.
func (s *shape) compare(first int, op string) string {
	cols, vals := make([]string, len(s.keys)), make([]string, len(s.keys))
	foreign := false
	for i, k := range s.keys {
		cols[i], vals[i] = "t."+quote(k.name), fmt.Sprintf("$%d::text::%s", first+i+1, k.typ)
		foreign = foreign || k.foreign
	}
	if !foreign {
		return fmt.Sprintf("(%s) %s (%s)", strings.Join(cols, ", "), op, strings.Join(vals, ", "))
	}
	above := make([]string, len(s.keys))
	for i := range s.keys {
		var all []string
		for j := range i {
			all = append(all, fmt.Sprintf("%s %s %s", cols[j], s.keys[j].equal, vals[j]))
		}
		all = append(all, fmt.Sprintf("%s %s %s", cols[i], s.keys[i].above, vals[i]))
		above[i] = "(" + strings.Join(all, " AND ") + ")"
	}
	text := "(" + strings.Join(above, " OR ") + ")"
	if op == "<=" {
		text = "NOT " + text
	}
	return text
}

// code gives the server's code of an error; empty if it has none.
func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// CheckWhere tells what is wrong with a condition on the rows of a table: the server
// parses it. An empty one is right.
func CheckWhere(ctx context.Context, conn *pgx.Conn, t cdc.Table, where string) error {
	if where == "" {
		return nil
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("SELECT (%s\n) IS TRUE FROM %s AS t LIMIT 0", where, t.SQL()))
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return &cdc.SetupError{What: fmt.Sprintf("the condition on %s is not one that PostgreSQL takes", t), Err: errors.New(pe.Message),
			Hint: "write it as after WHERE, with the columns of the table, and functions outside of pg_catalog with their schema"}
	}
	if err != nil {
		return fmt.Errorf("check the condition: %w", err)
	}
	return nil
}
