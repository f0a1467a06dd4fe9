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
// The error is of type Errors and has all mistakes of the file. A file that refers to
// others is compiled with them, by CompileAll.
func Compile(f *File, cat Catalog) (*Mapping, error) { return CompileAmong(f, []*File{f}, cat) }

// CompileAll compiles files that may refer to each other. The error is of type Errors and
// has the mistakes of all files; the mappings are those of files without one.
func CompileAll(files []*File, cat Catalog) ([]*Mapping, error) {
	var out []*Mapping
	var errs Errors
	for _, f := range files {
		m, err := CompileAmong(f, files, cat)
		errs = append(errs, asErrors(f.Path, err)...)
		if m != nil {
			out = append(out, m)
		}
	}
	return out, errs.Err()
}

// CompileAmong compiles one of several files that may refer to each other. The error has
// the mistakes of this one. Of a file that Parse gave with an error nothing comes but
// further mistakes, if there are any.
func CompileAmong(f *File, files []*File, cat Catalog) (*Mapping, error) {
	c := &compiler{f: f, files: files, cat: cat, docs: map[*yamldoc.Doc]*yamldoc.Doc{}}
	c.doc = c.fresh(f.doc)
	if f.from == nil {
		return nil, nil // told when it was read
	}
	if list, ok := cat.(targetLister); ok && list.Targets() != nil && f.to != nil {
		c.target(list.Targets())
	}
	columns, ok := cat.Columns(f.From)
	if !ok {
		c.unknownTable(cat)
		return nil, c.err()
	}
	if !slices.ContainsFunc(columns, func(c Column) bool { return c.Key }) {
		c.doc.Fail(f.from, "the table has no primary key, nor another replica identity:", f.From.String(), IdentityHint(f.From, columns))
	}
	c.scope = expr.NewScope(exprColumns(columns), f.env)
	m := &Mapping{
		name: f.Name, table: f.From, target: f.Target, object: f.Object, lane: f.Lane, start: f.Start, coalesce: f.Coalesce, slo: f.SLO,
		action: f.Delete.Action,
	}
	if f.When != nil {
		m.when = c.field("when", *f.When, expr.Bool)
	}
	m.key = c.key()
	m.keyIsSource = c.keyIsSource(&m.key, columns)
	for i := range f.Fields {
		m.fields = append(m.fields, c.assign(&f.Fields[i]))
		m.signed = m.signed || f.Fields[i].Write == WriteChanged
		m.selective = m.selective || f.Fields[i].Write == WriteChanged || f.Fields[i].Write == WriteOnCreate
	}
	m.set = c.set()
	m.rules = c.laneRules(columns)
	if err := c.err(); err != nil || f.bad {
		return nil, err
	}
	m.outputs, m.fromAt, m.toAt, m.startAt = c.outputs(m), placeOf(f.Path, f.from), placeOf(f.Path, f.to), placeOf(f.Path, f.start)
	m.sets = c.setOutputs(m)
	m.scope, m.names = c.scope, c.scope.Used()
	m.slots = make(map[string]int, len(m.names))
	for i, name := range m.names {
		m.slots[name] = i
	}
	m.rows = &sync.Pool{New: func() any { return m.newRow() }}
	return m, nil
}

func exprColumns(columns []Column) []expr.Column {
	out := make([]expr.Column, len(columns))
	for i, col := range columns {
		out[i] = expr.Column{Name: col.Name, Type: col.Type, NotNull: col.NotNull, Labels: col.Labels}
	}
	return out
}

// CheckTarget tells whether the mapping's target is among the configured ones.
// Compile does it by itself where the catalog has a method Targets.
func (f *File) CheckTarget(known []string) error {
	c := &compiler{f: f, doc: f.doc.Fresh()}
	c.target(known)
	return c.doc.Err()
}

type compiler struct {
	f     *File
	files []*File // f and those that it may refer to
	cat   Catalog
	scope *expr.Scope
	doc   *yamldoc.Doc                  // of f
	docs  map[*yamldoc.Doc]*yamldoc.Doc // the documents that f is made of, each without older mistakes
}

// fresh gives a document to note mistakes in, which the file's own is not: it may be
// compiled again.
func (c *compiler) fresh(d *yamldoc.Doc) *yamldoc.Doc {
	out, ok := c.docs[d]
	if !ok {
		out = d.Fresh()
		c.docs[d] = out
	}
	return out
}

func (c *compiler) err() error {
	var all Errors
	for _, d := range c.docs {
		all = append(all, asErrors(d.File, d.Err())...)
	}
	return all.Err()
}

func (c *compiler) target(known []string) {
	if !slices.Contains(known, c.f.Target) {
		c.doc.Fail(c.f.to, "unknown target", c.f.Target, nearest.Hint(c.f.Target, known, "targets in the configuration are "+nearest.List(known)))
	}
}

func (c *compiler) unknownTable(cat Catalog) {
	if o, ok := cat.(otherKnower); ok {
		if kind := o.Other(c.f.From); kind != "" {
			c.doc.Fail(c.f.from, "it is "+kind+", of which there are no changes to capture", c.f.From.String(), "map the tables that it is made of, one mapping for each")
			return
		}
	}
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

// IdentityHint gives the statement that mends a table without an identity.
func IdentityHint(t cdc.Table, columns []Column) string {
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
	f := field{name: name, slot: -1, write: WriteAlways}
	if e.Const != nil {
		f.constant = e.Const
		return f
	}
	p, err := c.scope.Compile(e.Source, want)
	if err != nil {
		c.fail(e, err)
		return f
	}
	f.program, f.inputs = p, p.Inputs()
	if slot, ok := p.IsColumn(); ok {
		f.slot = slot
	}
	return f
}

// assign compiles a field of the target.
func (c *compiler) assign(a *Assign) field {
	f := c.field(a.Field, a.Expr, expr.Any)
	if f.write = a.Write; f.write == WriteChanged {
		f.token = tokenOf(c.f.Object, c.f.Key.Field, a.Field)
	}
	if f.program != nil && f.program.Ref() != nil {
		f.ref = c.reference(a, f.program.Ref())
	}
	return f
}

func (c *compiler) fail(e Expr, err error) {
	var ee *expr.Error
	if !errors.As(err, &ee) {
		c.fresh(e.doc).Fail(e.node, err.Error(), e.Source, "")
		return
	}
	doc, hint := c.fresh(e.doc), ee.Hint
	if doc.CutByComment(e.node) && (strings.Contains(ee.Msg, "not terminated") || strings.Contains(ee.Msg, "end of")) {
		hint = "YAML takes # after a space for the beginning of a comment: put the whole value in quotes, or in lines of its own below a |"
	}
	doc.FailAt(e.node, ee.Offset, Error{Msg: ee.Msg, Value: ee.Value, Hint: hint})
}

func (c *compiler) key() field {
	k := c.f.Key
	if k.node == nil {
		return field{} // told when it was read
	}
	f := c.field(k.Field, k.Expr, expr.Any)
	switch {
	case f.constant != nil, f.program != nil && f.program.IsConstant():
		c.doc.Fail(k.node, "the key is the same for every row:", k.node.Shown(), "name a column that identifies the record, such as id")
	case f.program == nil:
	case f.program.Ref() != nil:
		c.doc.Fail(k.node, "a reference cannot be a key:", k.Source, "name the column, such as account_id")
	case f.program.Type() == expr.JSON || f.program.Type().IsList():
		c.doc.Fail(k.node, "a json, jsonb or array column cannot be a key:", k.Source, "name a column of text or numbers")
	}
	return f
}

func (c *compiler) set() []constant {
	var set []constant
	for _, a := range c.f.Delete.Set {
		if a.Field == c.f.Key.Field {
			c.doc.Fail(a.key, "the key cannot be set", a.Field, "take it out of set")
		}
		f := c.field(a.Field, a.Expr, expr.Any)
		if f.constant != nil {
			set = append(set, constant{name: a.Field, json: string(f.constant)})
			continue
		}
		if f.program == nil {
			continue
		}
		if !f.program.IsConstant() {
			c.doc.Fail(a.node, "not a constant:", a.Source, "a deleted row has no columns left: write a constant, such as true or '\"gone\"'")
			continue
		}
		v, err := f.program.Eval(c.scope.NewRow())
		if err != nil {
			c.fail(a.Expr, err)
			continue
		}
		set = append(set, constant{name: a.Field, json: v.JSON()})
	}
	return set
}
