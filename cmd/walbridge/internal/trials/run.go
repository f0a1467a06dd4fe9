package trials

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Options say what to run.
type Options struct {
	// Catalog is the file with the tables of the source; if it is empty, it is
	// looked for beside each mapping file and above it.
	Catalog string
	// Only chooses tests by their names; nil chooses all.
	Only *regexp.Regexp
	// Update writes what came out into the files.
	Update bool
}

// File is what became of a mapping file.
type File struct {
	Path string
	// Mapping is its name; empty if the file could not be read so far.
	Mapping  string
	Mistakes mapping.Errors
	// Tests is how many tests the file has, chosen or not.
	Tests   int
	Results []trial.Result
	// Recorded are the results that were written into the file; they are not among
	// Results any more.
	Recorded []trial.Result
}

// Failed counts the tests that did not pass.
func (f *File) Failed() (n int) {
	for _, r := range f.Results {
		if !r.Passed {
			n++
		}
	}
	return n
}

// Run runs the tests of files. An error is about writing: mistakes in files are
// among what it gives.
func Run(paths []string, o Options) ([]*File, error) {
	r := &runner{o: o, catalogs: map[string]*mapping.MemoryCatalog{}, siblings: map[string][]*mapping.File{}}
	files := make([]*File, 0, len(paths))
	for _, path := range paths {
		f, err := r.file(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

type runner struct {
	o        Options
	catalogs map[string]*mapping.MemoryCatalog
	// siblings are the mapping files of each directory, as far as they can be read: what
	// a reference may name.
	siblings map[string][]*mapping.File
}

func (r *runner) chosen(c *trial.Case) bool { return r.o.Only == nil || r.o.Only.MatchString(c.Name) }

func (r *runner) file(path string) (*File, error) {
	f := &File{Path: path}
	data, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		f.mistake(&mapping.Error{File: path, Msg: "cannot be read: " + err.Error(), Hint: "check that it is a file and its permissions"})
		return f, nil
	}
	m, suite := r.read(f, data)
	if len(f.Mistakes) > 0 {
		return f, nil
	}
	f.Tests = len(suite.Cases)
	for _, c := range suite.Cases {
		if r.chosen(c) {
			f.Results = append(f.Results, suite.Run(m, c))
		}
	}
	if r.o.Update && f.Failed() > 0 {
		return f, r.record(f, m, suite)
	}
	return f, nil
}

func (f *File) mistake(err error) {
	var errs mapping.Errors
	var one *mapping.Error
	switch {
	case err == nil:
	case errors.As(err, &errs):
		f.Mistakes = append(f.Mistakes, errs...)
	case errors.As(err, &one):
		f.Mistakes = append(f.Mistakes, one)
	default:
		f.Mistakes = append(f.Mistakes, &mapping.Error{File: f.Path, Msg: err.Error()})
	}
}

// read gives the mapping of a file and its tests, or notes the mistakes of both:
// those of the tests are told even where the mapping cannot be read.
func (r *runner) read(f *File, data []byte) (*mapping.Mapping, *trial.Suite) {
	doc, err := yamldoc.Parse(f.Path, data, true)
	if err != nil {
		f.mistake(err)
		return nil, nil
	}
	file, err := mapping.Parse(f.Path, data)
	f.mistake(err)
	cat, err := r.catalog(f.Path)
	if err != nil {
		f.mistake(err)
		return nil, nil
	}
	var m *mapping.Mapping
	if file != nil {
		f.Mapping = file.Name
		m, err = mapping.CompileAmong(file, append(r.among(filepath.Dir(f.Path), file), file), cat)
		f.mistake(err)
	}
	var suite *trial.Suite
	if subject, ok := subjectOf(doc, cat); ok {
		suite, err = trial.Parse(f.Path, data, subject)
		f.mistake(err)
	}
	_ = f.Mistakes.Err() // orders them by their places
	return m, suite
}

// among gives the mapping files beside one.
func (r *runner) among(dir string, file *mapping.File) []*mapping.File {
	list, ok := r.siblings[dir]
	if !ok {
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			paths, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				continue // a directory with brackets in its name: then no reference is known
			}
			for _, path := range paths { // what cannot be read is told when it is run itself
				data, err := os.ReadFile(path)
				if err != nil {
					continue
				}
				if f, _ := mapping.Parse(path, data); f != nil {
					list = append(list, f)
				}
			}
		}
		r.siblings[dir] = list
	}
	return slices.DeleteFunc(slices.Clone(list), func(f *mapping.File) bool { return f.Name == file.Name })
}

// subjectOf finds what the tests are about, in a file that may have mistakes.
func subjectOf(doc *yamldoc.Doc, cat mapping.Catalog) (s trial.Subject, ok bool) {
	from := doc.Root.Get("from")
	if from == nil {
		return s, false
	}
	var err error
	if s.Table, err = cdc.ParseTable(from.Text); err != nil {
		return s, false
	}
	if key := doc.Root.Get("key"); key != nil && len(key.Keys) > 0 {
		s.Key = key.Keys[0].Text
	}
	s.Columns, ok = cat.Columns(s.Table)
	return s, ok
}

func (r *runner) catalog(file string) (*mapping.MemoryCatalog, error) {
	path := r.o.Catalog
	if path == "" {
		var ok bool
		if path, ok = findCatalog(file); !ok {
			return nil, &mapping.Error{File: file, Msg: "the types of the columns are not known: no " + mapping.CatalogName + " is in its directory or above it",
				Hint: "walbridge check --save writes it from the database; or name it with --catalog"}
		}
	}
	if cat, ok := r.catalogs[path]; ok {
		return cat, nil
	}
	cat, err := mapping.LoadCatalog(path)
	if err != nil {
		return nil, err
	}
	r.catalogs[path] = cat
	return cat, nil
}

// record writes the outcomes into the file and runs it again.
func (r *runner) record(f *File, m *mapping.Mapping, suite *trial.Suite) error {
	rec := suite.Record(m, r.chosen)
	if len(rec.Recorded) > 0 {
		if err := replace(f.Path, rec.Text); err != nil {
			return err
		}
	}
	written := map[*trial.Case]bool{}
	for _, c := range rec.Recorded {
		written[c] = true
	}
	left := f.Results[:0:0]
	for _, res := range f.Results {
		if written[res.Case] {
			f.Recorded = append(f.Recorded, res)
			continue
		}
		left = append(left, res)
	}
	for _, c := range rec.Missed {
		for i := range left {
			if left[i].Case == c {
				left[i].Problem = "what came out cannot be written into the file; write expect: by hand"
			}
		}
	}
	f.Results = left
	return nil
}

// replace puts a text in place of a file's, at once or not at all.
func replace(path, text string) (err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(real), ".walbridge-test-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if _, err = f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), real)
}
