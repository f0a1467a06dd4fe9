package trial

import (
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// Subject is what has to be known of a mapping to read its tests.
type Subject struct {
	Table   cdc.Table
	Columns []mapping.Column
	// Key is the target's key field.
	Key string
}

// Suite is the tests of a mapping file, in the order of the file.
type Suite struct {
	Path  string
	Cases []*Case

	doc     *yamldoc.Doc
	text    string
	subject Subject
}

// Case is one test.
type Case struct {
	Name string
	// Line is where it begins in the file.
	Line int

	change cdc.Change
	prior  prior
	expect *Outcome // nil if the file does not say
	node   *yamldoc.Node
}

// prior is what the target holds of the row before the change.
type prior struct {
	live bool
	// key is the record's target key where the test names it; else row is the
	// row that gives it.
	key sinks.Field
	row string
}

var (
	keysOfCase  = []string{"name", "given", "expect"}
	keysOfGiven = []string{"op", "before", "after", "absent", "delivered"}
)

// Parse reads the tests in a mapping file's text. The error is of type
// mapping.Errors and has all mistakes of the tests; of the rest of the file it
// has those that are about YAML as such.
func Parse(path string, data []byte, s Subject) (*Suite, error) {
	doc, err := yamldoc.Parse(path, data, true)
	if err != nil {
		return nil, err
	}
	suite := &Suite{Path: path, doc: doc.Fresh(), text: string(data), subject: s}
	p := parser{doc: suite.doc, subject: s}
	n := doc.Root.Get("tests")
	switch {
	case n == nil || n.Kind == yamldoc.Null:
		return suite, nil
	case n.Kind != yamldoc.List:
		p.doc.Fail(n, "want a list of tests, not "+n.Kind.String(), n.Text, "write - name: … below it, then given: and expect:")
		return nil, p.doc.Err()
	}
	for _, item := range n.Values {
		if c := p.test(item); c != nil {
			p.unique(c, suite.Cases)
			suite.Cases = append(suite.Cases, c)
		}
	}
	if err := p.doc.Err(); err != nil {
		return nil, err
	}
	return suite, nil
}

// parser turns nodes into tests and notes mistakes.
type parser struct {
	doc     *yamldoc.Doc
	subject Subject
}

// test reads a case; nil if there is nothing to go on with.
func (p *parser) test(n *yamldoc.Node) *Case {
	if n.Kind != yamldoc.Map {
		p.doc.Fail(n, "want a test with its keys, not "+n.Kind.String(), n.Text, "write - name: … with given: and expect:")
		return nil
	}
	c := &Case{Line: n.Line, node: n}
	s := p.doc.Section(n, keysOfCase...)
	s.Require("name", "a won deal")
	s.Require("given", "{after: {id: 1}}")
	if s.Text("name", &c.Name); strings.ContainsAny(c.Name, "\r\n") {
		p.doc.Fail(s.Node("name"), "a name of several lines", c.Name, "write it in one line")
	}
	p.given(c, s.Node("given"))
	c.expect = p.expect(s.Node("expect"))
	return c
}

func (p *parser) unique(c *Case, others []*Case) {
	for _, other := range others {
		if other.Name == c.Name && c.Name != "" {
			p.doc.Fail(c.node.Get("name"), fmt.Sprintf("the test in line %d already has the name", other.Line), c.Name, "give one of the two another name")
			return
		}
	}
}

// ops are what a row change can be called in a test, as the pages call it.
var ops = map[string]cdc.Op{"create": cdc.OpCreate, "update": cdc.OpUpdate, "delete": cdc.OpDelete, "read": cdc.OpRead}

var opNames = []string{"create", "update", "delete", "read"}

// given makes the change and what the target held before it.
func (p *parser) given(c *Case, n *yamldoc.Node) {
	if n == nil {
		return
	}
	s := p.doc.Section(n, keysOfGiven...)
	if n.Kind != yamldoc.Map {
		return
	}
	c.change = cdc.Change{Position: cdc.Position{LSN: 1}, Table: p.subject.Table, Op: p.op(s)}
	g := given{p: p, node: n, op: c.change.Op}
	g.absent = p.columns(s.Node("absent"))
	g.before, g.after = p.row(s.Node("before")), p.row(s.Node("after"))
	g.check(s)
	c.change.Key = g.key()
	c.change.Before = g.before.json()
	c.change.Absent = g.absentNames()
	if c.change.Op != cdc.OpDelete {
		c.change.After = g.whole().json()
	}
	c.prior = prior{live: c.change.Op == cdc.OpUpdate || c.change.Op == cdc.OpDelete, row: g.prior().json()}
	p.delivered(c, s.Node("delivered"))
}

func (p *parser) op(s *yamldoc.Section) cdc.Op {
	n := s.Node("op")
	if n == nil {
		return cdc.OpCreate
	}
	op, ok := ops[n.Text]
	if !ok || n.Kind != yamldoc.String {
		p.doc.Fail(n, "unknown kind of change", n.Text, nearest.Hint(n.Text, opNames, "write one of "+nearest.List(opNames)))
		return cdc.OpCreate
	}
	return op
}

// delivered reads whether the target holds a record of the row.
func (p *parser) delivered(c *Case, n *yamldoc.Node) {
	example := "{" + p.subject.Key + ": …}"
	switch {
	case n == nil:
	case n.Kind == yamldoc.Bool:
		c.prior.live = strings.EqualFold(n.Text, "true")
	case n.Kind != yamldoc.Map || len(n.Keys) != 1:
		p.doc.Fail(n, "want true, false, or the target's key, not "+n.Kind.String(), n.Text, "write true, or "+example)
	case n.Keys[0].Text != p.subject.Key:
		p.doc.Fail(n.Keys[0], "not the key field of the mapping", n.Keys[0].Text, "write "+example)
	default:
		value, ok := p.plainJSON(n.Values[0])
		if ok && value == "null" {
			p.doc.Fail(n.Values[0], "a record's key is never null", "", "write its value, or delivered: false")
		}
		c.prior.live, c.prior.key = true, sinks.Field{Name: n.Keys[0].Text, Value: []byte(value)}
	}
}

// columns reads a list of columns of the table.
func (p *parser) columns(n *yamldoc.Node) (list []*yamldoc.Node) {
	if n == nil {
		return nil
	}
	if n.Kind != yamldoc.List {
		p.doc.Fail(n, "want a list of columns, not "+n.Kind.String(), n.Text, "write ["+n.Text+"]")
		return nil
	}
	for _, item := range n.Values {
		var name string
		p.doc.Text(item, &name)
		if name == "" || p.column(item, name) == nil {
			continue
		}
		if slices.ContainsFunc(list, func(other *yamldoc.Node) bool { return other.Text == name }) {
			p.doc.Fail(item, "the column is named twice", name, "name it once")
			continue
		}
		list = append(list, item)
	}
	return list
}

// column finds a column of the table, and notes at a node that there is none.
func (p *parser) column(at *yamldoc.Node, name string) *mapping.Column {
	names := make([]string, len(p.subject.Columns))
	for i := range p.subject.Columns {
		if names[i] = p.subject.Columns[i].Name; names[i] == name {
			return &p.subject.Columns[i]
		}
	}
	p.doc.Fail(at, "unknown column", name, nearest.Hint(name, names, "the table has "+nearest.List(names)))
	return nil
}
