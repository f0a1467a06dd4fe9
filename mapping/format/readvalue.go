package format

import (
	"strings"
)

// value reads the value of an entry, which may be in the lines below. There it is
// indented deeper than indent, but for a list that is a key's.
func (r *reader) value(e *entry, column, indent int) {
	text := r.line()[min(column, len(r.line())):]
	switch {
	case text == "" || text[0] == '#':
		r.at++
		r.below(e, indent)
		if comment := strings.TrimRight(text, " \t"); e.value.comment == "" {
			e.value.comment = comment
		} else if comment != "" {
			e.lead = append(e.lead, comment)
		}
	case text[0] == '|' || text[0] == '>':
		e.value = r.blockText(text, indent)
	case text[0] == '{' || text[0] == '[':
		e.value = r.flow(column)
		e.value.flow = !e.value.open
	case text[0] == '"' || text[0] == '\'':
		e.value = r.quoted(column)
	default:
		e.value = r.plain(text, indent)
	}
}

// below reads a value in the lines below its key or dash.
func (r *reader) below(e *entry, indent int) {
	r.held = r.between()
	in := indentOf(r.line())
	flush := e.key != "" && in == indent && isItem(r.line()[in:])
	switch {
	case r.end() || in <= indent && !flush:
		e.value = &value{}
	case isItem(r.line()[in:]) || keyLength(r.line()[in:]) > 0:
		foot := in
		if flush {
			foot++ // a comment that is no deeper than the list belongs to the next key
		}
		e.value = r.block(in, foot)
	default: // a scalar or brackets in a line of their own
		e.lead = append(e.lead, texts(r.between())...)
		r.value(e, in, indent)
	}
}

// remark takes the comment behind a value, and goes to the next line.
func (r *reader) remark(column int) string {
	rest := strings.Trim(r.line()[min(column, len(r.line())):], " \t")
	if rest != "" && (rest[0] != '#' || !isBlank(r.line()[column])) {
		r.fail(column, "text behind a value")
	}
	r.at++
	return rest
}

// blockText reads a literal or folded text.
func (r *reader) blockText(text string, indent int) *value {
	v := &value{kind: block}
	v.text, v.comment = cutComment(text)
	if !blockHeader.MatchString(v.text) {
		r.fail(0, "a block of text with an unknown header")
	}
	base := -1
	if i := strings.IndexAny(v.text, "123456789"); i >= 0 {
		base = indent + int(v.text[i]-'0')
	}
	for r.at++; !r.end(); r.at++ {
		line := r.line()
		if in := indentOf(line); in < len(line) {
			if base < 0 && in > indent {
				base = in
			}
			if in < base || base < 0 {
				break
			}
		}
		if base < 0 {
			line = ""
		}
		v.more = append(v.more, line[min(max(base, 0), len(line)):])
	}
	if r.end() && len(v.more) > 0 && v.more[len(v.more)-1] != "" {
		v.text = strings.Trim(v.text, "+-") + "-" // the file ends without a line break, and so does the text
	}
	keep := len(v.more)
	for keep > 0 && v.more[keep-1] == "" && !strings.Contains(v.text, "+") {
		keep--
	}
	if keep < len(v.more) {
		r.held = []trivia{{}}
	}
	v.more = v.more[:keep]
	if r.end() && strings.Contains(v.text, "+") && keep > 0 && v.more[keep-1] == "" {
		v.more = v.more[:keep-1] // it is what is behind the last line break
	}
	return v
}

// quoted reads a text in quotes, which may run over several lines.
func (r *reader) quoted(column int) *value {
	v := &value{kind: scalar}
	v.text, v.more, column = r.quotes(column)
	v.comment = r.remark(column)
	return v
}

// quotes reads from a quote to the one that closes it; end is what is behind that.
func (r *reader) quotes(column int) (first string, more []string, end int) {
	q, start := r.line()[column], r.at
	text := r.line()[column:]
	n := closing(text, 1, q)
	if n > 0 {
		return text[:n], nil, column + n
	}
	for first = trimEnd(text); n == 0; {
		if r.at++; r.end() {
			r.at = start
			r.fail(column, "a quote that is not closed")
		}
		text = r.line()
		if n = closing(text, 0, q); n == 0 {
			more = append(more, strings.TrimLeft(trimEnd(text), " \t"))
		}
	}
	return first, append(more, strings.TrimLeft(text[:n], " \t")), n
}

// trimEnd takes blanks away that end a line of a text in quotes; what is escaped is none.
func trimEnd(line string) string {
	if t := strings.TrimRight(line, " \t"); !strings.HasSuffix(t, `\`) {
		return t
	}
	return line
}

// plain reads a text without quotes, which may run over several lines.
func (r *reader) plain(text string, indent int) *value {
	v := &value{kind: scalar}
	v.text, v.comment = cutComment(text)
	for r.at++; v.comment == ""; r.at++ {
		next := r.at
		for next < len(r.lines) && strings.TrimSpace(r.lines[next]) == "" {
			next++
		}
		if next == len(r.lines) || indentOf(r.lines[next]) <= indent || strings.TrimSpace(r.lines[next])[0] == '#' {
			break
		}
		for ; r.at < next; r.at++ {
			v.more = append(v.more, "")
		}
		var line string
		line, v.comment = cutComment(strings.TrimSpace(r.line()))
		v.more = append(v.more, line)
	}
	return v
}

func cutComment(text string) (before, comment string) {
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && isBlank(text[i-1]) {
			return strings.TrimRight(text[:i], " \t"), strings.TrimRight(text[i:], " \t")
		}
	}
	return strings.TrimRight(text, " \t"), ""
}
