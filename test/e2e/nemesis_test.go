package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// nemesis hurts a running bridge.
type nemesis struct {
	b       *bridge
	rng     *rand.Rand
	capture *process
	deliver []*process // one for each of deliverArgs
	counts  map[string]int
}

// deliverArgs are the processes that deliver: two share the targets.
var deliverArgs = [][]string{
	{"deliver", "--target", "crm"},
	{"deliver", "--target", "commission,forecast"},
}

// TestNemesis kills processes and servers under a writer, by a seeded schedule, while the
// targets fail in all ways they know, and judges the whole run: each target equals the
// source, no key went backwards, and what is parked is what crm refuses, no more and no less.
func TestNemesis(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	length := 22 * time.Second
	if full() {
		length = 3 * time.Minute
	}
	b := newBridge(t, options{ownServers: true})
	n := &nemesis{b: b, rng: rand.New(rand.NewPCG(seed, 99)), counts: map[string]int{}}
	n.capture = b.start("capture")
	b.waitSlot(n.capture)
	for _, args := range deliverArgs {
		n.deliver = append(n.deliver, b.start(args...))
	}
	refusal := sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "stage", Value: json.RawMessage(`"talks"`), Code: "STAGE_NOT_ALLOWED"}}
	b.apps.inject(refusal)
	b.apps.inject(targetFaults()...)
	samples := b.sample()
	w := b.writer(pace{seed: seed})
	for began := time.Now(); time.Since(began) < length; {
		w.goesOn(t, 20+n.rng.Int64N(150), time.Minute)
		n.strike(t)
	}
	w.goesOn(t, 50, time.Minute)
	w.stop()
	for _, p := range n.deliver { // nothing may slip through while the faults are changed
		n.end(t, p)
	}
	b.apps.ClearFaults()
	b.apps.inject(refusal)
	for i, args := range deliverArgs {
		n.deliver[i] = b.start(args...)
	}
	b.drain(time.Minute, append(n.deliver, n.capture)...)
	samples.judge(t, b)
	b.checkAll(verdict{refused: b.explained(refusal.Refusal.Code)})
	var faults []string
	for _, kind := range slices.Sorted(maps.Keys(n.counts)) {
		faults = append(faults, fmt.Sprintf("%s %d", kind, n.counts[kind]))
	}
	t.Logf("%d commits, %d connections of the writer lost; faults: %s", w.commits.Load(), w.lost.Load(), strings.Join(faults, ", "))
}

// targetFaults are the ways in which targets fail now and then, whatever else happens: they
// throttle, are slow and so answer in another order, time out or lose the answer once they
// have carried a request out, answer half or nonsense, and lock records.
func targetFaults() []sandbox.Fault {
	faults := []sandbox.Fault{
		{Kind: sandbox.Reset, After: true, Rate: 0.01},
		{Kind: sandbox.Status, Status: 503, After: true, Rate: 0.01},
		{Kind: sandbox.Status, Status: 429, RetryAfter: time.Second, Rate: 0.01},
		{Kind: sandbox.Hang, After: true, Rate: 0.005},
		{Kind: sandbox.Hang, Rate: 0.005},
		{Kind: sandbox.Truncate, Rate: 0.01},
		{Kind: sandbox.Garbage, After: true, Rate: 0.01},
		{Kind: sandbox.Delay, Delay: 300 * time.Millisecond, Rate: 0.05},
		{Kind: sandbox.Refuse, Rate: 0.01, Refusal: &sandbox.Refusal{Code: "LOCKED", Retryable: true}},
	}
	for i := range faults {
		faults[i].Times = sandbox.Forever
	}
	return faults
}

// explained holds the dead letters against the rows that crm refuses: one for each, and no
// other. It gives the keys that may differ at crm for it.
func (b *bridge) explained(code string) map[string]bool {
	b.t.Helper()
	refused := map[string]bool{}
	for id := range b.objects("SELECT 'deals', id::text, '{}'::jsonb FROM deals WHERE stage = 'talks'")["deals"] {
		refused["crm/Deal "+id] = true
	}
	parked := map[string]bool{}
	for _, letter := range b.deadLetters("crm") {
		var key struct{ ID json.Number }
		if err := json.Unmarshal([]byte(letter["key"]), &key); err != nil || letter["code"] != code || !refused["crm/Deal "+key.ID.String()] {
			b.t.Errorf("a dead letter that nothing explains: %v (%v)", letter, err)
		}
		parked["crm/Deal "+key.ID.String()] = true
	}
	for name := range refused {
		if !parked[name] {
			b.t.Errorf("%s is refused, and not parked", name)
		}
	}
	for _, app := range []string{"commission", "forecast"} {
		if letters := b.deadLetters(app); len(letters) > 0 {
			b.t.Errorf("%d dead letters of %s, which refuses nothing: %v", len(letters), app, letters[0])
		}
	}
	b.t.Logf("%d records are refused and parked", len(refused))
	return refused
}

// strike does one of its deeds. What it hurt runs again when it returns, but need
// not have found its feet.
func (n *nemesis) strike(t *testing.T) {
	deeds := []struct {
		name string
		do   func(*testing.T)
	}{
		{"kill capture", func(*testing.T) { n.capture.kill(); n.capture = n.b.start("capture") }},
		{"kill deliver", func(*testing.T) {
			i := n.rng.IntN(len(n.deliver))
			n.deliver[i].kill()
			n.deliver[i] = n.b.start(deliverArgs[i]...)
		}},
		{"stop capture", func(t *testing.T) { n.end(t, n.capture); n.capture = n.b.start("capture") }},
		{"stop deliver", func(t *testing.T) {
			i := n.rng.IntN(len(n.deliver))
			n.end(t, n.deliver[i])
			n.deliver[i] = n.b.start(deliverArgs[i]...)
		}},
		{"kill redis", func(t *testing.T) { n.started(t); n.b.redis.Kill(); restart(t, n.b.redis) }},
		{"kill postgres", func(t *testing.T) { n.started(t); n.b.pg.Kill(); restart(t, n.b.pg) }},
		{"kill redis and capture", func(t *testing.T) {
			n.started(t)
			n.b.redis.Kill()
			n.capture.kill()
			restart(t, n.b.redis)
			n.capture = n.b.start("capture")
		}},
		{"kill all", func(t *testing.T) {
			n.capture.kill()
			for _, d := range n.deliver {
				d.kill()
			}
			n.b.pg.Kill()
			n.b.redis.Kill()
			restart(t, n.b.redis)
			restart(t, n.b.pg)
			n.capture = n.b.start("capture")
			for i := range n.deliver {
				n.deliver[i] = n.b.start(deliverArgs[i]...)
			}
		}},
	}
	d := deeds[n.rng.IntN(len(deeds))]
	n.counts[d.name]++
	d.do(t)
}

// started waits until every process has come through its start, at which a server that
// is not there is an error of the configuration, and ends it.
func (n *nemesis) started(t *testing.T) {
	t.Helper()
	for _, p := range append([]*process{n.capture}, n.deliver...) {
		until(t, 30*time.Second, func() string {
			p.mustRun()
			for _, w := range []string{"capture started", "waiting for the slot", "capture interrupted", "delivery started", "waiting for the owner", "delivery is held up"} {
				if strings.Contains(p.output(), w) {
					return ""
				}
			}
			return p.name + " has not started"
		})
	}
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
