// Package structure holds the shape of the source tree by tests: who may import
// whom and why not, that every package says what it is for, and how long files
// and functions may get. The checks are functions over a parsed tree, so that
// they can be tried on a bad one.
//
// It reads the sources itself, without the go command, and imports nothing of
// walbridge.
package structure

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is a module's source.
type tree struct {
	module   string // the module's path
	files    *token.FileSet
	packages []*pkg // sorted by path
}

// pkg is one directory with Go files.
type pkg struct {
	path  string // from the module's root; "." for the root itself
	files []*file
	tests []*file // those named _test.go
}

// file is one Go file.
type file struct {
	path  string
	lines int
	ast   *ast.File
}

// problem is one thing that is not as it should be.
type problem struct {
	where string // a path, often with a line
	what  string // and what to do about it
}

func (p problem) String() string { return p.where + ": " + p.what }

// load parses all Go files of a module. Directories that the go command ignores
// are left out.
func load(root fs.FS, module string) (*tree, error) {
	t := &tree{module: module, files: token.NewFileSet()}
	byPath := map[string]*pkg{}
	err := fs.WalkDir(root, ".", func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if ignored(at) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(at) != ".go" || ignored(at):
			return nil
		}
		f, err := t.parse(root, at)
		if err != nil {
			return err
		}
		dir := path.Dir(at)
		p := byPath[dir]
		if p == nil {
			p = &pkg{path: dir}
			byPath[dir] = p
			t.packages = append(t.packages, p)
		}
		if strings.HasSuffix(at, "_test.go") {
			p.tests = append(p.tests, f)
		} else {
			p.files = append(p.files, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	slices.SortFunc(t.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return t, nil
}

func ignored(at string) bool {
	base := path.Base(at)
	if at != "." && (base[0] == '.' || base[0] == '_') {
		return true
	}
	return base == "testdata" || base == "vendor" || base == "node_modules"
}

func (t *tree) parse(root fs.FS, at string) (*file, error) {
	text, err := fs.ReadFile(root, at)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(t.files, at, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{path: at, lines: bytes.Count(text, []byte("\n")), ast: f}, nil
}

// line gives the line a position is in.
func (t *tree) line(at token.Pos) int { return t.files.Position(at).Line }

// at names a place in a file.
func (t *tree) at(f *file, pos token.Pos) string {
	return f.path + ":" + strconv.Itoa(t.line(pos))
}
