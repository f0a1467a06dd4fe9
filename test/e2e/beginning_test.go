package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// TestNewTargetsBegin adds targets to a bridge that has run for a while. Of 20 rows the log
// holds changes of three, and one more changes when the targets have begun.
func TestNewTargetsBegin(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const c = "-c=walbridge.yaml"
	b.exec("INSERT INTO deals SELECT g, 1, 'a', 'won', g, NULL, now() FROM generate_series(1, 20) g")
	p := b.start("run")
	b.waitSlot(p)
	b.agree()
	b.firstLoads()
	b.drain(30*time.Second, p)
	for n := range partitions { // as its age does, in time
		for _, lane := range cdc.Lanes() {
			if err := b.rdb.XTrimMaxLen(t.Context(), b.streamKey(n, lane), 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.exec("UPDATE deals SET amount = 77 WHERE id <= 3")
	b.drain(30*time.Second, p)
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}

	add := func(name, from string) string {
		b.write("mappings/deals-to-"+name+".yaml", strings.ReplaceAll(mappingFiles["deals-to-crm.yaml"], "crm/Deal", name+"/Deal-"+name))
		return fmt.Sprintf("  %s: {type: http, url: %q%s}\n", name, b.apps.url("forecast"), from)
	}
	configured := func(now string) options {
		return options{rewrite: func(config string) string {
			return config + add("plain", "") + add("whole", ", from: backfill") + add("oldest", ", from: beginning") + add("fresh", ", from: "+now)
		}}
	}
	b.writeConfig("walbridge.yaml", configured("now"))
	b.prints(0, "it begins with the oldest change that the log holds; no table is read for it", "check", c)
	b.readOnly()
	for name, want := range map[string]string{"plain": "backfill 20", "whole": "backfill 20", "oldest": "beginning 3", "fresh": "now 0"} {
		if m := b.plan(true, "--mapping", "deals-to-"+name).of["deals-to-"+name]; m.State != "new" || m.Create != 20 || m.Begins == nil || fmt.Sprint(m.Begins.How, " ", m.Sends.Records) != want {
			t.Errorf("a plan of %s: %+v, want %s", name, m, want)
		}
	}
	p = b.start("run")
	p.says("capture started", 20*time.Second)
	b.exec("UPDATE deals SET amount = 78 WHERE id = 9")
	every := make([]string, 20)
	for i := range every {
		every[i] = fmt.Sprint(i + 1)
	}
	holds := func(target string, want ...string) {
		t.Helper()
		until(t, 30*time.Second, func() string {
			var have []string
			for key := range b.apps.Fields("forecast", "Deal-"+target) {
				have = append(have, key)
			}
			slices.Sort(have)
			slices.Sort(want)
			return unless(slices.Equal(have, want), fmt.Sprintf("%s has %v, want %v", target, have, want))
		})
	}
	b.loaded()
	b.drain(30*time.Second, p)
	look := func() {
		t.Helper()
		holds("plain", every...)
		holds("whole", every...)
		holds("oldest", "1", "2", "3", "9")
		holds("fresh", "9")
	}
	look()
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}

	if out, _ := b.command("target", "list", c); strings.Count(out, " backfill ") != 5 || strings.Count(out, " beginning ") != 1 || strings.Count(out, " now ") != 1 {
		t.Errorf("the list tells how each began:\n%s", out)
	}

	// Another setting later does nothing, and says so.
	b.writeConfig("walbridge.yaml", configured("beginning"))
	b.prints(0, "from: beginning has no effect, as the target began before, from: now", "check", c)
	p = b.start("run")
	p.says("targets.NAME.from has no effect", 20*time.Second)
	p.says("capture started", 20*time.Second)
	b.drain(30*time.Second, p)
	look()
	if status, _ := p.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}
	for _, name := range []string{"plain", "whole", "oldest", "fresh"} {
		path := filepath.Join(b.dir, "mappings", "deals-to-"+name+".yaml")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	b.writeConfig("walbridge.yaml", options{})
	b.readOnly()
	if p := b.plan(true); fmt.Sprint(p.gone) != "[{fresh  0} {oldest  0} {plain  0} {whole  0}]" || p.exit != 0 {
		t.Errorf("targets that are in no configuration: %v", p.gone)
	}
	// A mapping that says the opposite is a mistake.
	b.writeConfig("walbridge.yaml", configured("now"))
	b.write("mappings/deals-to-fresh.yaml", strings.ReplaceAll(mappingFiles["deals-to-crm.yaml"], "crm/", "fresh/")+"start: backfill\n")
	b.prints(1, "deals-to-fresh.yaml:6:8: mapping deals-to-fresh: start: backfill reads the table, and targets.fresh.from: now does not", "run", c)
	b.prints(1, "start: backfill reads the table, and targets.fresh.from: now does not", "check", c)
	b.prints(1, "start: backfill reads the table, and targets.fresh.from: now does not", "plan", c)
}
