package postgres

import (
	"context"

	"github.com/walbridge/walbridge/sinks"
)

// Describes tells whether the target can be asked for schemas: it always can.
func (t *Target) Describes() bool { return true }

// Describe gives the columns of a table. Of one that is yet to be made, and of columns that are,
// it gives what they will be. Errors are of the kinds that Deliver has, or *sinks.UnknownObject.
func (t *Target) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	c, err := t.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	tab, err := t.load(ctx, c.Conn(), object)
	if err != nil {
		return nil, err
	}
	want := t.o.Tables[object]
	switch {
	case len(tab.columns) > 0:
	case t.o.Create && len(want.Columns) > 0:
		tab.columns = append(tab.columns, column{Name: t.o.Position, Type: "numeric", Mod: -1})
	default:
		known, err := t.tablesOf(ctx, c.Conn(), tab.schema)
		if err != nil {
			return nil, err
		}
		return nil, &sinks.UnknownObject{Object: object, Known: known}
	}
	if t.o.Create {
		for _, w := range want.Columns {
			if tab.column(w.Name) == nil {
				tab.columns = append(tab.columns, column{Name: w.Name, Type: w.Type, Mod: -1, Unique: w.Name == want.Key})
			}
		}
	} else if err := tab.unfit(tab.anyKey(), nil); err != nil {
		return nil, err
	}
	return tab.describe(), nil
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
