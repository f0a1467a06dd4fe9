package yamldoc

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one mistake in a file.
type Error struct {
	File string
	// Line and Column count from 1; zero when the place is not known.
	Line, Column int
	// Path names the value within the file, such as fields.Amount.
	Path string
	// Msg says what is wrong; Value is the offending text, if it may be shown.
	Msg, Value string
	// Hint says what to do.
	Hint string
	// Excerpt is the line with a caret below the place; empty where the file may
	// hold secrets.
	Excerpt string
}

// Error gives file:line:column: path: what "value"; hint. It is one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Msg)
	if e.Value != "" {
		b.WriteString(" " + strconv.Quote(shorten(e.Value)))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Detail gives the text of Error with the excerpt below it.
func (e *Error) Detail() string {
	if e.Excerpt == "" {
		return e.Error()
	}
	return e.Error() + "\n" + e.Excerpt
}

func shorten(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Errors are the mistakes of one or several files.
type Errors []*Error

// Error gives one line for each mistake.
func (es Errors) Error() string { return es.join((*Error).Error) }

// Detail gives all mistakes with their excerpts.
func (es Errors) Detail() string { return es.join((*Error).Detail) }

// Unwrap gives the single mistakes to errors.As.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

// Err gives nil when there is no mistake, else es in the order of the places.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return es
}

func (es Errors) join(text func(*Error) string) string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = text(e)
	}
	return strings.Join(lines, "\n")
}

// excerpt shows a line with a caret under a column.
func excerpt(lines []string, line, column int) string {
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.ReplaceAll(strings.TrimRight(lines[line-1], "\r"), "\t", " ")
	number := strconv.Itoa(line)
	pad := strings.Repeat(" ", len(number))
	return fmt.Sprintf("  %s | %s\n  %s | %s^", number, text, pad, strings.Repeat(" ", max(0, column-1)))
}
