package expr

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// node gives the value of a part of an expression for one row.
type node func(get func(string) cdc.Value) (value, error)

// typed is a compiled part. A value that is set has the type.
type typed struct {
	eval   node
	typ    Type
	at     int    // offset in the source
	column string // set for a plain column
	// wholeLiteral is set for a whole number written out, which round needs.
	wholeLiteral *int
	textLiteral  *string
}

type compiler struct {
	src   []rune
	cols  []Column
	used  []string
	steps int
}

func (c *compiler) fail(at int, value, hint, format string, args ...any) error {
	return &Error{Offset: at, Msg: fmt.Sprintf(format, args...), Value: value, Hint: hint}
}

// compile counts its steps, because the parser shares nodes in a few places:
// a tree of few nodes may be long to walk.
func (c *compiler) compile(n ast.Node) (typed, error) {
	if c.steps++; c.steps > 2*maxNodes {
		return typed{}, &Error{Msg: "the expression has too many parts", Hint: "split it over several fields"}
	}
	at := n.Location().From
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(Nil, value{}, at), nil
	case *ast.BoolNode:
		return constant(Bool, boolOf(n.Value), at), nil
	case *ast.IntegerNode:
		t := constant(Int, intOf(int64(n.Value)), at)
		t.wholeLiteral = &n.Value
		return t, nil
	case *ast.FloatNode:
		return c.decimal(n)
	case *ast.StringNode:
		t := constant(Text, textOf(n.Value), at)
		t.textLiteral = &n.Value
		return t, nil
	case *ast.IdentifierNode:
		return c.identifier(n.Value, at)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.MemberNode, *ast.SliceNode, *ast.ChainNode:
		return typed{}, c.fail(at, "", "send the whole column", "parts of a value (a.b, a[0]) cannot be taken")
	case *ast.ArrayNode:
		return typed{}, c.fail(at, "", "write x in ['a', 'b']", "a list stands only after in")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		return typed{}, c.fail(at, "", "write one expression", "variables and ; are not part of the language")
	}
	return typed{}, c.fail(at, "", "", "this is not part of the language")
}

func constant(t Type, v value, at int) typed {
	return typed{typ: t, at: at, eval: func(func(string) cdc.Value) (value, error) { return v, nil }}
}

// decimal takes a literal from the source's text: the parser has already made
// a float of it, which is not exact.
func (c *compiler) decimal(n *ast.FloatNode) (typed, error) {
	loc := n.Location()
	if loc.From < 0 || loc.To > len(c.src) || loc.From >= loc.To {
		return typed{}, c.fail(0, "", "", "a number cannot be read")
	}
	text := strings.ReplaceAll(string(c.src[loc.From:loc.To]), "_", "")
	d := new(apd.Decimal)
	if _, _, err := d.SetString(text); err != nil || !isFinite(d) {
		return typed{}, c.fail(loc.From, text, "write digits and a point, such as 0.5", "not a number")
	}
	if !withinBounds(d) {
		return typed{}, c.fail(loc.From, text, "at most 1000 digits", "the number is too long")
	}
	return constant(Decimal, decOf(d), loc.From), nil
}

func (c *compiler) identifier(name string, at int) (typed, error) {
	for _, col := range c.cols {
		if col.Name == name {
			return c.columnNode(col, at), nil
		}
	}
	if name == "null" {
		return constant(Nil, value{}, at), nil
	}
	return typed{}, c.unknownColumn(name, at)
}

func (c *compiler) unknownColumn(name string, at int) error {
	names := make([]string, len(c.cols))
	for i, col := range c.cols {
		names[i] = col.Name
	}
	hint := nearest.Hint(name, names, "the table has "+nearest.List(names)+`; text is written in quotes: '"`+name+`"'`)
	return c.fail(at, name, hint, "unknown column")
}

func (c *compiler) columnNode(col Column, at int) typed {
	t := TypeOf(col.Type)
	seen := false
	for _, u := range c.used {
		seen = seen || u == col.Name
	}
	if !seen {
		c.used = append(c.used, col.Name)
	}
	absent := &Error{Offset: at, Msg: "the column was not sent with the change", Value: col.Name}
	name := col.Name
	eval := func(get func(string) cdc.Value) (value, error) {
		raw := get(name)
		if raw.IsNull() {
			return value{}, nil
		}
		if raw.IsAbsent() {
			return value{}, absent
		}
		v, bad := decode(t, raw.JSON())
		if bad != "" {
			return value{}, &Error{Offset: at, Msg: "column " + name + ": " + bad}
		}
		return v, nil
	}
	return typed{eval: eval, typ: t, at: at, column: name}
}

func (c *compiler) unary(n *ast.UnaryNode) (typed, error) {
	x, err := c.compile(n.Node)
	if err != nil {
		return typed{}, err
	}
	at := n.Location().From
	switch n.Operator {
	case "!", "not":
		if x.typ != Bool && x.typ != Nil {
			return typed{}, c.fail(at, n.Operator, boolHint(x), "%s needs a boolean, not %s:", "the operator", x.typ)
		}
		return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
			v, err := x.eval(get)
			if err != nil || !v.set {
				return value{}, err
			}
			return boolOf(!v.bool), nil
		}}, nil
	case "-", "+":
		if !x.typ.numeric() {
			return typed{}, c.fail(at, n.Operator, "", "the sign needs a number, not %s:", x.typ)
		}
		if n.Operator == "+" {
			return x, nil
		}
		t, err := c.arithmetic("-", typed{typ: x.typ, at: at, eval: zero(x.typ)}, x, at)
		if x.wholeLiteral != nil {
			negative := -*x.wholeLiteral
			t.wholeLiteral = &negative
		}
		return t, err
	}
	return typed{}, c.fail(at, n.Operator, "", "unknown operator")
}

func zero(t Type) node {
	v := intOf(0)
	if t == Decimal {
		v = decOf(widen(0))
	}
	return func(func(string) cdc.Value) (value, error) { return v, nil }
}

func (c *compiler) conditional(n *ast.ConditionalNode) (typed, error) {
	cond, err := c.compile(n.Cond)
	if err != nil {
		return typed{}, err
	}
	if cond.typ != Bool && cond.typ != Nil {
		return typed{}, c.fail(cond.at, "", boolHint(cond), "the condition before ? gives %s, not a boolean", cond.typ)
	}
	yes, err := c.compile(n.Exp1)
	if err != nil {
		return typed{}, err
	}
	no, err := c.compile(n.Exp2)
	if err != nil {
		return typed{}, err
	}
	t, err := c.common("the two sides of :", yes, no)
	if err != nil {
		return typed{}, err
	}
	yes, no = as(t, yes), as(t, no)
	return typed{typ: t, at: cond.at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := cond.eval(get)
		if err != nil {
			return value{}, err
		}
		if v.isTrue() {
			return yes.eval(get)
		}
		return no.eval(get)
	}}, nil
}

// common gives the type that both sides fit, for operators that choose one.
func (c *compiler) common(where string, a, b typed) (Type, error) {
	for _, x := range []typed{a, b} {
		if x.typ == JSON {
			return Any, c.jsonError(x)
		}
	}
	t, ok := unify(a.typ, b.typ)
	if !ok {
		return Any, c.fail(b.at, "", "make text of one with string(x)", "%s have different types, %s and %s", where, a.typ, b.typ)
	}
	return t, nil
}

func (c *compiler) jsonError(x typed) error {
	return c.fail(x.at, x.column, "send it as it is, as a field of its own", "a json, jsonb or array column cannot be calculated with:")
}

// as makes a node give values of type t, which its own type must fit.
func as(t Type, x typed) typed {
	if t != Decimal || x.typ != Int {
		return x
	}
	eval := x.eval
	x.typ = Decimal
	x.eval = func(get func(string) cdc.Value) (value, error) {
		v, err := eval(get)
		if err != nil || !v.set {
			return value{}, err
		}
		return decOf(widen(v.int)), nil
	}
	return x
}

func boolHint(x typed) string {
	if x.column != "" {
		return fmt.Sprintf("compare it, such as %s != nil", x.column)
	}
	return "compare it with something"
}
