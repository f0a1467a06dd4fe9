package yamldoc

import "strings"

// ExpandEnv replaces the references to the environment in a scalar: ${NAME}, which must
// be set, ${NAME:-default}, and $$ for a dollar. It is false where a mistake was noted; the
// value then counts as not given.
func (d *Doc) ExpandEnv(n *Node, getenv func(string) (string, bool)) bool {
	if n.Kind != String || !strings.Contains(n.Text, "$") {
		return true
	}
	text, ok := d.expandEnv(n, getenv)
	if !ok {
		n.Kind = Null
		return false
	}
	n.Expand(text)
	return true
}

func (d *Doc) expandEnv(n *Node, getenv func(string) (string, bool)) (text string, ok bool) {
	var out strings.Builder
	rest := n.Text
	for {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			return out.String(), true
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			inner, tail, closed := strings.Cut(after[1:], "}")
			if !closed {
				d.Fail(n, "a reference ${ without its }", "", "write ${NAME}, or $$ for a dollar")
				return "", false
			}
			value, ok := d.variable(n, inner, getenv)
			if !ok {
				return "", false
			}
			out.WriteString(value)
			rest = tail
		default:
			d.Fail(n, "a single $", "", "write ${NAME} for a variable, or $$ for a dollar")
			return "", false
		}
	}
}

// variable gives the value of NAME or NAME:-default. As in a shell, the default
// also holds for a variable that is set to nothing.
func (d *Doc) variable(n *Node, inner string, getenv func(string) (string, bool)) (string, bool) {
	name, fallback, hasDefault := strings.Cut(inner, ":-")
	if !isVariable(name) {
		d.Fail(n, "not the name of an environment variable within ${}", "", "write ${NAME} or ${NAME:-default}")
		return "", false
	}
	value, ok := getenv(name)
	switch {
	case hasDefault && value == "":
		return fallback, true
	case !ok:
		d.Fail(n, "the environment variable is not set:", name, "set it, or write ${"+name+":-default}")
		return "", false
	}
	return value, true
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
