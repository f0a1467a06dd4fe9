package trial

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// columnType is what a column's type asks of a value.
type columnType struct {
	text string // as the catalog has it
	base string // without modifiers, aliases and brackets
	mods []int
	list bool
}

// aliases lead from the other names of types to those of format_type.
var aliases = map[string]string{
	"int2": "smallint", "int4": "integer", "int": "integer", "int8": "bigint", "decimal": "numeric", "float4": "real",
	"float8": "double precision", "bool": "boolean", "varchar": "character varying", "char": "character", "bpchar": "character",
	"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
}

// texts are types whose values are text whatever they look like. A type that is
// known neither here nor elsewhere may be a composite too.
var texts = []string{
	"text", "character varying", "character", "name", "citext", "uuid", "date", "time without time zone", "time with time zone",
	"timestamp without time zone", "timestamp with time zone", "interval", "bytea", "inet", "cidr", "macaddr", "macaddr8", "money",
	"xml", "bit", "bit varying", "oid", "tsvector", "tsquery", "pg_lsn",
}

func parseType(text string) columnType {
	t := columnType{text: text}
	name := strings.TrimSpace(text)
	for strings.HasSuffix(name, "[]") {
		name, t.list = strings.TrimSuffix(name, "[]"), true
	}
	open, end := strings.IndexByte(name, '('), strings.IndexByte(name, ')')
	if open >= 0 && end > open {
		for _, m := range strings.Split(name[open+1:end], ",") {
			if n, err := strconv.Atoi(strings.TrimSpace(m)); err == nil {
				t.mods = append(t.mods, n)
			}
		}
		name = name[:open] + name[end+1:]
	}
	if !strings.HasPrefix(name, `"`) {
		name = strings.ToLower(name)
	}
	t.base = name
	if long, ok := aliases[name]; ok {
		t.base = long
	}
	return t
}

// exampleOf shows what a value of a type looks like.
func exampleOf(text string) string {
	t := parseType(text)
	switch t.base {
	case "smallint", "integer", "bigint":
		return "1"
	case "numeric", "real", "double precision":
		return "1.5"
	case "uuid":
		return "7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11"
	case "date":
		return "2026-01-31"
	case "timestamp without time zone":
		return "2026-01-31T10:00:00"
	case "timestamp with time zone":
		return `"2026-01-31T10:00:00+00:00"`
	}
	return "A1"
}

// value gives the JSON that to_jsonb has for a value of a column, null for what
// is wrong.
func (p *parser) value(n *yamldoc.Node, t columnType) string {
	if t.list {
		return p.list(n, t)
	}
	switch t.base {
	case "smallint":
		return p.integer(n, t, 16)
	case "integer":
		return p.integer(n, t, 32)
	case "bigint":
		return p.integer(n, t, 64)
	case "numeric":
		return p.numeric(n, t)
	case "real":
		return p.float(n, t, 32)
	case "double precision":
		return p.float(n, t, 64)
	case "boolean":
		if n.Kind != yamldoc.Bool {
			return p.wrong(n, t, "true or false", "write true or false, without quotes")
		}
		return strings.ToLower(n.Text)
	case "json":
		text, _ := p.plainJSON(n)
		return text
	case "jsonb":
		text, _ := p.generic(n, true)
		return text
	case "hstore":
		return p.hstore(n, t)
	}
	if n.Kind == yamldoc.Map && !slices.Contains(texts, t.base) {
		text, _ := p.plainJSON(n)
		return text
	}
	return p.textual(n, t)
}

// wrong notes a value that no column of the type can have.
func (p *parser) wrong(n *yamldoc.Node, t columnType, want, hint string) string {
	p.doc.Fail(n, fmt.Sprintf("want %s for a column of type %s, not %s", want, t.text, n.Kind), n.Text, hint)
	return "null"
}

func (p *parser) list(n *yamldoc.Node, t columnType) string {
	if n.Kind != yamldoc.List {
		return p.wrong(n, t, "a list", "write [a, b]")
	}
	elem := t
	elem.list = false
	items := make([]string, len(n.Values))
	for i, v := range n.Values {
		switch {
		case v.Kind == yamldoc.Null:
			items[i] = "null"
		case v.Kind == yamldoc.List && elem.base != "json" && elem.base != "jsonb": // a further dimension
			items[i] = p.list(v, t)
		default:
			items[i] = p.value(v, elem)
		}
	}
	return "[" + strings.Join(items, ",") + "]"
}

func (p *parser) integer(n *yamldoc.Node, t columnType, bits int) string {
	const hint = "write digits only, without quotes"
	text, ok := number(n)
	if !ok || strings.ContainsAny(text, ".eE") {
		return p.wrong(n, t, "a whole number", hint)
	}
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		p.doc.Fail(n, "out of the range of "+t.base, text, fmt.Sprintf("it goes from %d to %d", -1<<(bits-1), uint64(1)<<(bits-1)-1))
		return "null"
	}
	return strconv.FormatInt(v, 10)
}

// infinite tells whether a text is one of PostgreSQL's values that are no number.
func infinite(n *yamldoc.Node) bool {
	return n.Kind == yamldoc.String && slices.Contains([]string{"NaN", "Infinity", "-Infinity"}, n.Text)
}

const numberHint = "write it as 12.50, without quotes, or NaN, Infinity, -Infinity"

// numeric keeps the digits. A column with a scale has all its digits behind the
// point whether they are written or not.
func (p *parser) numeric(n *yamldoc.Node, t columnType) string {
	if infinite(n) {
		return quoteJSON(n.Text)
	}
	text, ok := number(n)
	if !ok {
		return p.wrong(n, t, "a number", numberHint)
	}
	d, ok := parseDecimal(text)
	if !ok {
		p.doc.Fail(n, "more digits than can be calculated with", text, "write a shorter number")
		return "null"
	}
	if len(t.mods) == 0 {
		return d.plain(-1)
	}
	precision, scale := t.mods[0], 0
	if len(t.mods) > 1 {
		scale = t.mods[1]
	}
	if d.scale() > max(scale, 0) {
		p.doc.Fail(n, fmt.Sprintf("%s has %d digits behind the point:", t.text, max(scale, 0)), text, "round it: the database would")
		return "null"
	}
	if d.exceeds(precision - scale) {
		p.doc.Fail(n, fmt.Sprintf("%s has %d digits before the point:", t.text, max(precision-scale, 0)), text, "write a value that the column can have")
		return "null"
	}
	return d.plain(max(scale, 0))
}

func (p *parser) float(n *yamldoc.Node, t columnType, bits int) string {
	if infinite(n) {
		return quoteJSON(n.Text)
	}
	text, ok := number(n)
	if !ok {
		return p.wrong(n, t, "a number", numberHint)
	}
	v, err := strconv.ParseFloat(text, bits)
	if err != nil {
		p.doc.Fail(n, "out of the range of "+t.base, text, "write a value that the column can have")
		return "null"
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}

func (p *parser) hstore(n *yamldoc.Node, t columnType) string {
	if n.Kind != yamldoc.Map {
		return p.wrong(n, t, "keys with their texts", "write {a: x, b: null}")
	}
	items := make([]string, len(n.Keys))
	for i, k := range n.Keys {
		value := "null"
		if v := n.Values[i]; v.Kind != yamldoc.Null {
			value = p.textual(v, t)
		}
		items[i] = quoteJSON(k.Text) + ":" + value
	}
	return "{" + strings.Join(items, ",") + "}"
}

var (
	dateForm = regexp.MustCompile(`^(\d{4,}-\d\d-\d\d( BC)?|-?infinity)$`)
	timeForm = regexp.MustCompile(`^(\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?( BC)?|-?infinity)$`)
	zoneForm = regexp.MustCompile(`^(\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00( BC)?|-?infinity)$`)
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// textual takes a text. Numbers and booleans have to be quoted, so that 0123 or
// true never change their meaning unseen.
func (p *parser) textual(n *yamldoc.Node, t columnType) string {
	if _, is := number(n); is || n.Kind == yamldoc.Number || n.Kind == yamldoc.Bool {
		p.doc.Fail(n, fmt.Sprintf("want a text for a column of type %s, not %s", t.text, kindOf(n)), n.Text, "quote it: "+strconv.Quote(n.Text))
		return "null"
	}
	if n.Kind != yamldoc.String {
		return p.wrong(n, t, "a text", "write a text")
	}
	form := func(form *regexp.Regexp, what, hint string) {
		if !form.MatchString(n.Text) || !expr.Fits(t.base, quoteJSON(n.Text)) {
			p.doc.Fail(n, "not "+what+" as the database gives it:", n.Text, hint)
		}
	}
	switch t.base {
	case "date":
		form(dateForm, "a date", "write it as 2026-01-31")
	case "uuid":
		form(uuidForm, "a uuid", "write lower-case digits in groups, as "+exampleOf("uuid"))
	case "timestamp without time zone":
		form(timeForm, "a timestamp", timeHint(n.Text, "2006-01-02T15:04:05.999999"))
	case "timestamp with time zone":
		form(zoneForm, "a timestamp", timeHint(n.Text, "2006-01-02T15:04:05.999999+00:00"))
	case "character varying", "character":
		most := slices.Max(append([]int{0}, t.mods...))
		length := utf8.RuneCountInString(n.Text)
		if most > 0 && length > most {
			p.doc.Fail(n, fmt.Sprintf("a text of %d characters is too long for %s:", length, t.text), n.Text, "write a value that the column can have")
		}
		if t.base == "character" && length < most {
			return quoteJSON(n.Text + strings.Repeat(" ", most-length))
		}
	}
	return quoteJSON(n.Text)
}

// kindOf is what a scalar would be taken for.
func kindOf(n *yamldoc.Node) yamldoc.Kind {
	if n.Kind == yamldoc.String {
		return yamldoc.Number
	}
	return n.Kind
}
