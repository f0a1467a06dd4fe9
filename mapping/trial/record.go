package trial

import (
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Recording is the text of a file after Record.
type Recording struct {
	Text string
	// Recorded are the tests whose outcome was written, Missed those that it could
	// not be written of.
	Recorded, Missed []*Case
}

// Record writes what the mapping makes into the file's text, as what is expected,
// for every test that is chosen and does not pass. Nothing else of the text
// changes. What was written is read again and run before it counts.
func (s *Suite) Record(m *mapping.Mapping, chosen func(*Case) bool) Recording {
	rec := Recording{}
	now := s
	for i, c := range s.Cases {
		r := now.Run(m, now.Cases[i])
		if !chosen(c) || r.Passed || r.Got == nil {
			continue
		}
		next := now.recorded(m, i, r.Got)
		if next == nil {
			rec.Missed = append(rec.Missed, c)
			continue
		}
		now = next
		rec.Recorded = append(rec.Recorded, c)
	}
	rec.Text = now.text
	return rec
}

// recorded writes one outcome: first field by field, which keeps the comments
// between them, then as a whole. It is nil if neither way gives a file that is
// otherwise the same.
func (s *Suite) recorded(m *mapping.Mapping, i int, got *Outcome) *Suite {
	for _, write := range []func(*editor, *yamldoc.Node, *Outcome){(*editor).amendExpect, (*editor).writeExpect} {
		e := newEditor(s.doc, s.text)
		write(e, s.Cases[i].node, got)
		text, ok := e.apply()
		if !ok {
			continue
		}
		next, err := Parse(s.Path, []byte(text), s.subject)
		if err == nil && s.differsOnlyIn(next, i) && next.Run(m, next.Cases[i]).Passed {
			return next
		}
	}
	return nil
}

// differsOnlyIn tells that another text of the file says the same, but for what
// one test expects.
func (s *Suite) differsOnlyIn(next *Suite, i int) bool {
	if len(next.Cases) != len(s.Cases) || !identical(without(s.doc.Root, "tests"), without(next.doc.Root, "tests")) {
		return false
	}
	for j, c := range s.Cases {
		a, b := c.node, next.Cases[j].node
		if j == i {
			a, b = without(a, "expect"), without(b, "expect")
		}
		if !identical(a, b) {
			return false
		}
	}
	return true
}

func without(n *yamldoc.Node, key string) *yamldoc.Node {
	rest := &yamldoc.Node{Kind: n.Kind}
	for i, k := range n.Keys {
		if k.Text != key {
			add(rest, k.Text, n.Values[i])
		}
	}
	return rest
}

func identical(a, b *yamldoc.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Keys) != len(b.Keys) || len(a.Values) != len(b.Values) {
		return false
	}
	for i := range a.Keys {
		if a.Keys[i].Text != b.Keys[i].Text {
			return false
		}
	}
	for i := range a.Values {
		if !identical(a.Values[i], b.Values[i]) {
			return false
		}
	}
	return true
}
