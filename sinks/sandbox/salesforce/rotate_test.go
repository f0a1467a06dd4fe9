package salesforce

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// With rotation each refresh token is good once; one that is used again ends the others, and
// what was got with them.
func TestRefreshTokensThatRotate(t *testing.T) {
	g := newOrg(t, Options{RefreshTokens: []string{"good", "other"}})
	refresh := func(token string) (access, next string) {
		t.Helper()
		var in struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		g.form(url.Values{"grant_type": {"refresh_token"}, "client_id": {"id"}, "refresh_token": {token}}).into(&in)
		return in.Access, in.Refresh
	}
	if _, next := refresh("good"); next != "" {
		t.Errorf("it rotates unasked: %s", next)
	}
	g.send(httptest.NewRequest("POST", "/_control", strings.NewReader(`{"rotate_refresh":true}`))).wants(200)
	first, second := refresh("good")
	if first == "" || second == "" || second == "good" || g.NewestRefresh("good") != second || g.NewestRefresh("other") != "other" {
		t.Fatalf("%q, %q", first, second)
	}
	access, third := refresh(second)
	if access == "" || third == second {
		t.Fatalf("%q, %q", access, third)
	}
	call := func(token string) answer {
		r := httptest.NewRequest("GET", "/services/data/v62.0/limits", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return g.send(r)
	}
	call(first).wants(200)
	call(access).wants(200)
	if got, _ := refresh("good"); got != "" {
		t.Error("a used token is taken")
	}
	call(first).wants(401)
	call(access).wants(401)
	if got, _ := refresh(third); got != "" {
		t.Error("the newest one outlives that one of its family was used again")
	}
	if got, _ := refresh("other"); got == "" {
		t.Error("another authorization has ended too")
	}
	if calls := g.Calls(); calls["refresh_reused"] != 1 {
		t.Errorf("calls %v", calls)
	}
}
