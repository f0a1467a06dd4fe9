package mapping

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// Error is one mistake in a mapping file.
type Error = yamldoc.Error

// Errors are all mistakes of one or several mapping files; the error of Parse,
// Compile and LoadGlob is of this type.
type Errors = yamldoc.Errors

// File is a mapping file whose form is right, not yet checked against a
// database.
type File struct {
	// Path is the file's name, as errors show it.
	Path string
	// Name names the mapping; it is the identity that delivered state is kept
	// under, so renaming it sends everything again.
	Name           string
	From           cdc.Table
	When           *Expr // nil if the file has none
	Target, Object string
	Key            Assign
	Fields         []Assign // in the order of the file
	Delete         DeletePolicy
	Lane           string
	// Start says what a mapping that is new begins with: StartBackfill or StartNow.
	Start    string
	Coalesce sinks.Coalesce

	doc  *yamldoc.Doc
	from *yamldoc.Node
	to   *yamldoc.Node
}

// Expr is an expression as the file has it.
type Expr struct {
	Source string
	node   *yamldoc.Node
}

// Assign is a field of the target and the expression of its value.
type Assign struct {
	Field string
	Expr
}

// DeletePolicy says what becomes of the target's record when its row is deleted
// or no longer fulfils the condition of the mapping.
type DeletePolicy struct {
	Action Action
	// Set are the constant fields that are sent when Action is SetFields.
	Set []Assign
}

// Action is a kind of delete policy, as the file names it.
type Action string

// The actions.
const (
	DeleteRecord  Action = "delete"
	ArchiveRecord Action = "archive"
	IgnoreDelete  Action = "ignore"
	SetFields     Action = "set"
)

// What a mapping can begin with: the rows that its table has, or what changes from its
// first start on.
const (
	StartBackfill = "backfill"
	StartNow      = "now"
)

var (
	keysOfFile     = []string{"name", "from", "when", "to", "key", "fields", "delete", "lane", "start", "coalesce", "tests"}
	keysOfCoalesce = []string{"quiet", "max_delay", "max_batch"}
	deletePolicies = []string{string(DeleteRecord), string(ArchiveRecord), string(IgnoreDelete)}
	nameForm       = regexp.MustCompile(`^[a-z0-9_-]+$`)
)

// maxBatch is the greatest batch that a file can ask for.
const maxBatch = 10_000

// DefaultCoalesce is what holds for a file that says nothing.
func DefaultCoalesce() sinks.Coalesce {
	return sinks.Coalesce{Quiet: 200 * time.Millisecond, MaxDelay: 2 * time.Second, MaxBatch: 200}
}

// Parse reads a mapping file's text. The error is of type Errors and has all
// mistakes that can be seen without a database.
func Parse(file string, data []byte) (*File, error) {
	doc, err := yamldoc.Parse(file, data, true)
	if err != nil {
		return nil, err
	}
	f := &File{
		Path: file, doc: doc, Lane: cdc.LaneNormal, Start: StartBackfill, Coalesce: DefaultCoalesce(),
		Delete: DeletePolicy{Action: DeleteRecord},
		Name:   strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)),
	}
	switch {
	case doc.Root.Kind == yamldoc.Null && doc.Err() == nil:
		doc.Fail(nil, "the file is empty", "", "a mapping needs from, to, key and fields")
		return nil, doc.Err()
	case doc.Root.Kind != yamldoc.Map:
		doc.Section(doc.Root, keysOfFile...)
		return nil, doc.Err()
	}
	p := parser{doc: doc, f: f}
	p.file(doc.Section(doc.Root, keysOfFile...))
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// parser fills a File from the sections of its document.
type parser struct {
	doc *yamldoc.Doc
	f   *File
}

func (p *parser) file(s *yamldoc.Section) {
	s.Require("from", "public.opportunities")
	s.Require("to", "crm/Opportunity")
	s.Require("key", "{External_Id__c: id}")
	s.Require("fields", "{Name: name}")
	p.name(s)
	p.from(s)
	p.to(s)
	if n := s.Node("when"); n != nil {
		if e, ok := p.expr(n); ok {
			p.f.When = &e
		}
	}
	p.key(s.Node("key"))
	p.f.Fields = p.assigns(s.Node("fields"), "Name: name")
	for _, a := range p.f.Fields {
		if a.Field == p.f.Key.Field {
			p.doc.Fail(a.node, "the field is already the key", a.Field, "take it out of fields")
		}
	}
	p.delete(s.Node("delete"))
	p.lane(s)
	p.start(s)
	p.coalesce(s.Node("coalesce"))
}

func (p *parser) name(s *yamldoc.Section) {
	s.Text("name", &p.f.Name)
	if !nameForm.MatchString(p.f.Name) && !p.doc.Failed("name") {
		n := s.Node("name")
		if n == nil {
			n = &yamldoc.Node{Line: 1, Column: 1, Path: "name"}
		}
		p.doc.Fail(n, "not a name for a mapping", p.f.Name, "write name: with lower-case letters, digits, - and _ only")
	}
}

func (p *parser) from(s *yamldoc.Section) {
	n := s.Node("from")
	if n == nil {
		return
	}
	var text string
	if p.doc.Text(n, &text); text == "" {
		return
	}
	table, err := cdc.ParseTable(text)
	if err != nil {
		p.doc.Fail(n, "not a table", text, "write schema.table, such as public.opportunities")
		return
	}
	p.f.From, p.f.from = table, n
}

func (p *parser) to(s *yamldoc.Section) {
	n := s.Node("to")
	if n == nil {
		return
	}
	var text string
	if p.doc.Text(n, &text); text == "" {
		return
	}
	target, object, ok := strings.Cut(text, "/")
	if !ok || object == "" || !nameForm.MatchString(target) || strings.ContainsAny(object, " \t\n") {
		p.doc.Fail(n, "not a target and its object", text, "write target/object, such as crm/Opportunity")
		return
	}
	p.f.Target, p.f.Object, p.f.to = target, object, n
}

// expr takes a scalar as the source of an expression.
func (p *parser) expr(n *yamldoc.Node) (Expr, bool) {
	switch {
	case n.Kind == yamldoc.Map || n.Kind == yamldoc.List:
		p.doc.Fail(n, fmt.Sprintf("want an expression, not %s", n.Kind), "", "write it as text; quote it if it has a colon, # or braces")
		return Expr{}, false
	case n.Kind == yamldoc.Null && n.Text == "":
		p.doc.Fail(n, "no expression", "", `write a column, a constant such as '"text"', or null`)
		return Expr{}, false
	case n.Kind == yamldoc.Null:
		return Expr{Source: "nil", node: n}, true
	}
	return Expr{Source: n.Text, node: n}, true
}

func (p *parser) assigns(n *yamldoc.Node, example string) []Assign {
	if n == nil {
		return nil
	}
	if n.Kind != yamldoc.Map {
		p.doc.Fail(n, fmt.Sprintf("want target fields with their expressions, not %s", n.Kind), n.Text, "write "+example)
		return nil
	}
	if len(n.Keys) == 0 {
		p.doc.Fail(n, "no field", "", "write at least one, such as "+example)
	}
	var list []Assign
	for i, k := range n.Keys {
		if strings.TrimSpace(k.Text) == "" {
			p.doc.Fail(k, "a field without a name", "", "write "+example)
			continue
		}
		if e, ok := p.expr(n.Values[i]); ok {
			list = append(list, Assign{Field: k.Text, Expr: e})
		}
	}
	return list
}

func (p *parser) key(n *yamldoc.Node) {
	list := p.assigns(n, "External_Id__c: id")
	if n != nil && len(n.Keys) > 1 {
		p.doc.Fail(n.Keys[1], "a second key field", n.Keys[1].Text, "a record has one key; join columns if it needs several, such as 'string(a) + \"-\" + string(b)'")
		return
	}
	if len(list) == 1 {
		p.f.Key = list[0]
	}
}

func (p *parser) delete(n *yamldoc.Node) {
	switch {
	case n == nil:
	case n.Kind == yamldoc.Map:
		s := p.doc.Section(n, "set")
		s.Require("set", "{IsDeleted: true}")
		if set := p.assigns(s.Node("set"), "IsDeleted: true"); len(set) > 0 {
			p.f.Delete = DeletePolicy{Action: SetFields, Set: set}
		}
	case n.Kind != yamldoc.String || !slices.Contains(deletePolicies, n.Text):
		p.doc.Fail(n, "unknown delete policy", n.Text, nearest.Hint(n.Text, deletePolicies, "write delete, archive, ignore, or {set: {IsDeleted: true}}"))
	default:
		p.f.Delete.Action = Action(n.Text)
	}
}

func (p *parser) lane(s *yamldoc.Section) {
	s.Text("lane", &p.f.Lane)
	if !slices.Contains(cdc.Lanes(), p.f.Lane) && !p.doc.Failed("lane") {
		p.doc.Fail(s.Node("lane"), "unknown lane", p.f.Lane, nearest.Hint(p.f.Lane, cdc.Lanes(), "lanes are "+nearest.List(cdc.Lanes())))
	}
}

func (p *parser) start(s *yamldoc.Section) {
	s.Text("start", &p.f.Start)
	known := []string{StartBackfill, StartNow}
	if !slices.Contains(known, p.f.Start) && !p.doc.Failed("start") {
		p.doc.Fail(s.Node("start"), "unknown start", p.f.Start, nearest.Hint(p.f.Start, known, "write one of "+nearest.List(known)))
	}
}

func (p *parser) coalesce(n *yamldoc.Node) {
	s := p.doc.Section(n, keysOfCoalesce...)
	c := &p.f.Coalesce
	s.Duration("quiet", &c.Quiet)
	s.Duration("max_delay", &c.MaxDelay)
	s.Int("max_batch", &c.MaxBatch)
	if p.doc.Failed("coalesce") {
		return
	}
	if c.MaxBatch < 1 || c.MaxBatch > maxBatch {
		p.doc.Fail(s.Node("max_batch"), "out of range", s.Node("max_batch").Text, fmt.Sprintf("write a number from 1 to %d", maxBatch))
	}
	if c.Quiet > c.MaxDelay {
		at := s.Node("quiet")
		if at == nil {
			at = s.Node("max_delay")
		}
		p.doc.Fail(at, fmt.Sprintf("quiet (%s) is longer than max_delay (%s)", c.Quiet, c.MaxDelay), "", "make max_delay at least as long: it bounds the wait that quiet makes")
	}
}
