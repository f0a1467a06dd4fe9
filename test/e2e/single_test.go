package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/sandbox"
)

// TestFoldsWithinQuiet changes one record ten times within its quiet time: one
// record of one request comes of it, with the last values.
func TestFoldsWithinQuiet(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{quietCRM: 2 * time.Second})
	p := b.start("run")
	b.waitSlot(p)
	began := time.Now()
	if err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, insertDeal, 1, 1, "folded", "new", 0, nil); err != nil {
			return err
		}
		for i := range 10 {
			if _, err := c.Exec(ctx, "UPDATE deals SET amount = $1 WHERE id = 1", i+1); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Fatalf("the machine took %s for eleven statements, which is too near the quiet time", took)
	}
	b.drain(30*time.Second, p)
	b.checkAll(verdict{})
	sent := 0
	for _, r := range b.apps.answered() {
		if r.app == "crm" {
			sent += len(r.records)
		}
	}
	if sent != 1 {
		t.Errorf("crm got %d records for eleven changes of one row, want 1", sent)
	}
}

// TestGracefulStop stops the bridge with SIGTERM in mid-stream, with requests
// under way. It ends in time with status 0, gives the lease back, and sends
// nothing whole again afterwards.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	const shutdown = 5 * time.Second
	// Without the lease given back, the next start would wait for most of it.
	b := newBridge(t, options{lease: time.Minute, shutdown: shutdown})
	p := b.start("run")
	b.waitSlot(p)
	b.loaded() // the rows of a first load that is interrupted may come twice
	samples := b.sample()
	w := b.writer(pace{seed: seed})
	b.apps.inject(sandbox.Fault{Kind: sandbox.Delay, Delay: 150 * time.Millisecond, Times: sandbox.Forever})
	for range 3 {
		w.goesOn(t, 100, time.Minute)
		b.moreAt("crm", 50, "in mid-stream")
		if status, took := p.stop(syscall.SIGTERM, 2*shutdown); status != 0 || took > shutdown {
			t.Errorf("after SIGTERM it ended with status %d after %s", status, took)
		}
		p = b.start("run")
	}
	b.moreAt("crm", 50, "after a restart")
	w.stop()
	b.apps.ClearFaults()
	b.drain(30*time.Second, p)
	samples.judge(t, b)
	b.checkAll(verdict{})
	b.report("records that were sent twice", b.repeats())
}

// repeats names the records that a target applied twice at one Position, but for
// those made of an entry that lacked columns: an older entry which is read again
// may have what the target lacks, so the row is sent whole once more (I5).
func (b *bridge) repeats() (findings []string) {
	b.t.Helper()
	lacking := map[cdc.Position]bool{}
	for _, e := range b.entries() {
		lacking[e.At] = len(e.Absent) > 0
	}
	healed := 0
	for _, place := range [][2]string{{"crm", "Deal"}, {"commission", "Deal"}, {"forecast", "Forecast"}} {
		for key, history := range b.apps.History(place[0], place[1]) {
			for i := 1; i < len(history); i++ {
				at := history[i].Position
				switch {
				case at != history[i-1].Position:
				case lacking[at]:
					healed++
				default:
					findings = append(findings, fmt.Sprintf("%s/%s %s: %v twice", place[0], place[1], key, at))
				}
			}
		}
	}
	b.t.Logf("%d records whose entry lacked columns were sent again", healed)
	return findings
}

// TestTakeOver runs two processes for the same targets, which share their partitions. After
// kill -9 of the first the second has all of them, soon after the leases have run out, and
// what was under way is sent once more by the time that it must have ended.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	const lease = 2 * time.Second
	b := newBridge(t, options{lease: lease, headers: map[string]string{"X-Worker": "first"}})
	b.writeConfig("second.yaml", options{lease: lease, headers: map[string]string{"X-Worker": "second"}})
	capture := b.start("capture")
	b.waitSlot(capture)
	first := b.start("deliver")
	first.says("delivery started", 20*time.Second)
	second := start(t, launch{dir: b.dir, args: []string{"deliver", "-c", "second.yaml"}})
	second.says("delivery started", 20*time.Second)
	w := b.writer(pace{seed: seed})
	b.moreAt("crm", 100, "from both")
	// Longer than a lease, so that it was renewed.
	for began := time.Now(); time.Since(began) < 2*lease; {
		b.moreAt("crm", 5, "from both")
	}
	first.kill()
	killed := time.Now()
	for _, app := range targets {
		second.says("partitions taken over\" target="+app, lease+2*time.Second)
	}
	t.Logf("all was taken over within %s", time.Since(killed).Round(time.Millisecond))
	b.moreAt("crm", 100, "from the second")
	w.stop()
	b.drain(30*time.Second, capture, second)
	b.checkAll(verdict{})
	seen := map[string]bool{}
	for _, r := range b.apps.answered() {
		seen[r.app+" "+r.header.Get("X-Worker")] = true
	}
	for _, app := range targets {
		if !seen[app+" first"] || !seen[app+" second"] {
			t.Errorf("%s was delivered to by %v, want both", app, seen)
		}
	}
}

// TestIdleConfirms has other tables written to and nothing captured: the slot
// moves on, so that no WAL is kept (I1 does not mean to keep all).
func TestIdleConfirms(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	p := b.start("capture")
	b.waitSlot(p)
	b.exec("CREATE TABLE other AS SELECT generate_series(1, 50000) i")
	at, err := b.text("SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		t.Fatal(err)
	}
	end, err := cdc.ParseLSN(at)
	if err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, func() string {
		p.mustRun()
		text, err := b.text("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", b.slot())
		if err != nil {
			return err.Error()
		}
		confirmed, err := cdc.ParseLSN(text)
		return unless(err == nil && confirmed >= end, fmt.Sprintf("the slot is confirmed up to %s, want %v", text, end))
	})
}
