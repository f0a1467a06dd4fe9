package trial

import (
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

var (
	// safe are texts that YAML reads as text without quotes, wherever they stand.
	safe     = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_./@+()-]*( [\p{L}\p{N}_./@+()-]+)*$`)
	safeDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	// words are texts that mean something else to YAML of one version or another.
	words = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
)

// flow writes a value as YAML in one line.
func flow(n *yamldoc.Node) string {
	switch n.Kind {
	case yamldoc.Null:
		return "null"
	case yamldoc.Bool, yamldoc.Number:
		return n.Text
	case yamldoc.String:
		if n.Plain() && numberForm.MatchString(n.Text) {
			return n.Text // a number that is longer than YAML's
		}
		return textYAML(n.Text)
	}
	items := make([]string, len(n.Values))
	for i, v := range n.Values {
		items[i] = flow(v)
		if n.Kind == yamldoc.Map {
			items[i] = textYAML(n.Keys[i].Text) + ": " + items[i]
		}
	}
	if n.Kind == yamldoc.Map {
		return "{" + strings.Join(items, ", ") + "}"
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// textYAML writes a text as YAML reads it back, in quotes only where it has to be.
func textYAML(s string) string {
	if (safe.MatchString(s) || safeDate.MatchString(s)) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	return yamldoc.Quote(s)
}
