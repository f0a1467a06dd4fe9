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
