package nemesis

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// restartAfter is the pause before a process that ended is started again.
const restartAfter = 50 * time.Millisecond

// keeper keeps a process running, as an init system would. A process may end when
// it is made to, and before it ever captured, since a server that is away at the
// start is an error; never otherwise, and never with a loss.
type keeper struct {
	b    *bridge
	name string
	args []string
	quit chan struct{}
	done chan struct{}

	mu      sync.Mutex // covers what follows
	now     *process
	started chan struct{} // closed when now is another
	wrong   []string
	starts  int
	gaveUp  int    // starts that failed
	why     string // the last of them did
}

// process is one run of the program.
type process struct {
	cmd   *exec.Cmd
	log   string
	alive context.Context
	asked bool // covered by the keeper's mu: it may end
}

// keep starts a process and keeps it until the test ends.
func (b *bridge) keep(name string, args ...string) *keeper {
	k := &keeper{b: b, name: name, args: args, quit: make(chan struct{}), done: make(chan struct{}),
		started: make(chan struct{})}
	go k.run()
	b.t.Cleanup(k.stop)
	return k
}

// stop ends the keeping and the process, and says what was wrong.
func (k *keeper) stop() {
	select {
	case <-k.quit:
		return
	default:
	}
	close(k.quit)
	<-k.done
	if k.now != nil {
		k.harmed(k.output(k.now))
	}
	for _, w := range k.wrong {
		k.b.t.Errorf("%s: %s", k.name, w)
	}
	if k.b.t.Failed() && k.now != nil {
		k.b.t.Logf("the end of the output of %s:\n%s", k.name, tail(k.output(k.now), 15))
	}
}

func (k *keeper) findings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.wrong)
}

// mustStart ends the test if a start failed, where all servers are there.
func (k *keeper) mustStart() {
	k.b.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gaveUp > 0 {
		k.b.t.Fatalf("%s does not start: %s", k.name, k.why)
	}
}

func (k *keeper) summary() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%s was started %d times, of which %d failed, as a server was away", k.name, k.starts, k.gaveUp)
}

func (k *keeper) find(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = append(k.wrong, fmt.Sprintf(format, args...))
}

func (k *keeper) run() {
	defer close(k.done)
	for n := 1; ; n++ {
		p, err := k.start(n)
		if err != nil {
			k.find("start: %v", err)
			return
		}
		select {
		case <-p.alive.Done():
			k.judge(p)
		case <-k.quit:
			_ = p.cmd.Process.Kill() // fails only if it has ended
			<-p.alive.Done()
			return
		}
		again := time.NewTimer(restartAfter)
		select {
		case <-again.C:
		case <-k.quit:
			again.Stop()
			return
		}
	}
}

// start starts the program once.
func (k *keeper) start(n int) (*process, error) {
	p := &process{log: filepath.Join(k.b.dir, fmt.Sprintf("%s-%04d.log", strings.ReplaceAll(k.name, " ", "-"), n))}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program, k.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = k.b.dir, out, out
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
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = p
	k.starts++
	close(k.started)
	k.started = make(chan struct{})
	return p, nil
}

// harmed finds words in the output that must never be there.
func (k *keeper) harmed(text string) bool {
	for _, word := range []string{"data_loss", "panic:", "fatal error:", "DATA RACE"} {
		if i := strings.Index(text, word); i >= 0 {
			from := strings.LastIndexByte(text[:i], '\n') + 1
			k.find("%s", text[from:min(len(text), from+2000)])
			return true
		}
	}
	return false
}

// judge looks at a process that has ended.
func (k *keeper) judge(p *process) {
	text := k.output(p)
	if k.harmed(text) {
		return
	}
	k.mu.Lock()
	asked := p.asked
	k.mu.Unlock()
	if asked {
		return
	}
	if strings.Contains(text, `msg="capture started"`) {
		k.find("it ended by itself, %s:\n%s", p.cmd.ProcessState, tail(text, 8))
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gaveUp++
	k.why = tail(text, 10)
}

// signal sends a signal to the present process. One that is to end it, it may end
// of.
func (k *keeper) signal(sig syscall.Signal) *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.now
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		p.asked = true
	}
	_ = p.cmd.Process.Signal(sig) // fails only if it has ended, and is started again
	return p
}

// kill ends the present process as a crash would.
func (k *keeper) kill() { <-k.signal(syscall.SIGKILL).alive.Done() }

// output is what a process wrote.
func (k *keeper) output(p *process) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		k.find("read its output: %v", err)
	}
	return string(text)
}

// tail gives the last lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
