// Command postgres makes sure that PostgreSQL servers of some major versions
// are on this machine and prints the directory of each one's programs, one a
// line and in the order asked for:
//
//	go run ./test/postgres VERSION [VERSION...]
//
// A version that the machine does not have is installed by npm into the user's
// cache directory, where the next run finds it. If
// WALBRIDGE_TEST_POSTGRES_<VERSION>_BIN names a directory, that one is taken.
// Progress goes to stderr. The exit status is 1 if a version cannot be had and
// 2 for a mistake in the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/walbridge/walbridge/test/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "postgres:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

// errUsage is a mistake in the command line.
var errUsage = errors.New("usage: go run ./test/postgres VERSION [VERSION...]")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	majors, err := versions(args)
	if err != nil {
		return err
	}
	for _, major := range majors {
		bin, err := ensure(ctx, major, stderr)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, bin); err != nil {
			return fmt.Errorf("print the directory: %w", err)
		}
	}
	return nil
}

// versions reads the arguments, all of them before anything is installed.
func versions(args []string) (majors []int, err error) {
	known := servers.PostgresVersions()
	list := strings.Trim(fmt.Sprint(known), "[]")
	if len(args) == 0 {
		return nil, fmt.Errorf("%w: no version is given; the known ones are %s", errUsage, list)
	}
	for _, arg := range args {
		major, err := strconv.Atoi(arg)
		if err != nil || !slices.Contains(known, major) && os.Getenv(override(major)) == "" {
			return nil, fmt.Errorf("%w: unknown version %q; the known ones are %s", errUsage, arg, list)
		}
		majors = append(majors, major)
	}
	return majors, nil
}

// override names the environment variable with the directory of a version.
func override(major int) string { return fmt.Sprintf("WALBRIDGE_TEST_POSTGRES_%d_BIN", major) }

func ensure(ctx context.Context, major int, stderr io.Writer) (bin string, err error) {
	name := override(major)
	if dir := os.Getenv(name); dir != "" {
		bin, err = servers.CheckPostgresVersion(ctx, dir, major)
		if err != nil {
			return "", fmt.Errorf("use %s: %w", name, err)
		}
		return bin, nil
	}
	bin, err = servers.EnsurePostgresVersion(ctx, major, stderr)
	if err != nil {
		return "", fmt.Errorf("%w\nor set %s to the directory bin of a PostgreSQL %d", err, name, major)
	}
	return bin, nil
}
