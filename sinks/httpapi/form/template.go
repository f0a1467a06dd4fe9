package form

import (
	"fmt"
	"slices"
	"strings"
)

// mark is what a placeholder stands for.
type mark string

// The placeholders.
const (
	markText     mark = "" // the text between them
	markObject   mark = "object"
	markMapping  mark = "mapping"
	markMessage  mark = "message_id"
	markOp       mark = "op"
	markKey      mark = "key"
	markKeyName  mark = "key.name"
	markKeyText  mark = "key.text"
	markField    mark = "field"
	markFields   mark = "fields"
	markRow      mark = "row"
	markID       mark = "id"
	markPosition mark = "position"
	markRecords  mark = "records"
	markUpserts  mark = "upserts"
	markDeletes  mark = "deletes"
	markKeys     mark = "keys"
)

// The placeholders by where they mean something.
var (
	ofRequest = []mark{markObject, markMapping, markMessage}
	ofRecord  = []mark{markOp, markKey, markKeyName, markKeyText, markID, markPosition, markField}
	wholes    = []mark{markFields, markRow}
	lists     = []mark{markRecords, markUpserts, markDeletes, markKeys}
)

// alone tells whether a placeholder stands for what is no text, so that it can only be a text
// as a whole.
func (m mark) alone() bool { return slices.Contains(wholes, m) || slices.Contains(lists, m) }

// part is a piece of a template: a text, or a placeholder.
type part struct {
	mark mark
	text string // of markText; of markField its name
}

func (p part) String() string {
	if p.mark == markField {
		return "{field." + p.text + "}"
	}
	return "{" + string(p.mark) + "}"
}

// template is a text with placeholders.
type template []part

// whole gives the placeholder that a template is nothing but; false if it has text too.
func (t template) whole() (part, bool) {
	if len(t) == 1 && t[0].mark != markText {
		return t[0], true
	}
	return part{}, false
}

func (t template) has(marks ...mark) bool {
	return slices.ContainsFunc(t, func(p part) bool { return slices.Contains(marks, p.mark) })
}

// parse reads a template, of which the placeholders have to be among some. {{ and }} are
// braces.
func parse(text string, allowed []mark) (t template, err error) {
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			t = append(t, part{text: plain.String()})
			plain.Reset()
		}
	}
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			plain.WriteString(rest)
			break
		}
		plain.WriteString(rest[:i])
		rest = rest[i:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			plain.WriteByte(rest[0])
			rest = rest[2:]
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if rest[0] == '}' || !closed {
			return nil, fmt.Errorf("a single %s; write %s%s for a brace", rest[:1], rest[:1], rest[:1])
		}
		flush()
		p, err := placeholder(name, allowed)
		if err != nil {
			return nil, err
		}
		t, rest = append(t, p), after
	}
	flush()
	if len(t) > 1 {
		for _, p := range t {
			if p.mark.alone() {
				return nil, fmt.Errorf("%s is no text: it has to stand alone", p)
			}
		}
	}
	return t, nil
}

func placeholder(name string, allowed []mark) (part, error) {
	p := part{mark: mark(name)}
	if field, ok := strings.CutPrefix(name, "field."); ok && field != "" {
		p = part{mark: markField, text: field}
	}
	if p.mark == markText || p.mark == markField && p.text == "" || !slices.Contains(allowed, p.mark) {
		return p, fmt.Errorf("nothing is known as {%s} here; write one of %s", name, list(allowed))
	}
	return p, nil
}

func list(marks []mark) string {
	names := make([]string, len(marks))
	for i, m := range marks {
		names[i] = "{" + string(m) + "}"
		if m == markField {
			names[i] = "{field.NAME}"
		}
	}
	return strings.Join(names, ", ")
}
