package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// TestNemesis kills processes and servers under a writer, by a seeded schedule, while the
// targets fail in all ways they know; workers come to share the targets and leave, stand
// still or are cut off from Redis, and somebody replays and repairs. It judges the whole run:
// each target equals the source, no key went backwards, and what is parked is what crm
// refuses, no more and no less.
func TestNemesis(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	length := 16 * time.Second
	if full() {
		length = 3 * time.Minute
	}
	n := newNemesis(t, seed)
	b := n.b
	refusal := sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "stage", Value: json.RawMessage(`"talks"`), Code: "STAGE_NOT_ALLOWED"}}
	b.apps.inject(refusal)
	b.apps.inject(targetFaults()...)
	b.apps.lateAtRandom(seed, 0.03, nemesisTimeout-200*time.Millisecond)
	samples := b.sample()
	w := b.writer(pace{seed: seed})
	o := b.operate(seed)
	for began := time.Now(); time.Since(began) < length; {
		w.goesOn(t, 20+n.rng.Int64N(150), time.Minute)
		n.comeBack(time.Now())
		n.strike(t, o.calm.Load())
	}
	n.comeBack(time.Now().Add(time.Hour))
	w.goesOn(t, 50, time.Minute)
	o.stop()
	w.stop()
	for _, d := range n.workers { // nothing may slip through while the faults are changed
		n.end(t, d.process)
	}
	b.apps.ClearFaults()
	b.apps.inject(refusal)
	n.workers = nil
	n.hireAll()
	running := n.running()
	b.drain(time.Minute, running...)
	o.tidies()
	b.settled(time.Minute)
	b.drain(time.Minute, running...) // of what came late nothing is to be left
	samples.judge(t, b)
	b.checkAll(verdict{refused: b.explained(refusal.Refusal.Code), pauses: n.pauses})
	t.Logf("%d commits, %d connections of the writer lost; faults: %s; meanwhile: %s", w.commits.Load(), w.lost.Load(), tally(n.counts), tally(o.counts))
	if full() {
		n.struckAll()
		for _, what := range []string{aReplay, aForced, aRepair} {
			if o.counts[what] == 0 {
				t.Errorf("no %s came to its end", what)
			}
		}
	}
}

// tally writes counts in the order of their names.
func tally(counts map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(list, ", ")
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
