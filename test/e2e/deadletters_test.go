package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// dead is what walbridge dlq list --json tells.
type dead struct {
	Groups []struct {
		Target, Mapping, Code, Error string
		Count                        int
	}
	Targets []struct {
		Target                                string
		Parked, Resolved, Replaced, Discarded int
		Full                                  int `json:"dropped_full"`
	}
}

func (b *bridge) dead(args ...string) (d dead) {
	b.t.Helper()
	out, status := b.command(append([]string{"dlq", "list", "--json", "-c", "walbridge.yaml"}, args...)...)
	if err := json.Unmarshal([]byte(out), &d); err != nil || status != 0 {
		b.t.Fatalf("status %d, %v in %s", status, err, out)
	}
	return d
}

// parked waits until the dead letters are those, as "CODE number".
func (b *bridge) parked(want ...string) (d dead) {
	b.t.Helper()
	until(b.t, 30*time.Second, func() string {
		d = b.dead()
		var got []string
		for _, g := range d.Groups {
			got = append(got, fmt.Sprintf("%s %d", g.Code, g.Count))
		}
		return unless(strings.Join(got, ", ") == strings.Join(want, ", "), fmt.Sprintf("parked are %q, not %q", got, want))
	})
	return d
}

// firstLoads waits until both tables are read: rows that come before would be refused as
// they are read, too.
func (b *bridge) firstLoads() {
	b.t.Helper()
	until(b.t, 20*time.Second, func() string {
		out, _ := b.command("backfill", "list", "-c=walbridge.yaml")
		return unless(strings.Count(out, " done ") == 2, "the first loads have not ended:\n"+out)
	})
}

func refuse(code, field, value string) sandbox.Fault {
	return sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: field, Value: json.RawMessage(value), Code: code, Message: "no to s3cret words"}}
}

// TestDeadLetters looks after the records that a target refuses with the commands of
// somebody who does: they are grouped by error, go by themselves when the row is mended,
// are delivered again on demand, with a worker running or not, or are discarded.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const c = "-c=walbridge.yaml"
	b.prints(1, "start walbridge run, or walbridge capture", "dlq", "list", c)
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads()
	b.prints(0, "no dead letters", "dlq", "list", c)
	b.apps.inject(refuse("BAD_STAGE", "stage", `"lost"`), refuse("BAD_OWNER", "owner", "13"))
	b.exec(`INSERT INTO deals SELECT g, CASE g WHEN 7 THEN 13 ELSE 1 END, 's3cret name', CASE WHEN g < 5 THEN 'lost' ELSE 'won' END, g, NULL, now()
FROM generate_series(1, 7) g`)
	d := b.parked("BAD_STAGE 4", "BAD_OWNER 1")
	if g := d.Groups[0]; g.Target != "crm" || g.Mapping != "deals-to-crm" || g.Error != "the target refused the record: BAD_STAGE" {
		t.Errorf("group %+v", g)
	}
	out, status := b.command("dlq", "list", c)
	if status != 0 || strings.Contains(out, "s3cret") || !strings.Contains(out, "4        crm     deals-to-crm  BAD_STAGE") {
		t.Errorf("status %d\n%s", status, out)
	}
	b.prints(1, "target crm has 5 dead letters; walbridge dlq list --target crm tells why", "status", c)
	b.prints(0, "the target refused the record: BAD_OWNER: no to s3cret words", "dlq", "show", "--code", "BAD_OWNER", c)
	out, _ = b.command("dlq", "show", "--json", "--target", "crm", "--mapping", "deals-to-crm", "--key", "3", "--newer-than", "1h", c)
	var line struct {
		Key     struct{ ID int }
		Payload struct{ Fields struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Key.ID != 3 || line.Payload.Fields.Name != "s3cret name" {
		t.Errorf("%v in %s", err, out)
	}
	if out, status = b.command("dlq", "show", "--older-than", "1h", c); out != "" || status != 0 {
		t.Errorf("status %d\n%s", status, out)
	}
	b.prints(2, "say which dead letters are meant", "dlq", "retry", c)
	b.prints(2, "say which dead letters are meant", "dlq", "discard", "--all", "--code", "BAD_OWNER", c)
	b.prints(1, "there is no target cmr\n  hint: did you mean crm?", "dlq", "list", "--target", "cmr", c)
	b.prints(1, "there is no mapping deal-to-crm\n  hint: did you mean deals-to-crm?", "dlq", "retry", "--mapping", "deal-to-crm", c)
	b.prints(0, "no dead letter is meant", "dlq", "retry", "--key", "77", c)

	config, err := os.ReadFile(filepath.Join(b.dir, "walbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b.write("other.yaml", strings.Replace(string(config), "mappings/*.yaml", "mappings/forecasts.yaml", 1))
	b.prints(1, "there is no mapping deals-to-crm to target crm any more", "dlq", "retry", "--all", "-c=other.yaml")

	// A row that is mended, and one that is not there any more, resolve themselves.
	b.exec("UPDATE deals SET stage = 'won' WHERE id = 1")
	b.exec("DELETE FROM deals WHERE id = 2")
	b.parked("BAD_STAGE 2", "BAD_OWNER 1")

	// One that is refused once more stays, with the new refusal.
	b.prints(0, "reads 1 rows of public.deals again for crm/deals-to-crm", "dlq", "retry", "--key", `{"id": 3}`, c)
	until(t, 30*time.Second, func() string {
		for _, target := range b.parked("BAD_STAGE 2", "BAD_OWNER 1").Targets {
			if target.Target == "crm" && target.Replaced > 0 {
				return unless(target.Parked == 3 && target.Resolved == 2, fmt.Sprint(target))
			}
		}
		return "it was not refused again"
	})
	b.prints(0, "dead_letters", "backfill", "list", c)

	// What is asked for while no worker runs is done by the next one.
	b.apps.ClearFaults()
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	if text := p.output(); strings.Contains(text, "s3cret") {
		t.Errorf("the log has a value of a row:\n%s", text)
	}
	b.prints(0, "reads 2 rows of public.deals again for crm/deals-to-crm", "dlq", "retry", "--target", "crm", "--code", "BAD_STAGE", c)
	b.prints(0, "discarded 1 dead letter", "dlq", "discard", "--code", "BAD_OWNER", c)
	b.parked("BAD_STAGE 2")
	p = b.start("run")
	d = b.parked()
	for _, target := range d.Targets {
		if target.Target == "crm" && (target.Discarded != 1 || target.Resolved != 4 || target.Parked != 0) {
			t.Errorf("%+v", target)
		}
	}
	b.exec("UPDATE deals SET note = 'of the one that was discarded' WHERE id = 7")
	b.drain(30*time.Second, p)
	b.agree()
	b.prints(0, "4 went with a newer value, 1 with a newer refusal, 1 were discarded", "dlq", "list", c)
}

// TestDeadLettersAreBounded has more records refused than are kept: the oldest go, loudly.
func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{rewrite: func(config string) string {
		return strings.Replace(config, "delivery: {", fmt.Sprintf("delivery: {dead_letters: {count: %d}, ", 2*partitions), 1)
	}})
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads()
	b.apps.inject(refuse("BAD_STAGE", "stage", `"lost"`))
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'lost', g, NULL, now() FROM generate_series(1, 60) g")
	p.says("msg=data_loss target=crm reason=dead_letters_full", 30*time.Second)
	b.drain(30*time.Second, p)
	d := b.parked(fmt.Sprintf("BAD_STAGE %d", 2*partitions))
	for _, target := range d.Targets {
		if target.Target == "crm" && target.Full != 60-2*partitions {
			t.Errorf("%+v", target)
		}
	}
	b.prints(0, "data_loss: target crm: 52 were dropped as there were too many", "dlq", "list", "-c=walbridge.yaml")
}
