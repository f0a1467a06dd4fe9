package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/sinks"
)

// Describes tells whether the target can be asked for schemas: it always can.
func (t *Target) Describes() bool { return true }

// Describe gives the columns of a table. Where missing ones are made, and a missing table, it is
// open: it takes any; but not where the role has no right to make them. Errors are of the kinds that Deliver has, or *sinks.UnknownObject.
func (t *Target) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	c, err := t.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	tab, err := t.load(ctx, c.Conn(), object)
	switch {
	case err != nil:
		return nil, err
	case len(tab.columns) == 0 && t.o.Create:
		if err := t.mayMake(ctx, c.Conn(), tab); err != nil {
			return nil, err
		}
		return &sinks.Schema{Open: true}, nil
	case len(tab.columns) == 0:
		known, err := t.tablesOf(ctx, c.Conn(), tab.schema)
		if err != nil {
			return nil, err
		}
		return nil, &sinks.UnknownObject{Object: object, Known: known}
	}
	if err := t.allowed(ctx, c.Conn(), tab); err != nil {
		return nil, err
	}
	owns := false
	if t.o.Create {
		if owns, err = t.owns(ctx, c.Conn(), tab); err != nil {
			return nil, err
		}
	}
	if !owns {
		if err := tab.unfit(tab.anyKey(), nil); err != nil {
			return nil, err
		}
	}
	s := tab.describe()
	s.Open = owns
	return s, nil
}

// mayMake tells which right is missing to make a table, with the statement that gives it.
func (t *Target) mayMake(ctx context.Context, c *pgx.Conn, tab *table) error {
	var there, may bool
	var role, database string
	err := c.QueryRow(ctx, `SELECT n.oid IS NOT NULL, CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
		ELSE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE') END, current_user::text, current_database()::text
		FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = $1`, pgx.QueryExecModeExec, tab.schema).Scan(&there, &may, &role, &database)
	switch {
	case err != nil:
		return t.failed(err, false)
	case may:
		return nil
	case there:
		return misfit(fmt.Errorf("there is no table %s, and the role %s may not make it", tab.quoted(), role), fmt.Sprintf("run GRANT USAGE, CREATE ON SCHEMA %s TO %s", quote(tab.schema), quote(role)))
	}
	return misfit(fmt.Errorf("there is no schema %s, and the role %s may not make it", quote(tab.schema), role), fmt.Sprintf("run GRANT CREATE ON DATABASE %s TO %s", quote(database), quote(role)))
}

// owns tells whether the role may add columns to a table.
func (t *Target) owns(ctx context.Context, c *pgx.Conn, tab *table) (yes bool, err error) {
	err = c.QueryRow(ctx, `SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, pgx.QueryExecModeExec, tab.schema, tab.name).Scan(&yes)
	if err != nil {
		return false, t.failed(err, false)
	}
	return yes, nil
}

// allowed tells which rights are missing, with the statement that gives them.
func (t *Target) allowed(ctx context.Context, c *pgx.Conn, tab *table) error {
	var usage, all bool
	var role string
	err := c.QueryRow(ctx, `SELECT has_schema_privilege(n.oid, 'USAGE'), has_any_column_privilege(c.oid, 'SELECT') AND has_any_column_privilege(c.oid, 'INSERT')
		AND has_any_column_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'), current_user::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`, pgx.QueryExecModeExec, tab.schema, tab.name).Scan(&usage, &all, &role)
	switch {
	case err != nil:
		return t.failed(err, false)
	case !usage:
		return misfit(fmt.Errorf("the role %s may not use the schema %s", role, quote(tab.schema)), fmt.Sprintf("run GRANT USAGE ON SCHEMA %s TO %s", quote(tab.schema), quote(role)))
	case !all:
		return misfit(fmt.Errorf("the role %s may not write to %s", role, tab.quoted()), fmt.Sprintf("run GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s", tab.quoted(), quote(role)))
	}
	return nil
}

// anyKey gives a column that can identify rows, or else the first.
func (t *table) anyKey() string {
	for _, c := range t.columns {
		if c.Unique {
			return c.Name
		}
	}
	return t.columns[0].Name
}

// describe leaves out the column for the Position, which no mapping may write.
func (t *table) describe() *sinks.Schema {
	s := &sinks.Schema{}
	for i := range t.columns {
		c := &t.columns[i]
		if c.Name == t.position {
			continue
		}
		f := sinks.SchemaField{Name: c.Name, Type: c.fieldType(), Key: c.Unique, ReadOnly: c.ReadOnly, NotNull: c.NotNull,
			Required: c.NotNull && !c.Default}
		if len(c.Values) > 0 {
			f.Values = c.Values
		}
		switch c.Type {
		case "character varying", "bpchar":
			if c.Mod > 4 {
				f.Length = int(c.Mod) - 4
			}
		case "numeric":
			if c.Mod >= 0 && c.scale() >= 0 && c.precision() >= c.scale() {
				f.Precision, f.Scale = c.precision(), c.scale()
			}
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

// fieldType is what kind of value a column takes. Of a type that has no counterpart it is
// PostgreSQL's own name, which nothing is checked against.
func (c *column) fieldType() sinks.FieldType {
	switch c.Type {
	case "text", "character varying", "bpchar", "citext":
		return sinks.FieldText
	case "numeric", "real", "double precision":
		return sinks.FieldNumber
	case "bigint", "integer", "smallint":
		return sinks.FieldInteger
	case "boolean":
		return sinks.FieldBoolean
	case "date":
		return sinks.FieldDate
	case "timestamp with time zone", "timestamptz":
		return sinks.FieldDateTime
	case "json", "jsonb":
		return sinks.FieldJSON
	}
	switch {
	case c.array():
		return sinks.FieldList
	case len(c.Values) > 0:
		return sinks.FieldText
	}
	return sinks.FieldType(c.Type)
}
