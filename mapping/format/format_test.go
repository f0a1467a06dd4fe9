package format

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/mapping/schema"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

func TestForm(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%d files (%v)", len(paths), err)
	}
	for _, path := range paths {
		want, err := os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatted(t, string(text)); got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
		}
	}
}

// What we show to people is in the form, and known as ours.
func TestExamplesAreInTheForm(t *testing.T) {
	for _, pattern := range []string{"../../docs/examples/*/*.yaml", "../../docs/examples/*/mappings/*.yaml", "../../cmd/walbridge/internal/demo/*/mappings/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files are at %s (%v)", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !Ours(text) {
				t.Errorf("%s is not taken for ours", path)
			}
			if formatted(t, string(text)) != string(text) {
				t.Errorf("%s is not in the form; run walbridge fmt -w %[1]s", path)
			}
		}
	}
}

// Every key that the schema has for a mapping has a place in the order.
func TestEveryKeyHasAPlace(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(schema.Mapping(), &doc); err != nil {
		t.Fatal(err)
	}
	defs := doc["$defs"].(map[string]any)
	test := defs["test"].(map[string]any)
	for name, c := range map[string]struct {
		schema any
		order  *order
	}{
		"the file": {doc, ofMapping},
		"fields":   {defs["field"].(map[string]any)["anyOf"].([]any)[1], ofMapping.inside("fields").inside("A")},
		"coalesce": {doc["properties"].(map[string]any)["coalesce"], ofMapping.inside("coalesce")},
		"tests":    {test, ofMapping.inside("tests").inside("")},
		"given":    {test["properties"].(map[string]any)["given"], ofMapping.inside("tests").inside("").inside("given")},
	} {
		want := slices.Sorted(maps.Keys(c.schema.(map[string]any)["properties"].(map[string]any)))
		if got := slices.Sorted(slices.Values(c.order.keys)); !slices.Equal(got, want) {
			t.Errorf("%s: the order is of %v, the schema has %v", name, got, want)
		}
	}
}

func TestSmallCases(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"# only a comment":                  "# only a comment\n",
		"\n\n# a\n\n\n# b\n\n":              "# a\n\n# b\n",
		"from: a":                           "from: a\n",
		"{to: b, from: a}":                  "from: a\nto: b\n",
		"{}":                                "{}\n",
		"--- # why\nfrom: a\n":              "# why\nfrom: a\n",
		"\uFEFFfrom: a\r\nto: b\r\n":        "from: a\nto: b\n",
		"fields: {A: a,B: , C: [x,y]}":      "fields: {A: a, B:, C: [x, y]}\n",
		"fields: {A: a # one\n  }":          "fields:\n  A: a  # one\n",
		"fields: [\n]":                      "fields: []\n",
		"A: 'true'\nB: \"x\"\nC: '7'\n":     "A: 'true'\nB: x\nC: '7'\n",
		"A: |\n    a\n      b":              "A: |-\n  a\n    b\n",
		"A:\n \ta\n":                        "A: a\n",
		"A: |2\n    a\n":                    "A: |2\n    a\n",
		"b: |+\n  x\n\n\nfrom: a\n":         "from: a\nb: |+\n  x\n\n\n",
		"# of from\nfrom: a\nname: b\n":     "name: b\n# of from\nfrom: a\n",
		"# of the file\n\nfrom: a\nname: b": "# of the file\n\nname: b\nfrom: a\n",
		"fields:\n  A: a  # x\n  LongName: b # y\n\n  C: c # z\n": "fields:\n  A: a         # x\n  LongName: b  # y\n\n  C: c  # z\n",
		"coalesce: # how\n  # quiet: 1s\nfrom: a\n":               "from: a\ncoalesce:  # how\n  # quiet: 1s\n",
		"lane:\n  -\n    # why\n    urgent: a\n":                  "lane:\n  # why\n  - urgent: a\n",
		"fields:\n  A: |\n    a\n   # below\n":                    "fields:\n  A: |\n    a\n  # below\n",
	} {
		if got := formatted(t, text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// What cannot be read or kept is told with its place, and is not formatted.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"from: {a: b\nto: c\n":         "f.yaml:2:1: not YAML: ',' or '}' must be specified; check indentation, quotes and colons here and in the line above",
		"from: a\nfrom: b\n":           `f.yaml:2:1: from: repeated key "from"; it is already given in line 1: keep one`,
		"from: &a b\n":                 `f.yaml:1:7: from: anchors, aliases, merge keys and tags are not taken here "&"; write the value out, or quote it if it is text`,
		"- a\n":                        "f.yaml:1:1: want a section of keys, not a list; a mapping begins with from: and to:",
		"from: a\n---\nfrom: b\n":      "f.yaml:2:1: a second document; one file holds one document: take out the line ---",
		"e:\n {t,%\n}\n":               "f.yaml:3:1: a key that needs quotes; write it in the common form: keys with a colon, two spaces for each level",
		"? from\n: a\n":                `f.yaml:1:1: ?: a key must be plain text "?"; write the key out, or quote it`,
		"from: a\n...\n":               "f.yaml:2:1: a line that is no key with a colon; write it in the common form: keys with a colon, two spaces for each level",
		"from: a\rto: b\n":             "f.yaml:1:8: a carriage return within a line; write it in the common form: keys with a colon, two spaces for each level",
		"postgres: {url: s3cret: [}\n": "f.yaml:1:25: not YAML",
	} {
		_, err := Source("f.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if d, ok := err.(yamldoc.Errors); ok && strings.Contains(d.Detail(), "s3cret") {
			t.Errorf("%q: a secret is shown: %s", text, d.Detail())
		}
	}
}

func TestOurs(t *testing.T) {
	for text, want := range map[string]bool{
		"from: a\nto: b/c\n": true, "fields: {A: a}\n": true, "description: a\nfields: {A: a}\n": true, "postgres: {}\nredis: {}\n": true,
		"services: {}\n": false, "from: a\n": false, "fields: {}\nother: 1\n": false, "": false, "from: {": false,
		"from: {\nto: b/c\n": true, "from: a\nfrom: b\nto: c/d\n": true,
	} {
		if Ours([]byte(text)) != want {
			t.Errorf("%q is ours: %t", text, !want)
		}
	}
}

// Scalar's text is read as it was, as a value and as a key, within brackets and without,
// and is not formatted to something else.
func TestScalar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z _."'\\#:,{}\[\]\n-]{0,12}`), rapid.SampledFrom([]string{"true", "null", "~", "12", "a b", "no"})).Draw(t, "text")
		want = strings.ToValidUTF8(want, "")
		if strings.ContainsRune(want, 0) {
			t.Skip("no name in PostgreSQL has it")
		}
		s, other := Scalar(want), "B"
		if want == other {
			other = "C"
		}
		text := s + ": " + s + "\n" + other + ": {" + s + ": [" + s + "]}\n"
		doc, err := yamldoc.Parse("f.yaml", []byte(text), true)
		if err != nil || doc.Err() != nil {
			t.Fatalf("%q as %s: %v", want, s, err)
		}
		for _, n := range []*yamldoc.Node{doc.Root.Keys[0], doc.Root.Values[0], doc.Root.Get(other).Keys[0], doc.Root.Get(other).Values[0].Values[0]} {
			if n.Kind != yamldoc.String || n.Text != want {
				t.Fatalf("%q as %s is read as %v %q", want, s, n.Kind, n.Text)
			}
		}
		if formatted(t, text) != text {
			t.Fatalf("%q as %s is formatted to %s", want, s, formatted(t, text))
		}
	})
}

// So has every key of a configuration. Its schema is read as a file: this package is for
// programs that have no configuration, too.
func TestEveryKeyOfAConfigurationHasAPlace(t *testing.T) {
	text, err := os.ReadFile("../../cmd/walbridge/internal/config/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	check := func(name string, s any, o *order) map[string]any {
		keys := s.(map[string]any)["properties"].(map[string]any)
		want := slices.Sorted(maps.Keys(keys))
		if got := slices.Sorted(slices.Values(o.keys)); !slices.Equal(got, want) {
			t.Errorf("%s: the order is of %v, the schema has %v", name, got, want)
		}
		return keys
	}
	for name, s := range check("the file", doc, ofConfig) {
		if s.(map[string]any)["properties"] == nil {
			continue
		}
		for inner, s := range check(name, s, ofConfig.inside(name)) {
			if s.(map[string]any)["properties"] != nil {
				check(name+"."+inner, s, ofConfig.inside(name).inside(inner))
			}
		}
	}
	target := doc["$defs"].(map[string]any)["target"].(map[string]any)
	types, err := filepath.Glob("../../cmd/walbridge/internal/config/schema/*.json")
	if err != nil || len(types) == 0 {
		t.Fatalf("no schemas of types of targets (%v)", err)
	}
	for _, path := range types {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var own struct{ Properties map[string]any }
		if err := json.Unmarshal(text, &own); err != nil {
			t.Fatal(err)
		}
		maps.Copy(target["properties"].(map[string]any), own.Properties)
	}
	check("targets", target, ofConfig.inside("targets").inside("crm"))
}
