package transport

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// tokens serves a token endpoint.
func tokens(t *testing.T, grant func(time.Time) (url.Values, error), now func() time.Time, h http.HandlerFunc) *Tokens {
	t.Helper()
	c, address := serve(t, Options{}, h)
	return NewTokens(c, Grant{URL: address + "/token?" + secret, Form: grant}, now)
}

// Many who wait get one token by one request; a spent one is got again once.
func TestTokensSingleFlight(t *testing.T) {
	var asked int
	gate := make(chan struct{})
	ts := tokens(t, ClientCredentials("me", secret, "all"), nil, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_secret") != secret || r.FormValue("scope") != "all" {
			t.Errorf("form %v", r.Form)
		}
		<-gate
		asked++
		fmt.Fprintf(w, `{"access_token":"t%d","instance_url":"https://here","issued_at":"17"}`, asked)
	})
	get := func() (got []Token) {
		var (
			wait sync.WaitGroup
			mu   sync.Mutex
		)
		for range 20 {
			wait.Go(func() {
				tok, err := ts.Get(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, tok)
			})
		}
		gate <- struct{}{}
		wait.Wait()
		return got
	}
	old := get()
	for _, tok := range old {
		if tok.Value != "t1" || tok.Instance != "https://here" || !tok.Expires.IsZero() {
			t.Errorf("token %+v", tok)
		}
	}
	for _, tok := range old { // all of them were refused
		ts.Spent(tok)
	}
	for _, tok := range get() {
		if tok.Value != "t2" {
			t.Errorf("token %v", tok.Value.Reveal())
		}
	}
	ts.Spent(old[0]) // late: it is not the one that is held
	if tok, err := ts.Get(t.Context()); err != nil || tok.Value != "t2" || asked != 2 {
		t.Errorf("token %v, %v, asked %d times", tok.Value.Reveal(), err, asked)
	}
}

// A token is replaced before it ends, and a newer refresh token is used from then on.
func TestTokensExpire(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var refresh []string
	ts := tokens(t, RefreshToken("me", secret, "r0"), func() time.Time { return now }, func(w http.ResponseWriter, r *http.Request) {
		refresh = append(refresh, r.FormValue("refresh_token"))
		fmt.Fprintf(w, `{"access_token":"t%d","expires_in":"1800","refresh_token":"r%[1]d"}`, len(refresh))
	})
	for _, c := range []struct {
		after time.Duration
		want  Secret
	}{{0, "t1"}, {28*time.Minute + 59*time.Second, "t1"}, {29 * time.Minute, "t2"}} {
		now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).Add(c.after)
		if tok, err := ts.Get(t.Context()); err != nil || tok.Value != c.want {
			t.Errorf("after %v: %v, %v", c.after, tok.Value.Reveal(), err)
		}
	}
	if fmt.Sprint(refresh) != "[r0 r1]" {
		t.Errorf("refresh tokens %v", refresh)
	}
}

// What goes wrong with a token never leaves a doubt about what needs it.
func TestTokensErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"dead":         {400, `{"error":"invalid_grant","error_description":"expired ` + secret + `"}`, "unauthorized"},
		"hubspot dead": {400, `{"status":"BAD_HUB","message":"no"}`, "unauthorized"},
		"it passes":    {400, `{"error":"unknown_error","error_description":"retry your request"}`, "retry unknown=false after 7s"},
		"401":          {401, ``, "unauthorized"},
		"throttled":    {429, ``, "throttled after 7s"},
		"away":         {503, ``, "retry unknown=false after 7s"},
		"no json":      {200, `<html>`, "retry unknown=false after 0s"},
		"no token":     {200, `{}`, "retry unknown=false after 0s"},
		"not there":    {404, ``, "misconfigured"},
		"refused":      {422, ``, "misconfigured"},
	} {
		ts := tokens(t, ClientCredentials("me", secret, ""), nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, err := ts.Get(t.Context())
		if outcome(err) != c.want || sinks.Unknown(err) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %s (%v), want %s", name, outcome(err), err, c.want)
		}
	}
	reset := tokens(t, ClientCredentials("me", secret, ""), nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := reset.Get(t.Context()); outcome(err) != "retry unknown=false after 0s" {
		t.Errorf("reset: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	hang := make(chan struct{})
	slow := tokens(t, ClientCredentials("me", secret, ""), nil, func(http.ResponseWriter, *http.Request) { <-hang })
	if _, err := slow.Get(ended); outcome(err) != "retry unknown=false after 0s" {
		t.Errorf("ended: %v", err)
	}
	close(hang)
}

func TestJWTBearer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(key), "PRIVATE KEY": pkcs8} {
		if k, err := ParseKey(Secret(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))); err != nil || !k.Equal(key) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, bad := range []Secret{secret, Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(secret)}))} {
		if _, err := ParseKey(bad); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	form, err := JWTBearer(Assertion{Issuer: "client", Subject: "user@example.com", Audience: "https://login.salesforce.com", Key: key})(now)
	if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		t.Fatal(form, err)
	}
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		t.Fatal(parts)
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
		t.Error(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(claims, &got); err != nil || got["iss"] != "client" || got["sub"] != "user@example.com" || got["aud"] != "https://login.salesforce.com" || got["exp"] != float64(now.Unix()+180) {
		t.Errorf("claims %v, %v", got, err)
	}
}

// A secret is shown by nothing.
func TestSecret(t *testing.T) {
	s := Secret(secret)
	text, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %+v %#v %s %q %s", s, s, s, s, s, text); strings.Contains(all, secret) || s.Reveal() != secret {
		t.Error(all)
	}
}
