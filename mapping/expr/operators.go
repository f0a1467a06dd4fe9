package expr

import (
	"math"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"
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
	case "matches":
		return c.matches(l, r, at)
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
	return typed{}, c.fail(at, n.Operator, "known are + - * / % == != < <= > >= && || ! in ?? ?: contains startsWith endsWith matches", "unknown operator")
}

func (c *compiler) logic(op string, l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ != Bool && x.typ != Nil {
			hint := boolHint(x)
			if op == "||" && x.typ == Text { // as SQL writes it
				hint = "join texts with +"
			}
			return typed{}, c.fail(x.at, op, hint, "%s cannot stand beside", x.typ)
		}
	}
	// decides is the value of one side that settles the answer whatever the other
	// is, null included.
	decides := op == "||" || op == "or"
	return typed{typ: Bool, at: at, notNull: l.notNull && r.notNull, eval: func(row *Row) (value, error) {
		a, err := l.eval(row)
		if err != nil || a.set && a.bool == decides {
			return a, err
		}
		b, err := r.eval(row)
		if err != nil || b.set && b.bool == decides {
			return b, err
		}
		if !a.set || !b.set {
			return value{}, nil
		}
		return boolOf(!decides), nil
	}}, nil
}

func (c *compiler) orElse(l, r typed, at int) (typed, error) {
	t, err := c.common("the two sides of ??", l, r)
	if err != nil {
		return typed{}, err
	}
	length, words := longer(l, r), either(l, r)
	l, r = as(t, l), as(t, r)
	return typed{typ: t, at: at, notNull: l.notNull || r.notNull, maxLen: length, words: words, eval: func(row *Row) (value, error) {
		v, err := l.eval(row)
		if err != nil || v.set {
			return v, err
		}
		return r.eval(row)
	}}, nil
}

// maxText bounds what joining can build: 1000 nodes of long notes would be much.
const maxText = 1 << 20

// joined gives the greatest length of two texts that are joined; zero where one is not
// known.
func joined(a, b typed) int {
	switch {
	case a.textLiteral != nil && *a.textLiteral == "":
		return b.maxLen
	case b.textLiteral != nil && *b.textLiteral == "":
		return a.maxLen
	case a.maxLen == 0 || b.maxLen == 0:
		return 0
	}
	return a.maxLen + b.maxLen
}

func (c *compiler) concat(l, r typed, at int) (typed, error) {
	for _, x := range []typed{l, r} {
		if x.typ != Text && x.typ != Nil {
			return typed{}, c.fail(at, "+", "make text of it with string(…)", "text cannot be joined with %s by", x.typ)
		}
	}
	long := &Error{Offset: at, Msg: "the text is longer than 1 MiB"}
	return typed{typ: Text, at: at, notNull: l.notNull && r.notNull, maxLen: joined(l, r), eval: func(row *Row) (value, error) {
		a, b, err := both(row, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		if n := len(a.text) + len(b.text); n > maxText || !row.spend(n) {
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
		switch {
		case x.typ == JSON:
			return typed{}, c.jsonError(x)
		case x.typ.moment():
			return typed{}, c.fail(at, op, "write add_days(d, 30), add_months(d, 1) or days_between(a, b)", "%s cannot be calculated with by", x.typ)
		case !x.typ.numeric():
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
	return typed{typ: Decimal, at: at, notNull: l.notNull && r.notNull, eval: func(row *Row) (value, error) {
		a, b, err := both(row, l, r)
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
	return typed{typ: Int, at: at, notNull: l.notNull && r.notNull, eval: func(row *Row) (value, error) {
		x, y, err := both(row, l, r)
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
