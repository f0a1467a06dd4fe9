package format

import (
	"regexp"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// reader goes through the lines of a file whose syntax is right.
type reader struct {
	lines []string
	at    int
	// held are comments and blank lines that were read, and belong to what comes next.
	held []trivia
}

// trivia is a comment in a line of its own, or "" for a blank line.
type trivia struct {
	text   string
	indent int
}

// strange is what is not known how to be kept; it is thrown as a panic within the reader.
type strange struct {
	line, column int
	what         string
}

func (r *reader) fail(column int, what string) {
	panic(strange{line: r.at + 1, column: column + 1, what: what})
}

// read makes a tree of a text.
func read(doc *yamldoc.Doc, text string) (d *document, err error) {
	text = strings.TrimPrefix(text, "\uFEFF")
	r := &reader{lines: strings.Split(text, "\n")}
	defer func() {
		switch s := recover().(type) {
		case nil:
		case strange:
			doc.Fail(&yamldoc.Node{Line: s.line, Column: s.column}, s.what, "", "write it in the common form: keys with a colon, two spaces for each level")
			d, err = nil, doc.Err()
		default:
			panic(s)
		}
	}()
	for i, l := range r.lines {
		r.lines[i] = strings.TrimSuffix(l, "\r")
		if n := strings.IndexByte(r.lines[i], '\r'); n >= 0 {
			r.at = i
			r.fail(n, "a carriage return within a line")
		}
	}
	return r.document(), nil
}

func (r *reader) document() *document {
	first := r.between()
	if line := r.line(); line == "---" || strings.HasPrefix(line, "--- ") {
		rest := strings.TrimSpace(line[3:])
		if rest != "" && rest[0] != '#' {
			r.fail(4, "text behind the ---")
		}
		r.at++
		if rest != "" {
			first = append(first, trivia{text: rest})
		}
		first = append(first, r.between()...)
	}
	if r.end() {
		return &document{head: texts(first)}
	}
	d := &document{}
	d.head, first = headOf(first)
	r.held = first
	indent := indentOf(r.line())
	if c := r.line()[indent]; c == '{' {
		lead := texts(r.between())
		d.root = r.flow(indent)
		d.root.flow, d.root.open = false, true
		if len(d.root.entries) > 0 {
			d.root.entries[0].lead = append(lead, d.root.entries[0].lead...)
		}
		if d.root.comment != "" {
			d.head = append(d.head, d.root.comment, "")
		}
		d.root.foot = append(d.root.foot, texts(r.between())...)
	} else {
		d.root = r.block(indent, indent)
		d.root.foot = append(d.root.foot, texts(r.between())...)
	}
	if !r.end() {
		r.fail(0, "a line that belongs to nothing above it")
	}
	return d
}

// headOf splits what is above the first key: the comments of the file are those with a
// blank line below them, and the one that names the schema.
func headOf(all []trivia) (head []string, lead []trivia) {
	n := 0
	for i, t := range all {
		if t.text == "" || strings.HasPrefix(t.text, "# yaml-language-server:") {
			n = i + 1
		}
	}
	return texts(all[:n]), all[n:]
}

func texts(all []trivia) []string {
	var out []string
	for _, t := range all {
		out = append(out, t.text)
	}
	return out
}

func (r *reader) end() bool { return r.at >= len(r.lines) }

func (r *reader) line() string {
	if r.end() {
		return ""
	}
	return r.lines[r.at]
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// between takes the comments and blank lines up to the next line with something in it.
func (r *reader) between() []trivia {
	out := r.held
	r.held = nil
	for ; !r.end(); r.at++ {
		text := strings.TrimSpace(r.line())
		if text != "" && text[0] != '#' {
			break
		}
		out = append(out, trivia{text: text, indent: indentOf(r.line())})
	}
	return out
}

// take gives the comments from the beginning on that are indented so far at least; the
// rest is held, with the blank lines above it.
func (r *reader) take(all []trivia, indent int) []string {
	n := 0
	for i, t := range all {
		if t.text == "" {
			continue
		}
		if t.indent < indent {
			break
		}
		n = i + 1
	}
	r.held = all[n:]
	return texts(all[:n])
}

// block reads a mapping or a list from its first line on. Comments below it belong to it
// if they are indented by foot at least.
func (r *reader) block(indent, foot int) *value {
	v := &value{kind: mapping}
	lead := r.between()
	if isItem(r.line()[indent:]) {
		v.kind = list
	}
	for {
		line := r.line()
		if r.end() || indentOf(line) < indent || indentOf(line) == indent && isItem(line[indent:]) != (v.kind == list) {
			v.foot = r.take(lead, foot)
			return v
		}
		if indentOf(line) > indent {
			r.fail(indentOf(line), "a line that is indented deeper than the one above it")
		}
		e := &entry{lead: texts(lead)}
		if v.kind == list {
			r.item(e, indent)
		} else {
			r.pair(e, indent)
		}
		v.entries = append(v.entries, e)
		lead = r.between()
		if e.value.kind != block { // below a block of text a deeper comment would be a part of it
			e.tail = r.take(lead, indent+1)
			lead = r.between()
		}
	}
}

func isItem(text string) bool {
	return text == "-" || strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "-\t")
}

// item reads one item of a list.
func (r *reader) item(e *entry, indent int) {
	rest := r.line()[indent+1:]
	column := indent + 1 + len(rest) - len(strings.TrimLeft(rest, " \t"))
	text := r.line()[min(column, len(r.line())):]
	if isItem(text) || keyLength(text) > 0 {
		if strings.Contains(r.line()[:column], "\t") {
			r.fail(column, "a tab before a key")
		}
		r.lines[r.at] = strings.Repeat(" ", column) + text
		e.value = r.block(column, column)
		return
	}
	r.value(e, column, indent)
}

// pair reads a key and its value.
func (r *reader) pair(e *entry, indent int) {
	text := r.line()[indent:]
	n := keyLength(text)
	if n == 0 {
		r.fail(indent, "a line that is no key with a colon")
	}
	e.key = strings.TrimRight(text[:n-1], " \t")
	rest := text[n:]
	r.value(e, indent+n+len(rest)-len(strings.TrimLeft(rest, " \t")), indent)
}

// keyLength gives the length of a key with its colon at the beginning of a text; 0 if
// there is none.
func keyLength(text string) int {
	n := 0
	switch {
	case text == "" || strings.ContainsRune("{[#&*!|>%@`,", rune(text[0])):
		return 0
	case text[0] == '"' || text[0] == '\'':
		n = quotedLength(text)
		if n == 0 {
			return 0
		}
		n += len(text[n:]) - len(strings.TrimLeft(text[n:], " \t"))
		if n >= len(text) || text[n] != ':' {
			return 0
		}
	default:
		for n < len(text) && !endsKey(text, n) {
			if text[n] == '#' && isBlank(text[n-1]) {
				return 0
			}
			n++
		}
	}
	if n < len(text) && endsKey(text, n) {
		return n + 1
	}
	return 0
}

func endsKey(text string, n int) bool {
	return text[n] == ':' && (n+1 == len(text) || isBlank(text[n+1]))
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// quotedLength gives the length of a quoted text with its quotes; 0 if it does not end.
func quotedLength(text string) int { return closing(text, 1, text[0]) }

// closing gives the index behind the quote that closes a text in this line; 0 if none
// does.
func closing(line string, from int, q byte) int {
	for i := from; i < len(line); i++ {
		switch {
		case q == '"' && line[i] == '\\':
			i++
		case line[i] == q && q == '\'' && i+1 < len(line) && line[i+1] == q:
			i++
		case line[i] == q:
			return i + 1
		}
	}
	return 0
}

var blockHeader = regexp.MustCompile(`^[|>][-+0-9]*$`)
