package expr

import (
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// functions are all that an expression may call, in the order they are listed
// to people.
var functions = []string{"upper", "lower", "trim", "round", "string", "coalesce", "col"}

func (c *compiler) call(n *ast.CallNode) (typed, error) {
	at := n.Location().From
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return typed{}, c.fail(at, "", "write upper(name)", "a value has no functions")
	}
	name := callee.Value
	if !known(name) {
		hint := nearest.Hint(name, functions, "known functions are "+nearest.List(functions))
		return typed{}, c.fail(at, name, hint, "unknown function")
	}
	if a, got := arities[name], len(n.Arguments); got < a.least || got > a.most {
		return typed{}, c.fail(at, name, "write "+a.usage, "wrong number of arguments, %d, for", got)
	}
	args := make([]typed, len(n.Arguments))
	for i, a := range n.Arguments {
		x, err := c.compile(a)
		if err != nil {
			return typed{}, err
		}
		if x.typ == JSON {
			return typed{}, c.jsonError(x)
		}
		args[i] = x
	}
	switch name {
	case "upper":
		return c.textFunction(name, args, at, strings.ToUpper)
	case "lower":
		return c.textFunction(name, args, at, strings.ToLower)
	case "trim":
		return c.textFunction(name, args, at, strings.TrimSpace)
	case "round":
		return c.round(args, at)
	case "string":
		return c.toText(args, at), nil
	case "coalesce":
		return c.coalesce(args, at)
	}
	return c.col(args, at)
}

func known(name string) bool {
	for _, f := range functions {
		if f == name {
			return true
		}
	}
	return false
}

// arities are how many arguments each function takes, and how it is written.
var arities = map[string]struct {
	least, most int
	usage       string
}{
	"upper": {1, 1, "upper(name)"}, "lower": {1, 1, "lower(email)"}, "trim": {1, 1, "trim(name)"},
	"round": {1, 2, "round(amount, 2)"}, "string": {1, 1, "string(amount)"},
	"coalesce": {1, maxNodes, "coalesce(a, b)"}, "col": {1, 1, `col("Close Date")`},
}

func (c *compiler) textFunction(name string, args []typed, at int, f func(string) string) (typed, error) {
	x := args[0]
	if x.typ != Text && x.typ != Nil {
		return typed{}, c.fail(x.at, name, "string(x) makes text of it", "the function needs text, not %s:", x.typ)
	}
	return typed{typ: Text, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := x.eval(get)
		if err != nil || !v.set {
			return value{}, err
		}
		return textOf(f(v.text)), nil
	}}, nil
}

// maxScale is the greatest number of digits that round can be asked for.
const maxScale = 30

// rounding is away from zero at the half, as PostgreSQL's round(numeric). Its
// precision only has to be above every number that is let in.
var rounding = &apd.Context{
	Precision: 6 * maxDigits, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent,
	Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp,
}

func (c *compiler) round(args []typed, at int) (typed, error) {
	scale := 0
	if len(args) == 2 {
		if args[1].wholeLiteral == nil || *args[1].wholeLiteral < 0 || *args[1].wholeLiteral > maxScale {
			return typed{}, c.fail(args[1].at, "round", "write round(amount, 2)", "the digits must be a number from 0 to %d, written out, in", maxScale)
		}
		scale = *args[1].wholeLiteral
	}
	if !args[0].typ.numeric() && args[0].typ != Nil {
		return typed{}, c.fail(args[0].at, "round", "", "the function needs a number, not %s:", args[0].typ)
	}
	x := as(Decimal, args[0])
	bad := &Error{Offset: at, Msg: "the number cannot be rounded"}
	return typed{typ: Decimal, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := x.eval(get)
		if err != nil || !v.set || !isFinite(v.dec) {
			return v, err
		}
		d := new(apd.Decimal)
		if _, err := rounding.Quantize(d, v.dec, int32(-scale)); err != nil {
			return value{}, bad
		}
		return decOf(d), nil
	}}, nil
}

func (c *compiler) toText(args []typed, at int) typed {
	x := args[0]
	var text func(value) string
	switch x.typ {
	case Bool:
		text = func(v value) string { return strconv.FormatBool(v.bool) }
	case Int:
		text = func(v value) string { return strconv.FormatInt(v.int, 10) }
	case Decimal:
		text = func(v value) string { return decText(v.dec) }
	default:
		text = func(v value) string { return v.text }
	}
	return typed{typ: Text, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := x.eval(get)
		if err != nil || !v.set {
			return value{}, err
		}
		return textOf(text(v)), nil
	}}
}

func (c *compiler) coalesce(args []typed, at int) (typed, error) {
	out := args[len(args)-1]
	for i := len(args) - 2; i >= 0; i-- {
		var err error
		if out, err = c.orElse(args[i], out, at); err != nil {
			return typed{}, err
		}
	}
	out.column = "" // coalesce(x) is allowed, but is no longer a plain column
	return out, nil
}

// col names a column that is not a plain word.
func (c *compiler) col(args []typed, at int) (typed, error) {
	if args[0].textLiteral == nil {
		return typed{}, c.fail(args[0].at, "col", `write col("Close Date")`, "the name must be text, written out, in")
	}
	name := *args[0].textLiteral
	for _, column := range c.cols {
		if column.Name == name {
			return c.columnNode(column, at), nil
		}
	}
	return typed{}, c.unknownColumn(name, args[0].at)
}
