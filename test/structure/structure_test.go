package structure

import (
	"os"
	"strings"
	"testing"
)

// TestTree holds the shape of this module.
func TestTree(t *testing.T) {
	const root = "../.."
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	module, ok := strings.CutPrefix(first, "module ")
	if !ok {
		t.Fatalf("go.mod begins with %q, want the module's path", first)
	}
	got, err := load(os.DirFS(root), strings.TrimSpace(module))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.packages) < 5 {
		t.Fatalf("found only %d packages; is the module's root still %s?", len(got.packages), root)
	}
	for name, check := range map[string]func(*tree) []problem{
		"names": checkNames, "comments": checkComments, "sizes": checkSizes, "imports": checkImports,
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range check(got) {
				t.Error(p)
			}
		})
	}
}
