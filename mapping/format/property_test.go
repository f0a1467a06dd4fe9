package format

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// writer writes random documents in random styles.
type writer struct {
	t       *rapid.T
	b       strings.Builder
	remarks int
}

func (w *writer) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(w.t, label)
}

func (w *writer) chance(label string) bool { return rapid.IntRange(0, 3).Draw(w.t, label) == 0 }

func (w *writer) pick2(label string, of ...int) int { return rapid.SampledFrom(of).Draw(w.t, label) }

// remark gives a comment that is not like another.
func (w *writer) remark() string {
	w.remarks++
	return fmt.Sprintf("#%sc%d;%s", w.pick("space", "", " ", "  "), w.remarks, w.pick("comment", "", " it's", ` "x`, " {", " a: b", " # c", " - x"))
}

func (w *writer) behind() {
	if w.chance("behind") {
		w.b.WriteString(w.pick("gap", " ", "  ", "\t") + w.remark())
	}
	w.b.WriteString(w.pick("end", "\n", "\n", "\n", " \n"))
}

// between writes comments and blank lines, at any indentation that a comment may have.
func (w *writer) between(indent int) {
	for w.chance("between") {
		if w.chance("blank") {
			w.b.WriteString(w.pick("white", "\n", "  \n"))
			continue
		}
		w.b.WriteString(strings.Repeat(" ", max(0, indent+rapid.IntRange(-3, 3).Draw(w.t, "shift"))) + w.remark() + "\n")
	}
}

var (
	blockTexts = []string{"a", "a b", "trim(name)", "a == 'b'", "'a: b'", `"a # b"`, `"\"\\ é"`, "'it''s'", "12", "1.50", "null", "~",
		"true", `"true"`, `'12'`, "{}", "[]", `""`, "a#b", "a:b", "-a", `"y"`, "é", "'a, b'"}
	flowTexts = []string{"a", "a b", "trim(name)", "'a: b'", `"a # b"`, `"\"\\ é"`, "12", "1.50", "null", "true", `"true"`, "{}", "[]", `""`, "-a", "'a, b'", "é"}
	keyTexts  = []string{"name", "from", "to", "key", "fields", "delete", "lane", "coalesce", "tests", "given", "op", "after", "quiet", "max_batch", "set",
		"value", "const", "write", "postgres", "A B", `"a"`, `'b: c'`, `"c\"d"`, "12", "é", "x-y", "true"}
)

func (w *writer) keys(of int) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(keyTexts), 1, of, func(s string) string {
		if s[0] == '"' || s[0] == '\'' {
			return s[1 : len(s)-1]
		}
		return s
	}).Draw(w.t, "keys")
}

// block writes a mapping or a list, one entry a line; begun tells that the first line has
// its indentation already.
func (w *writer) block(indent, depth int, begun bool) {
	isList := begun && w.chance("list") || !begun && depth < 3 && w.chance("list")
	keys := w.keys(4)
	for i, key := range keys {
		if !begun || i > 0 {
			w.between(indent)
			w.b.WriteString(strings.Repeat(" ", indent))
		}
		if isList {
			w.b.WriteString("-")
		} else {
			w.b.WriteString(key + w.pick("colon", ":", ":", " :"))
		}
		w.value(indent, depth, isList)
	}
	w.between(indent)
}

// list writes a list that is no deeper than its key.
func (w *writer) list(indent, depth int) {
	for range rapid.IntRange(1, 3).Draw(w.t, "items") {
		w.between(indent)
		w.b.WriteString(strings.Repeat(" ", indent) + "-")
		w.value(indent, depth, true)
	}
}

// value writes what is behind a key or a dash.
func (w *writer) value(indent, depth int, inList bool) {
	deeper := indent + rapid.IntRange(1, 4).Draw(w.t, "indent")
	switch n := rapid.IntRange(0, 9).Draw(w.t, "value"); {
	case n <= 2 && depth > 0:
		w.behind()
		w.between(deeper)
		if !inList && w.chance("flush") {
			w.list(indent, depth-1)
			return
		}
		w.block(deeper, depth-1, false)
	case n == 3 && depth > 0 && inList:
		gap := rapid.IntRange(1, 3).Draw(w.t, "gap")
		w.b.WriteString(strings.Repeat(" ", gap))
		w.block(indent+1+gap, depth-1, true)
	case n == 4:
		w.text(indent, deeper)
	case n == 5:
		w.b.WriteString(" ")
		w.flow(deeper, 2, w.chance("open"))
		w.behind()
	case n == 6 && !inList: // the parser takes the key below an empty item for its value
		w.behind()
	default:
		w.b.WriteString(w.pick("blanks", " ", "  ") + w.pick("text", blockTexts...))
		w.behind()
	}
}

// text writes a text of several lines.
func (w *writer) text(indent, deeper int) {
	pad := strings.Repeat(" ", deeper)
	switch w.pick("style", "block", "plain", "single", "double") {
	case "block":
		w.b.WriteString(" " + w.pick("header", "|", ">", "|-", ">-", "|+"))
		w.behind()
		for range rapid.IntRange(1, 3).Draw(w.t, "lines") {
			w.b.WriteString(pad + w.pick("line", "a", "a: b", "# no comment", "'x", "{") + "\n" + w.pick("more", "", "", "\n", pad+"  deeper\n"))
		}
	case "plain":
		w.b.WriteString(" a b\n" + w.pick("blank", "", "\n") + pad + "c d")
		w.behind()
	case "single":
		w.b.WriteString(" 'a ''b\n" + w.pick("blank", "", "\n") + pad + "# c'")
		w.behind()
	case "double":
		w.b.WriteString(" \"a \\\" b \n" + w.pick("blank", "", "\n") + pad + "c: d\"")
		w.behind()
	}
}

// flow writes {…} or […]. An open one has line breaks and comments in it.
func (w *writer) flow(indent, depth int, open bool) {
	gap := func() {
		if !open {
			w.b.WriteString(w.pick("blanks", "", " "))
			return
		}
		w.b.WriteString(w.pick("gap", "", " ", "\n", "c", "own"))
		text := w.b.String()
		for _, style := range []string{"c", "own"} {
			if cut, ok := strings.CutSuffix(text, style); ok && !strings.HasSuffix(text, "\n") {
				w.b.Reset()
				w.b.WriteString(cut)
				w.b.WriteString(map[string]string{"c": " ", "own": "\n" + strings.Repeat(" ", indent)}[style] + w.remark() + "\n")
				break
			}
		}
		if strings.HasSuffix(w.b.String(), "\n") {
			w.b.WriteString(strings.Repeat(" ", indent))
		}
	}
	isList := w.chance("list")
	w.b.WriteString(map[bool]string{false: "{", true: "["}[isList])
	for i, key := range w.keys(3) {
		if i > 0 {
			w.b.WriteString(",")
		}
		gap()
		if !isList {
			w.b.WriteString(key + ": ")
		}
		if depth > 0 && w.chance("nested") {
			w.flow(indent, depth-1, open && w.chance("open"))
		} else {
			w.b.WriteString(w.pick("text", flowTexts...))
		}
		gap()
	}
	w.b.WriteString(map[bool]string{false: "}", true: "]"}[isList])
}

// Whatever the style: the text is formatted, to the same document with all comments,
// and formatting it again changes nothing.
func TestRandomDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t}
		w.b.WriteString(w.pick("start", "", "", "---\n", "# yaml-language-server: $schema=x\n"))
		w.block(w.pick2("root", 0, 0, 0, 1), 3, false)
		text := w.b.String()
		if w.chance("crlf") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		out := formatted(t, text)
		for n := 1; n <= w.remarks; n++ {
			if !strings.Contains(out, fmt.Sprintf("c%d;", n)) {
				t.Fatalf("comment %d is gone:\n%s\n---\n%s", n, text, out)
			}
		}
		var was, is any
		if err := yaml.Unmarshal([]byte(text), &was); err != nil {
			return // what one library takes and the other does not
		}
		if err := yaml.Unmarshal([]byte(out), &is); err != nil || !reflect.DeepEqual(was, is) {
			t.Fatalf("another document (%v):\n%s\n---\n%s", err, text, out)
		}
	})
}

func formatted(t interface{ Fatalf(string, ...any) }, text string) string {
	out, err := Source("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	again, err := Source("f.yaml", out)
	if err != nil || string(again) != string(out) {
		t.Fatalf("formatted again (%v):\n%s\n---\n%s\n---\n%s", err, text, out, again)
	}
	return string(out)
}

func FuzzSource(f *testing.F) {
	for _, pattern := range []string{"../testdata/*.yml", "../../docs/examples/*/mappings/*.yaml", "testdata/*.yaml"} {
		paths, _ := filepath.Glob(pattern) // the pattern is right
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := Source("f.yaml", text)
		if err != nil {
			return
		}
		again, err := Source("f.yaml", out)
		if err != nil || string(again) != string(out) {
			t.Fatalf("formatted again (%v):\n%q\n---\n%q\n---\n%q", err, text, out, again)
		}
	})
}
