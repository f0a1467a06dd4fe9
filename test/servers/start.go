package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// earlyEndError is a server that ended before it answered.
type earlyEndError struct {
	state string
	log   string // what it wrote since it was started
}

func (e *earlyEndError) Error() string { return "it ended before it answered: " + e.state }

// passing tells whether another try may go better: somebody took the port
// between our look and the server's, or the children of a killed PostgreSQL
// still hold its shared memory.
func (e *earlyEndError) passing() bool {
	for _, sign := range []string{
		"Address already in use",
		"pre-existing shared memory block",
		`lock file "postmaster.pid" already exists`,
	} {
		if strings.Contains(e.log, sign) {
			return true
		}
	}
	return false
}

// withLog adds the end of the server's log, from an offset on, to an error.
func withLog(err error, path string, from int64) error {
	text, readErr := readFrom(path, from)
	if readErr != nil {
		return errors.Join(err, fmt.Errorf("read the server's log: %w", readErr))
	}
	var early *earlyEndError
	if errors.As(err, &early) {
		early.log = text
	}
	const most = 2000
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return fmt.Errorf("%w\nthe end of its log:\n%s", err, strings.TrimSpace(text))
}

// readFrom reads a file from an offset on.
func readFrom(path string, from int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	return string(text), err
}

// fileSize is the size of a file; zero if there is none.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// freePort finds a port nobody listens at. It looks below the range the kernel
// takes the ports of outgoing connections from: one of those could otherwise
// sit on a server's port while the server is down for a moment.
func freePort(ctx context.Context) (int, error) {
	const first, count, tries = 15000, 15000, 100
	var lc net.ListenConfig
	var last error
	for range tries {
		port := first + rand.IntN(count)
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("give a free port back: %w", err)
		}
		return port, nil
	}
	return 0, fmt.Errorf("find a free port: %d tries: %w", tries, last)
}

// serverDir makes the directory of a server: the one that was asked for, or a
// new one in the system's place for temporary files. Other users may pass
// through it, since PostgreSQL runs as one of them under root.
func serverDir(asked, name string) (dir string, made bool, err error) {
	if asked == "" {
		if dir, err = os.MkdirTemp("", "walbridge-"+name+"-"); err != nil {
			return "", false, fmt.Errorf("make a directory for %s: %w", name, err)
		}
		// MkdirTemp lets nobody else in.
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", false, fmt.Errorf("open the directory of %s to its user: %w", name, err)
		}
		return dir, true, nil
	}
	if dir, err = filepath.Abs(asked); err != nil {
		return "", false, fmt.Errorf("find the directory of %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", false, fmt.Errorf("make the directory of %s: %w", name, err)
	}
	return dir, false, nil
}

// logger gives the logger, or one that drops everything.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
