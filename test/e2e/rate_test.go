package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// perSecond and burst are the limits of the account that crm and commission share.
const (
	perSecond = 20
	burst     = 5
)

// TestTwoTargetsOfOneAccount has two processes deliver to two targets whose requests are
// counted together: they keep its rate and the waits it asks for, take refusals for what
// the configuration says, and spend no more than the day has.
func TestTwoTargetsOfOneAccount(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{rewrite: func(config string) string {
		limits := fmt.Sprintf("    max_batch: 5\n    rate: {account: suite, per_second: %d, burst: %d}\n    errors: [{code: GONE, then: accept}, {status: 409, then: throttle, after: 2s}]\n", perSecond, burst)
		shared := "    max_batch: 5\n    rate: {account: suite}\n"
		config = strings.Replace(config, "  crm:\n", "  crm:\n"+limits, 1)
		return strings.Replace(config, "  commission:\n", "  commission:\n"+shared, 1)
	}})
	p := b.start("capture")
	b.waitSlot(p)
	crm, commission := b.start("deliver", "--target", "crm", "--target", "forecast"), b.start("deliver", "--target", "commission")
	running := []*process{p, crm, commission}
	b.exec("INSERT INTO deals SELECT g, 1, 'fast', 'won', g, NULL, now() FROM generate_series(1, 300) g")
	b.drain(time.Minute, running...)
	b.keepsTheRate()

	// Both keep the wait that one of them is asked for.
	w := b.writer(pace{seed: seedOf(t), every: 20 * time.Millisecond})
	for _, f := range []sandbox.Fault{
		{App: "crm", Kind: sandbox.Status, Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second},
		{App: "crm", Kind: sandbox.Status, Status: http.StatusConflict}, // by the rule the same
	} {
		b.apps.inject(f)
		until(t, 30*time.Second, func() string { return unless(b.refusedWith(f.Status) != nil, "nothing was throttled") })
		b.moreAt("crm", 1, "after it was throttled")
		b.waits(*b.refusedWith(f.Status), 2*time.Second)
	}
	w.stop()
	b.prints(0, "of 20, lowered by throttling", "status", "-c", "walbridge.yaml")

	// What is refused so counts as delivered.
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "id", Value: json.RawMessage("7"), Code: "GONE"}})
	b.exec("UPDATE deals SET name = 'after' WHERE id < 20")
	b.drain(time.Minute, running...)
	if letters := b.deadLetters("crm"); len(letters) > 0 {
		t.Errorf("parked: %v", letters)
	}
}

// refusedWith is the request of crm that was answered so.
func (b *bridge) refusedWith(status int) *request {
	all := b.apps.answered()
	i := slices.IndexFunc(all, func(r request) bool { return r.app == "crm" && r.status == status })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// shared are the requests to the account, in the order they began.
func (b *bridge) shared() []request {
	all := slices.DeleteFunc(b.apps.answered(), func(r request) bool { return r.app == "forecast" })
	slices.SortFunc(all, func(a, b request) int { return a.began.Compare(b.began) })
	return all
}

// keepsTheRate looks at every stretch of time. A request may arrive later than it was
// made, on a busy machine by this much.
func (b *bridge) keepsTheRate() {
	b.t.Helper()
	const late = 0.5
	all, apps := b.shared(), map[string]int{}
	for i := range all {
		apps[all[i].app]++
		for j := i; j < len(all); j++ {
			d := all[j].began.Sub(all[i].began).Seconds() + late
			if n := float64(j - i + 1); n > burst+perSecond*d {
				b.t.Fatalf("%v requests in %.2f s", n, d-late)
			}
		}
	}
	if apps["crm"] < 60 || apps["commission"] < 60 {
		b.t.Fatalf("requests %v", apps)
	}
}

// waits looks that no request began in the wait that an answer asked for, but for those
// that were on their way.
func (b *bridge) waits(after request, d time.Duration) {
	b.t.Helper()
	for _, r := range b.shared() {
		if since := r.began.Sub(after.ended); since > 500*time.Millisecond && since < d-50*time.Millisecond {
			b.t.Errorf("%s was asked %s after the answer that asked for %s", r.app, since, d)
		}
	}
}
