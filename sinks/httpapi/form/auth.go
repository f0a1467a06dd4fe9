package form

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks/httpapi/sign"
)

// auth looks whether the way to prove who we are is complete, but for the secrets.
func (c *compiler) auth() {
	a := &c.plan.form.Auth
	if a.Type != "" && !slices.Contains(AuthTypes(), a.Type) {
		c.fail("auth.type", "unknown value", a.Type, "write one of "+strings.Join(AuthTypes(), ", "))
		return
	}
	switch a.Type {
	case AuthHeader:
		if a.Header == "" || strings.ContainsAny(a.Header, " :\r\n") || http.CanonicalHeaderKey(a.Header) == "Content-Length" {
			c.fail("auth.header", "not the name of a header", a.Header, "write where the token goes, such as header: X-Api-Key")
		}
	case AuthQuery:
		if a.Name == "" {
			c.fail("auth.name", "missing", "", "write the name of the parameter, such as name: api_key")
		}
	case AuthOAuth2:
		if u, err := url.Parse(a.TokenURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			c.fail("auth.token_url", "not an address of a web server", "", "write where tokens are got, such as https://login.example.com/oauth2/token")
		}
	case AuthHMAC:
		if err := a.HMAC().Check(); err != nil {
			c.fail("auth."+err.Field, err.Msg, err.Value, err.Hint)
		}
	}
}

// HMAC gives the description of signatures of an Auth with that type.
func (a *Auth) HMAC() *sign.HMAC {
	h := &sign.HMAC{Algorithm: a.Algorithm, Signs: a.Signs, Signature: a.Signature, Separator: a.Separator, KeyEncoding: a.KeyEncoding}
	for _, p := range a.Headers {
		h.Headers = append(h.Headers, sign.Header{Name: p.Name, Value: p.Value})
	}
	return h
}
