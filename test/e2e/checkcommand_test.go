package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// finding is one that walbridge check tells with --json.
type finding struct{ Level, About, What, Fix, Place, Excerpt string }

// check runs walbridge check and gives its findings; the status has to agree with them.
func (b *bridge) check(args ...string) []finding {
	b.t.Helper()
	p := start(b.t, launch{dir: b.dir, args: append([]string{"check", "--json"}, args...)})
	status, said := p.wait(30*time.Second), p.output()
	var report struct {
		Findings       []finding
		OK, Warn, Fail int
	}
	if err := json.Unmarshal([]byte(said), &report); err != nil {
		b.t.Fatalf("%v in\n%s", err, said)
	}
	fails := 0
	for _, f := range report.Findings {
		if f.Level == "fail" {
			fails++
		}
	}
	if want := min(fails, 1); status != want || report.Fail != fails || report.OK+report.Warn+report.Fail != len(report.Findings) {
		b.t.Errorf("status %d, %d ok, %d warn, %d fail, of\n%s", status, report.OK, report.Warn, report.Fail, said)
	}
	return report.Findings
}

// find gives the finding that has all the words, which are of its level, of what it is
// about, and of its text; nil if there is none.
func find(list []finding, level, about, what string) *finding {
	for i, f := range list {
		if f.Level == level && f.About == about && strings.Contains(f.What, what) {
			return &list[i]
		}
	}
	return nil
}

func (b *bridge) wants(list []finding, level, about, what string) *finding {
	b.t.Helper()
	f := find(list, level, about, what)
	if f == nil {
		b.t.Errorf("no finding %s, %s, %q among\n%s", level, about, what, shown(list))
		return &finding{}
	}
	return f
}

func shown(list []finding) string {
	var s strings.Builder
	for _, f := range list {
		fmt.Fprintf(&s, "%s | %s | %s | %s\n", f.Level, f.About, f.What, f.Fix)
	}
	return s.String()
}

func (b *bridge) noFail(list []finding) {
	b.t.Helper()
	for _, f := range list {
		if f.Level == "fail" {
			b.t.Errorf("it is not right, in\n%s", shown(list))
			return
		}
	}
}

// mend runs the statements of a fix: what follows its first word of SQL.
func (b *bridge) mend(f *finding) {
	b.t.Helper()
	sql := regexp.MustCompile(`(ALTER|GRANT|CREATE) .*`).FindString(f.Fix)
	sql, _, _ = strings.Cut(sql, " as a superuser")
	sql, _, _ = strings.Cut(sql, " or, with")
	if sql == "" {
		b.t.Fatalf("the fix %q has no statement", f.Fix)
	}
	for statement := range strings.SplitSeq(sql, ";") { // ALTER SYSTEM goes alone
		if strings.TrimSpace(statement) != "" {
			b.exec(statement)
		}
	}
}

// A role is given what it needs, one fix after another, by the statements that check
// tells: afterwards nothing is to be mended, and the bridge runs.
func TestCheckMendsPostgres(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	b.writeConfig("walbridge.yaml", b.asRole())
	b.exec("CREATE ROLE walbridge LOGIN; CREATE SCHEMA apart; CREATE TABLE apart.notes (id int NOT NULL, name text); ALTER TABLE deals ENABLE ROW LEVEL SECURITY; CREATE TABLE wide (id int PRIMARY KEY, price int, total int GENERATED ALWAYS AS (price * 2) STORED)")
	b.write("mappings/notes.yaml", "from: apart.notes\nto: crm/Note\nkey: {id: id}\nfields: {name: name}\n")
	b.write("mappings/wide.yaml", "from: public.wide\nto: crm/Wide\nkey: {id: id}\nfields: {total: total}\n")

	list := b.check()
	keyless := b.wants(list, "fail", "mapping notes", "no primary key")
	if keyless.Place != "mappings/notes.yaml:1:7" || !strings.Contains(keyless.Excerpt, "from: apart.notes") {
		t.Errorf("the mistake has place %q and excerpt %q", keyless.Place, keyless.Excerpt)
	}
	b.wants(list, "fail", "mapping wide", "computes the column, and PostgreSQL does not send it")
	replicate := b.wants(list, "fail", "postgres", "role walbridge may not replicate")
	publish := b.wants(list, "fail", "postgres", "may not make or change publication "+b.publication())
	filtered := b.wants(list, "fail", "mapping deals-to-crm", "row level security of public.deals")
	b.wants(list, "ok", "mapping deals-to-crm", "large values of name, note, stage that an update does not change are not sent")
	b.wants(list, "ok", "postgres", "wal_level is logical")
	b.wants(list, "warn", "postgres", "max_slot_wal_keep_size is -1")
	for _, about := range []string{"mapping deals-to-crm", "mapping won-to-commission", "mapping forecasts", "mapping notes"} {
		b.mend(b.wants(list, "fail", about, "role walbridge may not read table"))
	}
	b.mend(b.wants(list, "warn", "postgres", "max_slot_wal_keep_size is -1").sqlOnly(" (more than"))
	for _, f := range []*finding{keyless, replicate, filtered} {
		b.mend(f)
	}
	b.write("mappings/wide.yaml", "from: public.wide\nto: crm/Wide\nkey: {id: id}\nfields: {total: price * 2}\n")
	b.exec("GRANT SELECT ON wide TO walbridge; SELECT pg_reload_conf()")
	// The superuser makes it, and gives it away: see docs/capture.md.
	b.mend(publish)
	b.exec("ALTER PUBLICATION " + b.publication() + " OWNER TO walbridge")

	list = b.check()
	b.noFail(list)
	b.wants(list, "ok", "postgres", "role walbridge may replicate")
	b.wants(list, "ok", "postgres", "max_slot_wal_keep_size is 20GiB")
	b.wants(list, "ok", "postgres", "has all that is mapped")
	b.wants(list, "ok", "mapping wide", "it fits table public.wide")
	p := b.start("run")
	b.waitSlot(p)
	list = b.check()
	b.noFail(list)
	b.wants(list, "ok", "postgres", "slot "+b.slot()+" is made")
}

// sqlOnly cuts what a fix says behind its statements.
func (f *finding) sqlOnly(from string) *finding {
	out := *f
	out.Fix, _, _ = strings.Cut(f.Fix, from)
	return &out
}

// A server that evicts or is away is told, and keeps nothing else from being looked at.
func TestCheckServers(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	b.noFail(b.check())
	ctx := t.Context()
	if err := b.rdb.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	f := b.wants(b.check(), "fail", "redis", "maxmemory-policy allkeys-lru")
	set := strings.Fields(strings.TrimPrefix(f.Fix, "run CONFIG SET "))
	if err := b.rdb.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
		t.Fatal(err)
	}
	list := b.check()
	b.noFail(list)
	b.wants(list, "ok", "redis", "maxmemory-policy is noeviction")
	b.wants(list, "ok", "redis", "the log is durable by")

	b.writeConfig("away.yaml", options{rewrite: func(c string) string {
		c = strings.Replace(c, "postgres://postgres@", "postgres://postgres:s3cret@", 1)
		c = strings.Replace(c, b.pgURL[strings.LastIndex(b.pgURL, ":"):strings.LastIndex(b.pgURL, "/")], ":1", 1)
		c = strings.Replace(c, b.redis.Addr(), "127.0.0.1:1", 1)
		return strings.Replace(c, b.apps.url("crm"), "http://127.0.0.1:1/s3cret", 1)
	}})
	list = b.check("-c", "away.yaml")
	b.wants(list, "fail", "postgres", "refused")
	b.wants(list, "fail", "redis", "redis at 127.0.0.1:1")
	b.wants(list, "fail", "target crm", "refused")
	b.wants(list, "ok", "target commission", "it can be reached")
	b.wants(list, "warn", "mappings", "not held against tables")
	if strings.Contains(shown(list), "s3cret") {
		t.Errorf("a secret is shown in\n%s", shown(list))
	}

	p := start(t, launch{dir: b.dir, args: []string{"check", "-c", "walbridge.yaml"}})
	if status, said := p.wait(30*time.Second), p.output(); status != 0 || !strings.Contains(said, "ok    postgres                   wal_level is logical\n") || !strings.HasSuffix(said, " 0 to mend\n") {
		t.Errorf("status %d:\n%s", status, said)
	}
	p = start(t, launch{dir: b.dir, args: []string{"check", "--offline", "--save"}})
	if status := p.wait(30 * time.Second); status != 2 {
		t.Errorf("--offline with --save ended with status %d:\n%s", status, p.output())
	}
}

// Mappings are held against what a target says of its objects; what it said is kept for
// work offline.
func TestCheckSchema(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{})
	const most = `{"name":"id","type":"integer","key":true},{"name":"owner","type":"integer"},{"name":"name","type":"text"},{"name":"stage","type":"text"},{"name":"note","type":"text"},{"name":"updated_at","type":"date_time"}`
	var fields atomic.Value
	var refuse atomic.Bool
	fields.Store(most)
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			t.Errorf("check sent a %s", r.Method)
		case refuse.Load():
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != "/s3cret/Deal":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"no such object","objects":["Deal"]}`)
		default:
			fmt.Fprintf(w, `{"fields":[%s]}`, fields.Load())
		}
	}))
	defer crm.Close()
	b.writeConfig("walbridge.yaml", options{rewrite: func(c string) string {
		return strings.Replace(c, fmt.Sprintf("url: %q\n", b.apps.url("crm")), fmt.Sprintf("url: %q\n    describe: %q\n", b.apps.url("crm"), crm.URL+"/s3cret/{object}"), 1)
	}})
	b.wants(b.check("--offline"), "fail", "configuration", "there is no catalog.json")

	list := b.check()
	f := b.wants(list, "fail", "mapping deals-to-crm", "field amount is not one of crm/Deal")
	if !strings.HasPrefix(f.Place, "mappings/deals-to-crm.yaml:4:") {
		t.Errorf("the place is %q", f.Place)
	}
	b.wants(list, "ok", "target commission", "it does not tell its fields: not checked")
	fields.Store(most + `,{"name":"amount","type":"integer"}`)
	list = b.check("--save")
	b.wants(list, "fail", "mapping deals-to-crm", "field amount takes a value of type integer, and is given one of type decimal")
	b.wants(list, "ok", "configuration", "wrote catalog.json")
	text, err := os.ReadFile(filepath.Join(b.dir, "catalog.json"))
	if err != nil || !strings.Contains(string(text), `"public.deals"`) || !strings.Contains(string(text), `"Deal"`) || strings.Contains(string(text), "s3cret") {
		t.Errorf("catalog.json, %v:\n%s", err, text)
	}

	refuse.Store(true)
	b.wants(b.check("--save"), "fail", "target crm", "401") // what it said is kept
	list = b.check("--offline")
	b.wants(list, "fail", "mapping deals-to-crm", "field amount takes a value of type integer")
	b.wants(list, "ok", "postgres", "not looked at: offline")
	if f := find(list, "fail", "target crm", ""); f != nil {
		t.Errorf("offline it asks: %v", f)
	}
	refuse.Store(false)
	fields.Store(most + `,{"name":"amount","type":"number"}`)
	b.noFail(b.check("--save"))
	list = b.check("--offline")
	b.noFail(list)
	b.write("mappings/other.yaml", "from: public.deals\nto: crm/Deel\nkey: {id: id}\nfields: {nmae: nmae}\n")
	list = b.check()
	b.wants(list, "fail", "mapping other", `unknown column "nmae"`)
	b.write("mappings/other.yaml", "from: public.deals\nto: crm/Deel\nkey: {id: id}\nfields: {name: name}\n")
	if f := b.wants(b.check(), "fail", "mapping other", `no object "Deel"`); f.Fix != "did you mean Deal?" {
		t.Errorf("the fix is %q", f.Fix)
	}
}
