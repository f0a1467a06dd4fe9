package yamldoc

import (
	"strings"

	"github.com/goccy/go-yaml/token"
)

// place says where in the file the offset-th character of a scalar's text is.
// Where a text is folded over lines, it is the start of the text.
func (d *Doc) place(n *Node, offset int) (line, column int) {
	text := []rune(n.Text)
	offset = max(0, min(offset, len(text)))
	switch {
	case n.Expanded:
		return n.Line, n.Column
	case n.style == token.LiteralType:
		return d.placeInBlock(n, text[:offset])
	case n.style == token.FoldedType:
		return d.placeInBlock(n, nil)
	case n.wrapped:
		return n.Line, n.Column
	case n.style == token.SingleQuoteType, n.style == token.DoubleQuoteType:
		return n.Line, d.placeInQuotes(n, offset)
	}
	return n.Line, n.Column + offset
}

// CutByComment tells whether what YAML takes for a comment follows a plain scalar in its
// line: it may have been meant as a part of it.
func (d *Doc) CutByComment(n *Node) bool {
	if !n.Plain() || n.Line < 1 || n.Line > len(d.lines) {
		return false
	}
	line := []rune(d.lines[n.Line-1])
	end := n.Column - 1 + len([]rune(n.Text))
	return end <= len(line) && strings.HasPrefix(strings.TrimLeft(string(line[end:]), " \t"), "#")
}

// placeInBlock goes through the lines of a literal block, which starts in the
// line after its header.
func (d *Doc) placeInBlock(n *Node, before []rune) (line, column int) {
	indent := 0
	for _, l := range d.lines[min(n.Line, len(d.lines)):] {
		if body := strings.TrimLeft(l, " "); strings.TrimSpace(body) != "" {
			indent = len(l) - len(body)
			break
		}
	}
	line, column = n.Line+1, indent+1
	for _, r := range before {
		if r == '\n' {
			line, column = line+1, indent+1
			continue
		}
		column++
	}
	return line, column
}

// placeInQuotes steps over the escapes of a quoted text in one line.
func (d *Doc) placeInQuotes(n *Node, offset int) int {
	if n.Line > len(d.lines) {
		return n.Column
	}
	line := []rune(d.lines[n.Line-1])
	at := n.Column // the index of the character after the quote
	for ; offset > 0 && at < len(line); offset-- {
		switch {
		case n.style == token.SingleQuoteType && line[at] == '\'':
			at += 2
		case n.style == token.DoubleQuoteType && line[at] == '\\' && at+1 < len(line):
			at += escapeLen(line[at+1])
		default:
			at++
		}
	}
	return at + 1
}

func escapeLen(c rune) int {
	switch c {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}
