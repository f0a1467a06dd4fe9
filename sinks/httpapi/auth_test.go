package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (int, string)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func authForm(a form.Auth) *form.Form {
	return &form.Form{URL: "https://api.test/v1", Auth: a, Requests: map[string]*form.Request{form.Upsert: {Path: "/x", Body: text("{row}")}}}
}

func TestAuth(t *testing.T) {
	with := Credentials{Token: secret, User: "me", Password: "p:w", Keys: []Secret{"new", "old"}}
	for _, c := range []struct {
		auth form.Auth
		want string // header and value, or the query
	}{
		{form.Auth{}, "Authorization "},
		{form.Auth{Type: form.AuthBearer}, "Authorization Bearer " + secret},
		{form.Auth{Type: form.AuthBasic}, "Authorization Basic bWU6cDp3"},
		{form.Auth{Type: form.AuthHeader, Header: "X-Key", Prefix: "Token "}, "X-Key Token " + secret},
		{form.Auth{Type: form.AuthQuery, Name: "api key"}, "? api+key=" + secret},
		{form.Auth{Type: form.AuthHMAC, Signs: "{body}", Separator: " ", Headers: []form.Pair{{Name: "Sig", Value: "{timestamp} {signatures}"}}},
			"Sig "},
	} {
		var got string
		cl, err := New(Options{Form: authForm(c.auth), Credentials: with, Now: func() time.Time { return time.Unix(1700000000, 0) },
			Headers: map[string]Secret{"X-More": "1"},
			Transport: roundTrip(func(r *http.Request) (int, string) {
				name, _, _ := strings.Cut(c.want, " ")
				if got = name + " " + r.Header.Get(name); name == "?" {
					got = "? " + r.URL.RawQuery
				}
				if r.Header.Get("X-More") != "1" {
					t.Errorf("%s: a header of the configuration is missing", c.auth.Type)
				}
				return 204, ""
			})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := deliverOne(t, cl, rec(sinks.Upsert, "A", "1")); err != nil {
			t.Errorf("%s: %v", c.auth.Type, err)
		}
		cl.Close()
		if c.auth.Type == form.AuthHMAC { // what it is, package sign tells
			if at, sigs, _ := strings.Cut(strings.TrimPrefix(got, "Sig "), " "); at != "1700000000" || len(sigs) != 64+1+64 {
				t.Errorf("hmac: %s", got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.auth.Type, got, c.want)
		}
		if shown := fmt.Sprintf("%v %+v %#v", cl, cl, cl); strings.Contains(shown, secret) {
			t.Errorf("%s: the secret is in %s", c.auth.Type, shown)
		}
	}
}

// What is missing is told by the key of the configuration, and not made up.
func TestCredentialsAreMissing(t *testing.T) {
	sig := []form.Pair{{Name: "S", Value: "{signatures}"}}
	for key, a := range map[string]form.Auth{"token": {Type: form.AuthBearer}, "user": {Type: form.AuthBasic}, "client_id": {Type: form.AuthOAuth2, TokenURL: "https://a/t"},
		"keys": {Type: form.AuthHMAC, Headers: sig}} {
		var missing *CredentialError
		if _, err := New(Options{Form: authForm(a)}); !errors.As(err, &missing) || missing.Key != key {
			t.Errorf("%s: %v", a.Type, err)
		}
	}
	var bad *CredentialError
	if _, err := New(Options{Form: authForm(form.Auth{Type: form.AuthBearer}), Credentials: Credentials{Token: secret + "\n"}}); !errors.As(err, &bad) || strings.Contains(err.Error(), secret) {
		t.Errorf("a line break: %v", err)
	}
}

// A token is got once, and once again when it is refused; a second refusal is told.
func TestOAuth2(t *testing.T) {
	got, asked, good := 0, 0, "t2"
	c, err := New(Options{Form: authForm(form.Auth{Type: form.AuthOAuth2, TokenURL: "https://login.test/token", Scope: "write"}),
		Credentials: Credentials{ClientID: "id", ClientSecret: secret},
		Transport: roundTrip(func(r *http.Request) (int, string) {
			if r.URL.Host == "login.test" {
				body, err := io.ReadAll(r.Body)
				if err != nil || !strings.Contains(string(body), "client_secret="+secret) || !strings.Contains(string(body), "scope=write") {
					t.Errorf("%s, %v", body, err)
				}
				got++
				return 200, fmt.Sprintf(`{"access_token":"t%d"}`, got)
			}
			asked++
			if r.Header.Get("Authorization") != "Bearer "+good {
				return 401, ""
			}
			return 204, ""
		})})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct {
		good       string
		got, asked int
		want       string
	}{{"t2", 2, 2, "ok"}, {"t2", 2, 3, "ok"}, {"t9", 3, 5, "unauthorized"}} {
		good = step.good
		_, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1"))
		if sinks.Code(err) != step.want || got != step.got || asked != step.asked {
			t.Errorf("%d tokens, %d requests, %v; want %+v", got, asked, err, step)
		}
	}
}
