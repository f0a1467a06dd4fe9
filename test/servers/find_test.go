package servers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program writes a file that can be run.
func program(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// fakePostgres makes a directory look like that of a server's programs.
func fakePostgres(t *testing.T, bin string) {
	t.Helper()
	program(t, filepath.Join(bin, "postgres"), "#!/bin/sh\n")
	program(t, filepath.Join(bin, "initdb"), "#!/bin/sh\n")
}

func TestFindPostgres(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "path"))
	places := []string{filepath.Join(dir, "lib", "pg*", "bin"), filepath.Join(dir, "rpm", "pg-*", "bin")}
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	find := func(want string) {
		t.Helper()
		if got, ok := findPostgres(places); got != want || ok != (want != "") {
			t.Errorf("found %q, want %q", got, want)
		}
	}

	find("")
	fakePostgres(t, at("lib", "pg9", "bin"))
	find(at("lib", "pg9", "bin"))
	fakePostgres(t, at("rpm", "pg-15", "bin"))
	fakePostgres(t, at("lib", "pg14", "bin"))
	find(at("rpm", "pg-15", "bin"))
	program(t, at("lib", "pg18", "bin", "psql"), "") // a client alone is no server
	find(at("rpm", "pg-15", "bin"))
	fakePostgres(t, at("asked"))
	program(t, at("path", "pg_config"), "#!/bin/sh\necho "+at("asked")+"\n")
	find(at("asked"))
	fakePostgres(t, at("path"))
	find(at("path"))
}

func TestFindPostgresInDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := FindPostgres(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty directory gave %v", err)
	}
	fakePostgres(t, dir)
	if got, err := FindPostgres(dir); got != dir || err != nil {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestVersionIn(t *testing.T) {
	t.Parallel()
	var got []int
	for _, path := range []string{"/usr/lib/postgresql/15/bin", "/usr/pgsql-16/bin", "/9/usr/bin", "/usr/99999999999999999999999/bin"} {
		got = append(got, versionIn(path))
	}
	if want := []int{15, 16, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("versions are %v, want %v", got, want)
	}
}

func TestReachNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	closed := filepath.Join(dir, "closed")
	inner := filepath.Join(closed, "inner")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := &account{name: "stranger", uid: 4_000_000, gid: 4_000_000}
	if err := stranger.reach(dir); err != nil {
		t.Errorf("an open directory: %v", err)
	}
	if err := stranger.reach(inner); err == nil || !strings.HasSuffix(err.Error(), "chmod o+x "+closed) {
		t.Errorf("a closed directory above: %v", err)
	}
	var self *account
	if err := self.reach(inner); err != nil {
		t.Errorf("for ourselves: %v", err)
	}
}
