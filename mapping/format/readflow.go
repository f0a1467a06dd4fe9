package format

import "strings"

// flow reads {…} or […] that begins at a column of the current line, and what is behind
// it in its last line.
func (r *reader) flow(column int) *value {
	f := &flowReader{r: r, column: column}
	v := f.collection()
	if comment := r.remark(f.column); v.comment == "" {
		v.comment = comment
	} else if comment != "" {
		v.foot = append(v.foot, comment)
	}
	return v
}

// note keeps a comment behind an entry, or else above it.
func (e *entry) note(comment string) {
	if comment != "" && e.value.comment == "" {
		e.value.comment = comment
	} else if comment != "" {
		e.lead = append(e.lead, comment)
	}
}

// flowReader reads within braces.
type flowReader struct {
	r      *reader
	column int
	depth  int
}

func (f *flowReader) rest() string { return f.r.line()[min(f.column, len(f.r.line())):] }

// space goes over blanks, line breaks and comments, and gives the latter: that in the
// same line, and those in lines of their own.
func (f *flowReader) space(v *value) (comment string, own []string) {
	for broken := false; ; {
		rest := strings.TrimLeft(f.rest(), " \t")
		f.column = len(f.r.line()) - len(rest)
		switch {
		case f.r.end():
			f.r.at--
			f.r.fail(f.column, "brackets that are not closed")
		case rest == "":
			if broken && f.column == len(f.r.line()) && strings.TrimSpace(f.r.line()) == "" {
				own = append(own, "")
			}
			f.r.at, f.column, broken, v.open = f.r.at+1, 0, true, true
		case rest[0] == '#':
			text := strings.TrimRight(rest, " \t")
			if broken {
				own = append(own, text)
			} else {
				comment = text
			}
			f.r.at, f.column, broken, v.open = f.r.at+1, 0, true, true
		default:
			return comment, own
		}
	}
}

func (f *flowReader) collection() *value {
	if f.depth++; f.depth > maxDepth {
		f.r.fail(f.column, "brackets nested too deep")
	}
	defer func() { f.depth-- }()
	v := &value{kind: mapping, flow: true}
	closing := byte('}')
	if f.rest()[0] == '[' {
		v.kind, closing = list, ']'
	}
	f.column++
	var own []string
	v.comment, own = f.space(v)
	for f.rest()[0] != closing {
		e := &entry{lead: own}
		own = nil
		f.entry(v, e)
		v.entries = append(v.entries, e)
		f.behind(v, e)
		if f.rest()[0] == ',' {
			f.column++
			comment, below := f.space(v)
			e.note(comment)
			own = below
		} else if f.rest()[0] != closing {
			f.r.fail(f.column, "something that is neither a comma nor the closing bracket")
		}
	}
	v.foot = own
	f.column++
	for _, e := range v.entries {
		v.open = v.open || e.value.open || len(e.value.more) > 0
	}
	return v
}

// behind keeps the comments between an entry and its comma.
func (f *flowReader) behind(v *value, e *entry) {
	comment, own := f.space(v)
	e.note(comment)
	e.lead = append(e.lead, comments(own)...)
}

// entry reads a key and its value, or an item.
func (f *flowReader) entry(v *value, e *entry) {
	first := f.scalarOrCollection(v)
	text := first.text
	inKey, below := f.space(v)
	if f.rest()[0] != ':' {
		if v.kind == list {
			e.value = first
		} else {
			e.key, e.value = text, &value{}
			f.mustBeKey(first)
		}
		e.note(inKey)
		e.lead = append(e.lead, comments(below)...)
		return
	}
	f.mustBeKey(first)
	f.column++
	behind, deeper := f.space(v)
	pair := &entry{key: text, colon: true, value: &value{}}
	if c := f.rest()[0]; c != ',' && c != '}' && c != ']' {
		pair.value = f.scalarOrCollection(v)
	}
	for _, c := range append(append([]string{inKey, behind}, below...), deeper...) {
		if c != "" {
			e.lead = append(e.lead, c)
		}
	}
	if v.kind == mapping {
		e.key, e.colon, e.value = pair.key, true, pair.value
		return
	}
	open := pair.value.open || len(pair.value.more) > 0
	e.value = &value{kind: mapping, flow: !open, open: open, entries: []*entry{pair}}
}

// mustBeKey refuses keys that are no text in one line, or that only stand within brackets.
func (f *flowReader) mustBeKey(v *value) {
	if v.kind != scalar || len(v.more) > 0 {
		f.r.fail(f.column, "a key that is no text in one line")
	}
	// The library takes {%: a}, but YAML has no such plain text, and outside of brackets the
	// library does not take it either.
	if keyLength(v.text+":") != len(v.text)+1 {
		f.r.fail(f.column, "a key that needs quotes")
	}
}

func comments(all []string) []string {
	var out []string
	for _, c := range all {
		if c != "" {
			out = append(out, c)
		}
	}
	return out
}

func (f *flowReader) scalarOrCollection(in *value) *value {
	switch f.rest()[0] {
	case '{', '[':
		v := f.collection()
		v.flow = !v.open
		return v
	case '"', '\'':
		v := &value{kind: scalar}
		v.text, v.more, f.column = f.r.quotes(f.column)
		return v
	}
	var parts []string
	for {
		n := f.plainLength(f.rest())
		if n == 0 && len(parts) == 0 {
			f.r.fail(f.column, "a value that is missing")
		}
		parts = append(parts, strings.TrimRight(f.rest()[:n], " \t"))
		f.column += n
		if f.rest() != "" || f.r.at+1 >= len(f.r.lines) {
			break
		}
		next := strings.TrimLeft(f.r.lines[f.r.at+1], " \t")
		if next == "" || next[0] == '#' || f.plainLength(next) == 0 {
			break
		}
		f.r.at, in.open = f.r.at+1, true
		f.column = len(f.r.line()) - len(next)
	}
	return &value{kind: scalar, text: strings.Join(parts, " ")}
}

// plainLength gives the length of a text without quotes within brackets.
func (f *flowReader) plainLength(text string) int {
	for i := range len(text) {
		switch c := text[i]; {
		case strings.IndexByte(",[]{}", c) >= 0,
			c == ':' && (i+1 == len(text) || isBlank(text[i+1]) || strings.IndexByte(",[]{}", text[i+1]) >= 0),
			c == '#' && i > 0 && isBlank(text[i-1]):
			return i
		}
	}
	return len(text)
}

// maxDepth is how deep brackets may be nested; yamldoc allows less.
const maxDepth = 100
