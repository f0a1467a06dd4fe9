package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asCommand makes this test program be walbridge.
const asCommand = "WALBRIDGE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// walbridge runs the command in a directory and gives its outputs and its status.
func walbridge(t *testing.T, dir string, args ...string) (out, errors string, status int) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), asCommand+"=1")
	if err := cmd.Run(); err != nil && !isExit(err) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// The way of one who writes a mapping: a test fails, is recorded, and passes.
func TestTestCommand(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("internal/trials/testdata/sales")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args     []string
		status   int
		out, err string
	}{
		{[]string{"test"}, 1, "4 files, 6 tests: 3 failed, 1 file with mistakes\n", ""},
		{[]string{"test", "mappings/deals.yaml", "--run", "draft", "-v"}, 0, "ok    mappings/deals.yaml:18: drafts are not sent\n\n1 file, 1 test: all passed\n", ""},
		{[]string{"test", "mappings/deals.yaml", "--junit", "junit.xml"}, 1, "FAIL  mappings/deals.yaml  3 of 4 tests failed\n", ""},
		{[]string{"test", "mappings/deals.yaml", "--update"}, 0, "ok    mappings/deals.yaml  4 tests, 3 recorded\n", ""},
		{[]string{"test", "mappings/deals.yaml"}, 0, "ok    mappings/deals.yaml  4 tests\n\n1 file, 4 tests: all passed\n", ""},
		{[]string{"test", "-c", "walbridge.yaml", "--update"}, 1, "4 files, 6 tests: 1 file with mistakes\n", ""},
		{[]string{"test", "--catalog", "none.json", "mappings/deals.yaml"}, 1, "none.json", ""},
		{[]string{"test", "none.yaml"}, 2, "", "walbridge: there is no file or directory none.yaml; check the path\n"},
		{[]string{"test", "--run", "(", "mappings"}, 2, "", "walbridge: --run (: not a regular expression: "},
		{[]string{"test", "--run", "nothing", "mappings/deals.yaml"}, 2, "", "walbridge: --run nothing: no test has a name that matches; walbridge test -v shows the names\n"},
		{[]string{"test", "--updat"}, 2, "", "walbridge: unknown flag: --updat; see walbridge test --help\n"},
		{[]string{"test", "-c", "none.yaml"}, 1, "", "walbridge: none.yaml: cannot be read: no such file or directory; name the configuration with -c\n"},
		{[]string{"test", "mappings/accounts.yaml", "--junit", "none/junit.xml"}, 1, "", "walbridge: write JUnit: open none/junit.xml: no such file or directory\n"},
	} {
		out, errs, status := walbridge(t, dir, step.args...)
		if status != step.status || !strings.Contains(out, step.out) || !strings.Contains(errs, step.err) {
			t.Errorf("%v: status %d, output\n%s%s", step.args, status, out, errs)
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%v: colours without a terminal", step.args)
		}
	}
	report, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil || !strings.Contains(string(report), `<testsuites name="walbridge test" tests="4" failures="3" errors="0">`) {
		t.Errorf("%v: the report is\n%s", err, report)
	}
}
