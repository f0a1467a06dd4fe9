package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sqlOf gives the code blocks of docs/capture.md in SQL, for the bridge's own names: the
// role with its grants, the publication that a superuser makes, and what lets walbridge
// make it itself.
func (b *bridge) sqlOf(t *testing.T) (role, publication, own string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/capture.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(text), "\n```sql\n")[1:] {
		sql, _, _ := strings.Cut(part, "\n```\n")
		found = append(found, strings.NewReplacer("shop", "postgres", "deals, accounts", "deals, forecasts", "walbridge_sales", b.publication()).Replace(sql))
	}
	if len(found) != 3 {
		t.Fatalf("docs/capture.md has %d blocks of SQL, want 3", len(found))
	}
	return found[0], found[1], found[2]
}

// asRole makes the bridge connect as the role of the page.
func (b *bridge) asRole() options {
	return options{rewrite: func(c string) string { return strings.Replace(c, "postgres://postgres@", "postgres://walbridge@", 1) }}
}

// The privileges that docs/capture.md grants are enough: for the capture, for the reads
// that complete a row, and to take a table that lost its key out of the publication
// before the application is refused its updates (I15).
func TestLeastPrivileges(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	b.writeConfig("walbridge.yaml", b.asRole())
	role, publication, _ := b.sqlOf(t)
	b.exec(role)
	ends := func(name string, want ...string) {
		t.Helper()
		p := b.start("run")
		status, said := p.wait(30*time.Second), p.output()
		for _, w := range want {
			if status != 1 || !strings.Contains(said, w) {
				t.Errorf("%s: status %d, %q is missing from\n%s", name, status, w, said)
			}
		}
	}
	ends("without the publication", "role walbridge may not make or change publication", "run as the owner of the tables: CREATE PUBLICATION")
	b.exec(publication)
	b.exec("ALTER ROLE walbridge NOREPLICATION")
	ends("without REPLICATION", "role walbridge may not replicate", "ALTER ROLE walbridge REPLICATION")
	b.exec("ALTER ROLE walbridge REPLICATION")

	b.exec("INSERT INTO deals SELECT g, 1, 'before', 'won', g, repeat('long ', 2000), now() FROM generate_series(1, 5) g")
	p := b.start("run")
	b.waitSlot(p)
	b.exec("UPDATE deals SET name = 'after'") // the note is not sent, and read from the table
	b.exec("INSERT INTO forecasts VALUES ('north', 1, 2, 'three')")
	b.drain(30*time.Second, p)
	b.report("targets", b.checkTargets(nil)) // not the log: it has no note of rows from before it
	b.exec("ALTER TABLE forecasts DROP CONSTRAINT forecasts_pkey")
	p.says("reason=table_stopped table=public.forecasts", 20*time.Second)
	b.exec("UPDATE forecasts SET amount = 3")
	if status, _ := p.stop(syscall.SIGTERM, 10*time.Second); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
	b.pageHasMeta(t)
	roles, err := b.text("SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, (SELECT count(*) FROM pg_class WHERE relowner = r.oid), has_database_privilege(r.oid, 'postgres', 'CREATE')) FROM pg_roles r WHERE rolname = 'walbridge'")
	if err != nil || roles != "f f f f 0 f" {
		t.Errorf("the role has more than it needs: %s, %v", roles, err)
	}
}

// pageHasMeta wants docs/events.md to tell of every field of the log's description.
func (b *bridge) pageHasMeta(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	fields, err := b.rdb.HKeys(t.Context(), "walbridge:{"+b.name+"}:meta").Result()
	if err != nil || len(fields) < 8 {
		t.Errorf("the log's description has the fields %q, %v", fields, err)
	}
	for _, f := range fields {
		if table, ok := strings.CutPrefix(f, "stopped:"); ok && table != "" {
			f = "stopped:TABLE"
		}
		if target, ok := strings.CutPrefix(f, "began:"); ok && target != "" {
			f = "began:TARGET"
		}
		if !strings.Contains(string(page), "`"+f+"`") {
			t.Errorf("docs/events.md does not tell of the field %s of the log's description", f)
		}
	}
}

// A role that owns the tables makes the publication itself.
func TestOwnerMakesThePublication(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{ownServers: true})
	b.writeConfig("walbridge.yaml", b.asRole())
	role, _, own := b.sqlOf(t)
	b.exec("CREATE ROLE sales_owner; ALTER TABLE deals OWNER TO sales_owner; ALTER TABLE forecasts OWNER TO sales_owner")
	b.exec(role + "\n" + own)
	p := b.start("run")
	b.waitSlot(p)
	b.exec("INSERT INTO deals VALUES (1, 1, 'a', 'won', 1, 'b', now())")
	b.loaded()
	b.drain(30*time.Second, p)
	b.checkAll(verdict{})
	if owner, err := b.text("SELECT pg_get_userbyid(pubowner) FROM pg_publication WHERE pubname = $1", b.publication()); err != nil || owner != "walbridge" {
		t.Errorf("the publication belongs to %q, %v", owner, err)
	}
	if status, _ := p.stop(syscall.SIGTERM, 10*time.Second); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
}
