package trials

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(start, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// start is the directory of this package.
var start = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func run(t *testing.T, args []string, o Options) []*File {
	t.Helper()
	paths, err := Find(args, "walbridge.yaml", false)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Run(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func text(t *testing.T, files []*File, s Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, files, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReports(t *testing.T) {
	t.Chdir("testdata/sales")
	files := run(t, nil, Options{})
	if Good(files) || Chosen(files) != 6 {
		t.Errorf("good %v, %d chosen", Good(files), Chosen(files))
	}
	golden(t, "report.golden", text(t, files, Style{}))
	golden(t, "verbose.golden", text(t, files, Style{Verbose: true}))
	golden(t, "color.golden", text(t, files, Style{Color: true}))
	var b bytes.Buffer
	if err := WriteJUnit(&b, files); err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.golden.xml", b.String())
	golden(t, "only.golden", text(t, run(t, []string{"mappings/deals.yaml", "mappings/accounts.yaml"}, Options{Only: regexp.MustCompile("^a(n| won)")}), Style{Verbose: true}))
	files = run(t, []string{"mappings/accounts.yaml"}, Options{})
	if !Good(files) {
		t.Error("what passes is not good")
	}
	golden(t, "passes.golden", text(t, files, Style{}))
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/sales")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Chmod("mappings/deals.yaml", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("mappings/deals.yaml", "link.yaml"); err != nil {
		t.Fatal(err)
	}
	o := Options{Update: true, Only: regexp.MustCompile("n")}
	files := run(t, []string{"link.yaml", "mappings/accounts.yaml"}, o)
	golden(t, "update.golden", text(t, files, Style{}))
	if !Good(files) {
		t.Error("what was recorded is not good")
	}
	written, err := os.ReadFile("mappings/deals.yaml")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "updated.golden.yaml", string(written))
	if info, err := os.Lstat("mappings/deals.yaml"); err != nil || info.Mode() != 0o640 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat("link.yaml"); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob("mappings/.walbridge*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	files = run(t, []string{"link.yaml"}, o)
	if again, err := os.ReadFile("mappings/deals.yaml"); err != nil || !bytes.Equal(again, written) || len(files[0].Recorded) > 0 || !Good(files) {
		t.Errorf("recorded again: %v, %v", files[0].Recorded, err)
	}
}

// A file with mistakes is not written.
func TestUpdateLeavesMistakesAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/sales")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	before, err := os.ReadFile("mappings/broken.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := run(t, []string{"mappings/broken.yaml"}, Options{Update: true})
	if after, err := os.ReadFile("mappings/broken.yaml"); err != nil || !bytes.Equal(before, after) || Good(files) {
		t.Errorf("%v, good %v", err, Good(files))
	}
}

func TestFind(t *testing.T) {
	t.Chdir("testdata")
	for _, c := range []struct {
		args []string
		file string
		want []string
	}{
		{nil, "sales/walbridge.yaml", []string{"sales/mappings/accounts.yaml", "sales/mappings/broken.yaml", "sales/mappings/deals.yaml", "sales/mappings/quiet.yaml"}},
		{[]string{"sales", "sales/mappings/../mappings/quiet.yaml", "sales/shared/audit.yaml"}, "walbridge.yaml",
			[]string{"sales/mappings/accounts.yaml", "sales/mappings/broken.yaml", "sales/mappings/deals.yaml", "sales/mappings/quiet.yaml", "sales/shared/audit.yaml"}},
	} {
		got, err := Find(c.args, c.file, false)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v", c.args, got, err)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "there is no walbridge.yaml here, and no directory mappings; name the files"},
		{[]string{"sales/mappings/none.yaml"}, "there is no file or directory sales/mappings/none.yaml; check the path"},
		{[]string{"sales/shared"}, "no mapping file is below sales/shared; a mapping file ends in"},
	} {
		_, err := Find(c.args, "walbridge.yaml", false)
		var none *NotFound
		if !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v", c.args, err)
		}
	}
	var errs config.Errors
	if _, err := Find(nil, "none.yaml", true); !errors.As(err, &errs) {
		t.Errorf("of a configuration that is not there: %v", err)
	}
	t.Chdir("sales")
	if got, err := Find(nil, "none.yaml", false); err != nil || len(got) != 4 {
		t.Errorf("in mappings: %v, %v", got, err)
	}
}

func TestCatalogs(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/nowhere")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	said := func(o Options) string { return text(t, run(t, []string{"deals.yaml"}, o), Style{}) }
	if got := said(Options{}); !strings.Contains(got, "deals.yaml: the types of the columns are not known: no catalog.json is in its directory or above it; walbridge check --save writes it") {
		t.Errorf("got %s", got)
	}
	if got := said(Options{Catalog: filepath.Join(start, "testdata/sales/catalog.json")}); !strings.Contains(got, "no tests") {
		t.Errorf("got %s", got)
	}
	if got := said(Options{Catalog: "none.json"}); !strings.Contains(got, "none.json") {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile("catalog.json", []byte(`{"version":1,"tables":{"public.orders":{}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := said(Options{}); !strings.Contains(got, `deals.yaml:1:7: from: no such table "public.deals"`) {
		t.Errorf("got %s", got)
	}
}
