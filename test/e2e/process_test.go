package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a walbridge that was started. It is killed when the test ends, and
// its output is shown if the test failed.
type process struct {
	t     testing.TB
	name  string
	log   string // file of what it writes to both outputs
	cmd   *exec.Cmd
	alive context.Context // over when it has ended
	asked atomic.Bool     // it may end
}

// processes numbers the log files.
var processes atomic.Int64

// launch says how a process is started.
type launch struct {
	dir  string   // the working directory
	env  []string // besides ours
	args []string
}

// start starts the program. A process that ends before it is asked to fails the
// test.
func start(t testing.TB, l launch) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(l.args, " ")}
	p.log = filepath.Join(l.dir, fmt.Sprintf("output-%03d.log", processes.Add(1)))
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, l.args...)
	p.cmd.Dir, p.cmd.Env = l.dir, append(os.Environ(), l.env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	dieWithTest(p.cmd)
	alive, end := context.WithCancel(context.Background())
	p.alive = alive
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the thread that forked the child ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer end()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended stands in ProcessState
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	t.Cleanup(p.cleanUp)
	return p
}

func (p *process) cleanUp() {
	if p.endedUnasked() {
		p.t.Errorf("%s ended by itself: %s", p.name, p.cmd.ProcessState)
	}
	p.kill()
	if p.t.Failed() {
		p.t.Logf("the end of the output of %s:\n%s", p.name, tail(p.output(), 25))
	}
}

func (p *process) endedUnasked() bool { return p.alive.Err() != nil && !p.asked.Load() }

// mustRun fails the test if the process has ended by itself.
func (p *process) mustRun() {
	p.t.Helper()
	if p.endedUnasked() {
		p.t.Fatalf("%s ended by itself: %s", p.name, p.cmd.ProcessState)
	}
}

// kill ends the process with SIGKILL and returns when it is gone.
func (p *process) kill() {
	p.mustBeOurs()
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.alive.Done()
}

// mustBeOurs notes an end by itself before asked hides it.
func (p *process) mustBeOurs() {
	if p.endedUnasked() {
		p.t.Errorf("%s ended by itself: %s", p.name, p.cmd.ProcessState)
	}
}

// signal sends a signal to a process that goes on.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
}

// stop sends a signal and waits for the end; it gives the exit status and how
// long that took.
func (p *process) stop(sig syscall.Signal, within time.Duration) (status int, took time.Duration) {
	p.t.Helper()
	p.mustBeOurs()
	p.asked.Store(true)
	began := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
	return p.wait(within), time.Since(began)
}

// wait waits for the end and gives the exit status; -1 after a signal.
func (p *process) wait(within time.Duration) int {
	p.t.Helper()
	p.asked.Store(true)
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	select {
	case <-p.alive.Done():
	case <-deadline.C:
		p.t.Fatalf("%s did not end within %s", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// output is what the process has written so far.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Errorf("read output of %s: %v", p.name, err)
	}
	return string(text)
}

// says waits until the output contains a text.
func (p *process) says(text string, within time.Duration) {
	p.t.Helper()
	until(p.t, within, func() string {
		if strings.Contains(p.output(), text) {
			return ""
		}
		p.mustRun()
		return fmt.Sprintf("%s has not said %q", p.name, text)
	})
}

// tail gives the last lines of a text.
func tail(text string, n int) string {
	lines := bytes.Split(bytes.TrimSpace([]byte(text)), []byte("\n"))
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
