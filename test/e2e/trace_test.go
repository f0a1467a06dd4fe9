package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// story is what walbridge trace --json tells.
type story struct {
	Key     struct{ ID int }
	Changes []struct {
		Op      string
		Columns []string
		After   json.RawMessage
	}
	Earlier int `json:"earlier_changes"`
	Targets []struct {
		Target, Mapping string
		Steps           []storyStep
		Now             struct {
			Live      bool
			TargetKey json.RawMessage `json:"target_key"`
			Aside     *struct{ Since, Due time.Time }
			Dead      *struct{ Code, Detail string } `json:"dead_letter"`
		}
	}
}

type storyStep struct {
	Fate, Op, Code string
	Changes        int
	Attempts       int
	Next           time.Time `json:"next_try"`
	Request        *struct {
		ID      string
		Records int
	}
}

func (b *bridge) story(args ...string) (s story) {
	b.t.Helper()
	out, status := b.command(append([]string{"trace", "-c=walbridge.yaml", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &s); err != nil || status != 0 {
		b.t.Fatalf("status %d, %v in %s", status, err, out)
	}
	return s
}

// came waits until the fates of a record at the CRM are those.
func (b *bridge) came(want ...string) (s story) {
	b.t.Helper()
	until(b.t, 30*time.Second, func() string {
		var got []string
		for _, step := range b.atCRM(&s) {
			text := step.Fate
			if step.Code != "" {
				text += " " + step.Code
			}
			got = append(got, text)
		}
		return unless(fmt.Sprint(got) == fmt.Sprint(want), fmt.Sprintf("the fates are %q, not %q", got, want))
	})
	return s
}

func (b *bridge) atCRM(s *story) []storyStep {
	b.t.Helper()
	*s = b.story("public.deals", "id=42", "--target", "crm")
	if len(s.Targets) != 1 || s.Targets[0].Mapping != "deals-to-crm" {
		b.t.Fatalf("the story is of %+v", s.Targets)
	}
	return s.Targets[0].Steps
}

// TestTrace has a record go through what may happen to one, and has its story told.
func TestTrace(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{rewrite: func(config string) string {
		return strings.NewReplacer("shutdown: 5s}", "shutdown: 5s, hold: 1s}", `listen: ""`, "listen: 127.0.0.1:0").Replace(config)
	}})
	const c = "-c=walbridge.yaml"
	b.prints(1, "start walbridge run, or walbridge capture", "trace", "deals", "42", c)
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads()
	b.prints(1, "no change of a table public.deal was ever captured\n  hint: did you mean public.deals?", "trace", "deal", "42", c)
	b.prints(1, "nothing is known of the row 42 of deals: no change of it is in the log, and no target has dealt with one", "trace", "deals", "42", c)

	b.exec("INSERT INTO deals VALUES (42, 1, 's3cret name', 'new', 10, 's3cret note', now())")
	b.came("accepted")
	b.exec("UPDATE deals SET amount = 20 WHERE id = 42; UPDATE deals SET amount = 30, name = 's3cret too' WHERE id = 42")
	s := b.came("accepted", "accepted")
	steps := s.Targets[0].Steps
	if steps[0].Changes != 1 || steps[1].Changes != 2 || steps[1].Op != "upsert" || steps[1].Request == nil || steps[1].Request.Records != 1 || steps[0].Request.ID == steps[1].Request.ID {
		t.Errorf("steps %+v", steps)
	}
	if len(s.Changes) != 3 || s.Changes[0].Op != "c" || s.Changes[2].Op != "u" || s.Key.ID != 42 || !s.Targets[0].Now.Live {
		t.Errorf("the story is %+v", s)
	}

	b.exec("INSERT INTO forecasts VALUES ('s3cret=EU', 4, 1, '')")
	until(t, 30*time.Second, func() string {
		out, status := b.command("trace", "forecasts", "quarter=4,region=s3cret=EU", "--json", c)
		return unless(status == 0 && strings.Contains(out, `"fate": "accepted"`), out)
	})
	b.prints(1, "the key of public.forecasts is written as region=…,quarter=…", "trace", "forecasts", "EU", c)

	b.apps.inject(refuse("BAD_STAGE", "stage", `"lost"`))
	b.exec("UPDATE deals SET stage = 'lost' WHERE id = 42")
	s = b.came("accepted", "accepted", "refused BAD_STAGE")
	if d := s.Targets[0].Now.Dead; d == nil || d.Code != "BAD_STAGE" || d.Detail != "" {
		t.Errorf("the dead letter is %+v", d)
	}
	b.exec("UPDATE deals SET stage = 'won' WHERE id = 42")
	b.came("accepted", "accepted", "refused BAD_STAGE", "accepted")
	b.exec("UPDATE deals SET stage = 'won' WHERE id = 42")
	s = b.came("accepted", "accepted", "refused BAD_STAGE", "accepted", "same")
	if d := s.Targets[0].Now.Dead; d != nil {
		t.Errorf("the dead letter is still there: %+v", d)
	}

	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "owner", Value: json.RawMessage("13"), Code: "ROW_LOCK", Message: "locked by s3cret", Retryable: true}})
	b.exec("UPDATE deals SET owner = 13 WHERE id = 42")
	until(t, 30*time.Second, func() string {
		fates := map[string]int{}
		for _, step := range b.atCRM(&s) {
			fates[step.Fate]++
		}
		return unless(fates["failed"] > 1 && fates["aside"] > 0 && s.Targets[0].Now.Aside != nil, fmt.Sprintf("the fates are %v, aside is %+v", fates, s.Targets[0].Now.Aside))
	})
	if last := s.Targets[0].Steps[5]; last.Fate != "failed" || last.Code != "retryable" || last.Next.IsZero() {
		t.Errorf("after the one that was left out comes %+v", last)
	}
	b.toldWithoutValues(c)
	address := strings.TrimSuffix(regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(p.output()), "/")
	page := get(t.Context(), address+"/api/trace?table=deals&key=42")
	if !strings.Contains(page, "the target refused the record: BAD_STAGE; it is a dead letter") || strings.Contains(page, "s3cret") {
		t.Errorf("the console tells %s", page)
	}
	if page := get(t.Context(), address+"/api/trace?table=deal&key=42"); !strings.Contains(page, "did you mean public.deals?") {
		t.Errorf("the console tells %s", page)
	}
	b.apps.ClearFaults()
	until(t, 30*time.Second, func() string {
		steps := b.atCRM(&s)
		last := steps[len(steps)-1]
		return unless(last.Fate == "accepted" && last.Attempts > 1 && s.Targets[0].Now.Aside == nil, fmt.Sprintf("the last step is %+v", last))
	})
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Errorf("ended with status %d", status)
	}
	b.prints(0, "crm", "target", "forget", "--force", "crm", c)
	for _, k := range b.keys(":trace") {
		if strings.HasSuffix(k, ":crm") {
			t.Errorf("of a target that is forgotten %s is left", k)
		}
	}
}

// toldWithoutValues has the story told to people, with and without values.
func (b *bridge) toldWithoutValues(c string) {
	t := b.t
	t.Helper()
	plain, status := b.command("trace", "deals", "42", c)
	asJSON, _ := b.command("trace", "deals", "42", "--json", c)
	if status != 0 || strings.Contains(plain+asJSON, "s3cret") {
		t.Errorf("status %d, and a value of the row in\n%s%s", status, plain, asJSON)
	}
	for _, want := range []string{
		`public.deals {"id":42}, partition `, "nothing was trimmed", "crm, mapping deals-to-crm to Deal", "commission, mapping won-to-commission to Deal",
		"create at ", "owner, name, stage, amount, note, updated_at", "2 changes from ", "the target took it", "the target refused the record: BAD_STAGE; it is a dead letter", "; changed: amount\n", "no value that was sent is another",
		"not sent: the target has it already", "waits aside since ", "not sent: the mapping does not want it",
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("%q is not in\n%s", want, plain)
		}
	}
	full, _ := b.command("trace", "deals", `{"id": 42}`, "--values", "--mapping", "deals-to-crm", c)
	for _, want := range []string{"s3cret name", `its key at the target is {"id":42}`} {
		if !strings.Contains(full, want) {
			t.Errorf("%q is not in\n%s", want, full)
		}
	}
	if s := b.story("deals", "42", "--limit", "2"); len(s.Changes) != 2 || s.Earlier != 5 || len(s.Targets[1].Steps) > 2 {
		t.Errorf("limited to two: %+v", s)
	}
	b.prints(2, "name a table and the key of a row", "trace", "deals", c)
	b.prints(1, "there is no mapping deals-to-cmr of table deals\n  hint: did you mean deals-to-crm?", "trace", "deals", "42", "--mapping", "deals-to-cmr", c)
}
