package trials

import (
	"fmt"
	"io"
	"strings"

	"github.com/walbridge/walbridge/mapping/trial"
)

// Style says how to tell people.
type Style struct {
	// Verbose tells of the tests that pass too.
	Verbose bool
	// Color uses the colours of a terminal.
	Color bool
}

// Good tells that nothing failed and no file has mistakes.
func Good(files []*File) bool {
	for _, f := range files {
		if len(f.Mistakes) > 0 || f.Failed() > 0 {
			return false
		}
	}
	return true
}

// Chosen counts the tests that were run or recorded.
func Chosen(files []*File) (n int) {
	for _, f := range files {
		n += len(f.Results) + len(f.Recorded)
	}
	return n
}

// Write tells what became of files: a line for each, what failed below it, and a
// line for all.
func Write(out io.Writer, files []*File, s Style) error {
	w := &writer{style: s}
	for _, f := range files {
		w.file(f)
	}
	w.summary(files)
	_, err := io.WriteString(out, w.b.String())
	return err
}

type writer struct {
	b     strings.Builder
	style Style
	diffs bool
}

// The colours by what they are for.
const (
	bad  = "\x1b[31m"
	good = "\x1b[32m"
	dull = "\x1b[33m"
	back = "\x1b[0m"
)

func (w *writer) paint(color, text string) string {
	if !w.style.Color || color == "" {
		return text
	}
	return color + text + back
}

// line writes a line with its status, which has a column of its own.
func (w *writer) line(indent int, color, status, format string, args ...any) {
	fmt.Fprintf(&w.b, "%*s%s%*s%s\n", indent, "", w.paint(color, status), 6-len(status), "", fmt.Sprintf(format, args...))
}

func (w *writer) file(f *File) {
	switch n := len(f.Results) + len(f.Recorded); {
	case len(f.Mistakes) > 0:
		w.line(0, bad, "FAIL", "%s  %s", f.Path, count(len(f.Mistakes), "mistake"))
		for _, e := range f.Mistakes {
			w.b.WriteString("  " + strings.ReplaceAll(e.Detail(), "\n", "\n  ") + "\n")
		}
		return
	case f.Tests == 0:
		w.line(0, dull, "?", "%s  no tests", f.Path)
		return
	case n == 0: // none was chosen
		return
	case f.Failed() > 0:
		w.line(0, bad, "FAIL", "%s  %d of %s failed%s", f.Path, f.Failed(), count(n, "test"), recorded(f))
	default:
		w.line(0, good, "ok", "%s  %s%s", f.Path, count(n, "test"), recorded(f))
	}
	for _, r := range f.Recorded {
		w.line(2, dull, "wrote", "%s:%d: %s", f.Path, r.Case.Line, r.Case.Name)
	}
	for _, r := range f.Results {
		w.result(f, r)
	}
}

func (w *writer) result(f *File, r trial.Result) {
	if r.Passed {
		if w.style.Verbose {
			w.line(2, good, "ok", "%s:%d: %s", f.Path, r.Case.Line, r.Case.Name)
		}
		return
	}
	w.line(2, bad, "FAIL", "%s:%d: %s", f.Path, r.Case.Line, r.Case.Name)
	if r.Problem != "" {
		w.b.WriteString("        " + r.Problem + "\n")
	}
	for _, l := range r.Diff() {
		w.diffs = true
		w.b.WriteString("        " + w.paint(map[byte]string{'-': bad, '+': good}[l.Mark], l.String()) + "\n")
	}
}

func recorded(f *File) string {
	if len(f.Recorded) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d recorded", len(f.Recorded))
}

func (w *writer) summary(files []*File) {
	tests, failed, mistaken, written := Chosen(files), 0, 0, 0
	for _, f := range files {
		failed, written = failed+f.Failed(), written+len(f.Recorded)
		if len(f.Mistakes) > 0 {
			mistaken++
		}
	}
	parts := []string{}
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	if mistaken > 0 {
		parts = append(parts, count(mistaken, "file")+" with mistakes")
	}
	if written > 0 {
		parts = append(parts, fmt.Sprintf("%d recorded: look at what was written before you keep it", written))
	}
	if len(parts) == 0 && tests > 0 {
		parts = append(parts, "all passed")
	}
	w.b.WriteString("\n")
	if w.diffs {
		w.b.WriteString("- is what a test expects, + what the mapping makes; walbridge test --update writes that into the file\n")
	}
	w.b.WriteString(count(len(files), "file") + ", " + count(tests, "test"))
	if len(parts) > 0 {
		w.b.WriteString(": " + strings.Join(parts, ", "))
	}
	w.b.WriteString("\n")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
