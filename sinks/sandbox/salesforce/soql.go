package salesforce

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// soql is a query: of SOQL only what clients of records need.
type soql struct {
	fields []string // COUNT() alone is a count
	count  bool
	from   string
	where  []condition // all must hold
	order  string
	down   bool
	limit  int // -1 is none
}

type condition struct {
	field  string
	not    bool
	values []token // one of these
	op     string  // = < <= > >= for one value, in
}

// token is a word, a sign or a text of a query.
type token struct {
	text   string
	quoted bool
}

// parseSOQL reads a query.
func parseSOQL(text string) (*soql, *fault) {
	tokens, bad := scan(text)
	if bad != nil {
		return nil, bad
	}
	p := &parser{tokens: tokens}
	q := &soql{limit: -1}
	p.keyword("SELECT")
	for {
		name := p.name()
		if strings.EqualFold(name, "COUNT") && p.take("(") {
			p.want(")")
			q.count = true
		} else {
			q.fields = append(q.fields, name)
		}
		if !p.take(",") {
			break
		}
	}
	p.keyword("FROM")
	q.from = p.name()
	if p.take("WHERE") {
		for {
			q.where = append(q.where, p.condition())
			if !p.take("AND") {
				break
			}
		}
	}
	if p.take("ORDER") {
		p.keyword("BY")
		q.order = p.name()
		q.down = p.take("DESC")
		p.take("ASC")
	}
	if p.take("LIMIT") {
		n, err := strconv.Atoi(p.name())
		if err != nil || n < 0 {
			p.fail("a number of records behind LIMIT")
		}
		q.limit = n
	}
	if p.bad == nil && len(p.tokens) > 0 {
		p.fail("the end of the query")
	}
	return q, p.bad
}

// scan takes a query apart.
func scan(text string) (tokens []token, bad *fault) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		switch {
		case text[0] == '\'':
			var b strings.Builder
			i := 1
			for ; i < len(text) && text[i] != '\''; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
					b.WriteString(unescape(text[i]))
					continue
				}
				b.WriteByte(text[i])
			}
			if i == len(text) {
				return nil, malformed("a quote that ends")
			}
			tokens = append(tokens, token{text: b.String(), quoted: true})
			text = text[i+1:]
		case strings.HasPrefix(text, "!=") || strings.HasPrefix(text, "<=") || strings.HasPrefix(text, ">="):
			tokens = append(tokens, token{text: text[:2]})
			text = text[2:]
		case strings.IndexByte("(),=<>", text[0]) >= 0:
			tokens = append(tokens, token{text: text[:1]})
			text = text[1:]
		default:
			end := strings.IndexAny(text, " \t\r\n(),=<>!'")
			if end < 0 {
				end = len(text)
			}
			if end == 0 {
				return nil, malformed("something else than " + text[:1])
			}
			tokens = append(tokens, token{text: text[:end]})
			text = text[end:]
		}
	}
	return tokens, nil
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	}
	return string(c)
}

func malformed(want string) *fault {
	return refuse("MALFORMED_QUERY", "unexpected token: the query should have "+want)
}

// parser takes tokens from the front; bad is the first mistake.
type parser struct {
	tokens []token
	bad    *fault
}

func (p *parser) fail(want string) {
	if p.bad == nil {
		p.bad = malformed(want)
	}
	p.tokens = nil
}

// take takes a word or sign if it is next.
func (p *parser) take(word string) bool {
	if len(p.tokens) > 0 && !p.tokens[0].quoted && strings.EqualFold(p.tokens[0].text, word) {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *parser) want(word string) {
	if !p.take(word) {
		p.fail(word)
	}
}

func (p *parser) keyword(word string) { p.want(word) }

func (p *parser) next(want string) token {
	if len(p.tokens) == 0 {
		p.fail(want)
		return token{}
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *parser) name() string {
	t := p.next("a name")
	if t.quoted || strings.IndexByte("(),=<>!", (t.text + " ")[0]) >= 0 {
		p.fail("a name")
	}
	return t.text
}

func (p *parser) condition() condition {
	c := condition{field: p.name()}
	if p.take("NOT") {
		c.not = true
		p.keyword("IN")
		c.op = "in"
	} else if p.take("IN") {
		c.op = "in"
	}
	if c.op == "in" {
		p.want("(")
		for p.bad == nil {
			c.values = append(c.values, p.next("a value"))
			if !p.take(",") {
				break
			}
		}
		p.want(")")
		return c
	}
	switch op := p.next("= or IN").text; op {
	case "!=":
		c.op, c.not = "=", true
	case "=", "<", "<=", ">", ">=":
		c.op = op
	default:
		p.fail("= or IN")
	}
	c.values = []token{p.next("a value")}
	return c
}

// literal gives the value that a token stands for, to be compared with a field.
func literal(f *Field, t token) (json.RawMessage, *fault) {
	if !t.quoted && strings.EqualFold(t.text, null) {
		return json.RawMessage(null), nil
	}
	texts := f.Type != sinks.FieldNumber && f.Type != sinks.FieldInteger && f.Type != sinks.FieldBoolean &&
		f.Type != sinks.FieldDate && f.Type != sinks.FieldDateTime
	if texts != t.quoted {
		return nil, refuse("INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type %s and should%s be enclosed in quotes",
			f.Name, f.kind(), map[bool]string{true: "", false: " not"}[texts]))
	}
	if f.Type == sinks.FieldRef || f.Name == idField {
		if _, ok := readID(t.text); !ok {
			return nil, refuse("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: "+t.text)
		}
	}
	if f.Name == idField {
		id, _ := readID(t.text)
		return quote(id), nil
	}
	v, bad := normalise(f, quote(t.text))
	if bad != nil {
		return nil, refuse("INVALID_FIELD", bad.Message)
	}
	return v, nil
}

// run finds the records of a query, in order.
func (s *store) run(q *soql) (*table, []*record, *fault) {
	t := s.table(q.from)
	if t == nil {
		return nil, nil, refuse("INVALID_TYPE", "sObject type '"+q.from+"' is not supported.")
	}
	found := make([]*record, 0, 16)
	tests := make([]func(*record) bool, len(q.where))
	narrow := t.records
	for i, c := range q.where {
		f := t.field(c.field)
		if f == nil {
			return nil, nil, noColumn(c.field, t)
		}
		values := make([]json.RawMessage, len(c.values))
		for j, tok := range c.values {
			v, bad := literal(f, tok)
			if bad != nil {
				return nil, nil, bad
			}
			values[j] = v
		}
		tests[i] = s.test(f, c, values)
		if (c.op == "=" || c.op == "in") && !c.not && (f.Name == idField || t.indexOf(f) != nil) {
			narrow = byValues(t, f, values, narrow)
		}
	}
	for _, r := range narrow {
		if !slices.ContainsFunc(tests, func(test func(*record) bool) bool { return !test(r) }) {
			found = append(found, r)
		}
	}
	if bad := s.sort(t, q, found); bad != nil {
		return nil, nil, bad
	}
	if q.limit >= 0 && len(found) > q.limit {
		found = found[:q.limit]
	}
	return t, found, nil
}

// byValues keeps the records that an index finds, unless a null is asked for, which no
// index has.
func byValues(t *table, f *Field, values []json.RawMessage, all map[string]*record) map[string]*record {
	out := make(map[string]*record, len(values))
	for _, v := range values {
		if string(v) == null {
			return all
		}
		for _, r := range t.match(f, v) {
			if all[r.id] != nil {
				out[r.id] = r
			}
		}
	}
	return out
}

// test gives the test of a condition.
func (s *store) test(f *Field, c condition, values []json.RawMessage) func(*record) bool {
	if c.op != "=" && c.op != "in" {
		return func(r *record) bool {
			held := s.value(f, r)
			n := compare(f, held, values[0])
			return string(held) != null && (n < 0 && c.op[0] == '<' || n > 0 && c.op[0] == '>' || n == 0 && len(c.op) == 2)
		}
	}
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[folded(f, v)] = true
	}
	return func(r *record) bool { return set[folded(f, s.value(f, r))] != c.not }
}

func compare(f *Field, a, b json.RawMessage) int {
	if x, ok := readNumber(plain(a)); ok {
		if y, ok := readNumber(plain(b)); ok {
			return x.Cmp(y)
		}
	}
	return strings.Compare(folded(f, a), folded(f, b))
}

// sort puts records in the order of the query, and else in that of their making.
func (s *store) sort(t *table, q *soql, found []*record) *fault {
	slices.SortFunc(found, func(a, b *record) int { return strings.Compare(a.id, b.id) })
	if q.order == "" {
		return nil
	}
	f := t.field(q.order)
	if f == nil {
		return noColumn(q.order, t)
	}
	slices.SortStableFunc(found, func(a, b *record) int {
		n := compare(f, s.value(f, a), s.value(f, b))
		if q.down {
			return -n
		}
		return n
	})
	return nil
}

func noColumn(name string, t *table) *fault {
	return refuse("INVALID_FIELD", fmt.Sprintf("No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append "+
		"the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", name, t.Name))
}
