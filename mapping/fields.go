package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// assigns takes a section of fields with their expressions.
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
		a := Assign{Field: k.Text, Write: WriteAlways, key: k}
		if p.value(n.Values[i], &a) {
			list = append(list, a)
		}
	}
	return list
}

// value takes what gives a field its value: an expression, or a section that says more.
func (p *parser) value(n *yamldoc.Node, a *Assign) bool {
	if n.Kind != yamldoc.Map {
		e, ok := p.expr(n)
		a.Expr = e
		return ok
	}
	s := p.doc.Section(n, keysOfField...)
	value, constant := s.Node("value"), n.Get("const")
	switch {
	case value != nil && constant != nil:
		p.doc.Fail(constant, "both value and const", "", "keep one of them")
		return false
	case value == nil && constant == nil:
		p.doc.Fail(n, "no value", "", "write value: with an expression, or const: with a constant")
		return false
	}
	p.write(s, a)
	if value != nil {
		e, ok := p.expr(value)
		a.Expr = e
		return ok
	}
	text, ok := p.constant(constant)
	a.Expr = Expr{Const: text, node: constant, doc: p.doc}
	return ok
}

func (p *parser) write(s *yamldoc.Section, a *Assign) {
	n := s.Node("write")
	if n == nil {
		return
	}
	var word string
	if p.doc.Text(n, &word); word == "" {
		return
	}
	if !slices.Contains(writes, word) {
		p.doc.Fail(n, "unknown way of writing", word, nearest.Hint(word, writes, "write one of "+nearest.List(writes)))
		return
	}
	a.Write = Write(word)
}

// plainNumber is how JSON writes numbers; YAML has more ways.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// constant gives the JSON of a constant.
func (p *parser) constant(n *yamldoc.Node) (json.RawMessage, bool) {
	if !p.doc.ExpandEnv(n, p.loader.Env) {
		return nil, false
	}
	switch n.Kind {
	case yamldoc.Null:
		return json.RawMessage("null"), true
	case yamldoc.Bool: // YAML has True and TRUE, too
		return json.RawMessage(strings.ToLower(n.Text)), true
	case yamldoc.Number:
		if !plainNumber.MatchString(n.Text) {
			p.doc.Fail(n, "not a plain number", n.Text, "write digits and a point only, or quote it if it is text")
			return nil, false
		}
		return json.RawMessage(n.Text), true
	case yamldoc.String:
		if n.Plain() && plainNumber.MatchString(n.Text) { // YAML has other numbers than JSON
			p.doc.Fail(n, "not a plain number", n.Text, "write digits and a point only, or quote it if it is text")
			return nil, false
		}
		text, err := json.Marshal(n.Text)
		if err != nil { // a string always has a JSON form
			return nil, false
		}
		return text, true
	}
	p.doc.Fail(n, fmt.Sprintf("want a constant, not %s", n.Kind), "", "write a text, a number, true, false or null")
	return nil, false
}

func (p *parser) key(n *yamldoc.Node) {
	list := p.assigns(n, "External_Id__c: id")
	if n != nil && len(n.Keys) > 1 {
		p.doc.Fail(n.Keys[1], "a second key field", n.Keys[1].Text, "a record has one key; join columns if it needs several, such as 'string(a) + \"-\" + string(b)'")
		return
	}
	if len(list) != 1 {
		return
	}
	p.f.Key = list[0]
	if list[0].Write != WriteAlways {
		p.doc.Fail(n.Values[0], "a key is sent with every record", "", "take write: out")
	}
}

// fields takes the shared lists and the file's own fields, which win over those.
func (p *parser) fields(s *yamldoc.Section) {
	own := p.assigns(s.Node("fields"), "Name: name")
	var fields []Assign
	for _, a := range p.use(s) {
		if !slices.ContainsFunc(own, func(o Assign) bool { return o.Field == a.Field }) {
			fields = append(fields, a)
		}
	}
	for _, a := range append(fields, own...) {
		if a.Field == p.f.Key.Field {
			a.doc.Fail(a.key, "the field is already the key", a.Field, "take it out of fields")
		}
		p.f.Fields = append(p.f.Fields, a)
	}
}

// use reads the lists of fields that several mappings share.
func (p *parser) use(s *yamldoc.Section) []Assign {
	n := s.Node("use")
	if n == nil {
		return nil
	}
	if n.Kind != yamldoc.List {
		p.doc.Fail(n, fmt.Sprintf("want a list of files, not %s", n.Kind), n.Text, "write [shared/audit.yaml]")
		return nil
	}
	var out []Assign
	for _, item := range n.Values {
		for _, a := range p.sharedFields(item) {
			if i := slices.IndexFunc(out, func(o Assign) bool { return o.Field == a.Field }); i >= 0 {
				p.doc.Fail(item, "a field that "+out[i].doc.File+" has already", a.Field, "name it under fields: here, which wins over both, or take it out of one file")
				continue
			}
			out = append(out, a)
		}
	}
	return out
}

// sharedFields reads one file of shared fields. Its mistakes are told by its own name.
func (p *parser) sharedFields(n *yamldoc.Node) []Assign {
	var name string
	if p.doc.Text(n, &name); name == "" {
		return nil
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(p.f.Path), path)
	}
	data, err := p.loader.ReadFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		p.doc.Fail(n, "the file cannot be read ("+err.Error()+"):", name, "the path is relative to this file")
		return nil
	}
	doc, err := yamldoc.Parse(path, data, true)
	if err != nil {
		doc = yamldoc.Broken(path, err)
		p.shared = append(p.shared, doc)
		return nil
	}
	p.shared = append(p.shared, doc)
	inner := parser{loader: p.loader, doc: doc, f: p.f}
	s := doc.Section(doc.Root, "description", "fields")
	s.Require("fields", "{Name: name}")
	return inner.assigns(s.Node("fields"), "Name: name")
}
