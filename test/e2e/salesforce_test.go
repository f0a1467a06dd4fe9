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

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// The pack of the CRM leads to an org of Salesforce as it is: check holds it against what the
// org tells of its objects, references are by external id, and a first load goes by jobs.
func TestPackAtSalesforce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "docs", "examples", "salesforce-crm"))); err != nil {
		t.Fatal(err)
	}
	db, ks := servertest.SharedPostgres(t), servertest.SharedRedis(t)
	org := salesforce.New(salesforce.Options{Clients: map[string]string{"walbridge": "pr1vate"}, BulkTime: 2 * time.Second})
	server := httptest.NewServer(org)
	t.Cleanup(server.Close)
	file := filepath.Join(dir, "walbridge.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config, _, _ := strings.Cut(regexp.MustCompile(`(?m)^name: \w+$`).ReplaceAllString(string(text), "name: "+ks.Name), "targets:")
	config += `listen: ""
targets:
  crm:
    type: salesforce
    url: ` + server.URL + `
    login: {grant: client_credentials, client_id: walbridge, client_secret: "${SALESFORCE_SECRET}"}
    bulk: {from: 100}
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DATABASE_URL=" + db.URL, "REDIS_URL=" + ks.Server.URL(), "SALESFORCE_SECRET=pr1vate"}
	schema, err := os.ReadFile(filepath.Join(dir, "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{t: t}
	b.execAt(db.URL, string(schema))
	b.execAt(db.URL, `INSERT INTO accounts (id, name) SELECT i, 'Company ' || i FROM generate_series(1000, 1499) i`)
	cmd := exec.CommandContext(t.Context(), program, "check")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "pr1vate") {
		t.Fatalf("check: %v\n%s", err, out)
	}
	running := start(t, launch{dir: dir, env: env, args: []string{"run"}})
	b.execAt(db.URL, packs[0].rows)
	await := func(want map[string]int) {
		t.Helper()
		until(t, time.Minute, func() string {
			running.mustRun()
			for object, n := range want {
				if got := org.Count(object); got != n {
					return fmt.Sprintf("%d of %d objects %s are in the org", got, n, object)
				}
			}
			return ""
		})
	}
	await(map[string]int{"Account": 502, "Contact": 1, "Lead": 1, "Opportunity": 1})
	if org.Calls()["ingest"] == 0 {
		t.Error("the first load of 500 rows did not go by a job")
	}
	ids := map[string]string{}
	for _, r := range org.Records("Account", 0) {
		ids[sinks.ExactKey(r.Fields["External_Id__c"])] = r.ID
		if key := sinks.ExactKey(r.Fields["External_Id__c"]); key == "7" && (string(r.Fields["AnnualRevenue"]) != "1250000.50" && string(r.Fields["AnnualRevenue"]) != "1250000.5") {
			t.Errorf("the revenue is %s", r.Fields["AnnualRevenue"])
		}
	}
	for _, r := range org.Records("Account", 0) {
		if sinks.ExactKey(r.Fields["External_Id__c"]) == "7" && sinks.ExactKey(r.Fields["ParentId"]) != ids["5"] {
			t.Errorf("the parent is %s, want %s", r.Fields["ParentId"], ids["5"])
		}
	}
	b.execAt(db.URL, `DELETE FROM contacts; DELETE FROM accounts WHERE id >= 1100`)
	await(map[string]int{"Account": 102, "Contact": 0})
}
