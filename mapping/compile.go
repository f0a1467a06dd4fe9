package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Compile checks a file against the source's catalog and makes a plan of it.
// The error is of type Errors and has all mistakes of the file.
func Compile(f *File, cat Catalog) (*Mapping, error) {
	c := &compiler{f: f, doc: f.doc.Fresh(), slots: map[string]int{}}
	if list, ok := cat.(targetLister); ok && list.Targets() != nil {
		c.target(list.Targets())
	}
	columns, ok := cat.Columns(f.From)
	if !ok {
		c.unknownTable(cat)
		return nil, c.doc.Err()
	}
	if !slices.ContainsFunc(columns, func(c Column) bool { return c.Key }) {
		c.doc.Fail(f.from, "the table has no primary key, nor another replica identity:", f.From.String(), identityHint(f.From, columns))
	}
	for _, col := range columns {
		c.columns = append(c.columns, expr.Column{Name: col.Name, Type: col.Type})
	}
	m := &Mapping{
		name: f.Name, table: f.From, target: f.Target, object: f.Object, lane: f.Lane, start: f.Start, coalesce: f.Coalesce,
		action: f.Delete.Action,
	}
	if f.When != nil {
		m.when = c.field("when", *f.When, expr.Bool)
	}
	m.key = c.key()
	for _, a := range f.Fields {
		m.fields = append(m.fields, c.field(a.Field, a.Expr, expr.Any))
	}
	m.set = c.set()
	if err := c.doc.Err(); err != nil {
		return nil, err
	}
	m.slots, m.names = c.slots, c.names
	m.rows = &sync.Pool{New: func() any { return m.newRow() }}
	return m, nil
}

// CheckTarget tells whether the mapping's target is among the configured ones.
// Compile does it by itself where the catalog has a method Targets.
func (f *File) CheckTarget(known []string) error {
	c := &compiler{f: f, doc: f.doc.Fresh()}
	c.target(known)
	return c.doc.Err()
}

type compiler struct {
	f       *File
	doc     *yamldoc.Doc
	columns []expr.Column
	// slots gives each column that is read a place in a row; names is its inverse.
	slots map[string]int
	names []string
}

func (c *compiler) target(known []string) {
	if !slices.Contains(known, c.f.Target) {
		c.doc.Fail(c.f.to, "unknown target", c.f.Target, nearest.Hint(c.f.Target, known, "targets in the configuration are "+nearest.List(known)))
	}
}

func (c *compiler) unknownTable(cat Catalog) {
	var names []string
	if list, ok := cat.(tableLister); ok {
		for _, t := range list.Tables() {
			names = append(names, t.String())
		}
	}
	name := c.f.From.String()
	fallback := "check the schema and the name, and that walbridge's user may see the table"
	for _, n := range names {
		if strings.HasSuffix(n, "."+cdc.QuoteIdent(c.f.From.Name)) {
			c.doc.Fail(c.f.from, "no such table", name, "did you mean "+n+"?")
			return
		}
	}
	c.doc.Fail(c.f.from, "no such table", name, nearest.Hint(name, names, fallback))
}

// identityHint gives the statement that mends a table without an identity.
func identityHint(t cdc.Table, columns []Column) string {
	best := ""
	for _, want := range []string{"id", t.Name + "_id", strings.TrimSuffix(t.Name, "s") + "_id"} {
		for _, col := range columns {
			if col.Name == want && best == "" {
				best = col.Name
			}
		}
	}
	for _, col := range columns {
		if best == "" && col.NotNull {
			best = col.Name
		}
	}
	if best == "" {
		return fmt.Sprintf("give it one: ALTER TABLE %s ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;", t)
	}
	column := cdc.QuoteIdent(best)
	return fmt.Sprintf("run ALTER TABLE %s ADD PRIMARY KEY (%s); or, with a unique index on columns that are NOT NULL, ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;",
		t, column, t, cdc.QuoteIdent(t.Name+"_"+best+"_key"))
}

// field compiles one expression; a mistake is noted and gives an empty field.
func (c *compiler) field(name string, e Expr, want expr.Type) field {
	f := field{name: name, slot: -1}
	p, err := expr.Compile(e.Source, c.columns, want)
	if err != nil {
		c.fail(e, err)
		return f
	}
	for _, col := range p.Columns() {
		slot, ok := c.slots[col]
		if !ok {
			slot = len(c.names)
			c.slots[col] = slot
			c.names = append(c.names, col)
		}
		f.inputs = append(f.inputs, slot)
	}
	f.program = p
	if _, ok := p.IsColumn(); ok {
		f.slot = f.inputs[0]
	}
	return f
}

func (c *compiler) fail(e Expr, err error) {
	var ee *expr.Error
	if !errors.As(err, &ee) {
		c.doc.Fail(e.node, err.Error(), e.Source, "")
		return
	}
	c.doc.FailAt(e.node, ee.Offset, Error{Msg: ee.Msg, Value: ee.Value, Hint: ee.Hint})
}

func (c *compiler) key() field {
	k := c.f.Key
	f := c.field(k.Field, k.Expr, expr.Any)
	if f.program == nil {
		return f
	}
	switch {
	case f.program.IsConstant():
		c.doc.Fail(k.node, "the key is the same for every row:", k.Source, "name a column that identifies the record, such as id")
	case f.program.Type() == expr.JSON:
		c.doc.Fail(k.node, "a json, jsonb or array column cannot be a key:", k.Source, "name a column of text or numbers")
	}
	return f
}

func (c *compiler) set() []constant {
	var set []constant
	for _, a := range c.f.Delete.Set {
		f := c.field(a.Field, a.Expr, expr.Any)
		if a.Field == c.f.Key.Field {
			c.doc.Fail(a.node, "the key cannot be set", a.Field, "take it out of set")
		}
		if f.program == nil {
			continue
		}
		if !f.program.IsConstant() {
			c.doc.Fail(a.node, "not a constant:", a.Source, "a deleted row has no columns left: write a constant, such as true or '\"gone\"'")
			continue
		}
		v, err := f.program.Eval(nil)
		if err != nil {
			c.fail(a.Expr, err)
			continue
		}
		set = append(set, constant{name: a.Field, json: v.JSON()})
	}
	return set
}
