package trial

import (
	"errors"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// Kind says what a change came to.
type Kind uint8

// The kinds of outcome.
const (
	None       Kind = iota // the target need not hear of it
	Sent                   // a record
	Failed                 // the row has no valid record
	Unresolved             // columns have to be read from the source first
)

// Outcome is what a mapping makes of a change, or is expected to make.
type Outcome struct {
	Kind Kind
	// Op is what the target is to do with a record.
	Op string
	// Key and Fields are maps as a file has them; a nil Key is not compared.
	Key, Fields *yamldoc.Node
	// Err is an error's text, or the part of it that is expected.
	Err string
	// Columns are those to be read from the source.
	Columns []string
}

var (
	keysOfExpect = []string{"op", "key", "fields", "error", "unresolved"}
	opsOfRecord  = []string{sinks.Upsert.String(), sinks.Delete.String(), sinks.Archive.String()}
)

// expect reads what is expected; nil if the file does not say, or says it wrong.
func (p *parser) expect(n *yamldoc.Node) *Outcome {
	if n == nil {
		return nil
	}
	if n.Kind == yamldoc.String && n.Text == "none" {
		return &Outcome{Kind: None}
	}
	if n.Kind != yamldoc.Map {
		p.doc.Fail(n, "not an outcome", n.Text, "write none, {key: …, fields: …}, {error: …} or {unresolved: […]}")
		return nil
	}
	s := p.doc.Section(n, keysOfExpect...)
	for _, alone := range []string{"error", "unresolved"} {
		if n.Get(alone) != nil {
			for _, k := range n.Keys {
				if k.Text != alone && slices.Contains(keysOfExpect, k.Text) {
					p.doc.Fail(k, alone+" stands alone, without", k.Text, "take one of the two out")
				}
			}
			s.Require(alone, map[string]string{"error": "Name", "unresolved": "[memo]"}[alone])
		}
	}
	if e := s.Node("error"); e != nil {
		o := &Outcome{Kind: Failed}
		p.doc.Text(e, &o.Err)
		return o
	}
	if u := s.Node("unresolved"); u != nil {
		o := &Outcome{Kind: Unresolved}
		for _, c := range p.columns(u) {
			o.Columns = append(o.Columns, c.Text)
		}
		return o
	}
	return p.record(n, s)
}

// record reads an expected record.
func (p *parser) record(n *yamldoc.Node, s *yamldoc.Section) *Outcome {
	o := &Outcome{Kind: Sent, Op: sinks.Upsert.String(), Fields: &yamldoc.Node{Kind: yamldoc.Map}}
	if op := s.Node("op"); op != nil {
		if op.Kind == yamldoc.String && slices.Contains(opsOfRecord, op.Text) {
			o.Op = op.Text
		} else {
			hint := "write one of " + nearest.List(opsOfRecord)
			if op.Text == "none" {
				hint = "write expect: none"
			}
			p.doc.Fail(op, "unknown operation", op.Text, nearest.Hint(op.Text, opsOfRecord, hint))
		}
	}
	if key := p.fields(s.Node("key"), "{"+p.subject.Key+": 1}"); key != nil {
		if o.Key = key; len(key.Keys) != 1 {
			p.doc.Fail(key, "a record has one key field", "", "write {"+p.subject.Key+": 1}")
		}
	}
	fields := s.Node("fields")
	switch {
	case o.Op != sinks.Upsert.String() && fields != nil:
		p.doc.Fail(fields, "no fields are sent with", o.Op, "take them out")
	case o.Op == sinks.Upsert.String() && fields == nil && n.Get("error") == nil && n.Get("unresolved") == nil:
		s.Require("fields", "{Name: Acme}")
	case fields != nil:
		if f := p.fields(fields, "{Name: Acme}"); f != nil {
			o.Fields = f
		}
	}
	return o
}

// fields takes a map of target fields whose values can be compared.
func (p *parser) fields(n *yamldoc.Node, example string) *yamldoc.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yamldoc.Map:
		p.doc.Fail(n, "want target fields with their values, not "+n.Kind.String(), n.Text, "write "+example)
		return nil
	}
	p.plainJSON(n) // notes what no JSON can hold
	return n
}

// outcomeOf is what Mapping.Map has said.
func outcomeOf(rec sinks.Record, send bool, err error) (*Outcome, error) {
	var unresolved *sinks.Unresolved
	switch {
	case errors.As(err, &unresolved):
		return &Outcome{Kind: Unresolved, Columns: unresolved.Columns}, nil
	case err != nil:
		// The name of the mapping is that of the file, and says nothing here.
		text := err.Error()
		if rest, ok := strings.CutPrefix(text, "map "); ok {
			if _, after, found := strings.Cut(rest, ": "); found {
				text = after
			}
		}
		return &Outcome{Kind: Failed, Err: text}, nil
	case !send:
		return &Outcome{Kind: None}, nil
	}
	o := &Outcome{Kind: Sent, Op: rec.Op.String(), Key: &yamldoc.Node{Kind: yamldoc.Map}, Fields: &yamldoc.Node{Kind: yamldoc.Map}}
	value, err := fromJSON(rec.Key.Value)
	if err != nil {
		return nil, err
	}
	add(o.Key, rec.Key.Name, value)
	for _, f := range rec.Fields {
		if value, err = fromJSON(f.Value); err != nil {
			return nil, err
		}
		add(o.Fields, f.Name, value)
	}
	return o, nil
}

// meets tells whether an outcome is the one that is expected.
func (o *Outcome) meets(want *Outcome) bool {
	if want == nil || o.Kind != want.Kind {
		return false
	}
	switch o.Kind {
	case Sent:
		return o.Op == want.Op && (want.Key == nil || same(o.Key, want.Key)) && same(o.Fields, want.Fields)
	case Failed:
		return strings.Contains(o.Err, want.Err)
	case Unresolved:
		a, b := slices.Clone(o.Columns), slices.Clone(want.Columns)
		slices.Sort(a)
		slices.Sort(b)
		return slices.Equal(a, b)
	}
	return true
}

// node gives the outcome as a file has it.
func (o *Outcome) node() *yamldoc.Node {
	n := &yamldoc.Node{Kind: yamldoc.Map}
	switch o.Kind {
	case None:
		return textNode("none")
	case Failed:
		add(n, "error", textNode(o.Err))
	case Unresolved:
		list := &yamldoc.Node{Kind: yamldoc.List}
		for _, c := range o.Columns {
			list.Values = append(list.Values, textNode(c))
		}
		add(n, "unresolved", list)
	case Sent:
		if o.Op != sinks.Upsert.String() {
			add(n, "op", textNode(o.Op))
		}
		if o.Key != nil {
			add(n, "key", o.Key)
		}
		if o.Op == sinks.Upsert.String() {
			add(n, "fields", o.Fields)
		}
	}
	return n
}
