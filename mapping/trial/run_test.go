package trial

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// show gives what a person is told of the tests of a file.
func show(t *testing.T, text string) string {
	t.Helper()
	m, s := compile(t, text), parse(t, text)
	var b strings.Builder
	for _, c := range s.Cases {
		r := s.Run(m, c)
		b.WriteString(c.Name)
		if r.Passed {
			b.WriteString(": ok")
		}
		if r.Problem != "" {
			b.WriteString(": " + r.Problem)
		}
		b.WriteString("\n")
		for _, l := range r.Diff() {
			b.WriteString("  " + l.String() + "\n")
		}
	}
	return b.String()
}

func TestOutcomes(t *testing.T) {
	golden(t, "outcomes.golden", show(t, read(t, "outcomes.yaml")))
}

// An error is expected by a part of its text; a key that is not known is told.
func TestErrorsAndKeys(t *testing.T) {
	text := strings.NewReplacer("id}", "name}", "Name: name", "Half: exact / small").Replace(mappingText) + `tests:
  - name: null key
    given: {after: {id: 1, stage: won}}
    expect: {error: name of the key}
  - name: the field is named
    given: {after: {id: 1, stage: won, name: a, exact: 1, small: 0}}
    expect: {error: "field Half"}
  - name: no error
    given: {after: {id: 1, stage: won, name: a, exact: 1, small: 2}}
    expect: {error: "field Half"}
  - name: the key before is null
    given: {op: update, after: {id: 1, stage: won}}
    expect: none
  - name: the key before is not known
    given: {op: delete, before: {id: 1}}
    expect: none
  - name: the key before is known from before
    given: {op: update, before: {id: 1, name: b}, after: {id: 1, stage: draft, name: a}}
    expect: {op: delete, key: {External_Id__c: b}}
`
	golden(t, "errors.golden", show(t, text))
}
