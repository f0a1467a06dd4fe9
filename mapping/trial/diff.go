package trial

import (
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Line is one line of a comparison.
type Line struct {
	// Mark is '-' for what is expected, '+' for what the mapping made, and a
	// space for what tells where in the record this is.
	Mark byte
	Text string
}

// String gives the line as it is shown.
func (l Line) String() string { return string(l.Mark) + " " + l.Text }

// Diff shows where a result is not what is expected; nothing if it passed.
func (r Result) Diff() []Line {
	switch {
	case r.Passed || r.Got == nil:
		return nil
	case r.Case.expect == nil:
		return mark('+', r.Got.lines())
	case r.Case.expect.Kind != Sent || r.Got.Kind != Sent:
		return append(mark('-', r.Case.expect.lines()), mark('+', r.Got.lines())...)
	}
	want, got := r.Case.expect, r.Got
	var lines []Line
	if want.Op != got.Op {
		lines = append(lines, Line{'-', "op: " + want.Op}, Line{'+', "op: " + got.Op})
	}
	if want.Key != nil {
		lines = append(lines, compare("key", want.Key, got.Key)...)
	}
	return append(lines, compare("fields", want.Fields, got.Fields)...)
}

// compare shows the fields that differ, those of the mapping in its order and
// then those that only the test has.
func compare(name string, want, got *yamldoc.Node) (lines []Line) {
	differs := func(sign byte, key string, v *yamldoc.Node) {
		if len(lines) == 0 {
			lines = append(lines, Line{' ', name + ":"})
		}
		lines = append(lines, Line{sign, "  " + textYAML(key) + ": " + flow(v)})
	}
	for i, k := range got.Keys {
		w := want.Get(k.Text)
		if w != nil && same(w, got.Values[i]) {
			continue
		}
		if w != nil {
			differs('-', k.Text, w)
		}
		differs('+', k.Text, got.Values[i])
	}
	for i, k := range want.Keys {
		if got.Get(k.Text) == nil {
			differs('-', k.Text, want.Values[i])
		}
	}
	return lines
}

func mark(sign byte, texts []string) []Line {
	lines := make([]Line, len(texts))
	for i, t := range texts {
		lines[i] = Line{sign, t}
	}
	return lines
}

// lines shows an outcome with a field in each line.
func (o *Outcome) lines() []string {
	n := o.node()
	if n.Kind != yamldoc.Map {
		return []string{flow(n)}
	}
	var lines []string
	if o.Kind == Sent && n.Get("op") == nil {
		lines = append(lines, "op: "+o.Op)
	}
	for i, k := range n.Keys {
		v := n.Values[i]
		if k.Text != "fields" || len(v.Keys) == 0 {
			lines = append(lines, k.Text+": "+flow(v))
			continue
		}
		lines = append(lines, "fields:")
		for j, f := range v.Keys {
			lines = append(lines, "  "+textYAML(f.Text)+": "+flow(v.Values[j]))
		}
	}
	return lines
}

func list(names []string) string { return strings.Join(names, ", ") }
