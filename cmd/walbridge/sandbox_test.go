package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSandboxWithSchemas(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "targets.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s, err := newSandbox(file(`{"crm":{"Account":{"fields":[{"name":"Name","type":"text"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/crm/describe/Account", nil))
	if got := w.Body.String(); w.Code != http.StatusOK || got != `{"fields":[{"name":"Name","type":"text"}]}` {
		t.Errorf("%d %s", w.Code, got)
	}
	bad := file(`{"crm":{"Account":{"fields":[{"name":"Name","type":"txt"}]}}}`)
	for path, want := range map[string]string{
		bad:               "read --schema " + bad + `: crm.Account.fields[0].type: no type "txt"; there are text,`,
		"none/there.json": "read --schema: open none/there.json: no such file or directory; name a file",
	} {
		// Before anything is served, so that the command ends.
		root := rootCommand()
		root.SetArgs([]string{"sandbox", "--listen", "127.0.0.1:0", "--schema", path})
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
