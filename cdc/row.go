package cdc

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Column is one column of a Row.
type Column struct {
	Name  string
	Value Value
}

// Row is an image of a row: its columns in the table's order. It shares the
// text it was parsed from.
type Row []Column

// Get gives the value of a column; absent if the row does not have it.
func (r Row) Get(name string) Value {
	for i := range r {
		if r[i].Name == name {
			return r[i].Value
		}
	}
	return Value{}
}

// ParseRow splits a JSON object, as the log has it in key, after and before,
// into columns without decoding the values.
func ParseRow(object string) (Row, error) {
	row := make(Row, 0, 1+strings.Count(object, ",")/2)
	err := EachColumn(object, func(name string, v Value) bool {
		row = append(row, Column{Name: name, Value: v})
		return true
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// EachColumn calls f for every column of a JSON object until f says no.
func EachColumn(object string, f func(name string, v Value) bool) error {
	s := scanner{text: object}
	s.space()
	if !s.take('{') {
		return s.fail("want an object")
	}
	s.space()
	if s.take('}') {
		return s.end()
	}
	for {
		s.space()
		name, err := s.name()
		if err != nil {
			return err
		}
		s.space()
		if !s.take(':') {
			return s.fail("want a colon")
		}
		s.space()
		start := s.at
		if err := s.skip(); err != nil {
			return err
		}
		if !f(name, ValueOf(s.text[start:s.at])) {
			return nil
		}
		s.space()
		if s.take(',') {
			continue
		}
		if s.take('}') {
			return s.end()
		}
		return s.fail("want a comma or the end of the object")
	}
}

// scanner finds the borders of JSON values in text that a JSON encoder wrote.
// It checks nesting and quotes, not every rule of the grammar.
type scanner struct {
	text string
	at   int
}

// maxDepth bounds nesting; PostgreSQL's own limit for jsonb is lower in practice.
const maxDepth = 10_000

func (s *scanner) fail(what string) error {
	return fmt.Errorf("parse row: %s at byte %d of %d", what, s.at, len(s.text))
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) end() error {
	s.space()
	if s.at != len(s.text) {
		return s.fail("text after the object")
	}
	return nil
}

func (s *scanner) name() (string, error) {
	start := s.at
	if err := s.quoted(); err != nil {
		return "", err
	}
	raw := s.text[start:s.at]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var name string
	if err := json.Unmarshal([]byte(raw), &name); err != nil {
		return "", fmt.Errorf("parse row: decode name: %w", err)
	}
	return name, nil
}

func (s *scanner) quoted() error {
	if !s.take('"') {
		return s.fail("want a string")
	}
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			s.at++
			return nil
		case '\\':
			s.at += 2
		default:
			s.at++
		}
	}
	s.at = len(s.text)
	return s.fail("a string is not closed")
}

// skip moves past one value.
func (s *scanner) skip() error {
	if s.at >= len(s.text) {
		return s.fail("want a value")
	}
	switch s.text[s.at] {
	case '"':
		return s.quoted()
	case '{', '[':
		return s.nested()
	}
	start := s.at
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			if s.at == start {
				return s.fail("want a value")
			}
			return nil
		}
		s.at++
	}
	return nil
}

// nested moves past an object or array, without recursion.
func (s *scanner) nested() error {
	depth := 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			if err := s.quoted(); err != nil {
				return err
			}
			continue
		case '{', '[':
			if depth++; depth > maxDepth {
				return s.fail("nested too deep")
			}
		case '}', ']':
			if depth--; depth == 0 {
				s.at++
				return nil
			}
		}
		s.at++
	}
	return s.fail("a value is not closed")
}
