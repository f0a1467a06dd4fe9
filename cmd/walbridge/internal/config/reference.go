package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// maxSecret bounds a file that a value refers to.
const maxSecret = 64 << 10

// expand replaces the references to the environment in a scalar.
func (l *loader) expand(n *yamldoc.Node) {
	if n.Kind != yamldoc.String || !strings.Contains(n.Text, "$") {
		return
	}
	text, ok := l.replace(n)
	if !ok { // told already; the value counts as not given
		n.Kind = yamldoc.Null
		return
	}
	n.Expand(text)
}

func (l *loader) replace(n *yamldoc.Node) (text string, ok bool) {
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
				l.doc.Fail(n, "a reference ${ without its }", "", "write ${NAME}, or $$ for a dollar")
				return "", false
			}
			value, ok := l.variable(n, inner)
			if !ok {
				return "", false
			}
			out.WriteString(value)
			rest = tail
		default:
			l.doc.Fail(n, "a single $", "", "write ${NAME} for a variable, or $$ for a dollar")
			return "", false
		}
	}
}

// variable gives the value of NAME or NAME:-default. As in a shell, the default
// also holds for a variable that is set to nothing.
func (l *loader) variable(n *yamldoc.Node, inner string) (string, bool) {
	name, fallback, hasDefault := strings.Cut(inner, ":-")
	if !isVariable(name) {
		l.doc.Fail(n, "not the name of an environment variable within ${}", "", "write ${NAME} or ${NAME:-default}")
		return "", false
	}
	value, ok := l.getenv(name)
	switch {
	case hasDefault && value == "":
		return fallback, true
	case !ok:
		l.doc.Fail(n, "the environment variable is not set:", name, "set it, or write ${"+name+":-default}")
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

// secret reads a scalar that is never shown, following file:PATH.
func (l *loader) secret(n *yamldoc.Node, dst *Secret) {
	if n == nil || l.doc.Failed(n.Path) {
		return
	}
	if n.Kind != yamldoc.String {
		l.doc.Fail(n, "want a text, not "+n.Kind.String(), "", "put it in quotes")
		return
	}
	path, isFile := strings.CutPrefix(n.Text, "file:")
	if !isFile {
		*dst = Secret(n.Text)
		return
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	text, err := readSecret(path)
	switch {
	case err != nil:
		l.doc.Fail(n, "the file cannot be read ("+err.Error()+"):", path, "check the path, which is relative to the configuration file, and its permissions")
	case text == "":
		l.doc.Fail(n, "the file is empty:", path, "put the value into it")
	default:
		*dst = Secret(text)
	}
}

func readSecret(path string) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", cause(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", cause(err)
	}
	if len(data) > maxSecret {
		return "", errors.New("larger than 64 KiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// cause is the error without the path, which the text has already.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
