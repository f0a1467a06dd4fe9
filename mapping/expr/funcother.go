package expr

import (
	"strconv"

	"github.com/cockroachdb/apd/v3"
	"github.com/expr-lang/expr/ast"
)

// otherFunctions are those of persons, of types, and of the file.
func otherFunctions() []*function {
	const p, t, o = "persons", "types", "choice"
	return []*function{
		{Function: Function{"first_name", p, "first_name(x)", "all but the last name: of “Lovelace, Ada” what is behind the comma", "first_name('Ada King Lovelace')", `"Ada King"`}, params: []Type{Text}, least: 1, mayBeNull: true, make: personName(firstName)},
		{Function: Function{"last_name", p, "last_name(x)", "the last name, with particles such as von and van; a single word is a last name", "last_name('Ludwig van Beethoven')", `"van Beethoven"`}, params: []Type{Text}, least: 1, mayBeNull: true, make: personName(lastName)},
		{Function: Function{"email", p, "email(x)", "an address trimmed and in small letters; null if it is none", "email(' Ada@Example.COM ')", `"ada@example.com"`}, params: []Type{Text}, least: 1, mayBeNull: true, make: personName(emailOf)},
		{Function: Function{"domain", p, "domain(x)", "the domain of an e-mail address or a web address, in small letters, without www.; null if there is none", "domain('https://www.Acme.com/de')", `"acme.com"`}, params: []Type{Text}, least: 1, mayBeNull: true, make: personName(domainOf)},
		{Function: Function{"phone", p, "phone(x, 'DE')", "a number in the form E.164; the country (ISO 3166) is for numbers without one, and may be a column; null if it is not a number of a phone", "phone('(030) 901820', 'DE')", `"+4930901820"`}, params: []Type{Text, Text}, least: 2, mayBeNull: true, changing: true, make: phone},

		{Function: Function{"string", t, "string(x)", "as text; of JSON a text or number, not an object", "string(custom.tier)", `"gold"`}, params: []Type{anyValue}, least: 1, make: toText},
		{Function: Function{"int", t, "int(x)", "a whole number of a text, decimal, boolean or JSON; an empty text is null, any other that is none an error", "int(custom.seats)", "12"}, params: []Type{anyValue}, least: 1, mayBeNull: true, make: toInt},
		{Function: Function{"decimal", t, "decimal(x)", "an exact number of a text or JSON, likewise", "decimal('12.50') * 2", "25.00"}, params: []Type{anyValue}, least: 1, mayBeNull: true, make: toDecimal},
		{Function: Function{"bool", t, "bool(x)", "true or false of a text (true, t, yes, y, on, 1 and their opposites) or JSON", "bool('yes')", "true"}, params: []Type{anyValue}, least: 1, mayBeNull: true, make: toBool},

		{Function: Function{"map", o, "map(x, {'a': 'b'}), map(x, {'a': 'b'}, 'other')", "the value for x, or for each item of a list; without a last argument a value that is not there is an error. Null stays null", "map(stage, {'won': 'Closed Won', 'lost': 'Closed Lost'}, 'Open')", `"Closed Won"`}, params: []Type{anyValue, unchecked, anyScalar}, least: 2, make: mapped},
		{Function: Function{"coalesce", o, "coalesce(x, y, …)", "the first that is not null; x ?? y is the same", "coalesce(discount, 0)", "0"}, params: []Type{anyValue}, least: 1, many: true, make: coalesce},
		{Function: Function{"col", o, `col("Close Date")`, "a column whose name is no plain word", `col("Close Date")`, `"2026-01-01"`}, params: []Type{Text}, least: 1, make: column},
		{Function: Function{"env", o, "env('REGION'), env('REGION', 'emea')", "a variable of the environment as of the start; the second argument where it is not set", "env('REGION', 'emea')", `"emea"`}, params: []Type{Text, Text}, least: 1, make: environment},
		{Function: Function{refName, o, "ref('accounts-to-crm', account_id)", "the key of the record that another mapping to the same target makes of the row with this key; a field by itself", "", ""}, params: []Type{anyScalar}, least: 2, many: true, make: misplacedRef},
	}
}

func toText(c *compiler, k *call) (typed, error) {
	x := k.args[0]
	switch {
	case x.typ.IsList():
		return typed{}, c.fail(x.at, k.f.Name, "write join(tags, ';')", "the function makes no text of %s:", x.typ)
	case x.typ == JSON:
		return k.one(Text, func(v value) (value, failed) {
			out, bad := decodeText(v.text)
			if bad != "" {
				return value{}, "the JSON is an object or a list"
			}
			return out, ""
		}), nil
	}
	out := k.one(Text, func(v value) (value, failed) { return textOf(asText(x.typ, v)), "" })
	switch x.typ {
	case Bool:
		out.maxLen = len("false")
	case Int, Text:
		out.maxLen = x.maxLen
	case Date:
		out.maxLen = len("5874897-12-31")
	}
	return out, nil
}

func coalesce(c *compiler, k *call) (typed, error) {
	t, err := c.common("the arguments of coalesce", k.args...)
	if err != nil {
		return typed{}, err
	}
	out := as(t, k.args[len(k.args)-1])
	for i := len(k.args) - 2; i >= 0; i-- {
		if out, err = c.orElse(as(t, k.args[i]), out, k.at); err != nil {
			return typed{}, err
		}
	}
	out.column = "" // coalesce(x) is allowed, but is no longer a plain column
	return out, nil
}

// column names a column that is not a plain word.
func column(c *compiler, k *call) (typed, error) {
	name, err := k.text(c, 0, "")
	if err != nil {
		return typed{}, err
	}
	i, ok := c.scope.byName[name]
	if !ok {
		return typed{}, c.unknownColumn(name, k.args[0].at)
	}
	return c.columnNode(c.scope.columns[i], k.at), nil
}

func environment(c *compiler, k *call) (typed, error) {
	name, err := k.text(c, 0, "")
	if err != nil {
		return typed{}, err
	}
	fallback, err := k.text(c, 1, "")
	if err != nil {
		return typed{}, err
	}
	if c.scope.env == nil {
		return typed{}, c.fail(k.at, k.f.Name, "write the value out", "the environment is not known here:")
	}
	if v, ok := c.scope.env(name); ok && (v != "" || len(k.args) == 1) {
		return constant(Text, textOf(v), k.at), nil
	}
	if len(k.args) == 1 {
		return typed{}, c.fail(k.args[0].at, name, "set it, or write env('"+name+"', 'default')", "the environment variable is not set:")
	}
	return constant(Text, textOf(fallback), k.at), nil
}

// mapped compiles a picklist map.
func mapped(c *compiler, k *call) (typed, error) {
	written, ok := k.node.Arguments[1].(*ast.MapNode)
	if !ok {
		return typed{}, c.fail(k.at, k.f.Name, "write map(x, {'a': 'b'}, 'other')", "the pairs must be written out, in")
	}
	x := k.args[0]
	keyType := x.typ
	if x.typ.IsList() {
		keyType = x.typ.Item()
	}
	if keyType == JSON {
		return typed{}, c.jsonError(x)
	}
	pairs := make(map[string]int, len(written.Pairs))
	var results []typed
	for _, node := range written.Pairs {
		pair, ok := node.(*ast.PairNode)
		if !ok { // the parser makes nothing else
			return typed{}, c.fail(k.at, k.f.Name, "", "the pairs cannot be read, in")
		}
		key, err := c.mapKey(k, pair.Key, keyType)
		if err != nil {
			return typed{}, err
		}
		if _, twice := pairs[key]; twice {
			return typed{}, c.fail(pair.Key.Location().From, literalOf(pair.Key), "keep one of them", "the key is there twice:")
		}
		pairs[key] = len(results)
		result, err := c.compile(pair.Value)
		if err != nil {
			return typed{}, err
		}
		results = append(results, result)
	}
	hasElse := len(k.args) > 2
	if hasElse {
		results = append(results, k.args[2])
	}
	t, err := c.common("the values of the map", results...)
	if err != nil {
		return typed{}, err
	}
	if x.typ.IsList() && t.IsList() {
		return typed{}, c.fail(k.at, k.f.Name, "give each item one value", "a list of lists would come of it, in")
	}
	notNull, longest := true, typed{typ: Nil}
	for i, r := range results {
		notNull = notNull && r.notNull
		if r.typ != Nil {
			longest = typed{typ: t, maxLen: longer(longest, r), words: either(longest, r)}
		}
		results[i] = as(t, r)
	}
	out := k.lookUp(t, keyType, func(row *Row, key value) (value, error) {
		i, ok := pairs[mapKeyOf(keyType, key)]
		switch {
		case ok:
			return results[i].eval(row)
		case hasElse:
			return results[len(results)-1].eval(row)
		}
		return value{}, k.err("the value is not among the keys, and there is no default")
	})
	if out.notNull = x.notNull && notNull; !x.typ.IsList() {
		out.maxLen, out.words = longest.maxLen, longest.words
	}
	return out, nil
}

// lookUp makes a call that looks up one value, or each of a list.
func (k *call) lookUp(t, keyType Type, find func(row *Row, key value) (value, error)) typed {
	x := k.args[0]
	result := t
	if x.typ.IsList() {
		result = ListOf(t)
	}
	return typed{typ: result, at: k.at, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		if !x.typ.IsList() {
			return find(row, v)
		}
		out := make([]value, len(v.list))
		for i, item := range v.list {
			if !item.set {
				continue
			}
			if out[i], err = find(row, item); err != nil {
				return value{}, err
			}
		}
		return k.spent(row, listOf(out))
	}}
}

// mapKey gives a key that is written out, in the form of mapKeyOf. A plain word is text,
// as the parser has it.
func (c *compiler) mapKey(k *call, n ast.Node, want Type) (string, error) {
	part := &compiler{src: c.src, scope: c.scope, steps: c.steps} // its columns are its own
	x, err := part.compile(n)
	if c.steps = part.steps; err != nil {
		return "", err
	}
	if err := c.label(k.args[0], x); err != nil {
		return "", err
	}
	if len(part.used) > 0 {
		return "", c.fail(x.at, x.column, "write it in quotes if it is text", "a key of the map must be written out:")
	}
	if x.textLiteral != nil && want != Text { // {1: 'a'} and {true: 'b'} have their keys as text
		if parsed, ok := parseKey(want, *x.textLiteral); ok {
			return mapKeyOf(want, parsed), nil
		}
	}
	if want == Nil {
		want = x.typ
	}
	t, ok := unify(want, x.typ)
	if !ok || t != want || x.typ == Nil {
		return "", c.fail(x.at, k.f.Name, "write the keys as the first argument's type has them", "a key of the map is %s, but the first argument is %s, in", x.typ, want)
	}
	v, err := as(want, x).eval(nil)
	if err != nil {
		return "", err
	}
	return mapKeyOf(want, v), nil
}

// literalOf gives the text of a key that is text; another may come from the environment.
func literalOf(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return ""
}

// parseKey reads a key that the parser has made text of.
func parseKey(t Type, s string) (value, bool) {
	if t.moment() {
		return parseMoment(t, s)
	}
	v, bad := decode(t, s)
	return v, bad == ""
}

// mapKeyOf gives equal values equal texts.
func mapKeyOf(t Type, v value) string {
	switch t {
	case Text:
		return v.text
	case Int:
		return strconv.FormatInt(v.int, 10)
	case Decimal:
		if isFinite(v.dec) {
			d := new(apd.Decimal) // a copy of the value would share its digits
			d.Reduce(v.dec)
			return decText(d)
		}
	}
	return asText(t, v)
}
