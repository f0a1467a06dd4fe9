package hubspot

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestBearer(t *testing.T) {
	d := newDesk(t, Options{Apps: []App{{Token: "good"}, {Token: "narrow", Scopes: []string{"crm.objects.deals.read"}}}})
	for token, want := range map[string]int{"good": 200, "narrow": 200, "wrong": 401, "": 401} {
		d.token = token
		if g := d.ask("GET", deals, ""); g.Status != want {
			t.Errorf("token %q: %d, want %d", token, g.Status, want)
		}
	}
	d.token = ""
	d.wantFault(d.ask("GET", deals, ""), 401, "INVALID_AUTHENTICATION", "Authentication credentials not found")
	d.token = "narrow"
	for _, tc := range []struct{ method, path, scope string }{
		{"POST", deals + "/batch/upsert", "crm.objects.deals.write"},
		{"POST", "/crm/v3/objects/0-1/search", "crm.objects.contacts.read"},
		{"GET", "/crm/v3/properties/deals", "crm.schemas.deals.read"},
		{"GET", "/crm/v3/owners", "crm.objects.owners.read"},
		{"POST", "/crm/v4/associations/deals/contacts/batch/create", "crm.objects.deals.write"},
	} {
		g := d.ask(tc.method, tc.path, "{}")
		d.wantFault(g, 403, "MISSING_SCOPES", "hasn't been granted all required scopes")
		if !strings.Contains(g.Text, tc.scope) {
			t.Errorf("%s: want the scope %s: %s", tc.path, tc.scope, g.Text)
		}
	}
	d.want(d.ask("POST", deals+"/search", "{}"), 200)
	open := newDesk(t, Options{})
	open.token = "anything"
	open.want(open.ask("GET", deals, ""), 200)
}

// refresh asks for an access token.
func (d *desk) refresh(path string, changed ...string) (status int, answer map[string]any) {
	d.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"id"}, "client_secret": {"hush"}, "refresh_token": {"rt"}}
	for i := 0; i < len(changed); i += 2 {
		form.Set(changed[i], changed[i+1])
	}
	req := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, req)
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		d.t.Fatalf("%v: %s", err, rec.Body)
	}
	return rec.Code, answer
}

func TestOAuth(t *testing.T) {
	d := newDesk(t, Options{OAuth: &OAuth{ClientID: "id", ClientSecret: "hush", RefreshToken: "rt"}, Limits: Limits{Daily: 10, TenSecondly: 10}})
	status, a := d.refresh("/oauth/v1/token")
	if status != 200 || a["refresh_token"] != "rt" || a["token_type"] != "bearer" || a["expires_in"] != 1800.0 {
		t.Fatalf("%d %v", status, a)
	}
	d.token, _ = a["access_token"].(string)
	g := d.ask("GET", deals, "")
	d.want(g, 200)
	if g.Header.Get("X-HubSpot-RateLimit-Daily") != "" || g.Header.Get("X-HubSpot-RateLimit-Max") != "10" {
		t.Errorf("a public app is told of its day: %v", g.Header)
	}
	first := d.token
	if status, a = d.refresh("/oauth/2026-09/token"); status != 200 || a["access_token"] == first {
		t.Fatalf("%d %v", status, a)
	}
	d.want(d.ask("GET", deals, ""), 200) // the first one goes on
	d.now = d.now.Add(30 * time.Minute)
	d.wantFault(d.ask("GET", deals, ""), 401, "EXPIRED_AUTHENTICATION", "expired 0 second(s) ago")
	d.token = "made up"
	d.wantFault(d.ask("GET", deals, ""), 401, "INVALID_AUTHENTICATION", "not known")
	if status, _ := d.refresh("/oauth/v9/token"); status != 404 {
		t.Errorf("an unknown version: %d", status)
	}
}

func TestOAuthRefusals(t *testing.T) {
	d := newDesk(t, Options{OAuth: &OAuth{ClientID: "id", ClientSecret: "hush", RefreshToken: "rt"}})
	_, a := d.refresh("/oauth/v1/token")
	d.token, _ = a["access_token"].(string)
	for _, tc := range []struct{ field, code string }{
		{"grant_type", "BAD_GRANT_TYPE"}, {"client_id", "BAD_CLIENT_ID"}, {"client_secret", "BAD_CLIENT_SECRET"}, {"refresh_token", "BAD_REFRESH_TOKEN"},
	} {
		status, a := d.refresh("/oauth/2026-03/token", tc.field, "wrong")
		if status != 400 || a["status"] != tc.code || a["access_token"] != nil || a["message"] == "" || (a["error"] == "invalid_grant") != (tc.field == "refresh_token") {
			t.Errorf("%s: %d %v", tc.field, status, a)
		}
	}
	d.Uninstall()
	if status, a := d.refresh("/oauth/v1/token"); status != 403 || a["status"] != "BAD_HUB" || a["message"] != "missing or unknown hub id" {
		t.Errorf("%d %v", status, a)
	}
	d.want(d.ask("GET", deals, ""), 401) // its access tokens have ended too
	without := newDesk(t, Options{Apps: []App{{Token: "private"}}})
	if status, a := without.refresh("/oauth/v1/token"); status != 400 || a["status"] != "BAD_CLIENT_ID" {
		t.Errorf("without a public app: %d %v", status, a)
	}
}

// An account that takes any token takes any credentials too, and ends what it gave for them.
func TestOAuthOfAnybody(t *testing.T) {
	d := newDesk(t, Options{})
	status, a := d.refresh("/oauth/v1/token")
	if status != 200 || a["refresh_token"] != "rt" {
		t.Fatalf("%d %v", status, a)
	}
	d.token, _ = a["access_token"].(string)
	d.want(d.ask("GET", deals, ""), 200)
	d.now = d.now.Add(lifetime)
	d.want(d.ask("GET", deals, ""), 401)
	if status, a := d.refresh("/oauth/v1/token", "client_id", ""); status != 400 || a["status"] != "BAD_CLIENT_ID" {
		t.Errorf("without a client id: %d %v", status, a)
	}
}
