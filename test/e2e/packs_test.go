package e2e

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// packs are the directories of docs/examples that people start from, each with rows of its
// tables and how many objects of each kind come of them.
var packs = []struct {
	dir, app, rows string
	objects        map[string]int
}{
	{"salesforce-crm", sandbox.AppCRM, `
INSERT INTO accounts (id, name, website, phone, country, industry, tags, custom) VALUES (5, 'Holding', NULL, NULL, 'AT', 'bank', '{}', '{}');
INSERT INTO accounts (id, parent_id, name, website, phone, country, industry, employees, annual_revenue, tags, custom)
  VALUES (7, 5, '  Acme   GmbH ', 'https://www.acme.com/de', '(030) 901820', 'DE', 'software', 120, 1250000.50, '{smb,partner}', '{"tier": "gold", "address": {"city": "Graz"}}');
INSERT INTO contacts (id, account_id, full_name, email, job_title) VALUES (1, 7, 'Ludwig van Beethoven', 'lvb@example.com', 'head of music');
INSERT INTO leads (id, full_name, email, source, score) VALUES ('7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11', 'Lovelace, Ada', 'ada@acme.com', 'web', 90);
INSERT INTO opportunities (id, account_id, name, stage, amount, probability, close_date, owner_email) VALUES (42, 7, 'Rollout', 'open', 1234.50, 60, '2026-02-01', 'ada@example.com'), (43, 7, 'Idea', 'draft', NULL, 0, '2026-02-01', NULL);
UPDATE opportunities SET stage = 'won', closed_at = '2026-01-31 23:30+00' WHERE id = 42`,
		map[string]int{"Account": 2, "Contact": 1, "Lead": 1, "Opportunity": 1}},
	{"forecast-table", sandbox.AppForecast, `
INSERT INTO reps VALUES (3, 'Ada', 'ada@example.com', 'emea');
INSERT INTO opportunities VALUES (1, 3, 'Rollout', 'open', 1000.01, 'EUR', 33, '2026-05-15', NULL), (2, 3, 'Gone', 'won', 5, 'EUR', 100, '2026-05-15', NULL);
INSERT INTO commitments VALUES (3, '2026-04-01', 1000, 900, NULL)`,
		map[string]int{"Rep": 1, "Line": 1, "Commitment": 1}},
	{"commission-api", sandbox.AppCommission, `
INSERT INTO payees VALUES ('E-17', 'Ada', 'ada@example.com', 'ae-2026', '2026-01-01', NULL);
INSERT INTO deals VALUES (9, 'Rollout', 'won', 1234.56, 'EUR', 'lic', '2026-03-31 22:30+00', NULL), (10, 'Open', 'open', 1, 'EUR', 'lic', NULL, NULL);
INSERT INTO splits VALUES (9, 'E-17', 'AE', 33.33)`,
		map[string]int{"Payee": 1, "Deal": 1, "Credit": 1}},
}

// Each pack passes its own tests and check, and what its mappings make of rows is taken by
// a target that holds it against its schema.
func TestPacks(t *testing.T) {
	t.Parallel()
	for _, p := range packs {
		t.Run(p.dir, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "docs", "examples", p.dir))); err != nil {
				t.Fatal(err)
			}
			db, ks := servertest.SharedPostgres(t), servertest.SharedRedis(t)
			inPack := func(name string) string {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			schemas, err := sandbox.ReadSchemas([]byte(inPack("targets.json")), []string{p.app})
			if err != nil {
				t.Fatal(err)
			}
			org := salesforce.New(salesforce.Options{})
			target := sandbox.New(sandbox.Options{Schemas: schemas, Simulations: map[string]sim.Simulation{"salesforce": org}})
			server := httptest.NewServer(target)
			t.Cleanup(server.Close)
			config := strings.Replace(inPack("walbridge.yaml"), "\npostgres:", "\nlisten: \"\"\npostgres:", 1)
			config = regexp.MustCompile(`(?m)^name: \w+$`).ReplaceAllString(config, "name: "+ks.Name)
			if err := os.WriteFile(filepath.Join(dir, "walbridge.yaml"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"DATABASE_URL=" + db.URL, "REDIS_URL=" + ks.Server.URL(), "SANDBOX_URL=" + server.URL, "SALESFORCE_URL=" + server.URL + "/salesforce"}
			(&bridge{t: t}).execAt(db.URL, inPack("schema.sql"))
			run := func(args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v: %v\n%s", args, err, out)
				}
				return string(out)
			}
			if out := run("test"); !strings.Contains(out, "all passed") {
				t.Errorf("walbridge test said\n%s", out)
			}
			catalog := inPack("catalog.json")
			out := run("check", "--save")
			t.Logf("%s", out)
			if saved := inPack("catalog.json"); saved != catalog {
				t.Errorf("the pack's catalog.json is not what check saves:\n%s", saved)
			}
			run("check", "--offline")
			running := start(t, launch{dir: dir, env: env, args: []string{"run"}})
			(&bridge{t: t}).execAt(db.URL, p.rows)
			until(t, 30*time.Second, func() string {
				running.mustRun()
				for object, n := range p.objects {
					got := len(target.Objects(p.app, object))
					if p.app == sandbox.AppCRM {
						got = org.Count(object)
					}
					if got != n {
						return fmt.Sprintf("%d of %d objects %s are at the target", got, n, object)
					}
				}
				return ""
			})
			if s := target.Stats()[p.app]; s.Refused > 0 {
				t.Errorf("the target refused %d records", s.Refused)
			}
		})
	}
}
