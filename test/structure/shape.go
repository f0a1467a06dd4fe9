package structure

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// Files and functions must stay below these; a function may have this many
// parameters. Tests are free, since tables are long.
const (
	fileLines     = 400
	functionLines = 80
	parameters    = 5
)

// topLevel are the directories of the module's root that hold packages: the
// listing of the root tells what walbridge is.
var topLevel = []string{"cmd", "cdc", "sinks", "mapping", "test"}

// emptyNames are names of packages that say nothing of what is in them.
var emptyNames = []string{
	"util", "utils", "common", "helper", "helpers", "models", "type", "types",
	"misc", "base", "lib", "pkg", "shared",
}

// checkNames finds packages in places or under names that tell a reader
// nothing.
func checkNames(t *tree) (found []problem) {
	for _, p := range t.packages {
		top, _, _ := strings.Cut(p.path, "/")
		if !slices.Contains(topLevel, top) {
			found = append(found, problem{p.path, fmt.Sprintf(
				"packages live under %s; put it below the one it belongs to", strings.Join(topLevel, ", "))})
		}
		for _, name := range append(packageNames(p), strings.Split(p.path, "/")...) {
			if slices.Contains(emptyNames, name) {
				found = append(found, problem{p.path, fmt.Sprintf(
					"the name %s says nothing of what is in it; name it for what it does", name)})
				break
			}
		}
	}
	return found
}

func packageNames(p *pkg) (names []string) {
	for _, f := range p.files {
		names = append(names, f.ast.Name.Name)
	}
	return names
}

// checkComments finds packages without exactly one package comment in the usual
// form. A package of tests only has its comment in one of them.
func checkComments(t *tree) (found []problem) {
	for _, p := range t.packages {
		files := p.files
		if len(files) == 0 {
			files = p.tests
		}
		var with []string
		for _, f := range files {
			if f.ast.Doc == nil {
				continue
			}
			with = append(with, f.path)
			if want := opening(f.ast.Name.Name); !strings.HasPrefix(f.ast.Doc.Text(), want) {
				found = append(found, problem{f.path, fmt.Sprintf("the package comment begins otherwise than %q", want)})
			}
		}
		switch {
		case len(with) == 0:
			found = append(found, problem{p.path, "no package comment; say its purpose, what holds in it, and its neighbours"})
		case len(with) > 1:
			found = append(found, problem{p.path, fmt.Sprintf("more than one package comment: %s; keep one", strings.Join(with, ", "))})
		}
	}
	return found
}

// opening is how a package comment begins.
func opening(name string) string {
	if name == "main" {
		return "Command "
	}
	return "Package " + strings.TrimSuffix(name, "_test") + " "
}

// checkSizes finds files and functions that are too long, and functions with
// too many parameters.
func checkSizes(t *tree) (found []problem) {
	for _, p := range t.packages {
		for _, f := range p.files {
			if f.lines >= fileLines {
				found = append(found, problem{f.path, fmt.Sprintf(
					"%d lines, and fewer than %d are allowed; split it by responsibility", f.lines, fileLines)})
			}
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					found = append(found, checkFunction(t, f, fn)...)
				}
			}
		}
	}
	return found
}

func checkFunction(t *tree, f *file, fn *ast.FuncDecl) (found []problem) {
	if n := t.line(fn.End()) - t.line(fn.Pos()) + 1; n >= functionLines {
		found = append(found, problem{t.at(f, fn.Pos()), fmt.Sprintf(
			"function %s has %d lines, and fewer than %d are allowed; give its parts names", fn.Name.Name, n, functionLines)})
	}
	if n := fn.Type.Params.NumFields(); n > parameters {
		found = append(found, problem{t.at(f, fn.Pos()), fmt.Sprintf(
			"function %s has %d parameters, and %d are allowed; pass a struct of options", fn.Name.Name, n, parameters)})
	}
	return found
}
