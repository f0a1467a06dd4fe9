package expr

import (
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/mapping/nearest"
)

// Function is what people are told of a function.
type Function struct {
	Name  string
	Group string
	// Usage is how it is written, About what it does.
	Usage, About string
	// Example is an expression over the row that docs/mapping.md tells of, Gives the JSON
	// of its value.
	Example, Gives string
}

// Row gives the function as a row of a table in Markdown: usage, about, example, value.
func (f Function) Row() string {
	cell := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(s, "|", "\\|") + "`"
	}
	return "| " + cell(f.Usage) + " | " + strings.ReplaceAll(f.About, "|", "\\|") + " | " + cell(f.Example) + " | " + cell(f.Gives) + " |"
}

// function is one that expressions may call.
type function struct {
	Function
	// params are the types of its arguments, of which least must be given; the last may
	// be repeated where many is set.
	params []Type
	least  int
	many   bool
	// mayBeNull tells that it may give null where no argument is.
	mayBeNull bool
	// changing tells that what it gives follows from data that is kept up to date
	// elsewhere.
	changing bool
	// make compiles a call, whose arguments have the types of params by then.
	make func(c *compiler, call *call) (typed, error)
}

// call is a call of a function while it is compiled.
type call struct {
	f    *function
	args []typed
	node *ast.CallNode
	at   int
}

// The special types of parameters.
const (
	anyScalar Type = list - 1 - iota // all but JSON and lists
	anyValue                         // all
	aMoment                          // a date, timestamp or local time
	aNumber                          // Int or Decimal, as it is
	aList                            // any list
	unchecked                        // not compiled: the function reads the node itself
)

// Functions lists all functions in the order they are told to people.
func Functions() []Function {
	out := make([]Function, len(functions))
	for i, f := range functions {
		out[i] = f.Function
	}
	return out
}

// functions are all that an expression may call, byName the same by their names.
var (
	functions []*function
	byName    = map[string]*function{}
)

func init() {
	for _, group := range [][]*function{textFunctions(), numberFunctions(), dateFunctions(), listFunctions(), otherFunctions()} {
		functions = append(functions, group...)
	}
	for _, f := range functions {
		byName[f.Name] = f
	}
}

// others tell what to write in place of functions of SQL, Go and expr-lang that people
// try first.
var others = map[string]string{
	"now": "there is no clock, so that a replay gives the same: take a column such as updated_at", "len": "write length(x)", "concat": "join texts with +",
	"substring": "write truncate(x, 10) or extract(x, '^.{3}(.*)')", "substr": "write truncate(x, 10) or extract(x, '^.{3}(.*)')", "left": "write truncate(x, 10)",
	"lpad": "write pad(x, 8, '0')", "initcap": "write title(x)", "to_char": "write format_date(x, 'YYYY-MM-DD'), or string(x) of a number", "to_date": "write date(x)",
	"date_trunc": "write start_of(x, 'month')", "date_part": "write year(x), month(x), quarter(x) or day(x)", "regexp_replace": "write replace(x, 'pattern', 'with')",
	"nullif": "write x == y ? nil : x", "ifnull": "write x ?? y", "nvl": "write x ?? y", "cast": "write string(x), int(x), decimal(x) or date(x)", "if": "write condition ? x : y",
	"sha256": "write hash(x)", "md5": "write hash(x, 'md5')", "float": "write decimal(x)", "text": "write string(x)", "lookup": "only the row's own columns are known",
	"uuid": "there is no randomness, so that a replay gives the same: take a column", "random": "there is no randomness, so that a replay gives the same",
	"min": "write least(x, y)", "max": "write greatest(x, y)", "array_to_string": "write join(list, ';')", "string_to_array": "write split(x, ',')",
}

// functionHint says what was probably meant.
func functionHint(name string) string {
	if hint := others[strings.ToLower(name)]; hint != "" {
		return hint
	}
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.Name
	}
	return nearest.Hint(name, names, "known functions are "+strings.Join(names, ", "))
}

func (c *compiler) call(n *ast.CallNode) (typed, error) {
	at := n.Location().From
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return typed{}, c.fail(at, "", "write upper(name)", "a value has no functions")
	}
	f := byName[callee.Value]
	if f == nil {
		return typed{}, c.fail(at, callee.Value, functionHint(callee.Value), "unknown function")
	}
	if got := len(n.Arguments); got < f.least || got > len(f.params) && !f.many {
		return typed{}, c.fail(at, f.Name, "write "+f.Usage, "wrong number of arguments, %d, for", got)
	}
	if f.changing && c.scope.lasting {
		return typed{}, c.fail(at, f.Name, lastingHint, "the function cannot be called here:")
	}
	k := &call{f: f, node: n, at: at, args: make([]typed, len(n.Arguments))}
	for i, a := range n.Arguments {
		want := f.params[min(i, len(f.params)-1)]
		if want == unchecked {
			continue
		}
		x, err := c.compile(a)
		if err != nil {
			return typed{}, err
		}
		if k.args[i], err = c.argument(k, x, want); err != nil {
			return typed{}, err
		}
	}
	return f.make(c, k)
}

// lastingHint tells why a lane rule may not do everything.
const lastingHint = "a row that is sent again must give the same for as long as the log is kept: name columns and plain functions only"

// argument makes an argument fit its parameter.
func (c *compiler) argument(k *call, x typed, want Type) (typed, error) {
	fits := x.typ == Nil
	switch want {
	case anyScalar:
		fits = fits || x.typ != JSON && !x.typ.IsList()
	case anyValue:
		fits = true
	case aMoment:
		fits = fits || x.typ.moment()
	case aNumber:
		fits = fits || x.typ.numeric()
	case aList:
		fits = fits || x.typ.IsList()
	case Date:
		if x.textLiteral != nil {
			var err error
			if x, _, err = c.momentLiteral(x, typed{typ: Date}); err != nil {
				return x, err
			}
		}
		fits = fits || x.typ == Date
	default:
		if t, ok := unify(x.typ, want); ok && t == want {
			fits = true
		}
	}
	switch {
	case fits && x.typ == Nil:
		return x, nil
	case fits:
		return as(want, x), nil
	case x.typ == JSON:
		return x, c.jsonError(x)
	}
	return x, c.fail(x.at, k.f.Name, argumentHint(x.typ, want), "the function needs %s, not %s:", wanted(want), x.typ)
}

func wanted(t Type) string {
	switch t {
	case anyScalar:
		return "a plain value"
	case aMoment:
		return "a date or timestamp"
	case aNumber, Decimal:
		return "a number"
	case aList:
		return "a list"
	}
	return t.String()
}

func argumentHint(have, want Type) string {
	switch {
	case want == Text && have.IsList():
		return "take an item such as tags[0], or join(tags, ';')"
	case want == Text:
		return "string(x) makes text of it"
	case have == Text && (want == Date || want == aMoment):
		return "date(x) makes a date of it"
	case have == Text && (want == Int || want == Decimal || want == aNumber):
		return "int(x) or decimal(x) makes a number of it"
	case want == Date && have.moment():
		return "date(x) makes a date of it, date(x, 'Europe/Berlin') in that zone"
	}
	return ""
}

// failed is why a function has no value for its arguments; it never has them in it.
type failed string

func (k *call) err(why failed) error {
	return &Error{Offset: k.at, Msg: k.f.Name + ": " + string(why)}
}

// one makes a call of a function of one argument that is not null.
func (k *call) one(result Type, f func(value) (value, failed)) typed {
	x := k.args[0]
	return typed{typ: result, at: k.at, notNull: x.notNull && !k.f.mayBeNull, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		out, why := f(v)
		if why != "" {
			return value{}, k.err(why)
		}
		return k.spent(row, out)
	}}
}

// two makes a call of a function of two arguments that are not null.
func (k *call) two(result Type, f func(a, b value) (value, failed)) typed {
	x, y := k.args[0], k.args[1]
	return typed{typ: result, at: k.at, notNull: x.notNull && y.notNull && !k.f.mayBeNull, eval: func(row *Row) (value, error) {
		a, b, err := both(row, x, y)
		if err != nil || !a.set || !b.set {
			return value{}, err
		}
		out, why := f(a, b)
		if why != "" {
			return value{}, k.err(why)
		}
		return k.spent(row, out)
	}}
}

// spent bounds what a function makes.
func (k *call) spent(row *Row, v value) (value, error) {
	n := len(v.text) + 16*len(v.list)
	if n > maxText || !row.spend(n) {
		return value{}, k.err("the result is too long")
	}
	return v, nil
}

// text gives an argument that must be written out, def where it is not given.
func (k *call) text(c *compiler, i int, def string) (string, error) {
	if i >= len(k.args) {
		return def, nil
	}
	if k.args[i].textLiteral == nil {
		return "", c.fail(k.args[i].at, k.f.Name, "write "+k.f.Usage, "the text must be written out, in")
	}
	return *k.args[i].textLiteral, nil
}

// whole gives a number that must be written out, def where it is not given.
func (k *call) whole(c *compiler, i, least, most int) (int, error) {
	n := k.args[i].wholeLiteral
	if n == nil || *n < least || *n > most {
		return 0, c.fail(k.args[i].at, k.f.Name, "write "+k.f.Usage, "it must be a number from %d to %d, written out, in", least, most)
	}
	return *n, nil
}

// choice gives a text that must be one of a few, written out.
func (k *call) choice(c *compiler, i int, def string, known []string) (string, error) {
	word, err := k.text(c, i, def)
	if err != nil {
		return "", err
	}
	for _, w := range known {
		if w == word {
			return word, nil
		}
	}
	return "", c.fail(k.args[i].at, word, nearest.Hint(word, known, "known are "+strings.Join(known, ", ")), "unknown word for %s:", k.f.Name)
}
