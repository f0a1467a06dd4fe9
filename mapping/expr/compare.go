package expr

import (
	"cmp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/mapping/nearest"
)

// comparer orders two set values.
type comparer func(a, b value) int

// comparable gives both sides the same type and the order of that type.
func (c *compiler) comparable(l, r typed, at int) (a, b typed, order comparer, err error) {
	for _, x := range []typed{l, r} {
		if x.typ == JSON {
			return l, r, nil, c.jsonError(x)
		}
		if x.typ.IsList() {
			return l, r, nil, c.fail(x.at, x.path, "write 'a' in tags, or compare an item such as tags[0]", "a list cannot be compared:")
		}
	}
	if l, r, err = c.momentLiteral(l, r); err != nil {
		return l, r, nil, err
	}
	for _, side := range [][2]typed{{l, r}, {r, l}} {
		if err := c.label(side[0], side[1]); err != nil {
			return l, r, nil, err
		}
	}
	t, ok := unify(l.typ, r.typ)
	if !ok {
		return l, r, nil, c.fail(at, "", compareHint(l.typ, r.typ), "%s cannot be compared with %s", l.typ, r.typ)
	}
	return as(t, l), as(t, r), orderOf(t), nil
}

// label finds a text, written out, that an enum can never be.
func (c *compiler) label(enum, text typed) error {
	if enum.labels == nil || text.textLiteral == nil || slices.Contains(enum.labels, *text.textLiteral) {
		return nil
	}
	word := *text.textLiteral
	return c.fail(text.at, word, nearest.Hint(word, enum.labels, "its labels are "+nearest.List(enum.labels)), "the enum %s has no such label:", enum.column)
}

func compareHint(l, r Type) string {
	switch {
	case l.moment() && r.moment():
		return "make dates of both: date(x), or date(x, 'Europe/Berlin') of an instant"
	case l == Text || r == Text:
		return "write text in quotes and numbers without; string(x) makes text of a number"
	}
	return "compare values of one type"
}

// momentLiteral makes a date or a timestamp of a text that is written out beside one.
func (c *compiler) momentLiteral(l, r typed) (typed, typed, error) {
	for _, side := range []struct{ moment, text *typed }{{&l, &r}, {&r, &l}} {
		if !side.moment.typ.moment() || side.text.textLiteral == nil {
			continue
		}
		v, ok := parseMoment(side.moment.typ, *side.text.textLiteral)
		if !ok {
			example := map[Type]string{Date: "2026-01-31", Timestamp: "2026-01-31T09:00:00+01:00", Local: "2026-01-31T09:00:00"}[side.moment.typ]
			return l, r, c.fail(side.text.at, *side.text.textLiteral, "write it as '"+example+"'", "not %s:", side.moment.typ)
		}
		*side.text = constant(side.moment.typ, v, side.text.at)
		break
	}
	return l, r, nil
}

// orderOf gives the order of a scalar type.
func orderOf(t Type) comparer {
	switch t {
	case Bool:
		return func(a, b value) int { return cmp.Compare(bit(a.bool), bit(b.bool)) }
	case Int, Date, Timestamp, Local:
		return func(a, b value) int { return cmp.Compare(a.int, b.int) }
	case Decimal:
		return func(a, b value) int { return compareDec(a.dec, b.dec) }
	}
	return func(a, b value) int { return strings.Compare(a.text, b.text) }
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
	return typed{typ: Bool, at: at, notNull: l.notNull && r.notNull, eval: func(row *Row) (value, error) {
		a, b, err := both(row, l, r)
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
	return typed{typ: Bool, at: at, notNull: true, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil {
			return value{}, err
		}
		return boolOf(v.set == (op == "!=")), nil
	}}, nil
}

// both evaluates two sides.
func both(row *Row, l, r typed) (a, b value, err error) {
	if a, err = l.eval(row); err != nil {
		return a, b, err
	}
	b, err = r.eval(row)
	return a, b, err
}

func (c *compiler) in(n *ast.BinaryNode, at int) (typed, error) {
	left, err := c.compile(n.Left)
	if err != nil {
		return typed{}, err
	}
	written, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		right, err := c.compile(n.Right)
		if err != nil {
			return typed{}, err
		}
		if !right.typ.IsList() {
			return typed{}, c.fail(at, "", "write x in ['a', 'b']", "after in stands a list")
		}
		return c.among(left, right, at)
	}
	return c.inWritten(left, written, at)
}

// inWritten is whether a value is in a list that is written out.
func (c *compiler) inWritten(left typed, list *ast.ArrayNode, at int) (typed, error) {
	items := make([]typed, len(list.Nodes))
	notNull := left.notNull
	for i, node := range list.Nodes {
		x, err := c.compile(node)
		if err != nil {
			return typed{}, err
		}
		if _, _, _, err := c.comparable(left, x, x.at); err != nil {
			return typed{}, err
		}
		items[i], notNull = x, notNull && x.notNull
	}
	t, err := c.common("the value and the list", append(items, left)...)
	if err != nil {
		return typed{}, err
	}
	left = as(t, left)
	for i := range items {
		items[i] = as(t, items[i])
	}
	order := orderOf(t)
	return typed{typ: Bool, at: at, notNull: notNull, eval: func(row *Row) (value, error) {
		a, err := left.eval(row)
		if err != nil {
			return value{}, err
		}
		return isIn(a, len(items), order, func(i int) (value, error) { return items[i].eval(row) })
	}}, nil
}

// among tells whether a value is in a list.
func (c *compiler) among(x, in typed, at int) (typed, error) {
	item := in
	item.typ, item.textLiteral = in.typ.Item(), nil
	if _, _, _, err := c.comparable(x, item, at); err != nil {
		return typed{}, err
	}
	t, err := c.common("the value and the list", x, item)
	if err != nil {
		return typed{}, err
	}
	x, in = as(t, x), as(ListOf(t), in)
	order := orderOf(t)
	return typed{typ: Bool, at: at, eval: func(row *Row) (value, error) {
		a, l, err := both(row, x, in)
		if err != nil || !l.set {
			return value{}, err
		}
		return isIn(a, len(l.list), order, func(i int) (value, error) { return l.list[i], nil })
	}}, nil
}

// isIn tells whether a value is one of n, by the rules of SQL's ANY: where none is equal
// and one is null, it is not known.
func isIn(a value, n int, order comparer, item func(int) (value, error)) (value, error) {
	sawNull := !a.set && n > 0
	for i := range n {
		b, err := item(i)
		switch {
		case err != nil:
			return value{}, err
		case !a.set || !b.set:
			sawNull = true
		case order(a, b) == 0:
			return boolOf(true), nil
		}
	}
	if sawNull {
		return value{}, nil
	}
	return boolOf(false), nil
}

func (c *compiler) search(op string, l, r typed, at int) (typed, error) {
	if op == "contains" && l.typ.IsList() {
		return c.among(r, l, at)
	}
	for _, x := range []typed{l, r} {
		if x.typ != Text && x.typ != Nil {
			return typed{}, c.fail(x.at, op, "string(x) makes text of it", "%s needs text, not %s:", "the operator", x.typ)
		}
	}
	test := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[op]
	return typed{typ: Bool, at: at, notNull: l.notNull && r.notNull, eval: func(row *Row) (value, error) {
		a, b, err := both(row, l, r)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		return boolOf(test(a.text, b.text)), nil
	}}, nil
}

// matches is whether a regular expression, written out, matches anywhere in a text.
func (c *compiler) matches(l, r typed, at int) (typed, error) {
	if l.typ != Text && l.typ != Nil {
		return typed{}, c.fail(l.at, "matches", "string(x) makes text of it", "%s needs text, not %s:", "the operator", l.typ)
	}
	if r.textLiteral == nil {
		return typed{}, c.fail(r.at, "matches", "write x matches '^[A-Z]+$'", "the pattern must be written out, after")
	}
	re, err := c.pattern(*r.textLiteral, r.at)
	if err != nil {
		return typed{}, err
	}
	long, size := &Error{Offset: at, Msg: tooMuch}, patternSize(re)
	return typed{typ: Bool, at: at, notNull: l.notNull, eval: func(row *Row) (value, error) {
		v, err := l.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		if !row.matched(size, v.text) {
			return value{}, long
		}
		return boolOf(re.MatchString(v.text)), nil
	}}, nil
}
