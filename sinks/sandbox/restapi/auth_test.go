package restapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAuth(t *testing.T) {
	for name, tc := range map[string]struct {
		auth        Auth
		good, wrong []string // a header and its value
	}{
		"bearer": {Auth{Token: "tok"}, []string{"Authorization", "Bearer tok"}, []string{"Authorization", "Bearer other"}},
		"basic":  {Auth{User: "u", Password: "p"}, []string{"Authorization", "Basic dTpw"}, []string{"Authorization", "Basic dTpx"}},
		"header": {Auth{Header: "X-Api-Key", HeaderValue: "k"}, []string{"X-Api-Key", "k"}, []string{"X-Api-Key", "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, Options{Auth: tc.auth})
			d.ask("GET", "/deals", "", 401)
			d.header.Set(tc.wrong[0], tc.wrong[1])
			if g := d.ask("POST", "/deals", "{}", 401); g.codes() != "unauthorized" || d.Count("deals") != 0 {
				t.Errorf("answer %s", g.text)
			}
			d.header.Set(tc.good[0], tc.good[1])
			d.ask("POST", "/deals", "{}", 201)
			if got := d.Calls()["unauthorized"]; got != 2 {
				t.Errorf("%d unauthorized", got)
			}
		})
	}
	d := newDesk(t, Options{Auth: Auth{User: "u", Password: "p"}})
	d.header.Set("Authorization", "Basic eDpw") // another user, the right password
	d.ask("GET", "/deals", "", 401)
}

func signature(secret string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestSignedRequests(t *testing.T) {
	d := newDesk(t, Options{Auth: Auth{Secret: "s3"}})
	header := func(at time.Time, signatures ...string) string {
		return fmt.Sprintf("t=%d,v1=%s", at.Unix(), strings.Join(signatures, ",v1="))
	}
	body := `{"a":1}`
	right := signature("s3", d.now, body)
	for name, tc := range map[string]struct {
		header string
		status int
	}{
		"right":            {header(d.now, right), 201},
		"with an old key":  {header(d.now, signature("old", d.now, body), right), 201},
		"with blanks":      {"t=" + fmt.Sprint(d.now.Unix()) + ", v1=" + right, 201},
		"another key":      {header(d.now, signature("other", d.now, body)), 401},
		"another body":     {header(d.now, signature("s3", d.now, body+" ")), 401},
		"another time":     {header(d.now.Add(time.Second), right), 401},
		"at the bound":     {header(d.now.Add(-tolerance), signature("s3", d.now.Add(-tolerance), body)), 201},
		"too old":          {header(d.now.Add(-tolerance-time.Second), signature("s3", d.now.Add(-tolerance-time.Second), body)), 401},
		"of the future":    {header(d.now.Add(tolerance+time.Second), signature("s3", d.now.Add(tolerance+time.Second), body)), 401},
		"another version":  {fmt.Sprintf("t=%d,v2=%s", d.now.Unix(), right), 401},
		"without a time":   {"v1=" + right, 401},
		"none":             {"", 401},
		"an empty one":     {fmt.Sprintf("t=%d,v1=", d.now.Unix()), 401},
		"in upper letters": {header(d.now, strings.ToUpper(right)), 401},
	} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			d.header.Set("X-Signature", tc.header)
			d.ask("POST", "/deals", body, tc.status)
		})
	}
}

func TestClientCredentials(t *testing.T) {
	d := newDesk(t, Options{Auth: Auth{ClientID: "me", ClientSecret: "hush", Lifetime: time.Minute}})
	get := func(form string, basic bool, status int) map[string]any {
		t.Helper()
		req := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(form))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if basic {
			req.SetBasicAuth("me", "hush")
		}
		rec := httptest.NewRecorder()
		d.ServeHTTP(rec, req)
		var out map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != status {
			t.Fatalf("status %d, %v: %s", rec.Code, err, rec.Body)
		}
		return out
	}
	d.ask("GET", "/deals", "", 401)
	first := get("grant_type=client_credentials&client_id=me&client_secret=hush", false, 200)
	if first["token_type"] != "Bearer" || first["expires_in"] != 60.0 {
		t.Errorf("answer %v", first)
	}
	second := get("grant_type=client_credentials", true, 200)
	if second["access_token"] == first["access_token"] {
		t.Error("one token twice")
	}
	for _, out := range []map[string]any{first, second} {
		d.header.Set("Authorization", "Bearer "+fmt.Sprint(out["access_token"]))
		d.ask("GET", "/deals", "", 200)
	}
	d.now = d.now.Add(time.Minute)
	d.ask("GET", "/deals", "", 401)
	for form, tc := range map[string]struct {
		status int
		code   string
	}{
		"grant_type=password&client_id=me&client_secret=hush":               {400, "unsupported_grant_type"},
		"grant_type=client_credentials&client_id=me&client_secret=wrong":    {401, "invalid_client"},
		"grant_type=client_credentials&client_id=you&client_secret=hush":    {401, "invalid_client"},
		"grant_type=client_credentials":                                     {401, "invalid_client"},
		"grant_type=client_credentials&client_id=me&client_secret=hush&%zz": {400, "invalid_request"},
	} {
		if out := get(form, false, tc.status); out["error"] != tc.code {
			t.Errorf("%s: %v", form, out)
		}
	}
	none := newDesk(t, Options{})
	none.header.Set("Content-Type", "application/x-www-form-urlencoded")
	if g := none.ask("POST", "/oauth/token", "grant_type=client_credentials", 401); !strings.Contains(g.text, "invalid_client") {
		t.Errorf("answer %s", g.text)
	}
}
