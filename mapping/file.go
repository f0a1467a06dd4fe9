package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
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
	Name string
	// Description is for people.
	Description    string
	From           cdc.Table
	When           *Expr // nil if the file has none
	Target, Object string
	Key            Assign
	Fields         []Assign // those of the shared lists first, then in the order of the file
	Delete         DeletePolicy
	// Lane is the lane of rows for which no rule of LaneRules holds, of which the first
	// that does decides.
	Lane      string
	LaneRules []LaneRule
	// Start says what a mapping that is new begins with: StartBackfill or StartNow; empty if
	// the file does not say, and the target decides.
	Start    string
	Coalesce sinks.Coalesce
	// SLO is how long after its commit a change should be at the target; zero if the file
	// does not say.
	SLO time.Duration

	bad   bool // it has mistakes of form
	doc   *yamldoc.Doc
	env   func(string) (string, bool)
	from  *yamldoc.Node
	to    *yamldoc.Node
	start *yamldoc.Node
	tests *yamldoc.Node
}

// Expr is an expression as the file has it, or a constant.
type Expr struct {
	// Source is the expression's text; empty for a constant.
	Source string
	// Const is the JSON of a constant; nil for an expression.
	Const json.RawMessage

	node *yamldoc.Node
	doc  *yamldoc.Doc // of the file that it is in
}

// Assign is a field of the target and the expression of its value.
type Assign struct {
	Field string
	Expr
	Write Write

	key *yamldoc.Node // where the field is named
}

// Write says with which records a field is sent.
type Write string

// The ways of writing a field: with every record that has its columns, only where its
// value is another than the target was last given, or only with a record that is new there.
const (
	WriteAlways   Write = "always"
	WriteChanged  Write = "if_changed"
	WriteOnCreate Write = "on_create"
)

// LaneRule gives the rows for which a condition holds a lane.
type LaneRule struct {
	Lane string
	When Expr
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
	keysOfFile     = []string{"name", "description", "from", "when", "to", "key", "use", "fields", "delete", "lane", "start", "coalesce", "slo", "tests"}
	keysOfField    = []string{"value", "const", "write"}
	keysOfCoalesce = []string{"quiet", "max_delay", "max_batch"}
	writes         = []string{string(WriteAlways), string(WriteChanged), string(WriteOnCreate)}
	deletePolicies = []string{string(DeleteRecord), string(ArchiveRecord), string(IgnoreDelete)}
	nameForm       = regexp.MustCompile(`^[a-z0-9_-]+$`)
)

// maxBatch is the greatest batch that a file can ask for.
const maxBatch = 10_000

// DefaultCoalesce is what holds for a file that says nothing.
func DefaultCoalesce() sinks.Coalesce {
	return sinks.Coalesce{Quiet: 200 * time.Millisecond, MaxDelay: 2 * time.Second, MaxBatch: 200}
}

// Loader reads mapping files. The zero value reads the process's environment and disk.
type Loader struct {
	// Env gives the variables of the environment; os.LookupEnv if nil.
	Env func(name string) (string, bool)
	// ReadFile reads the files that use: names; os.ReadFile if nil.
	ReadFile func(path string) ([]byte, error)
}

// Parse reads a mapping file's text. The error is of type Errors and has all
// mistakes that can be seen without a database. The file may be given beside it: Compile
// then finds the other mistakes.
func Parse(file string, data []byte) (*File, error) { return Loader{}.Parse(file, data) }

// Parse reads a mapping file's text, as the function of the same name does.
func (l Loader) Parse(file string, data []byte) (*File, error) {
	if l.Env == nil {
		l.Env = os.LookupEnv
	}
	if l.ReadFile == nil {
		l.ReadFile = os.ReadFile
	}
	doc, err := yamldoc.Parse(file, data, true)
	if err != nil {
		return nil, err
	}
	f := &File{
		Path: file, doc: doc, env: l.Env, Lane: cdc.LaneNormal, Coalesce: DefaultCoalesce(),
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
	p := parser{loader: &l, doc: doc, f: f}
	p.file(doc.Section(doc.Root, keysOfFile...))
	if err := p.err(); err != nil {
		f.bad = true
		return f, err
	}
	return f, nil
}

// parser fills a File from the sections of its document.
type parser struct {
	loader *Loader
	doc    *yamldoc.Doc
	f      *File
	shared []*yamldoc.Doc // of the files that it uses
}

// err gives the mistakes of the file and those that it uses.
func (p *parser) err() error {
	var all Errors
	for _, d := range append([]*yamldoc.Doc{p.doc}, p.shared...) {
		all = append(all, asErrors(d.File, d.Err())...)
	}
	return all.Err()
}

func (p *parser) file(s *yamldoc.Section) {
	s.Require("from", "public.opportunities")
	s.Require("to", "crm/Opportunity")
	s.Require("key", "{External_Id__c: id}")
	if s.Node("use") == nil {
		s.Require("fields", "{Name: name}")
	}
	p.name(s)
	s.Text("description", &p.f.Description)
	p.from(s)
	p.to(s)
	if n := s.Node("when"); n != nil {
		if e, ok := p.expr(n); ok {
			p.f.When = &e
		}
	}
	p.key(s.Node("key"))
	p.fields(s)
	p.delete(s.Node("delete"))
	p.lane(s)
	p.start(s)
	p.coalesce(s.Node("coalesce"))
	p.slo(s)
	p.f.tests = s.Node("tests")
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
	case p.doc.Failed(n.Path):
		return Expr{}, false
	case n.Kind == yamldoc.Map || n.Kind == yamldoc.List:
		p.doc.Fail(n, fmt.Sprintf("want an expression, not %s", n.Kind), "", "write it as text; quote it if it has a colon, # or braces")
		return Expr{}, false
	case n.Kind == yamldoc.Null && n.Text == "":
		p.doc.Fail(n, "no expression", "", `write a column, a constant such as '"text"', or null`)
		return Expr{}, false
	case n.Kind == yamldoc.Null:
		return Expr{Source: "nil", node: n, doc: p.doc}, true
	}
	return Expr{Source: n.Text, node: n, doc: p.doc}, true
}
