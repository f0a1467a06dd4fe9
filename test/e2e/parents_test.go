package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A row that refers to others is sent after them, though it is committed first.
func TestParents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "docs", "examples", "salesforce-crm"))); err != nil {
		t.Fatal(err)
	}
	db, ks := servertest.SharedPostgres(t), servertest.SharedRedis(t)
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	schemas, err := sandbox.ReadSchemas(read("targets.json"), []string{sandbox.AppCRM})
	if err != nil {
		t.Fatal(err)
	}
	target := sandbox.New(sandbox.Options{Schemas: schemas})
	var mu sync.Mutex
	var order []string // of the objects of requests
	object := regexp.MustCompile(`"object":\s*"(\w+)"`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if m := object.FindSubmatch(body); m != nil {
			mu.Lock()
			order = append(order, string(m[1]))
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		target.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	config := strings.Replace(string(read("walbridge.yaml")), "\npostgres:", "\nlisten: \"\"\ndelivery: {parents: {wait: 1h}}\npostgres:", 1)
	config = regexp.MustCompile(`(?m)^name: \w+$`).ReplaceAllString(config, "name: "+ks.Name)
	config, _, _ = strings.Cut(config, "\ntargets:\n")
	config += fmt.Sprintf("\ntargets:\n  crm: {type: http, url: %q, describe: %q}\n", server.URL+"/crm/batch", server.URL+"/crm/describe/{object}")
	if err := os.WriteFile(filepath.Join(dir, "walbridge.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DATABASE_URL=" + db.URL, "REDIS_URL=" + ks.Server.URL()}
	source := &bridge{t: t}
	source.execAt(db.URL, string(read("schema.sql"))+`;
ALTER TABLE contacts DROP CONSTRAINT contacts_account_id_fkey; ALTER TABLE accounts DROP CONSTRAINT accounts_parent_id_fkey`)
	check := exec.CommandContext(t.Context(), program, "check", "--save")
	check.Dir, check.Env = dir, append(os.Environ(), env...)
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	running := start(t, launch{dir: dir, env: env, args: []string{"run"}})
	arrived := func(object string, n int) {
		t.Helper()
		until(t, 30*time.Second, func() string {
			running.mustRun()
			if got := len(target.Objects(sandbox.AppCRM, object)); got != n {
				return fmt.Sprintf("%d of %d objects %s are at the target", got, n, object)
			}
			return ""
		})
	}
	source.execAt(db.URL, `INSERT INTO contacts (id, account_id, full_name) VALUES (1, 7, 'Ludwig van Beethoven')`)
	source.execAt(db.URL, `INSERT INTO accounts (id, parent_id, name) VALUES (7, 5, 'Acme')`)
	source.execAt(db.URL, `INSERT INTO leads (id, full_name, source) VALUES ('7f0b3c52-64a4-4f0a-9a3e-3d0d2d8f5c11', 'Lovelace, Ada', 'web')`)
	arrived("Lead", 1) // the others came before it
	source.execAt(db.URL, `INSERT INTO accounts (id, name) VALUES (5, 'Holding')`)
	arrived("Account", 2)
	arrived("Contact", 1)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"Lead", "Account", "Account", "Contact"}; !slices.Equal(order, want) {
		t.Errorf("requests were for %v, want %v", order, want)
	}
	if s := target.Stats()[sandbox.AppCRM]; s.Refused > 0 {
		t.Errorf("the target refused %d records", s.Refused)
	}
}
