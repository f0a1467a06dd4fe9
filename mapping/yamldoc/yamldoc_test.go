package yamldoc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func parseText(t *testing.T, text string) *Doc {
	t.Helper()
	d, err := Parse("f.yml", []byte(text), true)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The place of a character within a text is found in every style of quoting.
func TestPlaces(t *testing.T) {
	const text = `plain: ab X
single: 'a''b X'
double: "a\"\u00e9 X"
literal: |
  ab
    c X
folded: >-
  ab
  X
wrapped: ab
  X
unicode: é X
number: 15
indent:
  deep: |-

    ab X
`
	d := parseText(t, text)
	for key, want := range map[string]string{
		"plain": "1:11", "single": "2:15", "double": "3:20", "literal": "6:7", "unicode": "12:12",
		// folded texts: the start, as their breaks are gone
		"folded": "8:3", "wrapped": "10:10",
	} {
		n := d.Root.Get(key)
		at := strings.IndexRune(n.Text, 'X')
		line, column := d.place(n, len([]rune(n.Text[:at])))
		if got := fmt.Sprintf("%d:%d", line, column); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	n := d.Root.Get("indent").Get("deep")
	if line, column := d.place(n, len("\nab ")); line != 17 || column != 8 || n.Path != "indent.deep" {
		t.Errorf("%s is at %d:%d", n.Path, line, column)
	}
	if line, column := d.place(d.Root.Get("number"), 99); line != 13 || column != 11 {
		t.Errorf("an offset beyond the end is at %d:%d", line, column)
	}
}

func TestKinds(t *testing.T) {
	d := parseText(t, "a: text\nb: 5\nc: true\nd: [x, 1]\ne: {f: 2}\ng:\nh: null\n12: '0123'\n")
	for key, want := range map[string]Kind{"a": String, "b": Number, "c": Bool, "d": List, "e": Map, "g": Null, "h": Null, "12": String} {
		if n := d.Root.Get(key); n == nil || n.Kind != want {
			t.Errorf("%s: got %+v, want %v", key, n, want)
		}
	}
	if n := d.Root.Get("d").Values[1]; n.Path != "d[1]" || n.Text != "1" {
		t.Errorf("got %+v", n)
	}
	seen := 0
	d.Root.Walk(func(*Node) { seen++ })
	if seen != 12 {
		t.Errorf("walked %d nodes, want 12", seen)
	}
}

func TestSection(t *testing.T) {
	d := parseText(t, "text: a\nint: 1_000\ndur: 1m30s\nlist: [a, b]\nempty:\nbadint: 1.5\nbaddur: 10\nminus: -1s\nbadlist: a\nbadtext: true\nbaditem: [1]\ntextt: 1\nbool: true\nbadbool: 1\n80): 1\n")
	s := d.Section(d.Root, "text", "int", "dur", "list", "empty", "badint", "baddur", "minus", "badlist", "badtext", "baditem", "wanted", "bool", "badbool")
	text, n, dur, list, yes := "", 0, time.Duration(0), []string(nil), false
	s.Bool("bool", &yes)
	s.Text("text", &text)
	s.Int("int", &n)
	s.Duration("dur", &dur)
	s.Texts("list", &list)
	if text != "a" || n != 1000 || dur != 90*time.Second || strings.Join(list, "") != "ab" || !yes {
		t.Errorf("got %q %d %s %v %t", text, n, dur, list, yes)
	}
	s.Bool("empty", &yes)
	s.Bool("badbool", &yes)
	s.Int("empty", &n)
	s.Int("badint", &n)
	s.Duration("baddur", &dur)
	s.Duration("minus", &dur)
	s.Text("badtext", &text)
	if text != "a" || n != 1000 || dur != 90*time.Second || !yes {
		t.Errorf("a mistake or an empty key changed a default: %q %d %s", text, n, dur)
	}
	s.Texts("badlist", &list)
	s.Texts("baditem", &list)
	s.Require("wanted", "x")
	s.Require("empty", "x")
	want := `f.yml:1:1: wanted: missing; add it, such as wanted: x
f.yml:5:7: empty: no value; write it, such as x
f.yml:6:9: badint: not a whole number "1.5"; write digits only, without quotes
f.yml:7:9: baddur: not a duration "10"; write a number with a unit, such as 200ms, 2s, 1m30s
f.yml:8:8: minus: a duration below zero "-1s"; write a number with a unit, such as 200ms, 2s, 1m30s
f.yml:9:10: badlist: want a list of texts, not a text "a"; write [a]
f.yml:10:10: badtext: want a text, not a boolean "true"; put it in quotes
f.yml:11:11: baditem[0]: want a text, not a number "1"; put it in quotes
f.yml:12:1: textt: unknown key "textt"; did you mean text?
f.yml:14:10: badbool: want true or false, not a number "1"; write true or false, without quotes
f.yml:15:1: 80): unknown key "80)"; put a value that has a comma in it in quotes as a whole: within braces a comma ends it`
	if got := d.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !d.Failed("baditem") || d.Failed("text") || d.Fresh().Err() != nil {
		t.Error("Failed and Fresh do not agree with the mistakes")
	}
}

func TestExpandedTextIsNotShown(t *testing.T) {
	d := parseText(t, "n: ${X}\n")
	d.Root.Get("n").Expand("s3cret")
	n := 7
	d.Section(d.Root, "n").Int("n", &n)
	if err := d.Err(); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "${X}") || n != 7 {
		t.Errorf("got %v, %d", err, n)
	}
	d = parseText(t, "n: ${X}\n")
	d.Root.Get("n").Expand("12")
	if d.Section(d.Root, "n").Int("n", &n); n != 12 || d.Err() != nil {
		t.Errorf("an expanded number gave %d, %v", n, d.Err())
	}
}

// A file means the same with the line breaks and the byte order mark of Windows.
func TestFilesOfWindows(t *testing.T) {
	const text = "a: 'b\n  c'\nd: |\n  e\n  f\ng: \"h\n\n  i\"\n"
	d := parseText(t, "\uFEFF"+strings.ReplaceAll(text, "\n", "\r\n"))
	for i, n := range parseText(t, text).Root.Values {
		if got := d.Root.Values[i]; got.Text != n.Text || got.Line != n.Line || got.Column != n.Column {
			t.Errorf("%s: got %q at %d:%d, want %q at %d:%d", n.Path, got.Text, got.Line, got.Column, n.Text, n.Line, n.Column)
		}
	}
}

func TestDetail(t *testing.T) {
	_, err := Parse("f.yml", []byte("a: b\n\tc: [\n"), true)
	var es Errors
	if !errors.As(err, &es) || !strings.Contains(es.Detail(), "^") {
		t.Fatalf("got %v", err)
	}
	_, err = Parse("f.yml", []byte("a: s3cret: [\n"), false)
	if !errors.As(err, &es) || strings.Contains(es.Detail(), "s3cret") {
		t.Errorf("an excerpt that was not asked for: %v", es.Detail())
	}
	e := &Error{Path: "a", Msg: "bad", Value: strings.Repeat("x", 200)}
	if got := e.Error(); len(got) > 120 || e.Detail() != got {
		t.Errorf("got %s", got)
	}
}

func TestBounds(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", maxFile+1), "\xff", strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 20_000)} {
		d, err := Parse("f.yml", []byte(text), true)
		if err == nil {
			err = d.Err()
		}
		if err == nil {
			t.Errorf("%.20q was taken", text)
		}
	}
}

// What Quote writes is read back as the same text.
func TestQuote(t *testing.T) {
	for _, text := range []string{"", "plain", `a "b" \c`, "line\nbreak\tand\rmore", "Zürich …", "\u0000\u0007\u0085\u00a0\u2028\ufeff\u200d", "😀\U000e0001"} {
		d := parseText(t, "a: "+Quote(text)+"\n")
		if n := d.Root.Get("a"); n.Kind != String || n.Text != text {
			t.Errorf("%q became %q by %s", text, n.Text, Quote(text))
		}
	}
}
