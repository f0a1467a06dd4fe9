package trial

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// plainJSON gives a value as JSON, in the order of the file.
func (p *parser) plainJSON(n *yamldoc.Node) (string, bool) { return p.generic(n, false) }

// generic gives a value as JSON; for jsonb in the form of that type, which orders
// keys by length, has a space behind commas and colons, and no exponents.
func (p *parser) generic(n *yamldoc.Node, binary bool) (string, bool) {
	space := ""
	if binary {
		space = " "
	}
	ok := true
	switch n.Kind {
	case yamldoc.Null:
		return "null", true
	case yamldoc.Bool:
		return strings.ToLower(n.Text), true
	case yamldoc.List:
		items := make([]string, len(n.Values))
		for i, v := range n.Values {
			text, fine := p.generic(v, binary)
			items[i], ok = text, ok && fine
		}
		return "[" + strings.Join(items, ","+space) + "]", ok
	case yamldoc.Map:
		order := make([]int, len(n.Keys))
		for i := range order {
			order[i] = i
		}
		if binary {
			slices.SortFunc(order, func(a, b int) int { return compareKeys(n.Keys[a].Text, n.Keys[b].Text) })
		}
		items := make([]string, len(order))
		for i, at := range order {
			text, fine := p.generic(n.Values[at], binary)
			items[i], ok = quoteJSON(n.Keys[at].Text)+":"+space+text, ok && fine
		}
		return "{" + strings.Join(items, ","+space) + "}", ok
	}
	text, is := number(n)
	switch {
	case !is && n.Kind == yamldoc.Number:
		p.doc.Fail(n, "not a number as JSON has it:", n.Text, "write it as 12.50, or quote it if it is text")
		return "null", false
	case !is:
		return quoteJSON(n.Text), true
	case binary:
		if d, ok := parseDecimal(text); ok {
			return d.plain(-1), true
		}
		p.doc.Fail(n, "more digits than can be calculated with", text, "write a shorter number")
		return "null", false
	}
	return text, true
}

// compareKeys orders as jsonb does.
func compareKeys(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// fromJSON makes of JSON what a file with the same value would hold.
func fromJSON(raw []byte) (*yamldoc.Node, error) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	n, err := decodeNode(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("read value: more than one")
	}
	return n, nil
}

func decodeNode(d *json.Decoder) (*yamldoc.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	switch t := t.(type) {
	case bool:
		return &yamldoc.Node{Kind: yamldoc.Bool, Text: fmt.Sprint(t)}, nil
	case json.Number:
		return &yamldoc.Node{Kind: yamldoc.Number, Text: t.String()}, nil
	case string:
		return textNode(t), nil
	case json.Delim:
		return decodeNested(d, t == '{')
	}
	return &yamldoc.Node{Text: "null"}, nil
}

func decodeNested(d *json.Decoder, object bool) (*yamldoc.Node, error) {
	n := &yamldoc.Node{Kind: yamldoc.List}
	if object {
		n.Kind = yamldoc.Map
	}
	for d.More() {
		if object {
			k, err := decodeNode(d)
			if err != nil {
				return nil, err
			}
			n.Keys = append(n.Keys, k)
		}
		v, err := decodeNode(d)
		if err != nil {
			return nil, err
		}
		n.Values = append(n.Values, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	return n, nil
}

func textNode(text string) *yamldoc.Node { return &yamldoc.Node{Kind: yamldoc.String, Text: text} }

// mapNode adds a key to a map.
func add(n *yamldoc.Node, key string, value *yamldoc.Node) {
	n.Keys = append(n.Keys, textNode(key))
	n.Values = append(n.Values, value)
}

// same tells whether two values are equal: numbers by their value, maps whatever
// their order. A number is never a text.
func same(a, b *yamldoc.Node) bool {
	x, isNumber := number(a)
	y, isNumberToo := number(b)
	switch {
	case isNumber || isNumberToo:
		return isNumber && isNumberToo && sameNumber(x, y)
	case a.Kind != b.Kind || len(a.Values) != len(b.Values):
		return false
	case a.Kind == yamldoc.Bool:
		return strings.EqualFold(a.Text, b.Text)
	case a.Kind == yamldoc.String:
		return a.Text == b.Text
	}
	for i, v := range a.Values {
		other := b.Values[i]
		if a.Kind == yamldoc.Map {
			if other = b.Get(a.Keys[i].Text); other == nil {
				return false
			}
		}
		if !same(v, other) {
			return false
		}
	}
	return true
}
