package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/sinks"
)

// table is what the catalog says of a table.
type table struct {
	schema, name string
	columns      []column
	// position is the name of the column for the Position.
	position string
	folds    bool // Options.IgnoreKeyCase
	creates  bool // Options.Create
}

// column is a column of a table.
type column struct {
	Name string
	// Type is the name of the type without a length or a precision, to cast a text to; of a
	// domain it is that of its base. A cast to varchar(3) would cut a text off, where the
	// assignment to the column refuses it. Full is the type as it is shown.
	Type, Full string
	// Category is pg_type's: A array, N number, B boolean, S string, E enumeration, …
	Category string
	// Mod is the type's modifier: length, or precision and scale; -1 if there is none.
	Mod int32
	// NotNull, Default and ReadOnly tell of its value: ReadOnly is that of a generated column.
	NotNull, Default, ReadOnly bool
	// Unique tells that no two rows have the same value, by an index that ON CONFLICT takes.
	Unique bool
	// Folded tells that it has a collation by which different texts are the same.
	Folded bool
	// Values are those of an enumeration.
	Values []string
}

const columnsQuery = `
SELECT a.attname, CASE WHEN b.typtype = 'd' THEN format_type(b.typbasetype, -1) ELSE format_type(a.atttypid, -1) END,
  format_type(a.atttypid, a.atttypmod), b.typcategory::text, CASE WHEN b.typtype = 'd' THEN b.typtypmod ELSE a.atttypmod END,
  a.attnotnull OR b.typnotnull, a.atthasdef OR a.attidentity <> '' OR b.typdefault IS NOT NULL, a.attgenerated <> '' OR a.attidentity = 'a',
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
  b.typname = 'citext' OR EXISTS (SELECT FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic),
  ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = a.atttypid ORDER BY e.enumsortorder)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type b ON b.oid = a.atttypid
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// load reads a table from the catalog; its columns are none if there is no such table.
func (t *Target) load(ctx context.Context, c *pgx.Conn, object string) (*table, error) {
	tab := &table{position: t.o.Position, folds: t.o.IgnoreKeyCase, creates: t.o.Create}
	tab.schema, tab.name = t.o.name(object)
	rows, err := c.Query(ctx, columnsQuery, pgx.QueryExecModeExec, tab.schema, tab.name)
	if err != nil {
		return nil, t.failed(err, false)
	}
	tab.columns, err = pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		return nil, t.failed(err, false)
	}
	return tab, nil
}

// tablesOf lists what a schema has.
func (t *Target) tablesOf(ctx context.Context, c *pgx.Conn, schema string) ([]string, error) {
	rows, err := c.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f', 'v') ORDER BY 1 LIMIT 1000`, pgx.QueryExecModeExec, schema)
	if err != nil {
		return nil, t.failed(err, false)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, t.failed(err, false)
	}
	return names, nil
}

func (t *table) column(name string) *column {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

// quoted is the name of the table in a statement.
func (t *table) quoted() string { return pgx.Identifier{t.schema, t.name}.Sanitize() }

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// positionType is that of the column for the Position: the LSN before the point and the ordinal
// in twenty digits behind it, so that the order of the numbers is that of the changes.
const positionType = "numeric(40,20)"

// unfit says what a table lacks for records with some fields, and what mends it; nil if it has
// all.
func (t *table) unfit(key string, fields []string) error {
	if len(t.columns) == 0 {
		return misfit(fmt.Errorf("there is no table %s", t.quoted()), "create it, or set create: true on the target")
	}
	for _, name := range append([]string{key}, fields...) {
		switch c := t.column(name); {
		case c == nil:
			return misfit(fmt.Errorf("the table %s has no column %s", t.quoted(), quote(name)),
				fmt.Sprintf("run ALTER TABLE %s ADD COLUMN %s … with its type, or %s", t.quoted(), quote(name), t.orElse()))
		case c.ReadOnly:
			return misfit(fmt.Errorf("the column %s of %s is generated", quote(name), t.quoted()), "take it out of the mapping")
		}
	}
	switch k := t.column(key); {
	case !k.Unique:
		return misfit(fmt.Errorf("the column %s does not identify the rows of %s", quote(key), t.quoted()),
			fmt.Sprintf("run CREATE UNIQUE INDEX ON %s (%s)", t.quoted(), quote(key)))
	case k.Folded && !(t.folds && k.Type == "citext"):
		return misfit(fmt.Errorf("the column %s of %s takes different texts for the same", quote(key), t.quoted()),
			"set key_case: insensitive on the target, if its type is citext; or give it another collation")
	}
	switch p := t.column(t.position); {
	case p == nil:
		return misfit(fmt.Errorf("the table %s has no column %s for the position of a change", t.quoted(), quote(t.position)), t.addPosition())
	case p.Type != "numeric" || p.Mod >= 0 && (p.scale() < 20 || p.precision()-p.scale() < 20) || p.ReadOnly:
		return misfit(fmt.Errorf("the column %s of %s is %s, and cannot hold the position of a change", quote(t.position), t.quoted(), p.Full),
			fmt.Sprintf("it has to be %s", positionType))
	}
	return nil
}

func (t *table) addPosition() string {
	return fmt.Sprintf("run ALTER TABLE %s ADD COLUMN %s %s, or %s", t.quoted(), quote(t.position), positionType, t.orElse())
}

// orElse is what has walbridge add columns itself.
func (t *table) orElse() string {
	if t.creates {
		return "have the role of the target's url own the table"
	}
	return "set create: true on the target"
}

func misfit(err error, hint string) error { return &sinks.Misconfigured{Err: err, Hint: hint} }

// precision and scale are those of a numeric with a modifier, as PostgreSQL packs them.
func (c *column) precision() int { return int((c.Mod-4)>>16) & 0xffff }

func (c *column) scale() int {
	s := int(c.Mod-4) & 0x7ff
	return (s ^ 1024) - 1024 // eleven bits with a sign, since PostgreSQL 15
}

// json, array and integer tell how a value is written for the column.
func (c *column) json() bool  { return c.Type == "json" || c.Type == "jsonb" }
func (c *column) array() bool { return strings.HasSuffix(c.Type, "[]") }
func (c *column) integer() bool {
	return c.Type == "bigint" || c.Type == "integer" || c.Type == "smallint"
}
