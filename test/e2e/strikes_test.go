package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/test/fault"
)

// nemesis hurts a running bridge.
type nemesis struct {
	b       *bridge
	rng     *rand.Rand
	capture *process
	workers []*victim
	hired   int // workers so far
	counts  map[string]int
	pauses  []pause // those that are over
}

// A request may live longer than the lease of a worker that dies, so that who takes over has
// to wait for it.
const (
	nemesisLease   = 1500 * time.Millisecond
	nemesisTimeout = 2500 * time.Millisecond
	mostExtras     = 3 // workers besides the steady ones
	mostAway       = 2 // workers at a time that stand still or are cut off
)

// steady are the workers that there always are: one that dies is followed by another.
// Extras share all targets with them, and come and go.
var steady = [][]string{
	{"--target", "crm"},
	{"--target", "commission,forecast"},
}

// victim is a worker of the nemesis. It has its own way to Redis.
type victim struct {
	*worker
	steady []string // its arguments if it is one of those
	redis  *fault.Proxy
	// away tells that it stands still or is cut off, until back, when undo ends that.
	away bool
	back time.Time
	undo func()
}

// newNemesis starts the processes that it hurts.
func newNemesis(t *testing.T, seed uint64) *nemesis {
	t.Helper()
	n := &nemesis{b: newBridge(t, options{ownServers: true}), rng: rand.New(rand.NewPCG(seed, 99)), counts: map[string]int{}}
	n.capture = n.b.start("capture")
	n.b.waitSlot(n.capture)
	n.hireAll()
	return n
}

// hireAll starts the steady workers and an extra one.
func (n *nemesis) hireAll() {
	for _, args := range steady {
		n.hire(args)
	}
	n.hire(nil)
}

// hire starts a worker.
func (n *nemesis) hire(args []string) {
	n.b.t.Helper()
	proxy, err := fault.NewProxy(n.b.redis.Addr())
	if err != nil {
		n.b.t.Fatal(err)
	}
	n.b.t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			n.b.t.Error(err)
		}
	})
	o := options{lease: nemesisLease, timeout: nemesisTimeout, rewrite: func(config string) string { return strings.Replace(config, n.b.redis.Addr(), proxy.Addr(), 1) }}
	n.workers = append(n.workers, &victim{worker: n.b.worker(workerName(n.hired), o, args...), steady: args, redis: proxy})
	n.hired++
}

// gone replaces a worker that has ended, if it was a steady one.
func (n *nemesis) gone(v *victim) {
	n.workers = slices.DeleteFunc(n.workers, func(w *victim) bool { return w == v })
	if v.steady != nil {
		n.hire(v.steady)
	}
}

func (n *nemesis) running() []*process {
	list := []*process{n.capture}
	for _, v := range n.workers {
		list = append(list, v.process)
	}
	return list
}

// here are the workers that are not away.
func (n *nemesis) here() []*victim {
	return slices.DeleteFunc(slices.Clone(n.workers), func(v *victim) bool { return v.away })
}

// oneOf chooses one of some workers.
func (n *nemesis) oneOf(list []*victim) *victim { return list[n.rng.IntN(len(list))] }

// sendAway notes that a worker is away for some time from now on.
func (v *victim) sendAway(d time.Duration, undo func()) {
	v.away, v.back, v.undo = true, time.Now().Add(d), undo
}

// comeBack lets the workers go on whose time away is over.
func (n *nemesis) comeBack(now time.Time) {
	for _, v := range n.workers {
		if v.away && !now.Before(v.back) {
			v.undo()
			v.away = false
		}
	}
}

// deed is something that is done to the bridge. What it hurt runs again when it returns, or
// is away; it need not have found its feet.
type deed struct {
	name string
	can  bool
	do   func(*testing.T)
}

// deeds are all there are; in a calm the servers are left alone.
func (n *nemesis) deeds(calm bool) []deed {
	extras := len(n.workers) - len(steady)
	canLeave := len(n.workers)-len(n.here()) < mostAway && len(n.here()) > 0
	return []deed{
		{"kill capture", true, func(*testing.T) { n.capture.kill(); n.capture = n.b.start("capture") }},
		{"stop capture", true, func(t *testing.T) { n.end(t, n.capture); n.capture = n.b.start("capture") }},
		{"kill redis", !calm, func(t *testing.T) { n.started(t); n.b.redis.Kill(); restart(t, n.b.redis) }},
		{"kill postgres", !calm, func(t *testing.T) { n.started(t); n.b.pg.Kill(); restart(t, n.b.pg) }},
		{"kill redis and capture", !calm, func(t *testing.T) {
			n.started(t)
			n.b.redis.Kill()
			n.capture.kill()
			restart(t, n.b.redis)
			n.capture = n.b.start("capture")
		}},
		{"kill all", !calm, n.killAll},
		{"add worker", extras < mostExtras, func(*testing.T) { n.hire(nil) }},
		{"kill worker", true, func(*testing.T) { // also one that is away
			v := n.oneOf(n.workers)
			v.kill()
			n.gone(v)
		}},
		{"stop worker", len(n.here()) > 0, func(t *testing.T) {
			v := n.oneOf(n.here())
			n.end(t, v.process)
			n.gone(v)
		}},
		{"pause worker", canLeave, func(t *testing.T) { n.pause(t, n.oneOf(n.here())) }},
		{"cut worker off from redis", canLeave, func(t *testing.T) { n.cutOff(t, n.oneOf(n.here())) }},
	}
}

// strike does one of the deeds that can be done, now and then the one that was done least.
func (n *nemesis) strike(t *testing.T, calm bool) {
	list := slices.DeleteFunc(n.deeds(calm), func(d deed) bool { return !d.can })
	d := list[n.rng.IntN(len(list))]
	if n.rng.IntN(4) == 0 {
		d = slices.MinFunc(list, func(a, b deed) int { return n.counts[a.name] - n.counts[b.name] })
	}
	n.counts[d.name]++
	d.do(t)
}

// struckAll fails if something was never done.
func (n *nemesis) struckAll() {
	for _, d := range n.deeds(false) {
		if n.counts[d.name] == 0 {
			n.b.t.Errorf("in all the time there was no %s", d.name)
		}
	}
}

func (n *nemesis) killAll(t *testing.T) {
	for _, p := range n.running() {
		p.kill()
	}
	n.b.pg.Kill()
	n.b.redis.Kill()
	restart(t, n.b.redis)
	restart(t, n.b.pg)
	n.capture = n.b.start("capture")
	n.workers = nil
	n.hireAll()
}

// pause stops a worker for longer than its lease lasts, so that others take over what it has.
func (n *nemesis) pause(t *testing.T, v *victim) {
	n.up(t, v.process)
	p := pause{worker: v.worker.name, from: time.Now()}
	v.signal(syscall.SIGSTOP)
	v.sendAway(nemesisLease+time.Duration(n.rng.Int64N(int64(3*time.Second))), func() {
		p.to = time.Now()
		v.signal(syscall.SIGCONT)
		n.pauses = append(n.pauses, p)
	})
}

// cutOff takes Redis away from a worker, perhaps for longer than its lease lasts: its
// connections end, or nothing goes through them.
func (n *nemesis) cutOff(t *testing.T, v *victim) {
	n.up(t, v.process)
	set := v.redis.Refuse
	if n.rng.IntN(2) == 0 {
		set = v.redis.Stall
	}
	set(true)
	v.sendAway(time.Second+time.Duration(n.rng.Int64N(int64(4*time.Second))), func() { set(false) })
}

// started waits until every process has come through its start.
func (n *nemesis) started(t *testing.T) {
	t.Helper()
	n.up(t, n.capture)
	for _, v := range n.here() {
		n.up(t, v.process)
	}
}

// up waits until a process has come through its start, at which a server that is not there
// is an error of the configuration, and ends it.
func (n *nemesis) up(t *testing.T, p *process) {
	t.Helper()
	until(t, 30*time.Second, func() string {
		p.mustRun()
		for _, w := range []string{"capture started", "waiting for the slot", "capture interrupted", "delivery started", "waiting for partitions", "delivery is held up"} {
			if strings.Contains(p.output(), w) {
				return ""
			}
		}
		return p.name + " has not started"
	})
}

// end asks a process to end and wants it to do so in order. One that has not said anything
// yet may not have come to listen for signals.
func (n *nemesis) end(t *testing.T, p *process) {
	until(t, 30*time.Second, func() string {
		p.mustRun()
		return unless(p.output() != "", p.name+" has not begun")
	})
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("%s ended with status %d after SIGTERM", p.name, status)
	}
}

// restart starts a server again.
func restart(t *testing.T, s interface{ Start(context.Context) error }) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}
