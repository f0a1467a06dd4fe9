package hubspot

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

const clientSecret, refreshToken = "cl1ent-s3cret", "refr3sh-t0ken"

func login() Login {
	return Login{ClientID: "app-1", ClientSecret: clientSecret, RefreshToken: refreshToken}
}

// oauth is a server that gives tokens, and takes only the newest of some generation.
type oauth struct {
	t      *testing.T
	mu     sync.Mutex
	given  int
	valid  int // tokens below this one are spent
	refuse string
	asked  int // requests with records
}

func (o *oauth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.t.Error(err)
	}
	if r.URL.Path == "/oauth/2026-03/token" {
		want := url.Values{"grant_type": {"refresh_token"}, "client_id": {"app-1"}, "client_secret": {clientSecret}, "refresh_token": {refreshToken}}.Encode()
		if string(body) != want || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			o.t.Errorf("asked for a token with %s", body)
		}
		if o.refuse != "" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, o.refuse)
			return
		}
		o.given++
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":1800,"token_type":"bearer"}`, o.given)
		return
	}
	o.asked++
	var n int
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token-%d", &n); err != nil || n < o.valid {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"category":"EXPIRED_AUTHENTICATION"}`)
		return
	}
	fmt.Fprint(w, `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`)
}

func TestLogin(t *testing.T) {
	o := &oauth{t: t}
	c := serve(t, Options{Login: login()}, o)
	for range 2 {
		if got := outcomes(deliver(t, c, upsert("a"))); got != "1" || o.given != 1 {
			t.Errorf("got %s with %d tokens", got, o.given)
		}
	}
	o.valid = 2
	if got := outcomes(deliver(t, c, upsert("a"))); got != "1" || o.given != 2 || o.asked != 4 {
		t.Errorf("with a spent token: got %s with %d tokens and %d requests", got, o.given, o.asked)
	}
	o.valid = 100
	if got := outcomes(deliver(t, c, upsert("a"))); got != "batch: unauthorized" || o.asked != 6 {
		t.Errorf("with tokens that do not help: got %s with %d requests", got, o.asked)
	}
}

// The account has taken the app away, or its settings are wrong.
func TestDeadGrant(t *testing.T) {
	for _, code := range []string{"BAD_HUB", "BAD_REFRESH_TOKEN", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"} {
		c := serve(t, Options{Login: login()}, &oauth{t: t, refuse: `{"status":"` + code + `","message":"missing or unknown hub id ` + rowValue + `"}`})
		_, err := deliver(t, c, upsert("a"))
		if outcome(err) != "unauthorized" || !strings.Contains(err.Error(), code) || strings.Contains(err.Error(), rowValue) {
			t.Errorf("%s: got %v", code, err)
		}
	}
	// With the words of RFC 6749 beside its own.
	c := serve(t, Options{Login: login()}, &oauth{t: t, refuse: `{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked"}`})
	if _, err := deliver(t, c, upsert("a")); outcome(err) != "unauthorized" || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("got %v", err)
	}
	for code, want := range map[string]bool{"invalid_grant": true, "invalid_client": true, "unauthorized_client": true, "": false, "SLOW": false} {
		if deadGrant(transport.Saying{Code: code}) != want {
			t.Errorf("%q: want %v", code, want)
		}
	}
}

// A private app's token is not tried twice.
func TestPrivateApp(t *testing.T) {
	c := scripted(t, Options{}, step{path: upsertPath, status: 401})
	if got := outcomes(deliver(t, c, upsert("a"))); got != "batch: unauthorized" {
		t.Errorf("got %s", got)
	}
}

func TestQuota(t *testing.T) {
	c := scripted(t, Options{}, step{path: upsertPath, status: 429, header: []string{"X-HubSpot-RateLimit-Daily", "650000", "X-HubSpot-RateLimit-Daily-Remaining", "600001",
		"X-HubSpot-RateLimit-Max", "190", "X-HubSpot-RateLimit-Remaining", "3", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000"}},
		step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`})
	var told []sinks.Quota
	c.TellQuota(func(q sinks.Quota) { told = append(told, q) })
	for range 2 {
		_, err := deliver(t, c, upsert("a"))
		t.Log(err)
	}
	if len(told) != 1 || told[0].Daily.Left != 600001 || told[0].Window.Limit != 190 || told[0].Window.Left != 3 {
		t.Errorf("told %+v", told)
	}
}

func TestOptions(t *testing.T) {
	association := func(a ...Association) Options { return Options{Token: secret, Associations: a} }
	for want, o := range map[string]Options{
		"url: want":                      {URL: "ftp://x", Token: secret},
		"url: want ":                     {URL: "https://user:" + secret + "@x", Token: secret},
		"url: want h":                    {URL: "https://x/?a=b", Token: secret},
		"token: want":                    {},
		"token: it has":                  {Token: secret + "\n"},
		"login: there is a token":        {Token: secret, Login: login()},
		"login: want":                    {Login: Login{ClientID: "x", RefreshToken: secret}},
		"version: want a date":           {Token: secret, Version: "v4"},
		"max_batch: HubSpot":             {Token: secret, MaxBatch: 101},
		"addresses: ":                    {Token: secret, Addresses: sinks.Addresses{"nowhere"}},
		"associations[0]: want from":     association(Association{From: "deals"}),
		"associations[1]: deal has":      association(Association{From: "deals", To: "companies"}, Association{From: "deal", To: "companies", Type: 5}),
		"associations[0].type: want":     association(Association{From: "deals", To: "companies", Type: -1}),
		"associations[0].category: want": association(Association{From: "deals", To: "companies", Type: 1, Category: "MINE"}),
		"associations[0].category: a":    association(Association{From: "deals", To: "companies", Category: "USER_DEFINED"}),
		"associations[0].name: want":     association(Association{From: "deals", To: "companies", Name: "a=b"}),
	} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), strings.TrimSpace(want)) || strings.Contains(err.Error(), secret) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	for _, o := range []Options{{Token: secret}, {Login: login(), Version: "v3"}, {Token: secret, Version: "2026-09-beta", URL: "http://127.0.0.1:1/"},
		association(Association{From: "deals", To: "companies"}, Association{From: "deals", To: "companies", Name: "partner", Category: "USER_DEFINED", Type: 7})} {
		c, err := New(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		c.Close()
	}
}

// Secrets are shown nowhere (I14).
func TestHidden(t *testing.T) {
	for _, o := range []Options{{Token: secret}, {Login: login()}} {
		c := newClient(t, o)
		for _, v := range []any{o, &o, o.Login, &o.Login, c, *c} {
			var log strings.Builder
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
			shown := fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v) + log.String()
			if b, err := json.Marshal(v); err == nil {
				shown += string(b)
			}
			for _, bad := range []string{secret, clientSecret, refreshToken} {
				if strings.Contains(shown, bad) {
					t.Errorf("%T shows %q", v, bad)
				}
			}
		}
	}
}
