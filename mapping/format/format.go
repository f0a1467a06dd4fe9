package format

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Source gives the text of a file in the one form. The error is of type yamldoc.Errors:
// mistakes of syntax, or what cannot be kept.
func Source(file string, text []byte) ([]byte, error) {
	before, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	d, err := read(before, string(text))
	if err != nil {
		return nil, err
	}
	keys := &order{}
	if d.root != nil {
		keys = orderOf(names(before.Root))
		keys.sort(d.root)
		d.root.hoist()
	}
	out := []byte(render(d))
	after, err := parse(file, out)
	if err != nil || !same(before.Root, after.Root, keys) {
		return nil, changed(before, "would not have the same meaning any more")
	}
	was, now, err := remarks(string(text), string(out))
	if err != nil || !slices.Equal(was, now) {
		return nil, changed(before, "would not have all its comments any more")
	}
	return out, nil
}

// Ours tells whether a text looks like a mapping file or a configuration, as opposed to
// YAML that is somebody else's. One of ours that cannot be read is still ours.
func Ours(text []byte) bool {
	keys := topKeys(text)
	has := func(want ...string) bool {
		return !slices.ContainsFunc(want, func(k string) bool { return !slices.Contains(keys, k) })
	}
	return has("from", "to") || has("postgres", "redis") || has("fields") && len(keys) == 1
}

var topKey = regexp.MustCompile(`(?m)^([a-z]+):`)

func topKeys(text []byte) (keys []string) {
	if doc, err := yamldoc.Parse("", text, false); err == nil {
		return names(doc.Root)
	}
	for _, m := range topKey.FindAllSubmatch(text, -1) {
		keys = append(keys, string(m[1]))
	}
	return keys
}

func parse(file string, text []byte) (*yamldoc.Doc, error) {
	doc, err := yamldoc.Parse(file, text, !mayHoldSecrets(string(text)))
	if err != nil {
		return nil, err
	}
	if k := doc.Root.Kind; k != yamldoc.Map && k != yamldoc.Null {
		doc.Fail(doc.Root, "want a section of keys, not "+k.String(), "", "a mapping begins with from: and to:")
	}
	return doc, doc.Err()
}

// mayHoldSecrets tells whether lines of a file must not be shown, syntax aside.
func mayHoldSecrets(text string) bool {
	return strings.Contains(text, "postgres:") || strings.Contains(text, "redis:") || strings.Contains(text, "targets:")
}

func changed(doc *yamldoc.Doc, what string) error {
	doc.Fail(nil, "the formatted file "+what, "", "it is left as it is; write it in the common form, with two spaces for each level and without unusual quoting, and tell us of it")
	return doc.Err()
}

func names(n *yamldoc.Node) []string {
	var out []string
	for _, k := range n.Keys {
		out = append(out, k.Text)
	}
	return out
}

// same tells whether two values are the same, but for the order of keys that have one.
func same(a, b *yamldoc.Node, o *order) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Values) != len(b.Values) || len(a.Keys) != len(b.Keys) {
		return false
	}
	if a.Kind != yamldoc.Map {
		for i := range a.Values {
			if !same(a.Values[i], b.Values[i], o.inside("")) {
				return false
			}
		}
		return true
	}
	keys := names(a)
	slices.SortStableFunc(keys, func(x, y string) int { return o.rank(x) - o.rank(y) })
	if !slices.Equal(keys, names(b)) {
		return false
	}
	for i, k := range keys {
		if !same(a.Get(k), b.Values[i], o.inside(k)) {
			return false
		}
	}
	return true
}

// remarks gives the comments of both texts, sorted, as the library's lexer sees them.
func remarks(a, b string) (was, now []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML lexer gave up on this file")
		}
	}()
	return remarksOf(a), remarksOf(b), nil
}

func remarksOf(text string) (out []string) {
	for _, t := range lexer.Tokenize(text) {
		if t.Type == token.CommentType {
			out = append(out, strings.TrimSpace(t.Value))
		}
	}
	slices.Sort(out)
	return out
}
