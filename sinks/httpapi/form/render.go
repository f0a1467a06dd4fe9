package form

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// node is a Tree that was compiled.
type node struct {
	kind  Kind
	names []template // of an object; nil for what is spread
	items []*node
	text  template // of a text
	raw   []byte   // of a literal
	// fixed are the names that are not spread: those of members, and of fields with a place of
	// their own.
	fixed map[string]bool
}

// uses tells whether a placeholder is anywhere in a tree.
func (n *node) uses(marks ...mark) bool {
	if n == nil {
		return false
	}
	if n.text.has(marks...) {
		return true
	}
	for _, name := range n.names {
		if name.has(marks...) {
			return true
		}
	}
	for _, item := range n.items {
		if item.uses(marks...) {
			return true
		}
	}
	return false
}

// walk calls f for a node and all below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, item := range n.items {
		item.walk(f)
	}
}

// scope is what placeholders stand for.
type scope struct {
	object, message string
	items           []Item
	item            *Item // that a record's tree is about; nil outside
	records         func(op sinks.Op) *node
	nulls           string
}

// errAbsent says that a record has no field of a name: what consists of it is left out.
var errAbsent = errors.New("the record has no such field")

var jsonNull, jsonEmpty = json.RawMessage("null"), json.RawMessage(`""`)

func isNull(v json.RawMessage) bool { return len(v) == 4 && v[0] == 'n' }

// tree writes a tree as JSON.
func (s *scope) tree(b []byte, n *node) ([]byte, error) {
	switch n.kind {
	case Literal:
		return append(b, n.raw...), nil
	case Text:
		return s.leaf(b, n.text)
	case List:
		b = append(b, '[')
		start := len(b)
		for _, item := range n.items {
			before := len(b)
			if before > start {
				b = append(b, ',')
			}
			more, err := s.tree(b, item)
			switch {
			case errors.Is(err, errAbsent):
				b = b[:before]
			case err != nil:
				return nil, err
			default:
				b = more
			}
		}
		return append(b, ']'), nil
	}
	return s.members(b, n)
}

func (s *scope) members(b []byte, n *node) ([]byte, error) {
	b = append(b, '{')
	start := len(b)
	for i, item := range n.items {
		before := len(b)
		if before > start {
			b = append(b, ',')
		}
		if n.names[i] == nil {
			at := len(b)
			var err error
			if b, err = s.spread(b, item, n.fixed); err != nil {
				return nil, err
			}
			if len(b) == at { // there was nothing to spread
				b = b[:before]
			}
			continue
		}
		name, err := s.string(n.names[i])
		if err != nil {
			return nil, fmt.Errorf("make the name of a member: %w", err)
		}
		b = append(appendText(b, name), ':')
		more, err := s.tree(b, item)
		switch {
		case errors.Is(err, errAbsent):
			b = b[:before]
		case err != nil:
			return nil, err
		default:
			b = more
		}
	}
	return append(b, '}'), nil
}

// spread writes the members of {fields} or {row}, without those that are there by their names.
func (s *scope) spread(b []byte, n *node, but map[string]bool) ([]byte, error) {
	p, _ := n.text.whole()
	return s.fields(b, p.mark == markRow, but)
}

// fields writes the fields of a record, without braces.
func (s *scope) fields(b []byte, key bool, but map[string]bool) ([]byte, error) {
	r, start := s.item.Record, len(b)
	add := func(f *sinks.Field) error {
		v, keep := s.value(f.Value)
		if len(v) == 0 {
			return fmt.Errorf("write field %s: it has no value", f.Name)
		}
		if !keep || but[f.Name] {
			return nil
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(append(appendText(b, f.Name), ':'), v...)
		return nil
	}
	if key {
		if err := add(&r.Key); err != nil {
			return nil, err
		}
	}
	if r.Op != sinks.Upsert {
		return b, nil
	}
	for i := range r.Fields {
		if key && r.Fields[i].Name == r.Key.Name {
			continue
		}
		if err := add(&r.Fields[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// value is how a field's value is sent; false if it is left out.
func (s *scope) value(v json.RawMessage) (json.RawMessage, bool) {
	if isNull(v) {
		switch s.nulls {
		case NullsEmpty:
			return jsonEmpty, true
		case NullsOmit:
			return jsonNull, false
		}
	}
	return v, true
}

// leaf writes a text: the value itself where it is nothing but a placeholder.
func (s *scope) leaf(b []byte, t template) ([]byte, error) {
	p, whole := t.whole()
	if !whole {
		text, err := s.string(t)
		if err != nil {
			return nil, err
		}
		return appendText(b, text), nil
	}
	switch p.mark {
	case markKey:
		if len(s.item.Record.Key.Value) == 0 {
			return nil, fmt.Errorf("write key %s: it has no value", s.item.Record.Key.Name)
		}
		return append(b, s.item.Record.Key.Value...), nil
	case markField:
		f := s.field(p.text)
		if f == nil {
			return nil, errAbsent
		}
		v, keep := s.value(f.Value)
		if !keep {
			return nil, errAbsent
		}
		if len(v) == 0 {
			return nil, fmt.Errorf("write field %s: it has no value", f.Name)
		}
		return append(b, v...), nil
	case markFields, markRow:
		b, err := s.fields(append(b, '{'), p.mark == markRow, nil)
		return append(b, '}'), err
	case markRecords:
		return s.list(b, func(sinks.Op) bool { return true })
	case markUpserts:
		return s.list(b, func(op sinks.Op) bool { return op == sinks.Upsert })
	case markDeletes:
		return s.list(b, func(op sinks.Op) bool { return op != sinks.Upsert })
	case markKeys:
		return s.keys(b), nil
	case markPosition: // the most frequent one, without a detour
		b = s.item.Record.Position.Append(append(b, '"'))
		return append(b, '"'), nil
	}
	text, err := s.scalar(p)
	if err != nil {
		return nil, err
	}
	return appendText(b, text), nil
}

// list writes what stands for the records of some operations.
func (s *scope) list(b []byte, of func(sinks.Op) bool) ([]byte, error) {
	b = append(b, '[')
	start := len(b)
	for i := range s.items {
		op := s.items[i].Record.Op
		if !of(op) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		inner := *s
		inner.item = &s.items[i]
		var err error
		if b, err = inner.tree(b, s.records(op)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// keys writes the keys of all records.
func (s *scope) keys(b []byte) []byte {
	b = append(b, '[')
	for i := range s.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.items[i].Record.Key.Value...)
	}
	return append(b, ']')
}

func (s *scope) field(name string) *sinks.Field {
	r := s.item.Record
	if r.Key.Name == name {
		return &r.Key
	}
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return &r.Fields[i]
		}
	}
	return nil
}

// string gives a text with what the placeholders stand for.
func (s *scope) string(t template) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.mark == markText {
			b.WriteString(p.text)
			continue
		}
		text, err := s.scalar(p)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// scalar gives what a placeholder stands for, as a text.
func (s *scope) scalar(p part) (string, error) {
	switch p.mark {
	case markObject:
		return s.object, nil
	case markMessage:
		return s.message, nil
	case markMapping:
		return s.items[0].Record.Mapping, nil
	case markOp:
		return s.item.Record.Op.String(), nil
	case markKeyName:
		return s.item.Record.Key.Name, nil
	case markID:
		return s.item.ID, nil
	case markPosition:
		return s.item.Record.Position.String(), nil
	case markKey, markKeyText:
		return plain(s.item.Record.Key)
	case markField:
		f := s.field(p.text)
		if f == nil {
			return "", fmt.Errorf("the record has no field %s", p.text)
		}
		return plain(*f)
	}
	return "", fmt.Errorf("%s is no text", p)
}

// plain gives a scalar as a text.
func plain(f sinks.Field) (string, error) {
	if len(f.Value) == 0 || isNull(f.Value) || f.Value[0] == '{' || f.Value[0] == '[' {
		return "", fmt.Errorf("the field %s is no text, number or boolean", f.Name)
	}
	return sinks.ExactKey(f.Value), nil
}

// appendText writes a text as JSON.
func appendText(b []byte, s string) []byte {
	special := func(r rune) bool {
		return r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' || r == '&'
	}
	if !strings.ContainsFunc(s, special) { // most names and ids
		return append(append(append(b, '"'), s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return append(b, `""`...)
	}
	return append(b, text...)
}
