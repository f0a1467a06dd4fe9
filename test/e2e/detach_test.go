package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// TestDetachAndReturn lets one target fail until its unread entries fill Redis. It is
// detached, the others and the capture go on, and when it works again it comes back
// with all its rows.
func TestDetachAndReturn(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals SELECT g, 1, 'before', 'won', g, NULL, now() FROM generate_series(1, 500) g")
	b.drain(30*time.Second, p)
	b.maxMemory(b.redisInfo("memory", `used_memory:(\d+)`) + 24<<20)
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Status, Status: http.StatusServiceUnavailable, Times: sandbox.Forever})
	for id := 1000; id <= 30_000; id += 1000 {
		b.exec("INSERT INTO deals SELECT $1 + g, 1, 'backlog', 'won', g, repeat('x', 1000), now() FROM generate_series(0, 999) g", id)
		b.exec("INSERT INTO forecasts VALUES ('north', $1, 1, 'goes on')", id)
	}
	p.says("target_detached", 2*time.Minute)
	p.says("target=crm", time.Second)
	if out := p.output(); strings.Contains(out, "target=forecast why") || strings.Contains(out, "target=commission why") {
		t.Fatalf("another target was detached:\n%s", tail(out, 20))
	}
	b.prints(1, "target crm is detached since", "status", "-c", "walbridge.yaml")
	b.prints(0, "detached", "target", "list", "-c", "walbridge.yaml")
	b.prints(0, "note: target crm is detached from the log", "plan", "--target", "crm", "-c", "walbridge.yaml")

	// The others go on, and so does the capture.
	b.exec("DELETE FROM deals WHERE id <= 100; UPDATE deals SET name = 'meanwhile' WHERE id <= 200")
	b.exec("INSERT INTO forecasts VALUES ('south', 1, 1, 'goes on')")
	until(t, 30*time.Second, func() string {
		_, there := b.apps.Fields("forecast", "Forecast")["south/1"]
		n := 0
		for _, fields := range b.apps.Fields("commission", "Deal") {
			if strings.Contains(string(fields["label"]), "meanwhile") {
				n++
			}
		}
		return unless(there && n == 100, fmt.Sprintf("the others do not go on: %d deals of 100", n))
	})

	// A process that starts meanwhile does not take it for a mistake in the configuration.
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	b.apps.close()
	b.apps.ClearFaults()
	p = b.start("run")
	p.says("a detached target comes back once it can be reached", 30*time.Second)
	b.apps.reopen()
	p.says("target_returned", time.Minute)
	until(t, time.Minute, func() string {
		p.mustRun()
		r, _ := b.status()
		return unless(!slices.ContainsFunc(r.Problems, func(s string) bool { return strings.Contains(s, "detached") }), fmt.Sprint(r.Problems))
	})
	b.exec("UPDATE deals SET name = 'after' WHERE id > 400 AND id <= 500")
	until(t, 2*time.Minute, func() string {
		p.mustRun()
		left := b.crmLacks()
		return unless(left == "", left)
	})
}

// crmLacks names a row of the source that the crm does not hold as it is, or one that
// it holds and the source does not any more.
func (b *bridge) crmLacks() string {
	b.t.Helper()
	have := b.apps.Fields("crm", "Deal")
	lacks, first, rows := 0, "", b.objects("SELECT 'deal', id::text, jsonb_build_object('name', name) FROM deals")
	for id, want := range rows["deal"] {
		if string(have[id]["name"]) != string(want["name"]) {
			lacks, first = lacks+1, id
		}
	}
	switch {
	case lacks == 0 && len(have) > len(rows["deal"]):
		return fmt.Sprintf("the crm has %d rows, the source %d", len(have), len(rows["deal"]))
	case lacks == 0:
		return ""
	}
	return fmt.Sprintf("the crm lacks %d rows, such as %s", lacks, first)
}

// TestForgetTarget takes a target out of the configuration: its group holds the log,
// which is said, until the target is forgotten.
func TestForgetTarget(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(1, 30) g")
	b.drain(30*time.Second, p)
	b.prints(2, "target crm is in the configuration", "target", "forget", "crm", "-c", "walbridge.yaml")
	b.prints(1, "target crm is delivered to by", "target", "forget", "crm", "--force", "-c", "walbridge.yaml")
	b.prints(2, "name the target", "target", "forget", "-c", "walbridge.yaml")
	b.prints(0, "nothing is kept of a target nobody", "target", "forget", "nobody", "-c", "walbridge.yaml")
	p.kill()
	b.write("mappings/deals-to-crm.yaml", strings.Replace(mappingFiles["deals-to-crm.yaml"], "crm/Deal", "commission/Other", 1))
	b.writeConfig("walbridge.yaml", options{rewrite: func(s string) string {
		from := strings.Index(s, "  crm:\n")
		return s[:from] + s[strings.Index(s, "  commission:\n"):]
	}})
	p = b.start("run")
	p.says("walbridge target forget crm", 20*time.Second)
	b.prints(1, "consumer group crm holds the log", "status", "-c", "walbridge.yaml")
	var list []struct{ Name, State string }
	out, exit := b.command("target", "list", "--json", "-c", "walbridge.yaml")
	if err := json.Unmarshal([]byte(out), &list); err != nil || exit != 0 || len(list) != 3 ||
		list[0].State != "attached" || list[1].Name != "crm" || list[1].State != "unknown" {
		t.Errorf("status %d, targets %+v (%v) in %s", exit, list, err, out)
	}
	until(t, 20*time.Second, func() string { // the lease of the killed process ends
		out, exit := b.command("target", "forget", "crm", "-c", "walbridge.yaml")
		return unless(exit == 0 && strings.Contains(out, "forgot target crm"), out)
	})
	keys, err := b.rdb.Keys(t.Context(), "walbridge:{"+b.name+":*crm").Result()
	if err != nil || len(keys) > 0 {
		t.Errorf("keys %q are left (%v)", keys, err)
	}
	if out, _ := b.command("status", "-c", "walbridge.yaml"); strings.Contains(out, "group crm") {
		t.Errorf("the group is still there:\n%s", out)
	}
	b.prints(0, "lies above position", "status", "--at", time.Now().Add(time.Hour).Format(time.RFC3339), "-c", "walbridge.yaml")
	b.prints(0, "begins with its first entry", "status", "--at", "2001-01-01T00:00:00Z", "-c", "walbridge.yaml")
	b.prints(2, "not a time", "status", "--at", "yesterday", "-c", "walbridge.yaml")
}
