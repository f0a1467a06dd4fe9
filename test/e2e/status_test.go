package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/test/fault"
)

// command runs a command of the program to its end.
func (b *bridge) command(args ...string) (out string, status int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), program, args...)
	cmd.Dir = b.dir
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		b.t.Fatalf("%v: %v", args, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// report is what walbridge status --json tells, as a script reads it.
type report struct {
	Problems  []string
	Backfills []struct{ ID, State, Note string }
	Replays   []struct {
		ID, State string
		Changes   int
		Share     float64
	}
	Source struct {
		Slot      string
		Exists    bool
		ActivePID int   `json:"active_pid"`
		Retained  int64 `json:"retained_wal_bytes"`
		Budget    int64 `json:"wal_budget_bytes"`
	}
	Log struct {
		Appended, Durable string
		LagSeconds        float64 `json:"lag_seconds"`
		Durability        string
	}
	Targets []struct {
		Name, Owner string
		DeadLetters int `json:"dead_letters"`
		Workers     []struct {
			Name       string
			Partitions []int
			Silent     bool
		}
		Lanes []struct {
			Lane    string
			Entries int
			Seconds float64
		}
	}
}

func (b *bridge) status() (r report, exit int) {
	b.t.Helper()
	out, exit := b.command("status", "--json", "-c", "walbridge.yaml")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		b.t.Fatalf("%v in %s", err, out)
	}
	return r, exit
}

// says checks what a command prints and its exit status.
func (b *bridge) prints(exit int, want string, args ...string) {
	b.t.Helper()
	out, status := b.command(args...)
	if status != exit || !strings.Contains(out, want) {
		b.t.Errorf("%v: status %d, want %d and %q in\n%s", args, status, exit, want, out)
	}
}

// TestStatusAndSlot follows a bridge through its life with the commands of somebody
// who looks after it.
func TestStatusAndSlot(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	b.prints(1, "there is no log of this bridge in Redis yet", "status", "-c", "walbridge.yaml")
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(1, 30) g")
	b.drain(30*time.Second, p)
	until(t, 10*time.Second, func() string {
		r, exit := b.status()
		return unless(exit == 0 && len(r.Problems) == 0, fmt.Sprint(r.Problems))
	})
	r, _ := b.status()
	if !r.Source.Exists || r.Source.ActivePID == 0 || r.Source.Budget != 10<<30 || r.Log.Appended == "0-0" || r.Log.Durability != "none" || len(r.Targets) != len(targets) {
		t.Errorf("a healthy bridge: %+v", r)
	}
	b.prints(0, "no problem found", "status", "-c", "walbridge.yaml")
	b.prints(0, "read by pid", "slot", "-c", "walbridge.yaml")
	b.prints(1, "is in use", "slot", "drop", b.slot(), "-c", "walbridge.yaml")
	b.prints(2, "name the slot", "slot", "drop", "-c", "walbridge.yaml")

	// Targets that are away have something to do.
	b.apps.close()
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(31, 35) g")
	until(t, 20*time.Second, func() string {
		r, _ := b.status()
		n, oldest := 0, 0.0
		for _, target := range r.Targets {
			for _, l := range target.Lanes {
				if target.Name == "crm" {
					n, oldest = n+l.Entries, max(oldest, l.Seconds)
				}
			}
		}
		return unless(n == 5 && oldest > 0, fmt.Sprintf("crm has %d entries to do, the oldest %v s old", n, oldest))
	})
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	r, exit := b.status()
	for _, want := range []string{"nobody reads slot " + b.slot(), "no process delivers to target crm"} {
		if !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("problems %q lack %q", r.Problems, want)
		}
	}
	if exit != 1 || r.Targets[0].Owner != "" {
		t.Errorf("a stopped bridge: status %d, %+v", exit, r)
	}
	b.writeConfig("tight.yaml", options{rewrite: func(s string) string {
		return strings.Replace(s, "heartbeat: 250ms", "heartbeat: 250ms, wal_budget: 3MiB", 1)
	}})
	b.exec("SELECT pg_logical_emit_message(true, 'test', repeat('x', 2 << 20))") // more than half of the budget, on the disk with its commit
	for command, exit := range map[string]int{"slot": 0, "status": 1} {
		b.prints(exit, "MiB of WAL on the server; the budget is 3 MiB", command, "-c", "tight.yaml")
		if out, _ := b.command(command, "-c", "walbridge.yaml"); strings.Contains(out, "the budget is") {
			t.Errorf("%s warns with a large budget:\n%s", command, out)
		}
	}
	b.exec("ALTER PUBLICATION " + b.publication() + " DROP TABLE forecasts")
	b.prints(1, "data_loss: table public.forecasts is not in the publication any more", "status", "-c", "walbridge.yaml")
	b.exec("ALTER PUBLICATION " + b.publication() + " ADD TABLE forecasts")
	b.prints(1, "data_loss: table public.forecasts was taken out of the publication and put in again", "status", "-c", "walbridge.yaml")
	b.prints(2, "the slot of this configuration is "+b.slot(), "slot", "drop", "another", "-c", "walbridge.yaml")
	b.prints(0, "run DROP PUBLICATION "+b.publication(), "slot", "drop", b.slot(), "-c", "walbridge.yaml")
	b.prints(0, "there is no slot", "slot", "drop", b.slot(), "-c", "walbridge.yaml")
	b.prints(1, "data_loss: slot "+b.slot()+" is gone", "status", "-c", "walbridge.yaml")
	b.apps.reopen()
	b.writeConfig("stop.yaml", options{rewrite: func(s string) string {
		return strings.Replace(s, "heartbeat: 250ms", "heartbeat: 250ms, on_loss: stop", 1)
	}})
	b.prints(1, "data_loss: slot "+b.slot()+" is gone", "run", "-c", "stop.yaml")
	b.healed()
}

// What a capture does while status looks is no loss: status is held up between its looks
// at the two servers, and the log goes on.
func TestStatusOfALogThatMoves(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals VALUES (1, 1, 'a', 'won', 1, NULL, now())")
	b.drain(30*time.Second, p)
	proxy, err := fault.NewProxy(b.redis.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	b.writeConfig("held.yaml", options{rewrite: func(s string) string { return strings.Replace(s, b.redis.Addr(), proxy.Addr(), 1) }})
	proxy.Stall(true)
	status := start(t, launch{dir: b.dir, args: []string{"status", "-c", "held.yaml"}})
	status.asked.Store(true) // it ends by itself
	until(t, 10*time.Second, func() string { return unless(proxy.Open() > 0, "status has not asked Redis yet") })
	was, err := b.durable()
	if err != nil {
		t.Fatal(err)
	}
	b.exec("INSERT INTO deals VALUES (2, 1, 'b', 'won', 1, NULL, now())")
	until(t, 10*time.Second, func() string {
		now, err := b.durable()
		return unless(err == nil && now > was, fmt.Sprintf("the log stays at %v (%v)", now, err))
	})
	proxy.Stall(false)
	if exit := status.wait(20 * time.Second); strings.Contains(status.output(), "data_loss") {
		t.Errorf("status %d:\n%s", exit, status.output())
	}
}

// healed starts a bridge whose slot was dropped, and wants it to say so once and to read
// the tables again, by itself.
func (b *bridge) healed() {
	b.t.Helper()
	b.exec("DELETE FROM deals WHERE id <= 10; UPDATE deals SET name = 'unseen' WHERE id > 20")
	p := b.start("run")
	p.says("msg=data_loss reason=slot_gone", 20*time.Second)
	until(b.t, 30*time.Second, func() string {
		r, exit := b.status()
		return unless(exit == 0 && len(r.Backfills) == 0, fmt.Sprint(r.Problems, r.Backfills))
	})
	b.drain(30*time.Second, p)
	until(b.t, 30*time.Second, func() string { // sweeps are no changes that a drain would wait for
		found := b.checkTargets(nil)
		return unless(len(found) == 0, strings.Join(brief(found), "; "))
	})
	if n := strings.Count(p.output(), "msg=data_loss"); n != 1 {
		b.t.Errorf("data_loss was said %d times", n)
	}
}

// TestCaptureTakeOver runs two captures of one bridge: one is active, the other
// stands by and takes over within seconds of kill -9.
func TestCaptureTakeOver(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	b := newBridge(t, options{})
	first := b.start("capture")
	b.waitSlot(first)
	first.says("capture started", 20*time.Second)
	second := b.start("capture")
	second.says("waiting for the slot", 20*time.Second)
	deliver := b.start("deliver")
	samples := b.sample()
	w := b.writer(pace{seed: seed})
	active, standby := first, second
	for range 4 {
		w.goesOn(t, 60, time.Minute)
		active.kill()
		killed := time.Now()
		standby.says("capture started", 20*time.Second)
		if took := time.Since(killed); took > 5*time.Second {
			t.Errorf("the other took over after %s", took)
		}
		active, standby = standby, b.start("capture")
		standby.says("waiting for the slot", 20*time.Second)
	}
	w.stop()
	b.drain(30*time.Second, active, deliver)
	samples.judge(t, b)
	b.checkAll(verdict{})
}

// TestRenamedTable renames a mapped table under a running bridge. Its changes go on
// to arrive; at the next start the mapping files want the new name, and with it the
// records of before are the same records.
func TestRenamedTable(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	p := b.start("run")
	b.waitSlot(p)
	has := func(name string, n int) {
		t.Helper()
		until(t, 20*time.Second, func() string {
			p.mustRun()
			found := 0
			for _, fields := range b.apps.Fields("crm", "Deal") {
				if string(fields["name"]) == fmt.Sprintf("%q", name) {
					found++
				}
			}
			return unless(found == n, fmt.Sprintf("%d deals are called %s, want %d", found, name, n))
		})
	}
	b.exec("INSERT INTO deals SELECT g, 1, 'first', 'won', g, NULL, now() FROM generate_series(1, 20) g")
	has("first", 20)
	b.exec("ALTER TABLE deals RENAME TO contracts")
	b.exec("UPDATE contracts SET name = 'renamed'")
	has("renamed", 20)
	p.says("a table was renamed", 20*time.Second)
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	b.exec("UPDATE contracts SET name = 'while away'")
	b.prints(1, "no such table", "run", "-c", "walbridge.yaml")
	for name, text := range mappingFiles {
		b.write(filepath.Join("mappings", name), strings.Replace(text, "from: public.deals", "from: public.contracts", 1))
	}
	p = b.start("run")
	has("while away", 20)
	b.exec("DELETE FROM contracts WHERE id > 10; UPDATE contracts SET name = 'last'")
	has("last", 10)
	if n := len(b.apps.Objects("crm", "Deal")); n != 10 {
		t.Errorf("the crm has %d deals, want 10", n)
	}
	if back := b.apps.Backwards(); len(back) > 0 {
		t.Errorf("went backwards: %v", back)
	}
}
