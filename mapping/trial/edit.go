package trial

import (
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// editor collects changes of a file's text by the places of its nodes.
type editor struct {
	doc     *yamldoc.Doc
	text    string
	newline string
	edits   []edit
	// lost tells that a place was not found.
	lost bool
}

// edit puts a text in place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

func newEditor(doc *yamldoc.Doc, text string) *editor {
	e := &editor{doc: doc, text: text, newline: "\n"}
	if strings.Contains(text, "\r\n") {
		e.newline = "\r\n"
	}
	return e
}

// apply gives the changed text; false if that cannot be done.
func (e *editor) apply() (string, bool) {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, ed := range e.edits {
		if ed.start < at || e.lost {
			return "", false
		}
		b.WriteString(e.text[at:ed.start] + ed.text)
		at = ed.end
	}
	b.WriteString(e.text[at:])
	return b.String(), !e.lost && len(e.edits) > 0
}

func (e *editor) put(start, end int, text string) {
	e.edits = append(e.edits, edit{start, end, text})
}

func (e *editor) extent(n *yamldoc.Node) (start, end int) {
	start, end, ok := e.doc.Extent(n)
	if !ok {
		e.lost = true
	}
	return start, end
}

// lineStart and lineEnd are the borders of the line that a byte is in, without
// what ends it.
func (e *editor) lineStart(at int) int { return strings.LastIndexByte(e.text[:at], '\n') + 1 }

func (e *editor) lineEnd(at int) int {
	end := strings.IndexByte(e.text[at:], '\n')
	if end < 0 {
		return len(e.text)
	}
	return at + len(strings.TrimSuffix(e.text[at:at+end], "\r"))
}

// colon is the place behind the colon of a key.
func (e *editor) colon(key *yamldoc.Node) int {
	_, end := e.extent(key)
	rest := strings.TrimLeft(e.text[end:], " ")
	if !strings.HasPrefix(rest, ":") {
		e.lost = true
		return end
	}
	return len(e.text) - len(rest) + 1
}

// unwritten tells that a value is null because nothing stands there.
func unwritten(n *yamldoc.Node) bool { return n.Kind == yamldoc.Null && n.Text == "" }

// amend changes an old value into a new one, keeping what is the same.
func (e *editor) amend(key, old, value *yamldoc.Node) {
	switch {
	case same(old, value):
	case unwritten(old):
		at := e.colon(key)
		e.put(at, at, e.inline(value))
	case old.Kind == yamldoc.Map && value.Kind == yamldoc.Map && slices.ContainsFunc(old.Keys, func(k *yamldoc.Node) bool { return value.Get(k.Text) != nil }):
		e.amendMap(old, value)
	default:
		start, end := e.extent(old)
		if colon := e.colon(key); colon <= start && strings.TrimSpace(e.text[colon:start]) == "" {
			e.put(colon, end, e.inline(value))
			return
		}
		e.put(start, end, flow(value))
	}
}

func (e *editor) amendMap(old, value *yamldoc.Node) {
	for i, k := range old.Keys {
		if v := value.Get(k.Text); v != nil {
			e.amend(k, old.Values[i], v)
		} else {
			e.remove(old, i)
		}
	}
	before := -1 // the place of the new map's last key that the old one has
	for i, k := range value.Keys {
		if at := slices.IndexFunc(old.Keys, func(o *yamldoc.Node) bool { return o.Text == k.Text }); at >= 0 {
			before = at
			continue
		}
		e.insert(old, before, k.Text, value.Values[i])
	}
}

// remove takes an entry out of a map, in a block with its lines.
func (e *editor) remove(m *yamldoc.Node, i int) {
	start, _ := e.extent(m.Keys[i])
	end := e.colon(m.Keys[i])
	if !unwritten(m.Values[i]) {
		_, end = e.extent(m.Values[i])
	}
	switch {
	case m.Flow() && i+1 < len(m.Keys):
		end, _ = e.extent(m.Keys[i+1])
	case m.Flow() && i > 0:
		if start = e.colon(m.Keys[i-1]); !unwritten(m.Values[i-1]) {
			_, start = e.extent(m.Values[i-1])
		}
	case !m.Flow():
		line := e.lineStart(start)
		if strings.TrimSpace(e.text[line:start]) != "" {
			e.lost = true // something else stands in its first line
		}
		start, end = line, e.lineEnd(end)
		if next := strings.IndexByte(e.text[end:], '\n'); next >= 0 {
			end += next + 1
		}
	}
	e.put(start, end, "")
}

// insert adds an entry behind the one at a place of the map, or before all.
func (e *editor) insert(m *yamldoc.Node, behind int, key string, value *yamldoc.Node) {
	indent := m.Keys[0].Column - 1
	if behind < 0 {
		start, _ := e.extent(m.Keys[0])
		text := textYAML(key) + ":" + e.inline(value) + ", "
		if !m.Flow() {
			text = textYAML(key) + ":" + e.layout(value, indent) + e.newline + strings.Repeat(" ", indent)
		}
		e.put(start, start, text)
		return
	}
	end := e.colon(m.Keys[behind])
	if !unwritten(m.Values[behind]) {
		_, end = e.extent(m.Values[behind])
	}
	if m.Flow() {
		e.put(end, end, ", "+textYAML(key)+":"+e.inline(value))
		return
	}
	end = e.lineEnd(end)
	e.put(end, end, e.newline+strings.Repeat(" ", indent)+textYAML(key)+":"+e.layout(value, indent))
}

// width is up to where a value is written in one line.
const width = 100

func (e *editor) inline(value *yamldoc.Node) string { return " " + flow(value) }

// layout writes the value of a key that is indented so far: in one line where
// that is short, else a line for each entry.
func (e *editor) layout(value *yamldoc.Node, indent int) string {
	one := e.inline(value)
	nested := value.Get("key") != nil && value.Get("fields") != nil // a whole record has lines of its own
	if value.Kind != yamldoc.Map || len(value.Keys) == 0 || !nested && indent+len(one) <= width {
		return one
	}
	var b strings.Builder
	indent += 2
	for i, k := range value.Keys {
		b.WriteString(e.newline + strings.Repeat(" ", indent) + textYAML(k.Text) + ":")
		if k.Text == "fields" {
			b.WriteString(e.layout(value.Values[i], indent))
		} else {
			b.WriteString(e.inline(value.Values[i]))
		}
	}
	return b.String()
}

// amendExpect changes what is expected field by field. It is for records that
// stay records.
func (e *editor) amendExpect(test *yamldoc.Node, got *Outcome) {
	old := test.Get("expect")
	if old == nil || old.Kind != yamldoc.Map || got.Kind != Sent || old.Get("key") == nil && old.Get("fields") == nil {
		e.lost = true
		return
	}
	value := got.node()
	if old.Get("op") != nil && value.Get("op") == nil { // it may be said
		value = &yamldoc.Node{Kind: yamldoc.Map}
		add(value, "op", textNode(got.Op))
		add(value, "key", got.Key)
		add(value, "fields", got.Fields)
	}
	if old.Get("key") == nil { // it is not compared
		value = without(value, "key")
	}
	e.amendMap(old, value)
}

// writeExpect writes what is expected anew.
func (e *editor) writeExpect(test *yamldoc.Node, got *Outcome) {
	at := slices.IndexFunc(test.Keys, func(k *yamldoc.Node) bool { return k.Text == "expect" })
	value := got.node()
	if at < 0 {
		e.insert(test, len(test.Keys)-1, "expect", value)
		return
	}
	key, old := test.Keys[at], test.Values[at]
	text := e.layout(value, key.Column-1)
	colon := e.colon(key)
	if unwritten(old) {
		if test.Flow() || strings.TrimSpace(e.text[colon:e.lineEnd(colon)]) != "" {
			text = e.inline(value)
		}
		e.put(colon, colon, text)
		return
	}
	start, end := e.extent(old)
	if e.lost {
		return
	}
	between, behind := e.text[colon:start], e.text[end:e.lineEnd(end)]
	if test.Flow() || strings.TrimSpace(between) != "" || strings.TrimSpace(behind) != "" {
		e.put(start, end, flow(value)) // comments stay where they are
		return
	}
	e.put(colon, end, text)
}
