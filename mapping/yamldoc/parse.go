package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Kind is what a node of a file is.
type Kind uint8

// The kinds of node.
const (
	Null Kind = iota
	Bool
	Number
	String
	Map
	List
)

// String gives the word used in error texts.
func (k Kind) String() string {
	return [...]string{"nothing", "a boolean", "a number", "a text", "a section of keys", "a list"}[k]
}

// Node is a value of a file, or a key.
type Node struct {
	Kind Kind
	// Text is a scalar's value; a number is as it was written.
	Text string
	// Line and Column are where it starts, from 1; Path names it.
	Line, Column int
	Path         string
	// Keys and Values are a map's entries in the order of the file; Values alone
	// are the items of a list.
	Keys   []*Node
	Values []*Node
	// Written is the text in the file, where Expand has replaced it.
	Written string
	// Expanded tells that Text did not come from the file itself: it may be of
	// any scalar type, and may be a secret.
	Expanded bool

	style token.Type
	// wrapped tells that a scalar runs over several lines of the file.
	wrapped bool
}

// Expand replaces a scalar's text by one that came from elsewhere.
func (n *Node) Expand(text string) {
	n.Written, n.Text, n.Expanded, n.Kind = n.Text, text, true, String
}

// Shown is the text to show in an error: as written, never as expanded.
func (n *Node) Shown() string {
	if n.Expanded {
		return n.Written
	}
	return n.Text
}

// Get gives the value of a map's key; nil if it has none.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i, k := range n.Keys {
		if k.Text == key {
			return n.Values[i]
		}
	}
	return nil
}

// Walk calls f for n and every value below it.
func (n *Node) Walk(f func(*Node)) {
	f(n)
	for _, v := range n.Values {
		v.Walk(f)
	}
}

// Doc is a file that was read, with the mistakes found in it so far.
type Doc struct {
	File string
	Root *Node
	// Excerpts switches the excerpts of errors on. Leave it off for files that
	// may hold secrets.
	Excerpts bool

	lines []string
	errs  Errors
}

// These bound what a file can make the parser do, whose time grows with the
// square of the brackets left open.
const (
	maxFile     = 1 << 20
	maxDepth    = 50
	maxBrackets = 1000
)

// Parse reads a file's text. The error is about syntax, and is of type Errors;
// mistakes that do not stop the reading, such as a repeated key, are kept for
// Err.
func Parse(file string, data []byte, excerpts bool) (*Doc, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // editors of Windows put it there
	d := &Doc{File: file, Excerpts: excerpts, lines: strings.Split(string(data), "\n")}
	if len(data) > maxFile {
		d.Fail(nil, "the file is larger than 1 MiB", "", "is it the right file?")
		return nil, d.Err()
	}
	if !utf8.Valid(data) {
		d.Fail(nil, "the file is not UTF-8 text", "", "save it as UTF-8")
		return nil, d.Err()
	}
	if bracketDepth(data) > maxBrackets {
		d.Fail(nil, "brackets are nested too deep", "", "close them, or put the text in quotes")
		return nil, d.Err()
	}
	tree, err := parse(data)
	if err != nil {
		d.syntax(err)
		return nil, d.Err()
	}
	d.Root = &Node{Kind: Null, Line: 1, Column: 1}
	bodies := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if bodies++; bodies > 1 {
			at := position(doc.Body)
			if doc.Start != nil {
				at = doc.Start.Position
			}
			d.add(Error{Line: at.Line, Column: at.Column, Msg: "a second document", Hint: "one file holds one document: take out the line ---"})
			continue
		}
		d.Root = d.node(doc.Body, "", 0)
	}
	return d, nil
}

// Broken is the document of a file that Parse gave an error for: it has that error, and
// nothing else.
func Broken(file string, err error) *Doc {
	d := &Doc{File: file, Root: &Node{Kind: Null, Line: 1, Column: 1}}
	if !errors.As(err, &d.errs) {
		d.Fail(nil, err.Error(), "", "")
	}
	return d
}

// bracketDepth takes no notice of quotes: no text that people write comes near
// the bound.
func bracketDepth(data []byte) int {
	depth, most := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth--
		}
	}
	return most
}

// parse guards against a panic in the parser: a file that people write must not
// bring the process down.
func parse(data []byte) (tree *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML parser gave up on this file")
		}
	}()
	// The parser counts a comment's line twice where lines end as on Windows, and keeps
	// their ends within quoted texts.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func (d *Doc) syntax(err error) {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		d.Fail(nil, "not YAML", "", "check indentation and quotes")
		return
	}
	at, hint := ye.GetToken().Position, "check indentation, quotes and colons here and in the line above"
	switch {
	case strings.Contains(ye.GetMessage(), "map key-value is pre-defined"), strings.Contains(ye.GetMessage(), "value is not allowed in this context"):
		hint = "a value that begins with a quote must be in quotes as a whole, or in lines of its own below a |"
	}
	if strings.Contains(ye.GetMessage(), "mapping value is not allowed") {
		hint = "a value with a colon in it, such as a ? b : c, must be in quotes as a whole, or in lines of its own below a |"
	}
	d.add(Error{Line: at.Line, Column: at.Column, Msg: "not YAML: " + ye.GetMessage(), Hint: hint})
}

func position(n ast.Node) *token.Position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return m.Values[0].Key.GetToken().Position
	}
	return n.GetToken().Position
}

// node turns a node of the parser into ours. What is not taken becomes a
// mistake and a Null.
func (d *Doc) node(n ast.Node, path string, depth int) *Node {
	at := position(n)
	out := &Node{Line: at.Line, Column: at.Column, Path: path, style: n.GetToken().Type}
	if depth > maxDepth {
		d.Fail(out, "nested too deep", "", "")
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
		if n.Token.Type != token.ImplicitNullType {
			out.Text = n.Token.Value
		}
	case *ast.BoolNode:
		out.Kind, out.Text = Bool, n.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.Kind, out.Text = Number, n.GetToken().Value
	case *ast.StringNode:
		out.Kind, out.Text = String, n.Value
		out.wrapped = strings.Contains(strings.TrimSpace(n.Token.Origin), "\n")
	case *ast.LiteralNode:
		out.Kind, out.Text, out.wrapped = String, n.Value.Value, true
	case *ast.MappingNode:
		d.mapNode(out, n.Values, depth)
	case *ast.MappingValueNode:
		d.mapNode(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.Kind = List
		for i, v := range n.Values {
			out.Values = append(out.Values, d.node(v, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	default:
		d.Fail(out, "anchors, aliases, merge keys and tags are not taken here", n.GetToken().Value, "write the value out, or quote it if it is text")
	}
	return out
}

func (d *Doc) mapNode(out *Node, entries []*ast.MappingValueNode, depth int) {
	out.Kind = Map
	for _, e := range entries {
		at := e.Key.GetToken()
		key := &Node{Kind: String, Text: at.Value, Line: at.Position.Line, Column: at.Position.Column, Path: join(out.Path, at.Value)}
		switch e.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		default:
			d.Fail(key, "a key must be plain text", at.Value, "write the key out, or quote it")
			continue
		}
		if first := keyOf(out, key.Text); first != nil {
			d.Fail(key, "repeated key", key.Text, fmt.Sprintf("it is already given in line %d: keep one", first.Line))
			continue
		}
		out.Keys = append(out.Keys, key)
		out.Values = append(out.Values, d.node(e.Value, key.Path, depth+1))
	}
}

func keyOf(n *Node, key string) *Node {
	for _, k := range n.Keys {
		if k.Text == key {
			return k
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Fail notes a mistake at a node; a nil node stands for the start of the file.
func (d *Doc) Fail(n *Node, msg, value, hint string) {
	if n == nil {
		n = &Node{Line: 1, Column: 1}
	}
	d.add(Error{Line: n.Line, Column: n.Column, Path: n.Path, Msg: msg, Value: value, Hint: hint})
}

// FailAt notes a mistake within a scalar, offset characters from the start of
// its text.
func (d *Doc) FailAt(n *Node, offset int, e Error) {
	e.Line, e.Column = d.place(n, offset)
	e.Path = n.Path
	d.add(e)
}

// add completes a mistake that has its place already.
func (d *Doc) add(e Error) {
	e.File = d.File
	if d.Excerpts {
		e.Excerpt = excerpt(d.lines, e.Line, e.Column)
	}
	d.errs = append(d.errs, &e)
}

// Fresh gives the same file without the mistakes noted so far.
func (d *Doc) Fresh() *Doc {
	fresh := *d
	fresh.errs = nil
	return &fresh
}

// Err gives the mistakes noted so far as Errors; nil if there are none.
func (d *Doc) Err() error { return d.errs.Err() }

// Failed tells whether a mistake was noted at this path or below it.
func (d *Doc) Failed(path string) bool {
	for _, e := range d.errs {
		if e.Path == path || strings.HasPrefix(e.Path, path+".") || strings.HasPrefix(e.Path, path+"[") {
			return true
		}
	}
	return false
}
