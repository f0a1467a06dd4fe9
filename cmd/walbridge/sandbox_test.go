package main

import (
	"encoding/json"
	"net"
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
	own, err := newSandbox(file(`{"salesforce":{"Deal__c":{"fields":[{"name":"Key__c","type":"text","key":true}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	login := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/salesforce/services/oauth2/token",
		strings.NewReader("grant_type=client_credentials&client_id=any&client_secret=any"))
	login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w = httptest.NewRecorder()
	own.ServeHTTP(w, login)
	var session struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil {
		t.Fatalf("log in: %d %s: %v", w.Code, w.Body, err)
	}
	describe := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/salesforce/services/data/v63.0/sobjects/Deal__c/describe", nil)
	describe.Header.Set("Authorization", "Bearer "+session.Token)
	w = httptest.NewRecorder()
	if own.ServeHTTP(w, describe); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"name":"Key__c"`) {
		t.Errorf("an object of the schema: %d %s", w.Code, w.Body)
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

func TestSandboxServesSimulations(t *testing.T) {
	s, err := newSandbox("")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/salesforce/services/data":              http.StatusOK,
		"/salesforce/services/data/v60.0/limits": http.StatusUnauthorized,
		"/hubspot/crm/v3/objects/contacts":       http.StatusUnauthorized,
		"/captivateiq/ciq/v1/data-worksheets/":   http.StatusUnauthorized,
		"/rest/deals":                            http.StatusOK,
		"/nothing/crm/v3/objects/contacts":       http.StatusNotFound,
		"/crm/objects/Account":                   http.StatusOK,
		"/_stats":                                http.StatusOK,
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	told := addresses(s, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8650})
	for _, want := range []string{"http://127.0.0.1:8650/crm/batch\n", "http://127.0.0.1:8650/salesforce\n", "http://127.0.0.1:8650/hubspot\n", "http://127.0.0.1:8650/captivateiq\n", "http://127.0.0.1:8650/rest\n", "http://127.0.0.1:8650/\n"} {
		if !strings.Contains(told, want) {
			t.Errorf("told\n%s, want %s", told, want)
		}
	}
}
