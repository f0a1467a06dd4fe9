package trial

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/mapping"
)

func all(*Case) bool { return true }

// fataler is what tests and properties have in common.
type fataler interface {
	Fatalf(format string, args ...any)
}

// recorded checks what Record promises: all that was written passes, and a
// second time changes nothing.
func recorded(t fataler, m *mapping.Mapping, text string) string {
	s, err := Parse("m.yaml", []byte(text), subject())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	rec := s.Record(m, all)
	if len(rec.Missed) > 0 {
		t.Fatalf("not recorded: %s in\n%s", rec.Missed[0].Name, text)
	}
	again, err := Parse("m.yaml", []byte(rec.Text), subject())
	if err != nil {
		t.Fatalf("%v\n%s", err, rec.Text)
	}
	for _, c := range again.Cases {
		if r := again.Run(m, c); !r.Passed {
			t.Fatalf("%s does not pass: %v\n%s", c.Name, r.Diff(), rec.Text)
		}
	}
	if twice := again.Record(m, all); len(twice.Recorded) > 0 || twice.Text != rec.Text {
		t.Fatalf("recorded again: %v", twice.Recorded)
	}
	return rec.Text
}

func TestRecord(t *testing.T) {
	text := read(t, "record.yaml")
	m := compile(t, text)
	got := recorded(t, m, text)
	golden(t, "record.golden", got)
	windows := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	if recorded(t, m, windows(text)) != windows(got) {
		t.Error("with the line ends of Windows it is another file")
	}
	tight := func(s string) string { return strings.TrimSuffix(s, "\n") }
	if recorded(t, m, tight(text)) != tight(got) {
		t.Error("without a line end at the end it is another file")
	}
}

// Only those that are chosen are written, and those that cannot be run are not.
func TestRecordChosen(t *testing.T) {
	text := mappingText + `tests:
  - name: a
    given: {after: {id: 1, stage: draft}}
  - name: b
    given: {after: {id: 2, stage: draft}}
  - name: no key
    given: {op: delete, before: {id: 1}}
`
	m := compile(t, strings.Replace(text, "id}", "name}", 1))
	rec := parse(t, text).Record(m, func(c *Case) bool { return c.Name != "a" })
	if want := strings.Replace(text, "{id: 2, stage: draft}}\n", "{id: 2, stage: draft}}\n    expect: none\n", 1); rec.Text != want || len(rec.Recorded) != 1 || len(rec.Missed) > 0 {
		t.Errorf("got %+v", rec)
	}
}

// Whatever a file expects and however it is written, what is recorded passes and
// the rest of the file is as it was.
func TestRecordProperty(t *testing.T) {
	m := compile(t, strings.ReplaceAll(mappingText, "Memo: memo", "Memo: memo\n  Custom: custom\n  Tags: tags\n  \"true\": exact"))
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(mappingText + "tests:\n")
		var kept []string
		for i := range rapid.IntRange(1, 3).Draw(t, "tests") {
			d := drawer{t: t}
			comment := fmt.Sprintf("# kept %d", i)
			kept = append(kept, comment)
			given := "given: {" + d.change(i) + "}"
			if d.coin() {
				fmt.Fprintf(&b, "  - {name: t%d, %s%s} %s\n", i, given, d.flowExpect(), comment)
				continue
			}
			fmt.Fprintf(&b, "  - name: t%d %s\n%s    %s\n", i, comment, d.blockExpect(), given)
		}
		text := recorded(t, m, b.String())
		for _, k := range kept {
			if !strings.Contains(text, k) {
				t.Fatalf("%s is gone from\n%s", k, text)
			}
		}
	})
}

// drawer writes YAML by chance.
type drawer struct{ t *rapid.T }

func (d drawer) coin() bool { return rapid.Bool().Draw(d.t, "coin") }

func (d drawer) of(texts ...string) string { return rapid.SampledFrom(texts).Draw(d.t, "text") }

// scalar is any text in quotes, or a word.
func (d drawer) scalar() string {
	if d.coin() {
		return textYAML(rapid.StringOfN(rapid.SampledFrom([]rune("aZ é😀\u2028\u0085\"'\\:#{}[],-?&*!|>%@`\t\n0")), 0, 6, -1).Draw(d.t, "string"))
	}
	return d.of("Acme", `"007"`, "'a''b'", "null", `"yes"`, "2026-01-31", `"x: y # z"`, "don't")
}

func (d drawer) json() string {
	return d.of("null", "{a: 1, b: [x, {c: null}]}", "[]", "{}", "5", `{"a b": "#", c: 1.50}`, "[[1, 2], text]", "{z: "+d.scalar()+"}")
}

func (d drawer) change(id int) string {
	row := fmt.Sprintf("{id: %d, stage: %s, name: %s, amount: %s, exact: %s, custom: %s, tags: %s}", id, d.of("won", "draft"), d.scalar(),
		d.of("1", "1.50", "null"), d.of("1e21", "12345678901234567890123.5", "0.0", "null", "-5"), d.json(), d.of("[]", "[a, "+d.scalar()+"]"))
	return d.of("after: "+row, "op: update, after: "+row+", absent: [memo]", fmt.Sprintf("op: delete, before: {id: %d}", id), "after: "+row+", absent: [memo]")
}

func (d drawer) flowFields() string {
	fields := []string{}
	for _, f := range []string{"Name", "Other", "Amount", "Custom", "Last"} {
		if d.coin() {
			fields = append(fields, f+":"+d.of(" "+d.scalar(), " "+d.json(), " 1.5"))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func (d drawer) flowExpect() string {
	return d.of("", ", expect: none", ", expect: ", ", expect: {error: x}", ", expect: {unresolved: [memo]}",
		", expect: {fields: "+d.flowFields()+"}", ", expect: {op: upsert, key: {External_Id__c: 1}, fields: "+d.flowFields()+"}")
}

func (d drawer) blockExpect() string {
	fields := "    expect:\n      fields:\n"
	for _, f := range []string{"Name", "Other", "Amount", "Custom", "Last"} {
		if d.coin() {
			fields += "        " + f + ":" + d.of(" "+d.scalar()+"\n", " "+d.json()+" # c\n", "\n", " |\n          a\n\n          b\n", "\n          - 1\n          - x\n", "\n          a: 1\n")
		}
	}
	return d.of("", "    expect: none # c\n", "    expect: # c\n", "    expect: none\n", "    expect:\n      unresolved:\n        - memo\n",
		"    expect: {fields: "+d.flowFields()+"}\n", fields+"        Z: 1\n      key: {External_Id__c: 1} # c\n", fields+"        Z: 1\n")
}
