package format

import (
	"strings"
	"unicode/utf8"
)

// line is a line of the file with the comment behind it. Below one that is open a blank
// line would belong to its text.
type line struct {
	text, comment string
	open          bool
}

type printer struct{ lines []line }

// render writes a tree.
func render(d *document) string {
	p := &printer{}
	if d.root == nil {
		p.comments(d.head, 0)
	} else {
		p.lead(d.head, 0, true)
		if len(d.root.entries) == 0 {
			p.add("{}", "")
		}
		p.entries(d.root, 0)
		p.comments(d.root.foot, 0)
	}
	p.align()
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.text + l.comment + "\n")
	}
	return b.String()
}

func (p *printer) add(text, comment string) {
	p.lines = append(p.lines, line{text: text, comment: comment})
}

// comments writes comments in lines of their own, and one blank line where there are
// several, none at the beginning of the file or below a blank one.
func (p *printer) comments(all []string, indent int) {
	for i, c := range all {
		if c != "" {
			p.add(spaces(indent)+c, "")
			continue
		}
		if !blankOnly(all[i:]) {
			p.blank()
		}
	}
}

// lead writes what is above an entry.
func (p *printer) lead(all []string, indent int, first bool) {
	for len(all) > 0 && all[0] == "" && first {
		all = all[1:]
	}
	p.comments(all, indent)
	if len(all) > 0 && all[len(all)-1] == "" {
		p.blank()
	}
}

// blank writes a blank line if there is none above.
func (p *printer) blank() {
	if n := len(p.lines); n > 0 && p.lines[n-1].text != "" && !p.lines[n-1].open {
		p.add("", "")
	}
}

func blankOnly(all []string) bool {
	for _, c := range all {
		if c != "" {
			return false
		}
	}
	return true
}

func spaces(n int) string { return strings.Repeat(" ", n) }

func (p *printer) entries(v *value, indent int) {
	for i, e := range v.entries {
		p.lead(e.lead, indent, i == 0 && (indent > 0 || len(p.lines) == 0))
		if v.kind == mapping {
			p.value(spaces(indent)+unquoted(e.key)+":", e, indent)
		} else {
			p.item(e, indent)
		}
		p.comments(e.tail, indent+2)
	}
}

// item writes an item of a list. A collection begins in the line of the dash.
func (p *printer) item(e *entry, indent int) {
	if !e.value.isBlock() || len(e.value.entries) == 0 {
		p.value(spaces(indent)+"-", e, indent)
		return
	}
	at := len(p.lines)
	p.entries(e.value, indent+2)
	p.lines[at].text = spaces(indent) + "-" + p.lines[at].text[indent+1:]
	p.comments(e.value.foot, indent+2)
}

func (v *value) isBlock() bool { return (v.kind == mapping || v.kind == list) && !v.flow }

// value writes a value behind its key or dash, and below it.
func (p *printer) value(key string, e *entry, indent int) {
	v := e.value
	switch {
	case v.kind == nothing:
		p.add(key, v.comment)
	case v.isBlock() && len(v.entries) > 0:
		p.add(key, v.comment)
		p.entries(v, indent+2)
		p.comments(v.foot, indent+2)
	case v.kind == mapping, v.kind == list:
		p.add(key+" "+inline(v), v.comment)
		p.comments(v.foot, indent+2)
	case len(v.more) == 0:
		p.add(key+" "+inline(v), v.comment)
	default:
		p.text(key, v, indent)
	}
}

// text writes a scalar of several lines.
func (p *printer) text(key string, v *value, indent int) {
	lines := append([]string{v.text}, v.more...)
	for i, l := range lines {
		text, comment := l, ""
		if i == 0 {
			text = key + " " + l
		} else if l != "" {
			text = spaces(indent+2) + l
		}
		if i == 0 && v.kind == block || i == len(lines)-1 && v.kind == scalar {
			comment = v.comment
		}
		p.add(text, comment)
	}
	p.lines[len(p.lines)-1].open = v.kind == block && strings.Contains(v.text, "+")
}

// inline writes a value that is in one line.
func inline(v *value) string {
	switch v.kind {
	case scalar:
		return unquoted(v.text)
	case block, nothing:
		return v.text
	}
	var parts []string
	for _, e := range v.entries {
		part := inline(e.value)
		if v.kind == mapping {
			key := unquoted(e.key)
			switch {
			case e.value.kind != nothing:
				part = key + ": " + part
			case e.colon:
				part = key + ":"
			default:
				part = key
			}
		}
		parts = append(parts, part)
	}
	if v.kind == mapping {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// wide is how wide a line may be for the comment of another to be put below its own.
const wide = 70

// align puts the comments behind neighbouring lines below each other.
func (p *printer) align() {
	for from := 0; from < len(p.lines); {
		to, width := from, 0
		for to < len(p.lines) && p.lines[to].comment != "" && utf8.RuneCountInString(p.lines[to].text) <= wide {
			width = max(width, utf8.RuneCountInString(p.lines[to].text))
			to++
		}
		for i := from; i < to; i++ {
			l := &p.lines[i]
			l.comment = spaces(width-utf8.RuneCountInString(l.text)+2) + l.comment
		}
		if to == from {
			if l := &p.lines[from]; l.comment != "" {
				l.comment = "  " + l.comment
			}
			to++
		}
		from = to
	}
}
