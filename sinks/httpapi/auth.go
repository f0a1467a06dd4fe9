package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/httpapi/sign"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Credentials are the secrets of one target. Which of them are needed the form's auth says.
type Credentials struct {
	// Token is for bearer, header and query.
	Token Secret
	// User and Password are for basic.
	User     string
	Password Secret
	// ClientID and ClientSecret are for oauth2.
	ClientID     string
	ClientSecret Secret
	// Keys are for hmac and standard_webhooks, the newest first.
	Keys []Secret
}

// authority proves who we are.
type authority struct {
	of     form.Auth
	with   Credentials
	tokens *transport.Tokens // of oauth2
	signer sign.Signer       // of hmac and standard_webhooks
}

// CredentialError says that a secret is missing, or is none.
type CredentialError struct {
	Key string // of the configuration's auth, such as token
	Err error
}

func (e *CredentialError) Error() string { return fmt.Sprintf("auth.%s: %v", e.Key, e.Err) }

// Unwrap gives the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

func newAuthority(o Options, client *transport.Client) (*authority, error) {
	a := &authority{of: o.Form.Auth, with: o.Credentials}
	missing := func(key string) error {
		return &CredentialError{Key: key, Err: fmt.Errorf("missing; write auth: {%s: \"${A_VARIABLE}\"}", key)}
	}
	var keys []string
	for _, k := range a.with.Keys {
		keys = append(keys, k.Reveal())
	}
	var err error
	switch a.of.Type {
	case form.AuthBearer, form.AuthHeader, form.AuthQuery:
		if a.with.Token == "" {
			return nil, missing("token")
		}
		if strings.ContainsAny(a.with.Token.Reveal(), "\r\n\x00") {
			return nil, &CredentialError{Key: "token", Err: errors.New("it has a line break; check the file or variable it comes from")}
		}
	case form.AuthBasic:
		if a.with.User == "" {
			return nil, missing("user")
		}
	case form.AuthOAuth2:
		if a.with.ClientID == "" {
			return nil, missing("client_id")
		}
		if a.with.ClientSecret == "" {
			return nil, missing("client_secret")
		}
		a.tokens = transport.NewTokens(client, transport.Grant{URL: a.of.TokenURL,
			Form: transport.ClientCredentials(a.with.ClientID, a.with.ClientSecret, a.of.Scope)}, nil)
	case form.AuthHMAC:
		if a.signer, err = a.of.HMAC().New(keys); err != nil {
			return nil, &CredentialError{Key: "keys", Err: err}
		}
	case form.AuthWebhooks:
		if a.signer, err = sign.NewWebhooks(keys); err != nil {
			return nil, &CredentialError{Key: "keys", Err: err}
		}
	}
	return a, nil
}

// prove adds to a request who it comes from. The token is that of oauth2, if it is that. An
// error means that nothing was sent.
func (a *authority) prove(ctx context.Context, r *transport.Request, id string, now time.Time) (tok transport.Token, err error) {
	switch a.of.Type {
	case form.AuthBearer:
		r.Header.Set("Authorization", "Bearer "+a.with.Token.Reveal())
	case form.AuthHeader:
		r.Header.Set(a.of.Header, a.of.Prefix+a.with.Token.Reveal())
	case form.AuthQuery:
		r.URL = withQuery(r.URL, a.of.Name, a.with.Token.Reveal())
	case form.AuthBasic:
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.with.User+":"+a.with.Password.Reveal())))
	case form.AuthOAuth2:
		if tok, err = a.tokens.Get(ctx); err != nil {
			return tok, err
		}
		r.Header.Set("Authorization", "Bearer "+tok.Value.Reveal())
	case form.AuthHMAC, form.AuthWebhooks:
		a.signer.Sign(r.Header, sign.Message{ID: id, Time: now, Body: r.Body})
	}
	return tok, nil
}

func withQuery(address, name, value string) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

// do sends a request, once again with a new token where the one it had is not taken any more.
func (c *Client) do(ctx context.Context, m *form.Message) (*transport.Answer, error) {
	for again := false; ; again = true {
		r := transport.Request{Method: m.Method, URL: m.URL, Header: m.Header.Clone(), Body: m.Body}
		for name, values := range c.header { // what a person set goes before what the form says
			r.Header[name] = values
		}
		tok, err := c.auth.prove(ctx, &r, m.ID, c.now())
		if err != nil {
			return nil, err
		}
		a, err := c.http.Do(ctx, r)
		if err != nil {
			return nil, err
		}
		c.tellQuota(a.Header)
		if a.Status != http.StatusUnauthorized || c.auth.tokens == nil || again {
			return a, nil
		}
		c.auth.tokens.Spent(tok)
	}
}
