package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTailAndOffsets prints the log of a bridge, and moves a target in it.
func TestTailAndOffsets(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const c = "-c=walbridge.yaml"
	b.prints(1, "there is no log of the bridge", "tail", "--no-follow", c)
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals SELECT g, 1, 'secret name', 'won', g, NULL, now() FROM generate_series(1, 30) g")
	b.exec("UPDATE deals SET amount = 77 WHERE id <= 10")
	b.agree()
	b.drain(30*time.Second, p)

	out, status := b.command("tail", "--no-follow", "--table", "deals", c)
	if status != 0 || strings.Count(out, "create ") != 30 || strings.Count(out, "update ") != 10 || !strings.Contains(out, `public.deals  {"id":10}`) {
		t.Errorf("status %d:\n%s", status, out)
	}
	if strings.Contains(out, "secret") {
		t.Errorf("values are printed without --values:\n%s", out)
	}
	b.prints(0, "secret name", "tail", "--no-follow", "--values", c)
	out, status = b.command("tail", "--no-follow", "--json", c)
	var entries []struct {
		Position, LSN, Op string
		Time              time.Time
		After             map[string]any
	}
	in := json.NewDecoder(strings.NewReader(out))
	for in.More() {
		entries = append(entries, struct {
			Position, LSN, Op string
			Time              time.Time
			After             map[string]any
		}{})
		if err := in.Decode(&entries[len(entries)-1]); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	if status != 0 || len(entries) != len(b.entries()) {
		t.Fatalf("status %d, %d entries of %d", status, len(entries), len(b.entries()))
	}
	last := entries[len(entries)-1]
	for _, from := range []string{last.Position, last.LSN} {
		out, _ := b.command("tail", "--no-follow", "--from", from, "--json", c)
		if first := strings.Index(out, last.Position); first < 0 || strings.Count(out, "update") > 0 {
			t.Errorf("from %s:\n%s", from, out)
		}
	}
	b.prints(0, "public.deals", "tail", "--no-follow", "--from", "5m", c)
	b.prints(0, "", "tail", "--until", last.Time.Add(-time.Millisecond).Format(time.RFC3339Nano), "--from", "beginning", c)
	b.prints(1, "no place in the log", "tail", "--from", "yesterday", c)
	b.prints(2, "--lane fast", "tail", "--lane", "fast", c)
	b.prints(1, "no change of a table public.deal was ever captured\n  hint: did you mean public.deals?", "tail", "--table", "deal", c)
	// What stands in all streams is one line.
	if out, _ := b.command("tail", "--no-follow", "--table", "deals", c); strings.Count(out, "sweep ") != 1 || !strings.Contains(out, "  all       sweep ") {
		t.Errorf("the sweep is not one line:\n%s", out)
	}

	b.prints(0, "attached "+targets[0], "offsets", c)
	b.prints(1, "there is no target nobody", "offsets", "--target", "nobody", c)
	b.prints(1, "is delivered to by", "offsets", "set", "--target", targets[0], "--to", "beginning", c)
	b.prints(2, "say which and where", "offsets", "set", "--target", targets[0], c)
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}
	b.prints(0, "are read again", "offsets", "set", "--target", targets[0], "--to", "beginning", c)
	b.prints(2, "nothing was changed: add --force", "offsets", "set", "--target", targets[0], "--to", last.Position, c)
	requests := len(b.apps.answered())
	p = b.start("run")
	b.exec("INSERT INTO deals VALUES (31, 1, 'new', 'won', 5, NULL, now())")
	b.drain(30*time.Second, p)
	b.agree()
	if n := len(b.apps.answered()) - requests; n > 6 {
		t.Errorf("%d requests to three targets after the log was read again, for one new row", n)
	}
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}
	b.prints(0, "are read again", "offsets", "set", "--target", targets[0], "--to", "beginning", c)
	b.prints(0, "data_loss:", "offsets", "set", "--target", targets[0], "--to", "now", "--force", c)
	b.prints(0, "0  ", "offsets", "--target", targets[0], c)
}
