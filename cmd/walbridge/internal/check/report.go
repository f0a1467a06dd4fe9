package check

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Level says how bad a finding is.
type Level string

// The levels: as it has to be; it works, but may harm or surprise; it will not work.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// What findings are about; of a mapping or a target with its name.
const (
	aboutConfiguration = "configuration"
	aboutPostgres      = "postgres"
	aboutRedis         = "redis"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"`
	What  string `json:"what"`
	// Fix is what to do: a statement or a setting where there is one.
	Fix string `json:"fix,omitempty"`
	// Place is file:line:column of a mistake in a file, Excerpt the line.
	Place   string `json:"place,omitempty"`
	Excerpt string `json:"excerpt,omitempty"`
}

// Report is all that was found, with how many there are of each level.
type Report struct {
	Findings []Finding `json:"findings"`
	OK       int       `json:"ok"`
	Warn     int       `json:"warn"`
	Fail     int       `json:"fail"`
}

func (r *Report) add(f Finding) {
	r.Findings = append(r.Findings, f)
	switch f.Level {
	case OK:
		r.OK++
	case Warn:
		r.Warn++
	case Fail:
		r.Fail++
	}
}

func (r *Report) ok(about, what string)        { r.add(Finding{Level: OK, About: about, What: what}) }
func (r *Report) warn(about, what, fix string) { r.add(Finding{Warn, about, what, fix, "", ""}) }
func (r *Report) fail(about, what, fix string) { r.add(Finding{Fail, about, what, fix, "", ""}) }

// Write writes the report for people.
func (r *Report) Write(out io.Writer) error {
	width := 0
	for _, f := range r.Findings {
		width = max(width, utf8.RuneCountInString(f.About))
	}
	var b strings.Builder
	for _, f := range r.Findings {
		what := f.What
		if f.Place != "" {
			what = f.Place + ": " + what
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(f.About))
		fmt.Fprintf(&b, "%-4s  %s%s  %s\n", f.Level, f.About, pad, indented(what))
		if f.Excerpt != "" {
			fmt.Fprintf(&b, "      %s\n", indented(strings.TrimPrefix(f.Excerpt, "  ")))
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "      fix: %s\n", indented(f.Fix))
		}
	}
	fmt.Fprintf(&b, "%d ok, %d to look at, %d to mend\n", r.OK, r.Warn, r.Fail)
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// indented keeps further lines of a text below its finding.
func indented(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines[1:] {
		lines[i+1] = "      " + strings.TrimPrefix(lines[i+1], "  ")
	}
	return strings.Join(lines, "\n")
}
