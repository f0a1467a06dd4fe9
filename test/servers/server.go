package servers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds a start, crash recovery included.
	startTimeout = 60 * time.Second
	// stopTimeout is how long an orderly stop may take before the server is
	// killed. PostgreSQL waits in it for its replication clients.
	stopTimeout = 20 * time.Second
	// closeTimeout is the same for a server whose data is given up.
	closeTimeout = 5 * time.Second
	// pollEvery is the pause between two looks at a server that starts.
	pollEvery = 15 * time.Millisecond
	// probeTimeout bounds one look.
	probeTimeout = 3 * time.Second
)

// Server is what all kinds of server have in common: one child process at a
// time, a directory and a port. Its methods may be called by several
// goroutines.
type Server struct {
	name    string
	dir     string
	ownsDir bool // made by us, so Close removes it
	log     *slog.Logger
	kind    kind

	life sync.Mutex // one Start, Stop or Close at a time; taken before mu
	mu   sync.Mutex // covers port and child
	port int
	// child is the process of the last start; nil before the first.
	child *child
}

// kind is what sets one sort of server apart from another.
type kind interface {
	// command gives the command that runs the server in the foreground.
	command(port int) *exec.Cmd
	// probe tells whether the server at the port answers and is the process
	// with the pid; nil if so.
	probe(ctx context.Context, port, pid int) error
	// stopSignal asks for an orderly end, quitSignal for an end at once that
	// still leaves nothing behind.
	stopSignal() syscall.Signal
	quitSignal() syscall.Signal
}

// Port is where the server listens, on 127.0.0.1. It stays the same over
// restarts.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// Addr is the address the server listens at: host:port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port()) }

// Dir is the directory that holds all of the server's files.
func (s *Server) Dir() string { return s.dir }

// LogPath is the file the server writes its log to. It goes on over restarts.
func (s *Server) LogPath() string { return filepath.Join(s.dir, "server.log") }

// PID is the id of the server's main process; zero while it is not running.
func (s *Server) PID() int {
	if c := s.running(); c != nil {
		return c.cmd.Process.Pid
	}
	return 0
}

// running gives the child that has not ended, or nil.
func (s *Server) running() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || s.child.ended() {
		return nil
	}
	return s.child
}

// Start starts a server that was stopped or killed, on the same data and port,
// and returns when it answers. The server outlives ctx, which only bounds the
// wait. The error carries the end of the server's log.
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if c := s.running(); c != nil {
		return fmt.Errorf("start %s: it is running already, with pid %d", s.name, c.cmd.Process.Pid)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.tryStart(ctx)
		var early *earlyEndError
		if err == nil || !errors.As(err, &early) || !early.passing() {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// tryStart starts the server once. The first start of a server chooses the
// port, and a failed one leaves the choice open.
func (s *Server) tryStart(ctx context.Context) error {
	port := s.Port()
	if port == 0 {
		var err error
		if port, err = freePort(ctx); err != nil {
			return fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	logStart := fileSize(s.LogPath())
	c, err := startChild(s.kind.command(port), s.LogPath(), s.kind.quitSignal())
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	if err := s.waitReady(ctx, c, port); err != nil {
		c.kill()
		return fmt.Errorf("start %s: %w", s.name, withLog(err, s.LogPath(), logStart))
	}
	s.mu.Lock()
	s.port = port
	s.mu.Unlock()
	s.log.Debug("server started", "server", s.name, "pid", c.cmd.Process.Pid, "port", port, "dir", s.dir)
	return nil
}

// waitReady waits until the server answers, ends, or ctx is over.
func (s *Server) waitReady(ctx context.Context, c *child, port int) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.probe(ctx, c, port)
		if err == nil {
			return nil
		}
		select {
		case <-c.alive.Done():
			return &earlyEndError{state: c.state()}
		case <-ctx.Done():
			return fmt.Errorf("wait until it answers: %w (last try: %w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// probe looks once whether the server answers, and gives up when the process
// ends: whoever has the port then is not ours.
func (s *Server) probe(ctx context.Context, c *child, port int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer context.AfterFunc(c.alive, cancel)()
	return s.kind.probe(ctx, port, c.cmd.Process.Pid)
}

// Signal sends a signal to the server's main process. SIGSTOP and SIGCONT
// freeze and thaw Redis whole, but only the postmaster of PostgreSQL.
func (s *Server) Signal(sig os.Signal) error {
	c := s.running()
	if c == nil {
		return fmt.Errorf("signal %s: it is not running", s.name)
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", s.name, err)
	}
	return nil
}

// Kill ends the server's main process with SIGKILL, as a crash would, and
// returns when it is gone. A server that is not running is left as it is. Of a
// PostgreSQL that is never started again, the kernel keeps the 56 bytes of
// shared memory that mark its data directory as taken.
func (s *Server) Kill() {
	if c := s.running(); c != nil {
		c.kill()
		s.log.Debug("server killed", "server", s.name, "pid", c.cmd.Process.Pid)
	}
}

// Stop ends the server in good order and keeps its data. One that does not end
// within twenty seconds, or before ctx is over, is killed, which the error
// says. Stopping a stopped server does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	return s.end(ctx, s.kind.stopSignal(), stopTimeout)
}

// Close ends the server at once and, if its directory was made for it, removes
// that. The server cannot be started afterwards.
func (s *Server) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	err := s.end(context.Background(), s.kind.quitSignal(), closeTimeout)
	if s.ownsDir {
		err = errors.Join(err, removeAll(s.dir))
	}
	return err
}

// end sends the signal and waits; life must be held.
func (s *Server) end(ctx context.Context, sig syscall.Signal, limit time.Duration) error {
	c := s.running()
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.kill()
		return fmt.Errorf("stop %s: signal %s: %w", s.name, sig, err)
	}
	select {
	case <-c.alive.Done():
	case <-ctx.Done():
		c.kill()
		return fmt.Errorf("stop %s: killed, because it did not end in time: %w", s.name, context.Cause(ctx))
	}
	s.log.Debug("server stopped", "server", s.name, "pid", c.cmd.Process.Pid)
	return nil
}

// removeAll removes a directory, again and again for a moment: the children of
// a killed server may still be writing while they find out.
func removeAll(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := os.RemoveAll(dir)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("remove the directory of a server: %w", err)
		}
	}
}
