package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

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
	s := fmt.Sprintf("at character %d: %s", e.Offset+1, e.Msg)
	if e.Value != "" {
		s += fmt.Sprintf(" %q", e.Value)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Program is a compiled expression. It is immutable and safe for concurrent use, each
// caller with a Row of its own.
type Program struct {
	root     node
	typ      Type
	inputs   []int
	column   int // the slot, when the expression is nothing but a column; else -1
	constant []byte
	ref      *Ref
	maxLen   int
	notNull  bool
	words    []string
}

// Ref is what an expression ref('mapping', key, …) refers to: the record that another
// mapping makes of the row with this key.
type Ref struct {
	Mapping string
	// Offset is where the mapping's name is in the expression.
	Offset int
	// Keys give the columns of the other row's key.
	Keys []*Program
	// At are the places of the keys in the expression.
	At []int
}

// Inputs gives the slots of the columns it reads, each once, in the order of their first
// use.
func (p *Program) Inputs() []int { return p.inputs }

// IsColumn tells that the expression is nothing but a column, whose JSON may be
// passed on as it is.
func (p *Program) IsColumn() (slot int, ok bool) { return p.column, p.column >= 0 }

// IsConstant tells that the expression reads no column; its value is then always the
// same.
func (p *Program) IsConstant() bool { return len(p.inputs) == 0 && p.ref == nil }

// Type gives the static type of the value; of a reference it is Any.
func (p *Program) Type() Type { return p.typ }

// MaxLen is the most characters that a text has, where the expression bounds it by itself,
// such as by truncate; else zero.
func (p *Program) MaxLen() int { return p.maxLen }

// Words gives all texts that the value can be, where they are written out, as in a map; nil
// where it can be others.
func (p *Program) Words() []string { return p.words }

// NotNull tells that the value is never null.
func (p *Program) NotNull() bool { return p.notNull }

// Ref gives what the expression refers to; nil if it is none of ref(…), which has no
// value of its own.
func (p *Program) Ref() *Ref { return p.ref }

// Append appends the value's JSON to b, and tells whether it is null. The row must have
// all inputs. The error is an *Error.
func (p *Program) Append(b []byte, row *Row) (_ []byte, null bool, err error) {
	switch {
	case p.column >= 0:
		v := row.Values[p.column]
		return append(b, v.JSON()...), v.IsNull(), nil
	case p.constant != nil:
		return append(b, p.constant...), string(p.constant) == "null", nil
	}
	row.work = 0
	v, err := p.root(row)
	if err != nil {
		return b, false, err
	}
	return appendJSON(b, p.typ, v), !v.set, nil
}

// Eval gives the value as JSON.
func (p *Program) Eval(row *Row) (cdc.Value, error) {
	if p.column >= 0 {
		return row.Values[p.column], nil
	}
	b, _, err := p.Append(nil, row)
	if err != nil {
		return cdc.Value{}, err
	}
	return cdc.ValueOf(string(b)), nil
}

// IsTrue tells whether a program of type Bool is true for the row: null counts as false.
func (p *Program) IsTrue(row *Row) (bool, error) {
	row.work = 0
	v, err := p.root(row)
	return v.isTrue(), err
}

// maxWork bounds, in bytes, what one evaluation reads of JSON and makes of texts and
// lists: a thousand nodes over long notes would be much.
const maxWork = 64 << 20

// tooMuch says that this was more.
const tooMuch = "the row's values are too long for this expression"

// Row holds the columns of one row while expressions are evaluated on it. What was
// decoded for one expression is there for the next. It is not safe for concurrent use.
type Row struct {
	// Values has the columns by their slots; absent where the row does not have it.
	Values []cdc.Value

	decoded []value
	has     []bool // whether decoded is filled, by slot
	work    int    // what the evaluation under way has made, in bytes
}

// Reset forgets a row's values, so that it can take another.
func (r *Row) Reset() {
	clear(r.Values)
	clear(r.decoded)
	clear(r.has)
}

// spend counts what an evaluation makes; false when that is too much.
func (r *Row) spend(bytes int) bool {
	if r == nil { // a constant, whose parts are as long as its text at the most
		return bytes <= maxWork
	}
	r.work += bytes
	return r.work <= maxWork
}

// Scope is what the expressions of one mapping may name: the columns of its table. Each
// column that is used gets a slot. It is for loading: not safe for concurrent use.
type Scope struct {
	columns []Column
	byName  map[string]int // index of columns
	slots   map[string]int
	names   []string // by slot
	env     func(string) (string, bool)
	lasting bool
}

// NewScope makes a scope of the columns of a table. env gives the variables of the
// environment; where it is nil, expressions may not name any.
func NewScope(columns []Column, env func(string) (string, bool)) *Scope {
	s := &Scope{columns: columns, byName: make(map[string]int, len(columns)), slots: map[string]int{}, env: env}
	for i, c := range columns {
		s.byName[c.Name] = i
	}
	return s
}

// Lasting makes the scope one for expressions that must give the same for as long as the
// log is kept: it refuses what follows from data that is kept up to date elsewhere, such as
// time zones and numbering plans, and from the environment.
func (s *Scope) Lasting() *Scope {
	s.lasting, s.env = true, nil
	return s
}

// Used gives the names of the columns that the programs compiled so far read, by slot.
func (s *Scope) Used() []string { return s.names }

// NewRow makes a row for the programs that were compiled so far.
func (s *Scope) NewRow() *Row {
	n := len(s.names)
	return &Row{Values: make([]cdc.Value, n), decoded: make([]value, n), has: make([]bool, n)}
}

func (s *Scope) slot(name string) int {
	i, ok := s.slots[name]
	if !ok {
		i = len(s.names)
		s.slots[name] = i
		s.names = append(s.names, name)
	}
	return i
}

// Compile reads an expression. It must give a value of type want, where Any takes all,
// and a reference. The error is an *Error.
func (s *Scope) Compile(src string, want Type) (*Program, error) {
	tree, err := parse(src)
	if err != nil {
		return nil, s.withName(src, err)
	}
	c := &compiler{src: []rune(src), scope: s}
	if call := refCall(tree); call != nil {
		return c.ref(call, want)
	}
	root, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	return c.program(root, want)
}

// plainName is a name that may stand in an expression by itself.
var plainName = regexp.MustCompile(`^[\pL_][\pL\pN_]*$`)

// withName helps with columns whose names are no plain words.
func (s *Scope) withName(src string, err error) error {
	var e *Error
	if name := s.oddName(src); name != "" && errors.As(err, &e) {
		e.Hint = "write col(" + strconv.Quote(name) + ") for the column"
	}
	return err
}

// oddName gives the longest column's name that is no plain word and stands in a text; empty
// if none does.
func (s *Scope) oddName(text string) (name string) {
	for _, c := range s.columns {
		if !plainName.MatchString(c.Name) && len(c.Name) > len(name) && strings.Contains(text, c.Name) && !strings.Contains(text, strconv.Quote(c.Name)) {
			name = c.Name
		}
	}
	return name
}

// program makes a program of the whole of an expression, or of a key of a reference.
func (c *compiler) program(root typed, want Type) (*Program, error) {
	if want == Decimal && root.typ == Int {
		root = as(Decimal, root)
	}
	if want != Any && root.typ != want && root.typ != Nil {
		return nil, &Error{Offset: 0, Msg: fmt.Sprintf("the expression gives %s, but %s is wanted", root.typ, want), Hint: wantHint(want)}
	}
	p := &Program{root: root.eval, typ: root.typ, inputs: c.used, column: -1, maxLen: root.maxLen, notNull: root.notNull, words: root.words}
	if root.column != "" {
		p.column = c.scope.slots[root.column]
	}
	if p.IsConstant() {
		v, err := root.eval(nil)
		if err != nil {
			return nil, err
		}
		p.constant = appendJSON([]byte{}, p.typ, v)
		p.root = func(*Row) (value, error) { return v, nil }
	}
	return p, nil
}

func wantHint(want Type) string {
	if want == Bool {
		return "compare it with something, such as x > 0 or x != nil"
	}
	return ""
}
