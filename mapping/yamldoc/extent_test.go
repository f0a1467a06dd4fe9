package yamldoc

import (
	"strings"
	"testing"
)

// Every value of this text, and every key, is found where it stands.
const written = `plain: a b  # comment
folded: one
  two
  three
"quo\"ted": 'it''s'
flow: {a: "x}", b: [1, 'y]', z], "c d": don't} # }
wide: [1, # ]
  2]
literal: |
  first

  second
folds: >-
  some
  words
# a comment
list:
- é ü
- {k: v}
number: 12.50
map:
  deep: null
  deeper:
    x: true
`

func TestExtents(t *testing.T) {
	want := map[string]string{
		"plain": "a b", "folded": "one\n  two\n  three", `quo"ted`: "'it''s'", "flow": `{a: "x}", b: [1, 'y]', z], "c d": don't}`,
		"flow.a": `"x}"`, "flow.b": `[1, 'y]', z]`, "flow.b[1]": `'y]'`, "flow.b[2]": "z", "flow.c d": "don't", "flow.b[0]": "1",
		"wide": "[1, # ]\n  2]", "wide[1]": "2", "literal": "|\n  first\n\n  second", "folds": ">-\n  some\n  words",
		"list": "- é ü\n- {k: v}", "list[0]": "é ü", "list[1].k": "v", "number": "12.50", "map": "deep: null\n  deeper:\n    x: true",
		"map.deep": "null", "map.deeper": "x: true",
	}
	for _, text := range []string{written, strings.ReplaceAll(written, "\n", "\r\n")} {
		d := parseText(t, text)
		got := map[string]string{}
		d.Root.Walk(func(n *Node) {
			for _, k := range n.Keys {
				start, end, ok := d.Extent(k)
				if key := strings.ReplaceAll(strings.Trim(text[start:end], `"`), `\"`, `"`); !ok || key != k.Text {
					t.Errorf("key %s: got %q, %v", k.Path, text[start:end], ok)
				}
			}
			start, end, ok := d.Extent(n)
			if !ok {
				t.Errorf("%s is not found", n.Path)
				return
			}
			got[n.Path] = strings.ReplaceAll(text[start:end], "\r\n", "\n")
		})
		for path, w := range want {
			if got[path] != w {
				t.Errorf("%s: got %q, want %q", path, got[path], w)
			}
		}
	}
}

// What is not written has no extent.
func TestExtentOfNothing(t *testing.T) {
	d := parseText(t, "a:\nb: {}\n")
	if _, _, ok := d.Extent(d.Root.Get("a")); ok {
		t.Error("an empty value has an extent")
	}
	if start, end, ok := d.Extent(d.Root.Get("b")); !ok || start != 6 || end != 8 {
		t.Errorf("got %d to %d, %v", start, end, ok)
	}
}

// Lines are counted alike whatever they end with.
func TestLinesThatEndAsOnWindows(t *testing.T) {
	d := parseText(t, "a: # one\r\n  1\r\n# two\r\nb: 2\r\n")
	if n := d.Root.Get("b"); n.Line != 4 || n.Column != 4 {
		t.Errorf("b is at %d:%d", n.Line, n.Column)
	}
}

func TestPlain(t *testing.T) {
	d := parseText(t, "[a, 'a', \"a\", 1]")
	for i, want := range []bool{true, false, false, false} {
		if n := d.Root.Values[i]; n.Plain() != want {
			t.Errorf("item %d: plain is %v", i, n.Plain())
		}
	}
}
