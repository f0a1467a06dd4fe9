package expr

import (
	"cmp"
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/cdc"
)

func (c *compiler) binary(n *ast.BinaryNode) (typed, error) {
	at := n.Location().From
	if n.Operator == "in" {
		return c.in(n, at)
	}
	l, err := c.compile(n.Left)
	if err != nil {
		return typed{}, err
	}
	r, err := c.compile(n.Right)
	if err != nil {
		return typed{}, err
	}
	switch n.Operator {
	case "&&", "and", "||", "or":
		return c.logic(n.Operator, l, r, at)
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n.Operator, l, r, at)
	case "contains", "startsWith", "endsWith":
		return c.search(n.Operator, l, r, at)
	case "??":
		return c.orElse(l, r, at)
	case "+":
		if l.typ == Text || r.typ == Text {
			return c.concat(l, r, at)
		}
		return c.arithmetic("+", l, r, at)
	case "-", "*", "/", "%":
		return c.arithmetic(n.Operator, l, r, at)
	}
	return typed{}, c.fail(at, n.Operator, "known are + - * / % == != < <= > >= && || ! in ?? ?: contains startsWith endsWith", "unknown operator")
}

func (c *compiler) logic(op string, l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ != Bool && x.typ != Nil {
			return typed{}, c.fail(x.at, op, boolHint(x), "%s cannot stand beside", x.typ)
		}
	}
	// decides is the value of one side that settles the answer whatever the other
	// is, null included.
	decides := op == "||" || op == "or"
	return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		a, err := l.eval(get)
		if err != nil || a.set && a.bool == decides {
			return a, err
		}
		b, err := r.eval(get)
		if err != nil || b.set && b.bool == decides {
			return b, err
		}
		if !a.set || !b.set {
			return value{}, nil
		}
		return boolOf(!decides), nil
	}}, nil
}

// comparer orders two set values.
type comparer func(a, b value) int

// comparable gives both sides the same type and the order of that type.
func (c *compiler) comparable(l, r typed, at int) (a, b typed, order comparer, err error) {
	for _, x := range []typed{l, r} {
		if x.typ == JSON {
			return l, r, nil, c.jsonError(x)
		}
	}
	t, ok := unify(l.typ, r.typ)
	if !ok {
		hint := "compare values of one type"
		if l.typ == Text || r.typ == Text {
			hint = "write text in quotes and numbers without; string(x) makes text of a number"
		}
		return l, r, nil, c.fail(at, "", hint, "%s cannot be compared with %s", l.typ, r.typ)
	}
	switch t {
	case Bool:
		order = func(a, b value) int { return cmp.Compare(bit(a.bool), bit(b.bool)) }
	case Int:
		order = func(a, b value) int { return cmp.Compare(a.int, b.int) }
	case Decimal:
		order = func(a, b value) int { return compareDec(a.dec, b.dec) }
	default:
		order = func(a, b value) int { return strings.Compare(a.text, b.text) }
	}
	return as(t, l), as(t, r), order, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *compiler) comparison(op string, l, r typed, at int) (typed, error) {
	if l.typ == Nil || r.typ == Nil {
		return c.nilTest(op, l, r, at)
	}
	l, r, order, err := c.comparable(l, r, at)
	if err != nil {
		return typed{}, err
	}
	holds := map[string]func(int) bool{
		"==": func(c int) bool { return c == 0 }, "!=": func(c int) bool { return c != 0 },
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
	}[op]
	return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		a, b, err := both(get, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		return boolOf(holds(order(a, b))), nil
	}}, nil
}

// nilTest is x == nil and x != nil: SQL's IS NULL, never null itself.
func (c *compiler) nilTest(op string, l, r typed, at int) (typed, error) {
	if op != "==" && op != "!=" {
		return typed{}, c.fail(at, op, "only == nil and != nil have a meaning", "nil has no order:")
	}
	x := l
	if l.typ == Nil {
		x = r
	}
	return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := x.eval(get)
		if err != nil {
			return value{}, err
		}
		return boolOf(v.set == (op == "!=")), nil
	}}, nil
}

// both evaluates two sides.
func both(get func(string) cdc.Value, l, r typed) (a, b value, err error) {
	if a, err = l.eval(get); err != nil {
		return a, b, err
	}
	b, err = r.eval(get)
	return a, b, err
}

func (c *compiler) in(n *ast.BinaryNode, at int) (typed, error) {
	list, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return typed{}, c.fail(at, "", "write x in ['a', 'b']", "after in stands a list")
	}
	left, err := c.compile(n.Left)
	if err != nil {
		return typed{}, err
	}
	type item struct {
		left, right typed
		order       comparer
	}
	items := make([]item, len(list.Nodes))
	for i, node := range list.Nodes {
		x, err := c.compile(node)
		if err != nil {
			return typed{}, err
		}
		if items[i].left, items[i].right, items[i].order, err = c.comparable(left, x, x.at); err != nil {
			return typed{}, err
		}
	}
	return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		sawNull := false
		for _, it := range items {
			a, b, err := both(get, it.left, it.right)
			if err != nil {
				return value{}, err
			}
			if !a.set || !b.set {
				sawNull = true
			} else if it.order(a, b) == 0 {
				return boolOf(true), nil
			}
		}
		if sawNull {
			return value{}, nil
		}
		return boolOf(false), nil
	}}, nil
}

func (c *compiler) search(op string, l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ != Text && x.typ != Nil {
			return typed{}, c.fail(x.at, op, "string(x) makes text of it", "%s needs text, not %s:", "the operator", x.typ)
		}
	}
	test := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[op]
	return typed{typ: Bool, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		a, b, err := both(get, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		return boolOf(test(a.text, b.text)), nil
	}}, nil
}

func (c *compiler) orElse(l, r typed, at int) (typed, error) {
	t, err := c.common("the two sides of ??", l, r)
	if err != nil {
		return typed{}, err
	}
	l, r = as(t, l), as(t, r)
	return typed{typ: t, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		v, err := l.eval(get)
		if err != nil || v.set {
			return v, err
		}
		return r.eval(get)
	}}, nil
}

// maxText bounds what joining can build: 1000 nodes of long notes would be much.
const maxText = 1 << 20

func (c *compiler) concat(l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ != Text && x.typ != Nil {
			return typed{}, c.fail(at, "+", "make text of it with string(…)", "text cannot be joined with %s by", x.typ)
		}
	}
	long := &Error{Offset: at, Msg: "the text is longer than 1 MiB"}
	return typed{typ: Text, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		a, b, err := both(get, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		if len(a.text)+len(b.text) > maxText {
			return value{}, long
		}
		return textOf(a.text + b.text), nil
	}}, nil
}

// exact never rounds; quotient is for division, which may have no end.
var (
	exact    = apd.BaseContext
	quotient = apd.BaseContext.WithPrecision(34)
)

func (c *compiler) arithmetic(op string, l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ == JSON {
			return typed{}, c.jsonError(x)
		}
		if !x.typ.numeric() {
			return typed{}, c.fail(at, op, "", "%s cannot be calculated with by", x.typ)
		}
	}
	if l.typ == Int && r.typ == Int && op != "/" {
		return intArithmetic(op, l, r, at), nil
	}
	if op == "%" {
		return typed{}, c.fail(at, op, "", "the operator is for whole numbers only:")
	}
	l, r = as(Decimal, l), as(Decimal, r)
	bad := &Error{Offset: at, Msg: "the result is not a number"}
	long := &Error{Offset: at, Msg: "the result has too many digits"}
	zero := &Error{Offset: at, Msg: "division by zero", Hint: "test the divisor first, such as x == 0 ? nil : y / x"}
	return typed{typ: Decimal, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		a, b, err := both(get, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		d := new(apd.Decimal)
		switch op {
		case "+":
			_, err = exact.Add(d, a.dec, b.dec)
		case "-":
			_, err = exact.Sub(d, a.dec, b.dec)
		case "*":
			_, err = exact.Mul(d, a.dec, b.dec)
		case "/":
			if b.dec.IsZero() {
				return value{}, zero
			}
			_, err = quotient.Quo(d, a.dec, b.dec)
			d.Reduce(d) // an exact quotient comes padded to the full precision
		}
		if err != nil { // Infinity - Infinity and its like
			return value{}, bad
		}
		if !withinBounds(d) {
			return value{}, long
		}
		return decOf(d), nil
	}}, nil
}

func intArithmetic(op string, l, r typed, at int) typed {
	over := &Error{Offset: at, Msg: "the result is beyond a whole number of 64 bits", Hint: "multiply by 1.0 to calculate with decimals"}
	zero := &Error{Offset: at, Msg: "division by zero", Hint: "test the divisor first"}
	return typed{typ: Int, at: at, eval: func(get func(string) cdc.Value) (value, error) {
		x, y, err := both(get, l, r)
		if err != nil || !x.set || !y.set {
			return value{}, err
		}
		a, b := x.int, y.int
		var v int64
		ok := true
		switch op {
		case "+":
			v = a + b
			ok = (v > a) == (b > 0)
		case "-":
			v = a - b
			ok = (v < a) == (b > 0)
		case "*":
			v = a * b
			ok = a == 0 || v/a == b && !(a == -1 && b == math.MinInt64)
		case "%":
			if b == 0 {
				return value{}, zero
			}
			if b != -1 {
				v = a % b
			}
		}
		if !ok {
			return value{}, over
		}
		return intOf(v), nil
	}}
}
