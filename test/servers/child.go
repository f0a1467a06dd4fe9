package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is one run of a server's main process.
type child struct {
	cmd *exec.Cmd
	// alive is over when the process has ended and was waited for.
	alive context.Context
}

// startChild runs the command with its output appended to a log file. When we
// die before it, the kernel sends it onDeath, where there is such a thing.
func startChild(cmd *exec.Cmd, logPath string, onDeath syscall.Signal) (*child, error) {
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd, onDeath)

	alive, end := context.WithCancel(context.Background())
	c := &child{cmd: cmd, alive: alive}
	started := make(chan error, 1)
	go func() {
		// To the kernel, the parent of the child is the thread that forked it,
		// and the death signal comes when that thread ends; the Go runtime may
		// end a thread at any time. So this goroutine keeps its thread to
		// itself until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer end()
		err := cmd.Start()
		started <- err
		if err == nil {
			// How it ended stands in cmd.ProcessState; a server that was
			// killed on purpose is no error.
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return c, nil
}

// ended tells whether the process is gone.
func (c *child) ended() bool { return c.alive.Err() != nil }

// state says how the process ended; call it only when it has.
func (c *child) state() string { return c.cmd.ProcessState.String() }

// kill ends the process with SIGKILL and waits until it is gone.
func (c *child) kill() {
	// It fails only for a process that has ended, which is what is wanted.
	_ = c.cmd.Process.Kill()
	<-c.alive.Done()
}
