package trials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

// NotFound says that there is nothing to test where it was looked for.
type NotFound struct{ What, Hint string }

func (e *NotFound) Error() string { return e.What + "; " + e.Hint }

// Find gives the mapping files that are meant: those named, those in directories
// that are named, or else those of the configuration, or else those in mappings.
// configured tells that the configuration was named, and so has to be there.
func Find(args []string, configFile string, configured bool) ([]string, error) {
	switch _, err := os.Stat(configFile); {
	case len(args) > 0:
		return named(args)
	case err == nil || configured:
		return ofConfig(configFile)
	}
	const hint = "name the files: walbridge test mappings/deals.yaml, or the configuration with -c"
	if _, err := os.Stat("mappings"); err != nil {
		return nil, &NotFound{"there is no " + configFile + " here, and no directory mappings", hint}
	}
	return named([]string{"mappings"})
}

func ofConfig(file string) (paths []string, err error) {
	patterns, dir, err := config.MappingPatterns(file, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, &NotFound{fmt.Sprintf("%q is not a pattern for files", pattern), "write a path, or * for a part of a name"}
		}
		if len(found) == 0 {
			return nil, &NotFound{"no mapping file is at " + pattern, "check mappings: in " + file}
		}
		paths = appendNew(paths, found)
	}
	return paths, nil
}

func appendNew(paths, more []string) []string {
	for _, p := range more {
		if p = filepath.Clean(p); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths
}

func named(args []string) (paths []string, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &NotFound{"there is no file or directory " + arg, "check the path"}
		case err != nil:
			return nil, fmt.Errorf("look for mapping files: %w", err)
		case !info.IsDir():
			paths = appendNew(paths, []string{arg})
			continue
		}
		found, err := below(arg)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, &NotFound{"no mapping file is below " + arg, "a mapping file ends in .yaml or .yml and has from: and to:"}
		}
		paths = appendNew(paths, found)
	}
	return paths, nil
}

// ofMapping is what a mapping file has, and neither a configuration nor a list of
// fields that mappings share.
var ofMapping = regexp.MustCompile(`(?m)^(from|to)[ \t]*:`)

// below gives the mapping files in a directory and those below it.
func below(dir string) (paths []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if path != dir && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		case !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil && ofMapping.Match(text) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for mapping files: %w", err)
	}
	return paths, nil
}

// findCatalog looks for the catalog in a file's directory and those above it.
func findCatalog(file string) (string, bool) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return "", false
	}
	for {
		path := filepath.Join(dir, mapping.CatalogName)
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", false
		}
		dir = above
	}
}
