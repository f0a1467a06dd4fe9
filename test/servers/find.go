package servers

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// packageDirs are the places where packages of Linux distributions put each
// major version of PostgreSQL, outside of PATH.
func packageDirs() []string {
	return []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"}
}

// FindPostgres finds the directory with the programs of a PostgreSQL server. If
// dir is given, they must be there. Otherwise it looks in PATH, asks the
// pg_config found in PATH, and looks where the packages of Linux distributions
// put them, newest version first.
func FindPostgres(dir string) (string, error) {
	if dir != "" {
		if !hasPostgres(dir) {
			return "", fmt.Errorf("find PostgreSQL: %s does not hold both postgres and initdb; give the directory bin of a PostgreSQL server (14 or later)", dir)
		}
		return filepath.Abs(dir)
	}
	if dir, ok := findPostgres(packageDirs()); ok {
		return dir, nil
	}
	return "", fmt.Errorf("find PostgreSQL: neither PATH nor %s holds a server's postgres and initdb; install the server (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql)",
		strings.Join(packageDirs(), " nor "))
}

func findPostgres(patterns []string) (dir string, ok bool) {
	if path, err := exec.LookPath("initdb"); err == nil && hasPostgres(filepath.Dir(path)) {
		if dir, err := filepath.Abs(filepath.Dir(path)); err == nil {
			return dir, true
		}
	}
	if path, err := exec.LookPath("pg_config"); err == nil {
		// A pg_config that fails is as good as none: the packages come next.
		if out, err := exec.Command(path, "--bindir").Output(); err == nil {
			if dir := strings.TrimSpace(string(out)); hasPostgres(dir) {
				return dir, true
			}
		}
	}
	for _, dir := range newestFirst(patterns) {
		if hasPostgres(dir) {
			return dir, true
		}
	}
	return "", false
}

// newestFirst gives the directories that match, highest version first.
func newestFirst(patterns []string) []string {
	var dirs []string
	for _, p := range patterns {
		// The only error is a bad pattern, and ours are good.
		found, _ := filepath.Glob(p)
		dirs = append(dirs, found...)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(versionIn(b), versionIn(a)) })
	return dirs
}

// versionIn gives the number in the name of the directory above bin: 15 for
// /usr/lib/postgresql/15/bin and /usr/pgsql-15/bin, zero if there is none.
func versionIn(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	name = name[strings.LastIndexFunc(name, func(r rune) bool { return r < '0' || r > '9' })+1:]
	n, err := strconv.Atoi(name)
	if err != nil {
		return 0
	}
	return n
}

func hasPostgres(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// FindRedis finds redis-server in PATH.
func FindRedis() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("find Redis: %w; install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)", err)
	}
	return filepath.Abs(path)
}
