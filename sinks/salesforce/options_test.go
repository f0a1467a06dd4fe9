package salesforce_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/transport"
)

func TestOptionsThatAreWrong(t *testing.T) {
	for want, change := range map[string]func(*salesforce.Options){
		"url: want https://":             func(o *salesforce.Options) { o.URL = "acme.my.salesforce.com" },
		"url: want":                      func(o *salesforce.Options) { o.URL = "https://user@acme.my.salesforce.com" },
		"version: \"v48.0\"":             func(o *salesforce.Options) { o.Version = "v48.0" },
		"max_batch: 1001":                func(o *salesforce.Options) { o.MaxBatch = 1001 },
		"bulk.from: 10":                  func(o *salesforce.Options) { o.Bulk = salesforce.Bulk{From: 10, Max: 5} },
		"addresses: \"nowhere\"":         func(o *salesforce.Options) { o.Addresses = sinks.Addresses{"nowhere"} },
		"login.grant: \"password\"":      func(o *salesforce.Options) { o.Login.Grant = "password" },
		"login.client_id: it is missing": func(o *salesforce.Options) { o.Login.ClientID = "" },
		"login.client_secret: it is":     func(o *salesforce.Options) { o.Login.ClientSecret = "" },
		"login.refresh_token: it is":     func(o *salesforce.Options) { o.Login.Grant = salesforce.GrantRefresh },
		"login.username: it is missing":  func(o *salesforce.Options) { o.Login.Grant = salesforce.GrantJWT },
		"login.private_key: it is not in ": func(o *salesforce.Options) {
			o.Login.Grant, o.Login.Username, o.Login.PrivateKey = salesforce.GrantJWT, "u", "s3cret"
		},
	} {
		o := options("https://acme.my.salesforce.com", "s3cret")
		change(&o)
		if _, err := salesforce.New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Each grant gets a token from an org that looks at it, and one that is dead is told as such.
func TestGrants(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	org := sandbox.New(sandbox.Options{Clients: map[string]string{clientID: "s3cret"}, PublicKey: &key.PublicKey, RefreshTokens: []string{"s3cret-refresh"}})
	server := httptest.NewServer(org)
	defer server.Close()
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for _, l := range []salesforce.Login{
		{Grant: salesforce.GrantJWT, ClientID: clientID, Username: "integration@example.com", PrivateKey: transport.Secret(text)},
		{Grant: salesforce.GrantClientCredentials, ClientID: clientID, ClientSecret: "s3cret"},
		{Grant: salesforce.GrantRefresh, ClientID: clientID, ClientSecret: "s3cret", RefreshToken: "s3cret-refresh"},
	} {
		c := client(t, server.URL, func(o *salesforce.Options) { o.Login = l })
		if err := c.Probe(t.Context()); err != nil {
			t.Errorf("%s: %v", l.Grant, err)
		}
		var una *sinks.Unauthorized
		org.RevokeGrants()
		org.ExpireSessions()
		if _, err := c.Deliver(t.Context(), batch(rec(`"a"`))); !errors.As(err, &una) || sinks.Unknown(err) {
			t.Errorf("%s: a dead grant: %v", l.Grant, err)
		}
		org.Reset()
		if rs, err := c.Deliver(t.Context(), batch(rec(`"a"`, field("Name", `"n"`)))); err != nil || rs[0].Err != nil {
			t.Errorf("%s: mended: %+v, %v", l.Grant, rs, err)
		}
	}
}

// No way of printing options or a client shows what it logs in with (I14).
func TestNothingSecretIsShown(t *testing.T) {
	o := options("https://acme.my.salesforce.com", "s3cret-1")
	o.Login.RefreshToken, o.Login.PrivateKey = "s3cret-2", "s3cret-3"
	c, err := salesforce.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	for _, v := range []any{o, &o, o.Login, c} {
		fmt.Fprintf(&b, "%v %+v %#v", v, v, v)
		log.Info("x", "v", v)
	}
	if text, err := json.Marshal(o.Login); err != nil || strings.Contains(string(text), "s3cret") || strings.Contains(b.String(), "s3cret") {
		t.Errorf("a secret is shown: %v", err)
	}
}
