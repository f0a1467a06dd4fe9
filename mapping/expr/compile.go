package expr

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/mapping/nearest"
)

// node gives the value of a part of an expression for one row.
type node func(row *Row) (value, error)

// typed is a compiled part. A value that is set has the type.
type typed struct {
	eval   node
	typ    Type
	at     int    // offset in the source
	column string // set for a plain column
	path   string // set for a column and a path into it, as it is written
	// notNull tells that it is never null; maxLen is how many characters a text has, or the
	// digits of a whole number, at most, zero where that is not known.
	notNull bool
	maxLen  int
	// words are all texts that it can be, where these are written out; nil where it can be
	// others.
	words []string
	// labels are those that an enum column has.
	labels []string
	// wholeLiteral is set for a whole number written out, which round needs.
	wholeLiteral *int
	textLiteral  *string
}

type compiler struct {
	src   []rune
	scope *Scope
	used  []int // the slots of the columns that are read
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
		t.textLiteral, t.maxLen, t.words = &n.Value, utf8.RuneCountInString(n.Value), []string{n.Value}
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
	case *ast.MemberNode:
		return c.member(n)
	case *ast.ChainNode: // a?.b: every path is null where a part of it is missing
		return c.compile(n.Node)
	case *ast.SliceNode:
		return typed{}, c.fail(at, "", "take one item, such as tags[0]", "a part of a list cannot be taken")
	case *ast.ArrayNode:
		return c.list(n)
	case *ast.MapNode:
		return typed{}, c.fail(at, "", "write map(x, {'a': 'b'}, 'other')", "{…} stands only within map")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		return typed{}, c.fail(at, "", "write one expression", "variables and ; are not part of the language")
	}
	return typed{}, c.fail(at, "", "", "this is not part of the language")
}

func constant(t Type, v value, at int) typed {
	return typed{typ: t, at: at, notNull: v.set, eval: func(*Row) (value, error) { return v, nil }}
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
	if i, ok := c.scope.byName[name]; ok {
		return c.columnNode(c.scope.columns[i], at), nil
	}
	if name == "null" {
		return constant(Nil, value{}, at), nil
	}
	return typed{}, c.unknownColumn(name, at)
}

func (c *compiler) unknownColumn(name string, at int) error {
	names := make([]string, len(c.scope.columns))
	for i, col := range c.scope.columns {
		names[i] = col.Name
	}
	if odd := c.scope.oddName(string(c.src)); odd != "" {
		return c.fail(at, name, "write col("+strconv.Quote(odd)+") for the column", "unknown column")
	}
	hint := nearest.Hint(name, names, "the table has "+nearest.List(names)+`; text is written in quotes: '"`+name+`"'`)
	return c.fail(at, name, hint, "unknown column")
}

func (c *compiler) columnNode(col Column, at int) typed {
	t, slot, name := TypeOf(col.Type), c.scope.slot(col.Name), col.Name
	if !slices.Contains(c.used, slot) {
		c.used = append(c.used, slot)
	}
	absent := &Error{Offset: at, Msg: "the column was not sent with the change", Value: name}
	eval := func(row *Row) (value, error) {
		if row.has[slot] {
			return row.decoded[slot], nil
		}
		raw := row.Values[slot]
		if raw.IsAbsent() {
			return value{}, absent
		}
		var v value
		if !raw.IsNull() {
			var bad string
			if v, bad = decode(t, raw.JSON()); bad != "" {
				return value{}, &Error{Offset: at, Msg: "column " + name + ": " + bad}
			}
		}
		row.decoded[slot], row.has[slot] = v, true
		return v, nil
	}
	return typed{eval: eval, typ: t, at: at, column: name, path: name, notNull: col.NotNull, maxLen: textLength(col.Type), labels: col.Labels}
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
		return typed{typ: Bool, at: at, notNull: x.notNull, eval: func(row *Row) (value, error) {
			v, err := x.eval(row)
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
		t, err := c.arithmetic("-", typed{typ: x.typ, at: at, notNull: true, eval: zero(x.typ)}, x, at)
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
	return func(*Row) (value, error) { return v, nil }
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
	length, words := longer(yes, no), either(yes, no)
	yes, no = as(t, yes), as(t, no)
	return typed{typ: t, at: cond.at, notNull: yes.notNull && no.notNull, maxLen: length, words: words, eval: func(row *Row) (value, error) {
		v, err := cond.eval(row)
		if err != nil {
			return value{}, err
		}
		if v.isTrue() {
			return yes.eval(row)
		}
		return no.eval(row)
	}}, nil
}

// common gives the type that all of a list fit, of which one is chosen. A text that is
// written out beside dates is one of them.
func (c *compiler) common(where string, list ...typed) (Type, error) {
	t := Nil
	for _, literals := range []bool{false, true} {
		for _, x := range list {
			if (x.textLiteral != nil) != literals {
				continue
			}
			if literals && t.moment() {
				if _, _, err := c.momentLiteral(typed{typ: t}, x); err != nil {
					return Any, err
				}
				continue
			}
			joined, ok := unify(t, x.typ)
			if !ok {
				return Any, c.fail(list[len(list)-1].at, "", "make text of one with string(x)", "%s have different types, %s and %s", where, t, x.typ)
			}
			t = joined
		}
	}
	return t, nil
}

func (c *compiler) jsonError(x typed) error {
	path := x.path
	if path == "" {
		path = "x"
	}
	return c.fail(x.at, path, fmt.Sprintf("say what it holds: string(%s), int(…), decimal(…) or bool(…); or send it as it is, as a field of its own", path), "a JSON value cannot be calculated with:")
}

// longer gives the greatest length of two texts of which one is taken; zero where one is
// not known. A side that is null has none.
func longer(a, b typed) int {
	switch {
	case a.typ == Nil || a.textLiteral != nil && *a.textLiteral == "":
		return b.maxLen
	case b.typ == Nil || b.textLiteral != nil && *b.textLiteral == "":
		return a.maxLen
	case a.maxLen == 0 || b.maxLen == 0:
		return 0
	}
	return max(a.maxLen, b.maxLen)
}

// either gives all texts that one of two can be; nil where that is not known.
func either(a, b typed) []string {
	switch {
	case a.typ == Nil:
		return b.words
	case b.typ == Nil:
		return a.words
	case a.words == nil || b.words == nil:
		return nil
	}
	return append(slices.Clone(a.words), b.words...)
}

// boundedText are the types of text with a length.
var boundedText = regexp.MustCompile(`^(?:character varying|varchar|character|char|bpchar)\((\d+)\)$`)

// textLength gives how many characters a text, or digits a whole number, of a type has at
// most; zero if there is no bound.
func textLength(pg string) int {
	switch pg {
	case "uuid":
		return 36
	case "bigint":
		return len("-9223372036854775808")
	case "integer":
		return len("-2147483648")
	case "smallint":
		return len("-32768")
	}
	m := boundedText.FindStringSubmatch(pg)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil { // longer than any length
		return 0
	}
	return n
}

// as makes a node give values of type t, which its own type must fit.
func as(t Type, x typed) typed {
	if t.moment() && x.textLiteral != nil {
		if v, ok := parseMoment(t, *x.textLiteral); ok {
			return constant(t, v, x.at)
		}
	}
	widened := widener(t, x.typ)
	if widened == nil {
		if x.typ == Nil {
			x.typ = t
		}
		return x
	}
	eval := x.eval
	x.typ = t
	x.eval = func(row *Row) (value, error) {
		v, err := eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		return widened(v), nil
	}
	return x
}

// widener gives what makes a value of type to of one of type from; nil where that is the
// same.
func widener(to, from Type) func(value) value {
	if to == Decimal && from == Int {
		return func(v value) value { return decOf(widen(v.int)) }
	}
	if !to.IsList() || !from.IsList() {
		return nil
	}
	item := widener(to.Item(), from.Item())
	if item == nil {
		return nil
	}
	return func(v value) value {
		items := make([]value, len(v.list))
		for i, x := range v.list {
			if x.set {
				items[i] = item(x)
			}
		}
		return listOf(items)
	}
}

func boolHint(x typed) string {
	if x.column != "" {
		return fmt.Sprintf("compare it, such as %s != nil", x.column)
	}
	return "compare it with something"
}
