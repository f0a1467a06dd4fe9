package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReplayCommands replays parts of a log: with the mapping as it was, changed, and with
// the process killed in the midst of it.
func TestReplayCommands(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const c = "-c=walbridge.yaml"
	b.prints(2, "say for whom and from where", "replay", c)
	p := b.start("run")
	b.waitSlot(p)
	until(t, 20*time.Second, func() string { // else what they read comes between
		out, _ := b.command("backfill", "list", c)
		return unless(strings.Count(out, " done ") == 2, "the first loads have not ended:\n"+out)
	})
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(1, 3000) g")
	b.exec("UPDATE deals SET amount = 77 WHERE id <= 1000")
	b.drain(60*time.Second, p)
	b.agree()

	b.prints(1, "there is no target cmr", "replay", "--target", "cmr", "--from", "beginning", c)
	b.prints(1, "there is no mapping nope", "replay", "--target", "crm", "--mapping", "nope", "--from", "beginning", c)
	b.prints(1, "no place in the log", "replay", "--target", "crm", "--from", "last week", c)
	b.prints(1, "nothing of the log lies", "replay", "--target", "crm", "--from", "now", c)
	b.prints(1, "nothing of the log lies", "replay", "--target", "crm", "--from", "2999-01-01T00:00:00Z", c)
	b.prints(1, "no such replay", "replay", "stop", "zz", c)
	b.prints(0, "no replay was asked for", "replay", "list", c)
	b.prints(0, "4000 changes of 3000 records, in at most 15 full batches", "replay", "--target", "crm", "--mapping", "deals-to-crm", "--from", "beginning", "--dry-run", c)
	b.prints(0, "no replay was asked for", "replay", "list", c)

	requests := len(b.apps.answered())
	b.prints(0, "done: 4000 changes, 3000 the same, 1000 older, 0 queued", "replay", "--target", "crm", "--mapping", "deals-to-crm", "--from", "beginning", c)
	if n := len(b.apps.answered()) - requests; n != 0 {
		t.Errorf("%d requests for what did not change", n)
	}
	b.prints(0, "1 queued", "replay", "--target", "crm", "--mapping", "deals-to-crm", "--key", "17", "--force", "--from", "2026-01-01T00:00:00Z", c)
	if n := len(b.apps.answered()) - requests; n != 1 {
		t.Errorf("%d requests for one row", n)
	}

	// The process dies in the midst of a forced one, and again.
	out, status := b.command("replay", "--target", "crm", "--from", "beginning", "--force", "--detach", c)
	lines := strings.Fields(out)
	id := lines[len(lines)-1]
	if status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	for range 2 {
		requests = len(b.apps.answered())
		until(t, 20*time.Second, func() string {
			return unless(len(b.apps.answered()) > requests, "the replay sends nothing")
		})
		p.kill()
		p = b.start("run")
	}
	until(t, 60*time.Second, func() string {
		out, _ := b.command("replay", "list", c)
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); f[0] == id && f[2] == "done" {
				return ""
			}
		}
		return out
	})
	b.agree()
	b.prints(1, "has ended already", "replay", "resume", id, c)
	for _, key := range b.keys("*:replay:*") {
		t.Errorf("%s is left of a replay that has ended", key)
	}

	// One that rests holds the log, and is let go.
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}
	out, _ = b.command("replay", "--target", "crm", "--from", "beginning", "--detach", c)
	lines = strings.Fields(out)
	id = lines[len(lines)-1]
	b.prints(0, "rests", "replay", "stop", id, c)
	b.prints(0, "stopped", "replay", "list", c)
	b.prints(1, "\nreplays\nID", "status", c) // as no process delivers
	if r, _ := b.status(); len(r.Replays) != 1 || r.Replays[0].ID != id || r.Replays[0].State != "stopped" || r.Replays[0].Share != 0 || r.Replays[0].Changes != 4000 {
		t.Errorf("status tells of the replays %+v", r.Replays)
	}
	b.prints(0, "replay replay:"+id, "offsets", c)
	b.prints(0, "has ended", "replay", "cancel", id[:5], c)
	b.prints(0, "cancelled", "replay", "list", "--target", "crm", c)
	if r, _ := b.status(); len(r.Replays) != 0 {
		t.Errorf("status tells of the replays %+v", r.Replays)
	}
}

// keys lists the keys of the bridge's Redis that fit a pattern.
func (b *bridge) keys(pattern string) []string {
	b.t.Helper()
	list, err := b.rdb.Keys(b.t.Context(), "walbridge:{"+b.name+"*").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, k := range list {
		if strings.Contains(k, strings.Trim(pattern, "*")) {
			out = append(out, k)
		}
	}
	return out
}
