package yamldoc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/nearest"
)

// Section is a map of the file with a known set of keys. Its getters leave the
// destination as it is when the key is not given or has no value, and note a
// mistake when the value is of a wrong type.
type Section struct {
	doc  *Doc
	node *Node
}

// Section takes n as a section and notes keys that are not among the known
// ones. A nil or empty n is a section without keys.
func (d *Doc) Section(n *Node, keys ...string) *Section {
	s := &Section{doc: d, node: n}
	if n == nil || n.Kind == Null {
		s.node = nil
		return s
	}
	if n.Kind != Map {
		d.Fail(n, "want a section of keys, not "+n.Kind.String(), "", "its keys are "+nearest.List(keys))
		s.node = nil
		return s
	}
	for _, k := range n.Keys {
		if !contains(keys, k.Text) {
			d.Fail(k, "unknown key", k.Text, hintOf(k.Text, keys))
		}
	}
	return s
}

// hintOf says what to write in place of a key that is not known. One with a bracket or a quote
// is the rest of a value that a comma cut off.
func hintOf(key string, keys []string) string {
	if strings.ContainsAny(key, "()'\"") {
		return "put a value that has a comma in it in quotes as a whole: within braces a comma ends it"
	}
	return nearest.Hint(key, keys, "known keys are "+nearest.List(keys))
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// Node gives the value of a key; nil when it is not given or has no value.
func (s *Section) Node(key string) *Node {
	if n := s.node.Get(key); n != nil && n.Kind != Null {
		return n
	}
	return nil
}

// Require notes the keys that have no value. An example shows what to write.
func (s *Section) Require(key, example string) {
	if s.Node(key) != nil {
		return
	}
	if n := s.node.Get(key); n != nil {
		s.doc.Fail(n, "no value", "", "write it, such as "+example)
		return
	}
	at := &Node{Line: 1, Column: 1, Path: key}
	if s.node != nil {
		at = &Node{Line: s.node.Line, Column: s.node.Column, Path: join(s.node.Path, key)}
	}
	s.doc.Fail(at, "missing", "", "add it, such as "+key+": "+example)
}

// Text reads a text.
func (s *Section) Text(key string, dst *string) {
	if n := s.Node(key); n != nil {
		s.doc.Text(n, dst)
	}
}

// Text reads a scalar as text. Numbers and booleans have to be quoted, so that
// 0123 or yes never change their meaning unseen.
func (d *Doc) Text(n *Node, dst *string) {
	if n.Kind != String {
		d.wrongType(n, "a text", "put it in quotes")
		return
	}
	*dst = n.Text
}

// Texts reads a list of texts.
func (s *Section) Texts(key string, dst *[]string) {
	n := s.Node(key)
	if n == nil {
		return
	}
	if n.Kind != List {
		s.doc.wrongType(n, "a list of texts", "write ["+n.Shown()+"]")
		return
	}
	list := make([]string, 0, len(n.Values))
	for _, v := range n.Values {
		var text string
		s.doc.Text(v, &text)
		list = append(list, text)
	}
	*dst = list
}

// Int reads a whole number.
func (s *Section) Int(key string, dst *int) {
	n := s.Node(key)
	if n == nil {
		return
	}
	v, err := strconv.Atoi(strings.ReplaceAll(n.Text, "_", ""))
	const hint = "write digits only, without quotes"
	switch {
	case err != nil && n.Kind == Number:
		s.doc.Fail(n, "not a whole number", n.Shown(), hint)
		return
	case err != nil || n.Kind != Number && !n.Expanded:
		s.doc.wrongType(n, "a whole number", hint)
		return
	}
	*dst = v
}

// Bool reads true or false.
func (s *Section) Bool(key string, dst *bool) {
	n := s.Node(key)
	if n == nil {
		return
	}
	v, err := strconv.ParseBool(n.Text)
	if n.Kind != Bool && !n.Expanded || err != nil {
		s.doc.wrongType(n, "true or false", "write true or false, without quotes")
		return
	}
	*dst = v
}

// Duration reads a time span with its unit.
func (s *Section) Duration(key string, dst *time.Duration) {
	n := s.Node(key)
	if n == nil {
		return
	}
	const hint = "write a number with a unit, such as 200ms, 2s, 1m30s"
	if n.Kind == Map || n.Kind == List {
		s.doc.wrongType(n, "a duration", hint)
		return
	}
	v, err := time.ParseDuration(n.Text)
	switch {
	case err != nil:
		s.doc.Fail(n, "not a duration", n.Shown(), hint)
	case v < 0:
		s.doc.Fail(n, "a duration below zero", n.Shown(), hint)
	default:
		*dst = v
	}
}

func (d *Doc) wrongType(n *Node, want, hint string) {
	d.Fail(n, fmt.Sprintf("want %s, not %s", want, n.Kind), n.Shown(), hint)
}
