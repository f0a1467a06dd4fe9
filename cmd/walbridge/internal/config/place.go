package config

import (
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Mistake is a mistake in the settings of a target that shows when it is opened, with its
// place: that of the setting at a path within the target's section, or of the nearest section
// above it. The value is left out where it comes from the environment.
func (t *Target) Mistake(path, msg, value, hint string) *Error {
	e := &Error{Path: strings.TrimSuffix("targets."+t.Name+"."+path, "."), Msg: msg, Value: value, Hint: hint}
	if t.Section.Node == nil {
		return e
	}
	n := nearestTo(t.Section.Node, e.Path)
	e.File, e.Line, e.Column = t.Section.Doc.File, n.Line, n.Column
	if n.Expanded && n.Path == e.Path {
		e.Value = n.Written
	}
	return e
}

// nearestTo gives the node of a path, or else the nearest section above it, from a node that
// is above all of them.
func nearestTo(best *yamldoc.Node, path string) *yamldoc.Node {
	best.Walk(func(n *yamldoc.Node) {
		inside := path == n.Path || strings.HasPrefix(path, n.Path+".") || strings.HasPrefix(path, n.Path+"[")
		if inside && len(n.Path) > len(best.Path) {
			best = n
		}
	})
	return best
}
