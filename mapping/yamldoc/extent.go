package yamldoc

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// Plain tells that a text stands in the file without quotes, in one piece: it may
// have been meant as something else than text.
func (n *Node) Plain() bool {
	return n.Kind == String && n.style == token.StringType && !n.Expanded
}

// Flow tells that a map or list is written in brackets.
func (n *Node) Flow() bool {
	return n.style == token.MappingStartType || n.style == token.SequenceStartType
}

// Extent says where a key or a value stands in the file: from its first byte to
// the one behind its last, without comments. It is false of what is not written,
// and where the text is not as the node has it.
func (d *Doc) Extent(n *Node) (start, end int, ok bool) {
	s := extents{text: strings.Join(d.lines, "\n"), lines: d.lines}
	if start, ok = s.offset(n); !ok {
		return 0, 0, false
	}
	end, ok = s.end(n, start)
	return start, end, ok
}

// extents finds ends. What a node says of itself leads through the text, so that
// no second parser is needed.
type extents struct {
	text  string
	lines []string
}

// offset gives the byte of a node's place, whose column counts characters.
func (s *extents) offset(n *Node) (int, bool) {
	if n.Line < 1 || n.Line > len(s.lines) || n.Expanded {
		return 0, false
	}
	at := 0
	for _, l := range s.lines[:n.Line-1] {
		at += len(l) + 1
	}
	line := s.lines[n.Line-1]
	for range n.Column - 1 {
		if line == "" {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(line)
		line, at = line[size:], at+size
	}
	return at, true
}

func (s *extents) end(n *Node, start int) (int, bool) {
	rest := s.text[start:]
	switch {
	case rest == "":
		return 0, false
	case n.Flow():
		return s.bracket(start)
	case n.Kind == Map || n.Kind == List:
		return s.block(n)
	case n.style == token.LiteralType || n.style == token.FoldedType:
		return s.literal(n, start)
	case rest[0] == '"' || rest[0] == '\'':
		return s.quote(start)
	}
	return s.words(n.Text, start)
}

// block ends where its last value does, or the key or dash of one that is empty.
func (s *extents) block(n *Node) (int, bool) {
	if len(n.Values) == 0 {
		return 0, false
	}
	last := n.Values[len(n.Values)-1]
	if last.Kind == Null && last.Text == "" {
		return 0, false
	}
	start, ok := s.offset(last)
	if !ok {
		return 0, false
	}
	return s.end(last, start)
}

// quote finds the end of a quoted text.
func (s *extents) quote(at int) (int, bool) {
	mark := s.text[at]
	for at++; at < len(s.text); at++ {
		switch c := s.text[at]; {
		case c == '\\' && mark == '"':
			at++
		case c == mark && mark == '\'' && strings.HasPrefix(s.text[at+1:], "'"):
			at++
		case c == mark:
			return at + 1, true
		}
	}
	return 0, false
}

// bracket finds the bracket that closes the one at a place. Within brackets a
// quote is one only where a value or a key can begin, and so is a comment.
func (s *extents) bracket(at int) (int, bool) {
	depth, before := 0, byte(' ')
	for at < len(s.text) {
		c := s.text[at]
		fresh := strings.IndexByte("{[,: \t\r\n", before) >= 0
		switch {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return at + 1, true
			}
		case (c == '"' || c == '\'') && fresh:
			end, ok := s.quote(at)
			if !ok {
				return 0, false
			}
			at, before = end, c
			continue
		case c == '#' && (before == ' ' || before == '\t' || before == '\n'):
			at += strings.IndexByte(s.text[at:]+"\n", '\n')
			continue
		}
		at, before = at+1, c
	}
	return 0, false
}

// literal ends with the last line that is indented as its first one is.
func (s *extents) literal(n *Node, start int) (int, bool) {
	line := start + strings.IndexByte(s.text[start:]+"\n", '\n') + 1
	end, indent := min(line-1, len(s.text)), -1
	for _, l := range s.lines[n.Line:] {
		body := strings.TrimLeft(l, " ")
		if strings.TrimSpace(l) != "" {
			if indent < 0 {
				indent = len(l) - len(body)
			}
			if len(l)-len(body) < indent || indent == 0 {
				break
			}
			end = line + len(l)
		}
		line += len(l) + 1
	}
	return len(strings.TrimRight(s.text[:end], "\r")), true
}

// words follows a text without quotes, which may be folded over lines.
func (s *extents) words(text string, at int) (int, bool) {
	if text == "" {
		return 0, false
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsSpace(r) {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
			skipped := strings.TrimLeftFunc(s.text[at:], unicode.IsSpace)
			if len(skipped) == len(s.text)-at {
				return 0, false
			}
			at = len(s.text) - len(skipped)
			continue
		}
		if !strings.HasPrefix(s.text[at:], text[:size]) {
			return 0, false
		}
		text, at = text[size:], at+size
	}
	return at, true
}
