package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// mistake is one thing wrong with the setting up, and what must be said of it.
type mistake struct {
	name    string
	config  func(string) string // rewrites the configuration
	mapping string              // a further mapping file
	before  func()              // does the harm
	after   func()              // undoes it
	says    []string
}

// TestBadInput starts a bridge that has run before with one mistake after
// another, while rows are written. Each gives one clear error with what to do and
// a status that is not 0; once all is mended, nothing is lost.
func TestBadInput(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	p := b.start("run")
	b.waitSlot(p)
	b.exec("CREATE TABLE keyless (id int, name text); CREATE ROLE poor LOGIN")
	rows := 0
	write := func() {
		rows += 10
		b.exec("INSERT INTO deals SELECT g, 1, 'kept', 'won', g, NULL, now() FROM generate_series($1::int - 9, $1) g", rows)
	}
	write()
	b.drain(30*time.Second, p)
	p.stop(syscall.SIGTERM, 10*time.Second)
	for _, m := range b.mistakes(t) {
		write()
		b.fails(m)
	}
	write()
	p = b.start("run")
	b.drain(30*time.Second, p)
	b.checkAll(verdict{})
	if n := len(b.apps.Objects("crm", "Deal")); n != rows {
		t.Errorf("the crm has %d deals, want %d", n, rows)
	}
}

func (b *bridge) mistakes(t *testing.T) []mistake {
	plain := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{"wal_level": "replica"}})
	replace := func(old, new string) func(string) string {
		return func(config string) string {
			if !strings.Contains(config, old) {
				t.Fatalf("the configuration has no %q to replace", old)
			}
			return strings.Replace(config, old, new, 1)
		}
	}
	mapping := func(from, key, field string) string {
		return fmt.Sprintf("from: %s\nto: crm/Other\nkey: {id: %s}\nfields: {name: %s}\n", from, key, field)
	}
	var release func()
	policy := func(name string) func() {
		return func() {
			if err := b.rdb.ConfigSet(t.Context(), "maxmemory-policy", name).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []mistake{
		{name: "unknown key in the configuration", config: replace("heartbeat:", "heart_beat:"),
			says: []string{"bad.yaml:2:", "postgres.heart_beat", "did you mean heartbeat?"}},
		{name: "unknown key in a mapping", mapping: mapping("public.deals", "id", "name") + "colaesce: {quiet: 1s}\n",
			says: []string{"bad/mapping.yaml:5:1", "colaesce", "did you mean coalesce?"}},
		{name: "unknown column", mapping: mapping("public.deals", "id", "nmae"),
			says: []string{"bad/mapping.yaml:4:16", "nmae", "did you mean name?"}},
		{name: "missing table", mapping: mapping("public.dealz", "id", "name"),
			says: []string{"bad/mapping.yaml:1:7", "no such table", "public.dealz", "did you mean public.deals?"}},
		{name: "a view", mapping: mapping("public.won_deals", "id", "name"), before: func() { b.exec("CREATE VIEW won_deals AS SELECT * FROM deals WHERE stage = 'won'") },
			says: []string{"bad/mapping.yaml:1:7", "it is a view, of which there are no changes", "public.won_deals"}, after: func() { b.exec("DROP VIEW won_deals") }},
		{name: "table without primary key", mapping: mapping("public.keyless", "id", "name"),
			says: []string{"bad/mapping.yaml:1:7", "public.keyless", "ALTER TABLE public.keyless ADD PRIMARY KEY (id)"}},
		{name: "wal_level not logical", config: replace(fmt.Sprintf("%q", b.pgURL), fmt.Sprintf("%q", plain.URL("postgres"))),
			before: func() { b.execAt(plain.URL("postgres"), schema) },
			says:   []string{"wal_level = replica", "ALTER SYSTEM SET wal_level = logical"}},
		{name: "no privilege", config: replace("postgres@", "poor@"),
			says: []string{"poor may not replicate", "ALTER ROLE poor REPLICATION"}},
		{name: "slot in use", before: func() { release = b.holdSlot() }, after: func() { release() },
			says: []string{"slot walbridge_e2e is in use", "somebody else", "pg_stat_activity"}},
		{name: "redis cannot be reached", config: replace(b.redis.Addr(), "127.0.0.1:1"),
			says: []string{"redis at 127.0.0.1:1", "redis.url"}},
		{name: "redis that evicts", before: policy("allkeys-lru"), after: policy("noeviction"),
			says: []string{"maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction"}},
		{name: "preset that is none", config: func(c string) string { return c + "  other: {type: http, preset: captivateq}\n" },
			mapping: strings.Replace(mapping("public.deals", "id", "name"), "crm/", "other/", 1),
			says:    []string{"bad.yaml:", ":31: targets.other.preset", "did you mean captivateiq?"}},
		{name: "target that is not there", config: func(c string) string {
			return c + "  other: {type: http, url: \"http://127.0.0.1:1/batch\"}\n"
		}, mapping: strings.Replace(mapping("public.deals", "id", "name"), "crm/", "other/", 1),
			says: []string{"target other cannot be reached", "refused", "targets.other.url"}},
	}
}

// holdSlot reads the slot as a stranger does.
func (b *bridge) holdSlot() (release func()) {
	b.t.Helper()
	cfg, err := pgconn.ParseConfig(b.pgURL)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg.RuntimeParams["replication"], cfg.RuntimeParams["application_name"] = "database", "somebody else"
	conn, err := pgconn.ConnectConfig(b.t.Context(), cfg)
	if err == nil {
		err = pglogrepl.StartReplication(b.t.Context(), conn, b.slot(), 0, pglogrepl.StartReplicationOptions{
			PluginArgs: []string{"proto_version '1'", "publication_names '" + b.publication() + "'"}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return func() {
		if err := conn.Close(context.Background()); err != nil {
			b.t.Error(err)
		}
	}
}

// fails starts the bridge with a mistake and wants it to end with the words.
func (b *bridge) fails(m mistake) {
	b.t.Helper()
	if m.before != nil {
		m.before()
	}
	files := "mappings: [mappings/*.yaml]"
	if m.mapping != "" {
		b.write(filepath.Join("bad", "mapping.yaml"), m.mapping)
		files = "mappings: [mappings/*.yaml, bad/mapping.yaml]"
	}
	b.writeConfig("bad.yaml", options{rewrite: func(c string) string {
		c = strings.Replace(c, "mappings: [mappings/*.yaml]", files, 1)
		if m.config != nil {
			c = m.config(c)
		}
		return c
	}})
	p := start(b.t, launch{dir: b.dir, args: []string{"run", "-c", "bad.yaml"}})
	status, said := p.wait(30*time.Second), p.output()
	if status <= 0 {
		b.t.Errorf("%s: it ended with status %d", m.name, status)
	}
	for _, want := range m.says {
		if !strings.Contains(said, want) {
			b.t.Errorf("%s: %q is missing from\n%s", m.name, want, said)
		}
	}
	if n := strings.Count(said, "walbridge: "); n != 1 || strings.Contains(said, "goroutine ") {
		b.t.Errorf("%s: want one error and no stack trace, have\n%s", m.name, said)
	}
	if m.after != nil {
		m.after()
	}
}

// TestTargetAway takes all targets away, first from under a running bridge, then
// before one that starts: changes wait in the log, and nothing is lost.
func TestTargetAway(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	b := newBridge(t, options{})
	p := b.start("run")
	b.waitSlot(p)
	samples := b.sample()
	w := b.writer(pace{seed: seed})
	b.moreAt("crm", 50, "before the outage")
	b.apps.close()
	w.goesOn(t, 100, time.Minute)
	p.stop(syscall.SIGTERM, 10*time.Second)
	p = b.start("run")
	p.says("target cannot be reached now", 20*time.Second)
	w.goesOn(t, 100, time.Minute)
	b.apps.reopen()
	b.moreAt("crm", 50, "after the outage")
	w.stop()
	b.drain(time.Minute, p)
	samples.judge(t, b)
	b.checkAll(verdict{})
	for _, target := range targets {
		if n := len(b.deadLetters(target)); n > 0 {
			t.Errorf("%d records of %s were parked while it was away", n, target)
		}
	}
}
