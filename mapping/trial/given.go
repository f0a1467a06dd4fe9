package trial

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// row is an image of a row as a test gives it: JSON by column, in the order of
// the table. A nil row was not given.
type row struct {
	columns []mapping.Column
	values  map[string]string
}

// row reads an image of a row; nil if there is none.
func (p *parser) row(n *yamldoc.Node) *row {
	if n == nil {
		return nil
	}
	r := &row{columns: p.subject.Columns, values: map[string]string{}}
	if n.Kind != yamldoc.Map {
		p.doc.Fail(n, "want columns with their values, not "+n.Kind.String(), n.Text, "write {id: 1, name: Acme}")
		return r
	}
	for i, k := range n.Keys {
		col := p.column(k, k.Text)
		if col == nil {
			continue
		}
		r.values[col.Name] = "null" // also where it is wrong: it was given
		if v := n.Values[i]; v.Kind != yamldoc.Null {
			r.values[col.Name] = p.value(v, parseType(col.Type))
			if col.Labels != nil && v.Kind == yamldoc.String && !slices.Contains(col.Labels, v.Text) {
				p.doc.Fail(v, "the enum has no such label:", v.Text, nearest.Hint(v.Text, col.Labels, "its labels are "+nearest.List(col.Labels)))
			}
		} else if col.NotNull {
			p.doc.Fail(v, "the column is NOT NULL, and never null:", col.Name, "give it a value, or leave it out where the test does not need it")
		}
	}
	return r
}

// json gives the row as a change has it; "" of none.
func (r *row) json() string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	b.WriteByte('{')
	for _, col := range r.columns {
		v, ok := r.values[col.Name]
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(quoteJSON(col.Name) + ":" + v)
	}
	b.WriteByte('}')
	return b.String()
}

// quoteJSON writes a text as JSON without the escapes that only web pages need.
func quoteJSON(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // a text has a form in JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// given is a change as a test has it.
type given struct {
	p             *parser
	node          *yamldoc.Node
	op            cdc.Op
	before, after *row
	absent        []*yamldoc.Node
}

// check holds the parts of a change against each other.
func (g *given) check(s *yamldoc.Section) {
	fail := g.p.doc.Fail
	if g.op == cdc.OpDelete {
		s.Require("before", "{id: 1}")
		if n := s.Node("after"); n != nil {
			fail(n, "a deleted row has no after", "", "take it out; what is known of the row goes to before")
		}
		if n := s.Node("absent"); n != nil {
			fail(n, "a delete has no absent columns", "", "take it out: before has only what is written there")
		}
		g.checkKey(s.Node("before"), g.before)
		return
	}
	s.Require("after", "{id: 1, name: Acme}")
	if n := s.Node("before"); n != nil && g.op != cdc.OpUpdate {
		fail(n, "only an update or a delete has a row before it", "", "take it out, or write op: update")
	}
	if n := s.Node("absent"); n != nil && g.op == cdc.OpRead {
		fail(n, "a row that a backfill reads has no absent columns", "", "take it out, or write op: update")
	}
	for _, n := range g.absent {
		switch _, also := g.after.get(n.Text); {
		case also:
			fail(n, "the column is in after too, and so is not absent:", n.Text, "take it out of one of the two")
		case g.isKey(n.Text):
			fail(n, "a column of the table's key is always sent:", n.Text, "give it in after")
		}
	}
	g.checkKey(s.Node("after"), g.after)
	g.checkSameKey(s.Node("before"))
}

func (g *given) isKey(name string) bool {
	return slices.ContainsFunc(g.p.subject.Columns, func(c mapping.Column) bool { return c.Key && c.Name == name })
}

// checkKey notes columns of the table's key that an image does not have.
func (g *given) checkKey(n *yamldoc.Node, r *row) {
	if r == nil || n.Kind != yamldoc.Map {
		return
	}
	for _, col := range g.p.subject.Columns {
		v := n.Get(col.Name)
		switch {
		case !col.Key:
		case v == nil:
			g.p.doc.Fail(n, "a column of the table's key is missing:", col.Name, "add it, such as "+col.Name+": "+exampleOf(col.Type))
		case v.Kind == yamldoc.Null && !col.NotNull:
			g.p.doc.Fail(v, "a column of the table's key is never null:", col.Name, "write a value, such as "+exampleOf(col.Type))
		}
	}
}

// checkSameKey notes an update of the table's key: that comes as two changes.
func (g *given) checkSameKey(n *yamldoc.Node) {
	if n == nil || g.after == nil {
		return
	}
	for _, col := range g.p.subject.Columns {
		was, ok := g.before.get(col.Name)
		if is, too := g.after.get(col.Name); col.Key && ok && too && was != is {
			g.p.doc.Fail(n.Get(col.Name), "an update does not change the table's key:", col.Name,
				"a changed key comes as the delete of the old row and the create of the new one: write two tests")
		}
	}
}

func (r *row) get(name string) (string, bool) {
	if r == nil {
		return "", false
	}
	v, ok := r.values[name]
	return v, ok
}

// key gives the change's key as JSON.
func (g *given) key() string {
	from := g.after
	if g.op == cdc.OpDelete {
		from = g.before
	}
	k := &row{values: map[string]string{}}
	for _, col := range g.p.subject.Columns {
		if v, ok := from.get(col.Name); ok && col.Key {
			k.columns = append(k.columns, col)
			k.values[col.Name] = v
		}
	}
	return k.json()
}

// whole is the row after the change: what the test does not name is null.
func (g *given) whole() *row {
	r := &row{values: map[string]string{}}
	for _, col := range g.p.subject.Columns {
		if g.isAbsent(col.Name) {
			continue
		}
		r.columns = append(r.columns, col)
		r.values[col.Name] = "null"
		if v, ok := g.after.get(col.Name); ok {
			r.values[col.Name] = v
		}
	}
	return r
}

// prior is the row that the target's record was made of, as far as the test
// tells: what before does not say was as it is after.
func (g *given) prior() *row {
	if g.op == cdc.OpDelete {
		return g.before
	}
	r := &row{columns: g.p.subject.Columns, values: g.whole().values}
	if g.before != nil {
		for name, v := range g.before.values {
			r.values[name] = v
		}
	}
	return r
}

func (g *given) isAbsent(name string) bool {
	return slices.ContainsFunc(g.absent, func(n *yamldoc.Node) bool { return n.Text == name })
}

// absentNames gives the absent columns in the order of the table, as a change
// has them.
func (g *given) absentNames() (names []string) {
	for _, col := range g.p.subject.Columns {
		if g.isAbsent(col.Name) {
			names = append(names, col.Name)
		}
	}
	return names
}
