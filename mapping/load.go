package mapping

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// LoadGlob reads all files that the patterns name, relative to baseDir, sorted
// by path within a pattern. The error is of type Errors and has the mistakes of
// all files, among them patterns that match nothing and names used twice.
func LoadGlob(patterns []string, baseDir string) ([]*File, error) {
	files, err := LoadEach(patterns, baseDir)
	if err != nil {
		return nil, err
	}
	return files, nil
}

// LoadEach is LoadGlob that also gives the files, where some have mistakes: Compile finds
// those that take a database to be seen.
func LoadEach(patterns []string, baseDir string) ([]*File, error) {
	var errs Errors
	var files []*File
	for _, path := range expand(patterns, baseDir, &errs) {
		f, err := load(path)
		errs = append(errs, asErrors(path, err)...)
		if f != nil {
			files = append(files, f)
		}
	}
	errs = append(errs, repeatedNames(files)...)
	return files, errs.Err()
}

func expand(patterns []string, baseDir string, errs *Errors) []string {
	var paths []string
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(baseDir, pattern)
		}
		found, err := filepath.Glob(pattern)
		switch {
		case err != nil:
			*errs = append(*errs, &Error{File: pattern, Msg: "not a pattern for files", Hint: "write a path, or * for a part of a name"})
		case len(found) == 0:
			*errs = append(*errs, &Error{File: pattern, Msg: "no mapping file is here", Hint: "check the path: patterns are relative to the configuration file"})
		}
		for _, path := range found {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

func load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mapping: %w", err)
	}
	return Parse(path, data)
}

// Join gives the mistakes of several errors of files as one; nil if there are none.
func Join(errs ...error) error {
	var all Errors
	for _, err := range errs {
		all = append(all, asErrors("", err)...)
	}
	return all.Err()
}

// asErrors gives the mistakes that an error has; none of nil.
func asErrors(path string, err error) Errors {
	if err == nil {
		return nil
	}
	var es Errors
	if errors.As(err, &es) {
		return es
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		return Errors{{File: path, Msg: "cannot be read: " + pe.Err.Error(), Hint: "check that it is a file and its permissions"}}
	}
	return Errors{{File: path, Msg: err.Error()}}
}

func repeatedNames(files []*File) Errors {
	var errs Errors
	first := map[string]*File{}
	for _, f := range files {
		if other, ok := first[f.Name]; ok {
			doc := f.doc.Fresh()
			doc.Fail(doc.Root.Get("name"), "the file "+other.Path+" already has the mapping name", f.Name, "give one of the two another name")
			errs = append(errs, asErrors(f.Path, doc.Err())...)
			continue
		}
		first[f.Name] = f
	}
	return errs
}
