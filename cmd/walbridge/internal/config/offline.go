package config

import (
	"os"
	"path/filepath"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// MappingPatterns gives the patterns of mapping files that a configuration has,
// and the directory that they are relative to. It is for work that needs neither
// servers nor secrets: of the environment only what the patterns name has to be
// set. The error is of type Errors.
func MappingPatterns(path string, getenv func(string) (string, bool)) (patterns []string, dir string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", Errors{{File: path, Msg: "cannot be read: " + cause(err).Error(), Hint: "name the configuration with -c"}}
	}
	doc, err := yamldoc.Parse(path, data, false) // excerpts could show a password
	if err != nil {
		return nil, "", err
	}
	dir = filepath.Dir(path)
	if n := doc.Root.Get("mappings"); n != nil {
		n.Walk(func(n *yamldoc.Node) { doc.ExpandEnv(n, getenv) })
	}
	s := doc.Section(doc.Root, keysOfFile...)
	s.Texts("mappings", &patterns)
	if len(patterns) == 0 && doc.Err() == nil {
		s.Require("mappings", "[mappings/*.yaml]")
	}
	return patterns, dir, doc.Err()
}

// OfflineTargets gives the names of the targets of a configuration, likewise without
// servers and secrets; none where there is no such section.
func OfflineTargets(path string) (names []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{File: path, Msg: "cannot be read: " + cause(err).Error(), Hint: "name the configuration with -c"}}
	}
	doc, err := yamldoc.Parse(path, data, false) // excerpts could show a password
	if err != nil {
		return nil, err
	}
	if n := doc.Root.Get("targets"); n != nil && n.Kind == yamldoc.Map {
		for _, k := range n.Keys {
			names = append(names, k.Text)
		}
	}
	return names, nil
}
