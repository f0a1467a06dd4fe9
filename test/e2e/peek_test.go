package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// TestPeek looks at what waits for a target, in the process that delivers to it.
func TestPeek(t *testing.T) {
	t.Parallel()
	listens := func(address string) options {
		return options{rewrite: func(config string) string {
			return strings.Replace(config, `listen: ""`, fmt.Sprintf("listen: %q", address), 1)
		}}
	}
	address, other := freeAddress(t), freeAddress(t)
	b := newBridge(t, listens(address))
	b.writeConfig("other.yaml", listens(other))
	const c = "-c=walbridge.yaml"
	b.prints(1, "there is no log of the bridge", "peek", "crm", c)
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads()
	b.apps.inject(sandbox.Fault{App: "crm", Kind: sandbox.Refuse, Times: sandbox.Forever,
		Refusal: &sandbox.Refusal{Field: "name", Value: json.RawMessage(`"locked"`), Code: "UNABLE_TO_LOCK_ROW", Retryable: true}})
	b.exec("INSERT INTO deals SELECT g, 1, CASE WHEN g = 3 THEN 'locked' ELSE 'a' END, 'won', g, NULL, now() FROM generate_series(1, 5) g")
	var r struct {
		Queue struct {
			Matching   int
			Partitions []int
			Lanes      []struct {
				Lane          string
				Keys, Entries int
			}
			Keys []struct {
				Mapping, Stage, Error, Position string
				Key                             struct{ ID int }
				Attempts                        int
				Row                             map[string]any
			}
		}
		Processes []struct{ Address, State string }
	}
	until(t, 20*time.Second, func() string {
		out, status := b.command("peek", "crm", "--json", "--values", c)
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
			return fmt.Sprintf("status %d, %v: %s", status, err, out)
		}
		return unless(r.Queue.Matching == 1 && r.Queue.Keys[0].Attempts > 0, "saw "+out)
	})
	if k := r.Queue.Keys[0]; k.Key.ID != 3 || k.Mapping != "deals-to-crm" || k.Position == "" || !strings.Contains(k.Error, "UNABLE_TO_LOCK_ROW") || k.Row["name"] != "locked" || r.Processes[0].State != "owned" {
		t.Errorf("saw %+v", r)
	}
	// Its entry is in the lane of the most urgent mapping of its table.
	if l := r.Queue.Lanes; l[0].Lane != "urgent" || l[0].Keys != 0 || l[0].Entries != 1 || l[1].Keys != 1 || l[1].Entries != 0 {
		t.Errorf("saw lanes %+v", r.Queue.Lanes)
	}
	out, status := b.command("peek", "crm", c)
	if status != 0 || !strings.Contains(out, `{"id":3}`) || !strings.Contains(out, "UNABLE_TO_LOCK_ROW") || strings.Contains(out, `"locked"`) {
		t.Errorf("status %d:\n%s", status, out)
	}
	// Who may not use the log is told nothing.
	resp, err := http.Get("http://" + address + "/api/peek?target=crm")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusForbidden || strings.Contains(string(body), "deals") {
		t.Errorf("without a pass: %d %s (%v)", resp.StatusCode, body, err)
	}
	b.prints(0, "nothing of that waits", "peek", "crm", "--key", "4", c)
	b.prints(0, "nothing waits", "peek", "commission", c)
	b.prints(1, "did you mean crm?", "peek", "cmr", c)
	b.prints(1, "there is no mapping deal-to-crm to target crm\n  hint: did you mean deals-to-crm?", "peek", "crm", "--mapping", "deal-to-crm", c)
	b.prints(2, "name one target", "peek", c)
	b.prints(2, "--lane fast", "peek", "crm", "--lane", "fast", c)
	b.prints(1, "connection refused\n  hint: ", "peek", "crm", "--at", "127.0.0.1:1", c)

	// Another worker takes a part of it, and is asked too.
	second := start(t, launch{dir: b.dir, args: []string{"deliver", "-c", "other.yaml"}})
	until(t, 20*time.Second, func() string {
		out, status := b.command("peek", "crm", "--json", c)
		r.Processes, r.Queue.Partitions = nil, nil
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
			return fmt.Sprintf("status %d, %v: %s", status, err, out)
		}
		both := len(r.Processes) == 2 && r.Processes[0].State == "owned" && r.Processes[1].State == "owned" && r.Processes[0].Address != r.Processes[1].Address
		return unless(both && fmt.Sprint(r.Queue.Partitions) == "[0 1 2 3]" && r.Queue.Matching == 1 && r.Queue.Keys[0].Key.ID == 3, "saw "+out)
	})
	for _, p := range []*process{second, p} {
		if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
			t.Errorf("ended with status %d", status)
		}
	}
	b.prints(1, "start walbridge run", "peek", "crm", c)
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
