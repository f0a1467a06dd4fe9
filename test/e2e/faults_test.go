package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// TestTargetFaults lets a target fail in every way it knows, one after another,
// while changes come in.
func TestTargetFaults(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	b := newBridge(t, options{inFlight: 2})
	p := b.start("run")
	b.waitSlot(p)
	samples := b.sample()
	w := b.writer(pace{seed: seed, every: 20 * time.Millisecond})
	w.goesOn(t, 100, time.Minute)
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
	}{
		{"answers 500 before", sandbox.Fault{Kind: sandbox.Status, Status: 500, Times: 4}},
		{"answers 500 after", sandbox.Fault{Kind: sandbox.Status, Status: 500, After: true, Times: 2}},
		{"hangs before", sandbox.Fault{Kind: sandbox.Hang, Times: 1}},
		{"hangs after", sandbox.Fault{Kind: sandbox.Hang, After: true, Times: 2}},
		{"resets before", sandbox.Fault{Kind: sandbox.Reset, Times: 2}},
		{"resets after", sandbox.Fault{Kind: sandbox.Reset, After: true, Times: 2}},
		{"cuts the answer", sandbox.Fault{Kind: sandbox.Truncate, Times: 2}},
		{"answers garbage before", sandbox.Fault{Kind: sandbox.Garbage, Times: 2}},
		{"answers garbage after", sandbox.Fault{Kind: sandbox.Garbage, After: true, Times: 2}},
		{"refuses a record for now", sandbox.Fault{Kind: sandbox.Refuse, Times: 5, Refusal: &sandbox.Refusal{Code: "LOCKED", Retryable: true}}},
	} {
		b.suffers(p, c.name, c.fault)
	}
	b.othersGoOn()
	b.retryAfterIsKept()
	w.stop()
	b.drain(time.Minute, p)
	samples.judge(t, b)
	b.checkAll(verdict{})
	if letters := b.deadLetters("crm"); len(letters) > 0 {
		t.Errorf("%d records were parked, none was refused for good: %v", len(letters), letters[0])
	}
}

// aWhile is longer than a target is left in peace after any number of failures.
const aWhile = 90 * time.Second

// suffers injects a fault of crm and waits until it is over and crm takes records
// again.
func (b *bridge) suffers(p *process, name string, f sandbox.Fault) {
	b.t.Helper()
	f.App = "crm"
	b.apps.inject(f)
	until(b.t, aWhile, func() string {
		p.mustRun()
		return unless(len(b.apps.Faults()) == 0, "crm still "+name)
	})
	b.moreAt("crm", 1, "after it "+name)
}

// moreAt waits until an app has applied more records.
func (b *bridge) moreAt(app string, records int64, when string) {
	b.t.Helper()
	want := b.apps.applied(app) + records
	until(b.t, aWhile, func() string {
		return unless(b.apps.applied(app) >= want, fmt.Sprintf("%s takes nothing %s", app, when))
	})
}

// othersGoOn has crm fail for as long as the others need to take some hundred
// records (I7).
func (b *bridge) othersGoOn() {
	b.t.Helper()
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Status, Status: 502, Times: sandbox.Forever})
	b.moreAt("commission", 100, "while crm fails")
	b.moreAt("forecast", 20, "while crm fails")
	b.apps.ClearFaults()
	b.moreAt("crm", 1, "after a long outage")
}

// retryAfterIsKept asks with 429 for three seconds of peace, in which the others
// go on. A request that was on its way already when the answer went out does not
// count.
func (b *bridge) retryAfterIsKept() {
	b.t.Helper()
	const asked, onTheWay = 3 * time.Second, 100 * time.Millisecond
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Status, Status: 429, RetryAfter: asked})
	until(b.t, 10*time.Second, func() string { return unless(len(b.apps.Faults()) == 0, "crm got no request to answer 429") })
	b.moreAt("commission", 10, "while crm asks for peace")
	b.moreAt("crm", 1, "after it asked for peace")
	var from time.Time
	for _, r := range b.apps.answered() {
		if r.app == "crm" && r.status == http.StatusTooManyRequests {
			from = r.ended
		}
	}
	if from.IsZero() {
		b.t.Fatal("crm answered no 429")
	}
	for _, r := range b.apps.answered() {
		if since := r.began.Sub(from); r.app == "crm" && since > onTheWay && since < asked {
			b.t.Errorf("crm asked for %s and got a request after %s", asked, since)
		}
	}
}

// TestRefusedRecord has the crm refuse one record of a batch for good: it alone
// is parked, once (I6).
func TestRefusedRecord(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	b := newBridge(t, options{})
	p := b.start("run")
	b.waitSlot(p)
	w := b.writer(pace{seed: seed})
	w.goesOn(t, 50, time.Minute)
	b.loaded() // the record would be refused as it was read, too
	const bad, code = 9007, "STRING_TOO_LONG"
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "id", Value: json.RawMessage(fmt.Sprint(bad)), Code: code, Message: "too long for us"}})
	b.exec("INSERT INTO deals SELECT g, 99, 'of one batch', 'won', g, 'a note', now() FROM generate_series(9001, 9020) g")
	w.goesOn(t, 50, time.Minute)
	w.stop()
	b.drain(time.Minute, p)
	b.checkAll(verdict{refused: map[string]bool{fmt.Sprint("crm/Deal ", bad): true}})

	if _, there := b.apps.Objects("crm", "Deal")[fmt.Sprint(bad)]; there {
		t.Error("the refused record is at the target")
	}
	if _, there := b.apps.Objects("commission", "Deal")[fmt.Sprint(bad)]; !there {
		t.Error("the record that crm refused is not at commission")
	}
	company := 0
	for _, r := range b.apps.answered() {
		for _, rec := range r.records {
			if r.app == "crm" && string(rec.Key["id"]) == fmt.Sprint(bad) {
				company = max(company, len(r.records)-1)
			}
		}
	}
	if company == 0 {
		t.Error("the refused record was never in a batch with others, so nothing is proved")
	}
	letters := b.deadLetters("crm")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want one: %v", len(letters), letters)
	}
	for field, want := range map[string]string{"code": code, "key": fmt.Sprintf(`{"id":%d}`, bad), "mapping": "deals-to-crm", "table": "public.deals"} {
		if letters[0][field] != want {
			t.Errorf("the dead letter's %s is %q, want %q", field, letters[0][field], want)
		}
	}
	if payload := letters[0]["payload"]; !strings.Contains(payload, "of one batch") {
		t.Errorf("the dead letter's payload is %q", payload)
	}
	for _, other := range []string{"commission", "forecast"} {
		if n := len(b.deadLetters(other)); n > 0 {
			t.Errorf("%d dead letters of %s", n, other)
		}
	}

	// A newer value of the key is tried, and taken.
	b.apps.ClearFaults()
	b.exec("UPDATE deals SET name = 'shorter' WHERE id = $1", bad)
	b.drain(time.Minute, p)
	b.checkAll(verdict{})
}

// deadLetters reads the parked records of a target.
func (b *bridge) deadLetters(target string) (all []map[string]string) {
	b.t.Helper()
	for part := range partitions {
		list, err := b.rdb.XRange(context.Background(), fmt.Sprintf("walbridge:{%s:%d}:dead:%s", b.name, part, target), "-", "+").Result()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, m := range list {
			letter := map[string]string{}
			for k, v := range m.Values {
				letter[k] = fmt.Sprint(v)
			}
			all = append(all, letter)
		}
	}
	return all
}
