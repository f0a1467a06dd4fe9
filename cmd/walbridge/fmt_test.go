package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs walbridge within the process, with an input, and gives what it printed.
func command(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(in))
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	messy = "to:  crm/Deal\nfrom: deals\n"
	tidy  = "from: deals\nto: crm/Deal\n"
)

func TestFmtPrints(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a.yaml"), messy)
	for _, c := range []struct {
		in   string
		args []string
	}{{messy, []string{"fmt"}}, {"", []string{"fmt", file}}, {"", []string{"fmt", dir}}} {
		if out, err := command(t, c.in, c.args...); out != tidy || err != nil {
			t.Errorf("%v: %q, %v", c.args, out, err)
		}
	}
	if contents(t, file) != messy {
		t.Error("the file was changed")
	}
}

func TestFmtListsAndShows(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "m", "a.yaml"), messy)
	write(t, filepath.Join(dir, "b.yml"), tidy)
	write(t, filepath.Join(dir, "compose.yaml"), "services:   {}\n")
	write(t, filepath.Join(dir, "helm.yaml"), "a: {{ .Values }}\n")
	write(t, filepath.Join(dir, ".git", "c.yaml"), messy)
	out, err := command(t, "", "fmt", "-l", dir)
	if out != file+"\n" || !errors.Is(err, errProblems) {
		t.Errorf("listed %q, %v", out, err)
	}
	out, err = command(t, "", "fmt", "-d", dir)
	if !strings.Contains(out, "-to:  crm/Deal\n from: deals\n+to: crm/Deal\n") || !errors.Is(err, errProblems) {
		t.Errorf("showed %q, %v", out, err)
	}
	if out, err = command(t, messy, "fmt", "-l"); out != "<standard input>\n" || !errors.Is(err, errProblems) {
		t.Errorf("of the standard input: %q, %v", out, err)
	}
}

// -w writes only what changes, through links, with the permissions that were.
func TestFmtWrites(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "real", "a.yaml"), messy)
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, "", "fmt", "-l", "-w", link); out != link+"\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v (%v)", info.Mode(), err)
	}
	if info, err = os.Stat(file); err != nil || info.Mode().Perm() != 0o640 || contents(t, file) != tidy {
		t.Errorf("the file is %v with %q (%v)", info.Mode(), contents(t, file), err)
	}
	if out, err := command(t, "", "fmt", "-l", "-w", dir); out != "" || err != nil {
		t.Errorf("again: %q, %v", out, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "real", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

// Mistakes of all files are told; the right ones are formatted nevertheless.
func TestFmtMistakes(t *testing.T) {
	dir := t.TempDir()
	bad1, bad2 := write(t, filepath.Join(dir, "1.yaml"), "from: {\n"), write(t, filepath.Join(dir, "2.yaml"), "from: a\nfrom: b\n")
	good := write(t, filepath.Join(dir, "3.yaml"), messy)
	_, err := command(t, "", "fmt", "-w", bad1, bad2, good)
	if err == nil || !strings.Contains(err.Error(), bad1+":1:7: not YAML") || !strings.Contains(err.Error(), bad2+`:2:1: from: repeated key "from"`) {
		t.Errorf("got %v", err)
	}
	if contents(t, good) != tidy || contents(t, bad1) != "from: {\n" {
		t.Error("the wrong files were written")
	}
	for _, args := range [][]string{{"fmt", "-w"}, {"fmt", filepath.Join(dir, "none.yaml")}} {
		var usage *usageError
		if _, err := command(t, "", args...); !errors.As(err, &usage) {
			t.Errorf("%v: got %v, want a usage error", args, err)
		}
	}
}

func TestSchemaCommand(t *testing.T) {
	for title, args := range map[string][]string{"walbridge mapping file": {"schema"}, "walbridge.yaml": {"schema", "--config"}} {
		out, err := command(t, "", args...)
		var doc struct{ Title string }
		if err != nil || json.Unmarshal([]byte(out), &doc) != nil || doc.Title != title {
			t.Errorf("%v: %v, title %q", args, err, doc.Title)
		}
	}
}
