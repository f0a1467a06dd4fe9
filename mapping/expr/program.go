package expr

import (
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// Error is a mistake in an expression, or why it has no value for a row. It
// never holds values of a row.
type Error struct {
	// Offset is the place in the expression, in characters from its start.
	Offset int
	Msg    string
	// Value is the piece of the expression that is wrong, Hint what to do.
	Value, Hint string
}

// Error gives the place, counted from 1, and what is wrong.
func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: %s", e.Offset+1, e.Msg)
	if e.Value != "" {
		s += fmt.Sprintf(" %q", e.Value)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Program is a compiled expression. It is immutable and safe for concurrent
// use.
type Program struct {
	root     node
	typ      Type
	columns  []string
	column   string // set when the expression is nothing but a column
	constant cdc.Value
}

// Columns gives the names of the columns it reads, each once, in the order of
// their first use.
func (p *Program) Columns() []string { return p.columns }

// IsColumn tells that the expression is nothing but a column, whose JSON may be
// passed on as it is.
func (p *Program) IsColumn() (name string, ok bool) { return p.column, p.column != "" }

// IsConstant tells that the expression reads no column; Eval then always gives
// the same.
func (p *Program) IsConstant() bool { return len(p.columns) == 0 }

// Type gives the static type of the value.
func (p *Program) Type() Type { return p.typ }

// Eval gives the value as JSON. The function gives the columns' values; it is
// asked for names of Columns only. The error is an *Error.
func (p *Program) Eval(get func(name string) cdc.Value) (cdc.Value, error) {
	if p.column != "" {
		return get(p.column), nil
	}
	if p.IsConstant() {
		return p.constant, nil
	}
	v, err := p.root(get)
	if err != nil {
		return cdc.Value{}, err
	}
	return encode(p.typ, v), nil
}

// Compile reads an expression over the columns of a table. It must give a value
// of type want, where Any takes all. The error is an *Error.
func Compile(src string, cols []Column, want Type) (*Program, error) {
	tree, err := parse(src)
	if err != nil {
		return nil, err
	}
	c := &compiler{src: []rune(src), cols: cols}
	root, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	if want != Any && root.typ != want && root.typ != Nil {
		return nil, &Error{Offset: 0, Msg: fmt.Sprintf("the expression gives %s, but %s is wanted", root.typ, want), Hint: wantHint(want)}
	}
	p := &Program{root: root.eval, typ: root.typ, columns: c.used, column: root.column}
	if p.IsConstant() {
		v, err := root.eval(nil)
		if err != nil {
			return nil, err
		}
		p.constant = encode(p.typ, v)
	}
	return p, nil
}

func wantHint(want Type) string {
	if want == Bool {
		return "compare it with something, such as x > 0 or x != nil"
	}
	return ""
}
