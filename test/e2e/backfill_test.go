package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/test/judge"
)

// TestBackfillCommands follows the backfills of a bridge with the commands of somebody
// who looks after it.
func TestBackfillCommands(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const c = "-c=walbridge.yaml"
	b.prints(1, "start walbridge run, or walbridge capture", "backfill", "list", c)
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(1, 400) g")
	p := b.start("run")
	b.waitSlot(p)
	// Rows from before the first start are at the targets, and are sent once.
	b.agree()
	b.prints(0, "first_start", "backfill", "list", c)
	until(t, 20*time.Second, func() string { // the targets may have the rows before that is noted
		out, _ := b.command("backfill", "list", c)
		return unless(strings.Count(out, " done ") == 2, "the first loads have not ended:\n"+out)
	})
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	p = b.start("run")
	p.says("capture started", 20*time.Second)
	before := len(b.reads())
	b.prints(0, "done: 5 rows", "backfill", "deals", "--where", "id <= 5", "--for", "crm", c)
	b.prints(0, "done: 3 rows", "backfill", "public.deals", "--keys", "7,8", "--keys", `{"id": 9}`, c)
	if n := len(b.reads()) - before; n != 8 {
		t.Errorf("%d rows were read for 8 that were asked for", n)
	}
	b.drain(30*time.Second, p)
	b.agree()

	b.prints(2, "name one table", "backfill", c)
	b.prints(1, "table public.deal is not captured\n  hint: did you mean public.deals?", "backfill", "deal", c)
	b.prints(1, "the condition on public.deals is not one that PostgreSQL takes: column \"nope\" does not exist", "backfill", "deals", "--where", "nope = 1", c)
	b.prints(1, "the key has the columns id", "backfill", "deals", "--keys", `{"name": "x"}`, c)
	b.prints(1, "--for cmr: no such target", "backfill", "deals", "--for", "cmr", c)
	b.prints(1, "no such backfill", "backfill", "pause", "zz", c)
	b.prints(1, `{"id":"seven"} is no key of public.deals`+"\n  hint: its columns are id ", "backfill", "deals", "--keys", "7,seven", c)
	b.prints(1, "SQLSTATE 22P02", "backfill", "deals", "--where", "name::int = 7", c)
	b.prints(1, "failed", "status", c)
	out, _ := b.command("backfill", "list", c)
	for line := range strings.Lines(out) { // one that cannot be mended is given up
		if f := strings.Fields(line); f[2] == "failed" {
			b.prints(0, "backfill "+f[0], "backfill", "cancel", f[0], c)
		}
	}
	b.prints(0, "no problem found", "status", c)
	b.prints(1, "leave out --where and --keys", "backfill", "deals", "--sweep", "--keys", "1", c)

	out, status := b.command("backfill", "deals", "--rate", "20", "--detach", c)
	id := strings.TrimSpace(out)
	if status != 0 || id == "" {
		t.Fatalf("status %d, %s", status, out)
	}
	for _, w := range []struct{ wish, state string }{{"pause", "paused"}, {"resume", "running"}, {"cancel", "cancelled"}} {
		b.prints(0, "backfill "+id, "backfill", w.wish, id, c)
		until(t, 20*time.Second, func() string {
			out, _ := b.command("backfill", "list", c)
			for line := range strings.Lines(out) {
				if f := strings.Fields(line); f[0] == id && f[2] == w.state {
					return ""
				}
			}
			return fmt.Sprintf("%s is not %s:\n%s", id, w.state, out)
		})
	}
	b.prints(1, "has ended already", "backfill", "resume", id, c)
	// A sweep finds what was deleted behind the back of the capture.
	b.prints(0, "done: 400 rows", "backfill", "deals", "--sweep", c)
	b.agree()
}

// agree waits until the targets hold what the tables do.
func (b *bridge) agree() {
	b.t.Helper()
	until(b.t, 30*time.Second, func() string {
		found := b.checkTargets(nil)
		return unless(len(found) == 0, strings.Join(brief(found), "; "))
	})
}

// reads gives the entries of the log that backfills brought.
func (b *bridge) reads() (out []judge.Entry) {
	b.t.Helper()
	for _, e := range b.entries() {
		if e.Op == "r" {
			out = append(out, e)
		}
	}
	return out
}

// entries gives the entries of the log.
func (b *bridge) entries() []judge.Entry {
	b.t.Helper()
	all, wrong, err := b.log().Entries(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.report("the log as such", words(wrong))
	return all
}

// loaded waits until no backfill is left to do.
func (b *bridge) loaded() {
	b.t.Helper()
	until(b.t, 30*time.Second, func() string {
		r, _ := b.status()
		return unless(len(r.Backfills) == 0, fmt.Sprint(r.Backfills))
	})
}
