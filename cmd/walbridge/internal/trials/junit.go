package trials

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/walbridge/walbridge/mapping/trial"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit tells what became of files in the form that build servers read: a
// suite for each file. A file's mistakes are errors of a test of its own.
func WriteJUnit(out io.Writer, files []*File) error {
	all := junitSuites{Name: "walbridge test"}
	for _, f := range files {
		s := junitOf(f)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites = append(all.Suites, s)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s%s\n", xml.Header, text)
	return err
}

func junitOf(f *File) junitSuite {
	s := junitSuite{Name: f.Path}
	class := f.Mapping
	if class == "" {
		class = f.Path
	}
	if len(f.Mistakes) > 0 {
		s.Errors = 1
		s.Cases = []junitCase{{Name: "the mapping file", Class: class, File: f.Path, Line: f.Mistakes[0].Line,
			Error: &junitProblem{Message: count(len(f.Mistakes), "mistake"), Text: f.Mistakes.Detail()}}}
	}
	add := func(r trial.Result, p *junitProblem) {
		s.Cases = append(s.Cases, junitCase{Name: r.Case.Name, Class: class, File: f.Path, Line: r.Case.Line, Failure: p})
	}
	for _, r := range f.Recorded {
		add(r, nil)
	}
	for _, r := range f.Results {
		if r.Passed {
			add(r, nil)
			continue
		}
		s.Failures++
		add(r, problemOf(r))
	}
	s.Tests = len(s.Cases)
	return s
}

func problemOf(r trial.Result) *junitProblem {
	lines := []string{}
	for _, l := range r.Diff() {
		lines = append(lines, l.String())
	}
	message := r.Problem
	if message == "" {
		message = "the mapping makes something else than is expected"
	}
	return &junitProblem{Message: message, Text: strings.Join(lines, "\n")}
}
