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
)

// planned is what walbridge plan tells of a mapping.
type planned struct {
	Mapping, State                            string
	Rows, Create, Update, Move, Remove        int64
	Same, Unsure, Refused, Unsettled, Orphans int64
	NotMeant                                  int64 `json:"not_meant"`
	InFlight                                  int64 `json:"in_flight"`
	Begins                                    *struct {
		How  string
		Rows int64 `json:"rows_in_log"`
	}
	Fields                  []struct{ Name string }
	Refusals                []struct{ Code, Error string }
	Examples                map[string][]string
	Sends, Replay, Backfill struct {
		Records, Requests int64
		Seconds           float64 `json:"seconds_at_least"`
	}
}

// plans is what it tells of all, by mapping.
type plans struct {
	of    map[string]planned
	notes []string
	gone  []struct {
		Target, Mapping string
		Records         int64
	}
	exit int
}

// plan runs the command, of which nothing may come: no request, and where nothing runs beside
// it, no key that is another.
func (b *bridge) plan(still bool, args ...string) (p plans) {
	b.t.Helper()
	requests, before := len(b.apps.answered()), ""
	if still {
		before = b.dump()
	}
	out, exit := b.command(append([]string{"plan", "-c", "readonly.yaml", "--json"}, args...)...)
	var told struct {
		Mappings []planned
		Notes    []string
		Gone     []struct {
			Target, Mapping string
			Records         int64
		}
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil {
		b.t.Fatalf("plan %v: %d\n%s", args, exit, out)
	}
	if still {
		if n := len(b.apps.answered()) - requests; n != 0 {
			b.t.Errorf("%d requests were made for a plan", n)
		}
		if b.dump() != before {
			b.t.Error("a plan has changed something in Redis")
		}
	}
	p = plans{of: map[string]planned{}, notes: told.Notes, gone: told.Gone, exit: exit}
	for _, m := range told.Mappings {
		p.of[m.Mapping] = m
	}
	return p
}

// dump is all that the bridge has in Redis.
func (b *bridge) dump() string {
	b.t.Helper()
	var text strings.Builder
	for _, key := range b.keys("*") {
		v, err := b.rdb.Dump(b.t.Context(), key).Result()
		if err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %x\n", key, v)
	}
	return text.String()
}

// readOnly writes a configuration with which PostgreSQL refuses whatever would write. There crm
// is given two requests a second, and commission begins with what comes, which counts only before it began.
func (b *bridge) readOnly() {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "walbridge.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	sep := "?"
	if strings.Contains(b.pgURL, "?") {
		sep = "&"
	}
	readonly := strings.Replace(string(text), b.pgURL, b.pgURL+sep+"default_transaction_read_only=on", 1)
	if readonly == string(text) {
		b.t.Fatal("the configuration does not have the URL of the database")
	}
	b.write("readonly.yaml", strings.NewReplacer("  crm:\n", "  crm:\n    rate: {per_second: 2, burst: 1}\n", "  commission:\n", "  commission:\n    from: now\n").Replace(readonly))
}

// A plan of new and changed mapping files tells what comes when they are used, before anything ran,
// beside a bridge that runs with the former ones, and without one; and it sends and writes nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	b.readOnly()
	const c = "-c=walbridge.yaml"
	b.exec("INSERT INTO deals SELECT g, g % 3, 'a', CASE WHEN g <= 100 THEN 'won' ELSE 'open' END, g, NULL, now() FROM generate_series(1, 450) g")
	b.exec("INSERT INTO forecasts SELECT r, q, q, 'x' FROM unnest('{emea,apac}'::text[]) r, generate_series(1, 20) q")

	p := b.plan(true)
	if m := p.of["deals-to-crm"]; p.exit != 0 || len(p.notes) != 1 || !strings.Contains(p.notes[0], "there is no log of this bridge") || m.State != "new" ||
		m.Create != 450 || m.Begins == nil || m.Begins.How != "backfill" || m.Sends.Records != 450 || m.Sends.Requests != 3 || m.Sends.Seconds != 1 {
		t.Errorf("before anything ran: %+v", p)
	}
	if m := p.of["won-to-commission"]; m.Create != 100 || m.Begins == nil || m.Begins.How != "now" || m.Sends.Records != 0 {
		t.Errorf("a target that begins with what comes: %+v", m)
	}
	b.write("mappings/owners.yaml", "from: public.deals\nto: crm/Owner\nkey: {id: owner}\nfields: {name: name}\n")
	if m := b.plan(true, "--mapping", "owners").of["owners"]; m.Create != 3 || m.Refused != 447 || len(m.Refusals) != 1 || m.Refusals[0].Code != "duplicate_target_key" {
		t.Errorf("a key that many rows have: %+v", m)
	}
	if err := os.Remove(filepath.Join(b.dir, "mappings", "owners.yaml")); err != nil {
		t.Fatal(err)
	}
	if n, err := b.text("SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = $1", b.slot()); err != nil || n != "0" || len(b.keys("*")) != 0 {
		t.Errorf("%s slots, keys %v, %v", n, b.keys("*"), err)
	}

	r := b.start("run")
	b.waitSlot(r)
	b.firstLoads()
	b.drain(30*time.Second, r)
	stop := b.edits(`UPDATE deals SET amount = amount + 1 FROM (SELECT 200 + floor(random() * 200)::int AS one, pg_sleep(0.005)) x WHERE id = x.one`) // others go on meanwhile
	until(t, 20*time.Second, func() string {
		n, err := b.text("SELECT count(*)::text FROM deals WHERE amount > id + 2")
		return unless(err == nil && len(n) > 2, fmt.Sprintf("%s rows have changed again and again, %v", n, err))
	})
	for name, m := range b.plan(false).of {
		if m.State != "same" || m.Create+m.Update+m.Remove+m.Refused+m.Sends.Records != 0 || m.Same+m.NotMeant+m.InFlight != m.Rows || m.Begins != nil {
			t.Errorf("all is as it is: %s %+v", name, m)
		}
	}

	b.changeMappings()
	b.changes(b.plan(false))
	stop()
	b.drain(30*time.Second, r)
	if status, _ := r.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
		t.Fatalf("ended with status %d", status)
	}
	p = b.plan(true)
	b.changes(p)
	if notes := strings.Join(p.notes, "\n"); !strings.Contains(notes, "no capture is running") || !strings.Contains(notes, "no process delivers to target crm") {
		t.Errorf("without a bridge the notes are %q", p.notes)
	}
	b.prints(1, "deals-to-crm: changed. Nothing of this is sent by itself", "plan", c)

	r = b.start("run")
	r.says("capture started", 20*time.Second)
	until(t, 30*time.Second, func() string {
		n := len(b.apps.Fields("forecast", "Fresh"))
		return unless(n == 450, fmt.Sprintf("%d records came of the new mapping, 450 were planned", n))
	})
	b.drain(30*time.Second, r)
	p = b.plan(false)
	if m := p.of["fresh"]; m.State != "same" || m.Same != 450 {
		t.Errorf("the new mapping, once it ran: %+v", m)
	}
	if m := p.of["deals-to-crm"]; m.State != "changed" || m.Update != 450 {
		t.Errorf("a changed mapping was sent by itself: %+v", m)
	}
	b.prints(0, "backfill", "backfill", "deals", "--for", "crm/deals-to-crm", c)
	b.prints(0, "67 queued", "replay", "--target", "commission", "--mapping", "won-to-commission", "--from", "beginning", c)
	b.drain(30*time.Second, r)
	p = b.plan(false)
	if m := p.of["deals-to-crm"]; m.State != "same" || m.Same != 450 {
		t.Errorf("after all was sent: %+v", m)
	}
	if m := p.of["won-to-commission"]; m.State != "same" || m.Remove != 0 || m.Same != 33 || len(b.apps.Fields("commission", "Deal")) != 33 {
		t.Errorf("after what is not meant any more was removed: %+v", m)
	}
	b.takesAway(r)
}

// takesAway takes the new mapping away, and brings it back after rows have changed and gone.
func (b *bridge) takesAway(r *process) {
	b.t.Helper()
	restart := func() {
		b.t.Helper()
		if status, _ := r.stop(syscall.SIGTERM, 15*time.Second); status != 0 {
			b.t.Fatalf("ended with status %d", status)
		}
		r = b.start("run")
		r.says("capture started", 20*time.Second)
	}
	path := filepath.Join(b.dir, "mappings", "fresh.yaml")
	if err := os.Rename(path, path+".away"); err != nil {
		b.t.Fatal(err)
	}
	if p := b.plan(false); len(p.gone) != 1 || p.gone[0].Mapping != "fresh" || p.gone[0].Target != "forecast" || p.gone[0].Records != 450 {
		b.t.Errorf("a mapping that is away: %+v", p.gone)
	}
	restart()
	b.exec("DELETE FROM deals WHERE id > 440")
	b.exec("UPDATE deals SET name = 'b' WHERE id <= 5")
	b.drain(30*time.Second, r)
	if n := len(b.apps.Fields("forecast", "Fresh")); n != 450 {
		b.t.Errorf("of a mapping that is away %d records are left, not 450", n)
	}
	if err := os.Rename(path+".away", path); err != nil {
		b.t.Fatal(err)
	}
	if m := b.plan(false).of["fresh"]; m.State != "back" || m.Begins == nil || m.Begins.How != "backfill" || m.Update != 5 || m.Same != 435 || m.Remove != 10 || m.Orphans != 10 || m.Sends.Records != 450 {
		b.t.Errorf("a mapping that is back: %+v", m)
	}
	restart()
	until(b.t, 30*time.Second, func() string {
		n := len(b.apps.Fields("forecast", "Fresh"))
		return unless(n == 440, fmt.Sprintf("%d records of the mapping that is back, not 440", n))
	})
}

// changeMappings adds a field, narrows a condition, lets a field refuse rows, and adds a mapping.
func (b *bridge) changeMappings() {
	b.t.Helper()
	change := func(name, from, to string) {
		text := strings.Replace(mappingFiles[name], from, to, 1)
		if text == mappingFiles[name] {
			b.t.Fatalf("%s has no %q", name, from)
		}
		b.write("mappings/"+name, text)
	}
	change("deals-to-crm.yaml", "stage: stage,", "stage: stage, big: amount > 100,")
	change("won-to-commission.yaml", "stage == 'won'", "stage == 'won' && owner == 0")
	change("forecasts.yaml", "region: region,", "region: \"map(region, {'emea': 'EMEA'})\",")
	b.write("mappings/fresh.yaml", "from: public.deals\nto: forecast/Fresh\nkey: {id: id}\nfields: {name: name}\n")
}

// changes holds a plan against what changeMappings does.
func (b *bridge) changes(p plans) {
	b.t.Helper()
	if p.exit != 1 || len(p.of) != 4 {
		b.t.Errorf("a plan with refused rows ends with %d, of %d mappings", p.exit, len(p.of))
	}
	if m := p.of["deals-to-crm"]; m.State != "changed" || m.Update+m.InFlight != 450 || m.InFlight > 150 || len(m.Fields) != 1 || m.Fields[0].Name != "big" ||
		m.Sends.Records != 0 || m.Backfill.Records != m.Update || m.Replay.Requests != (m.Update+199)/200 {
		b.t.Errorf("one field more: %+v", m)
	}
	if m := p.of["won-to-commission"]; m.State != "changed" || m.Remove != 67 || m.Same != 33 || m.NotMeant+m.InFlight != 350 || len(m.Examples["remove"]) == 0 || m.Replay.Records != 67 || m.Backfill.Records != 100 {
		b.t.Errorf("a narrowed condition: %+v", m)
	}
	if m := p.of["forecasts"]; m.State != "changed" || m.Refused != 20 || m.Update != 20 || len(m.Refusals) != 1 || m.Refusals[0].Code != "unmapped" || strings.Contains(m.Refusals[0].Error, "apac") {
		b.t.Errorf("a field that refuses rows: %+v", m)
	}
	if m := p.of["fresh"]; m.State != "new" || m.Create != 450 || m.Begins == nil || m.Begins.How != "backfill" || m.Sends.Records != 450 {
		b.t.Errorf("a new mapping: %+v", m)
	}
}
