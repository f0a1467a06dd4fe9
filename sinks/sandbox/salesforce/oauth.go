package salesforce

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// oauthError is a login that was refused.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// serveToken answers POST /services/oauth2/token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		s.write(w, reply{status: http.StatusMethodNotAllowed, body: oauthError{"invalid_request", "must use HTTP POST"}})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		s.write(w, reply{status: http.StatusBadRequest, body: oauthError{"invalid_request", "the form cannot be read"}})
		return
	}
	if id, secret, basic := r.BasicAuth(); basic && r.PostForm.Get("client_id") == "" {
		r.PostForm.Set("client_id", id)
		r.PostForm.Set("client_secret", secret)
	}
	s.write(w, s.grant(r.PostForm, sim.BaseURL(r)))
}

// grant answers a login.
func (s *Server) grant(form url.Values, base string) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["login"]++
	if bad := s.checkGrant(form, base); bad != nil {
		s.calls["login_refused"]++
		return reply{status: http.StatusBadRequest, body: bad}
	}
	return ok(s.login(base, form.Get("grant_type"), form.Get("refresh_token")))
}

// login makes a session. There is no expires_in: clients find out by a 401.
func (s *Server) login(base, grant, refresh string) any {
	now := s.o.Now()
	for token, end := range s.sessions {
		if !now.Before(end) {
			delete(s.sessions, token)
		}
	}
	token := "00D5g00000SANDBOX!" + rand.Text()
	s.sessions[token] = now.Add(s.o.SessionLife)
	out := map[string]string{
		"access_token": token, "instance_url": base, "token_type": "Bearer",
		"id": base + "/id/00D5g00000SANDBOXEA0/" + makeID(userPrefix, 1), "scope": "api", "token_format": "opaque",
	}
	if grant != grantJWT {
		out["issued_at"] = strconv.FormatInt(now.UnixMilli(), 10)
		out["signature"] = base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	}
	if grant == "refresh_token" && s.o.RotateRefresh {
		out["refresh_token"] = s.rotate(refresh, token)
	}
	return out
}

// checkGrant says why a login is refused.
func (s *Server) checkGrant(form url.Values, base string) *oauthError {
	grant := form.Get("grant_type")
	switch grant {
	case "client_credentials", "refresh_token":
		if bad := s.checkClient(form, grant == "client_credentials"); bad != nil {
			return bad
		}
	case grantJWT:
	case "password":
		return &oauthError{"unsupported_grant_type", "the username-password flow is switched off in this org"}
	default:
		return &oauthError{"unsupported_grant_type", "grant type not supported"}
	}
	switch {
	case s.revoked:
		return &oauthError{"invalid_grant", "expired access/refresh token"}
	case grant == grantJWT:
		return s.checkAssertion(form.Get("assertion"), base)
	case grant == "refresh_token":
		if !s.goodRefresh(form.Get("refresh_token")) {
			return &oauthError{"invalid_grant", "expired access/refresh token"}
		}
	}
	return nil
}

// checkClient looks at the client's id and secret. A refresh may go without a secret.
func (s *Server) checkClient(form url.Values, needSecret bool) *oauthError {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	want, known := s.o.Clients[id]
	switch {
	case id == "" || s.o.Clients != nil && !known:
		return &oauthError{"invalid_client_id", "client identifier invalid"}
	case secret == "" && needSecret,
		s.o.Clients != nil && (needSecret || secret != "") && subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1:
		return &oauthError{"invalid_client", "invalid client credentials"}
	}
	return nil
}

// claims are those of an assertion that matter. Some clients write exp as a text.
type claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	Expires  json.RawMessage `json:"exp"`
}

// checkAssertion looks at the token of the JWT flow.
func (s *Server) checkAssertion(assertion, base string) *oauthError {
	bad := func(why string) *oauthError { return &oauthError{"invalid_grant", why} }
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return bad("invalid assertion")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return bad("invalid assertion")
		}
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	var c claims
	if json.Unmarshal(raw[0], &head) != nil || json.Unmarshal(raw[1], &c) != nil || head.Algorithm != "RS256" {
		return bad("invalid assertion")
	}
	if s.o.PublicKey != nil {
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if rsa.VerifyPKCS1v15(s.o.PublicKey, crypto.SHA256, sum[:], raw[2]) != nil {
			return bad("invalid assertion")
		}
	}
	if _, known := s.o.Clients[c.Issuer]; c.Issuer == "" || s.o.Clients != nil && !known {
		return &oauthError{"invalid_client_id", "client identifier invalid"}
	}
	if !slices.Contains([]string{"https://login.salesforce.com", "https://test.salesforce.com", base}, strings.TrimSuffix(plain(c.Audience), "/")) {
		return bad("audience is invalid")
	}
	if c.Subject == "" {
		return bad("user hasn't approved this consumer")
	}
	seconds, err := strconv.ParseInt(plain(c.Expires), 10, 64)
	now := s.o.Now()
	if end := time.Unix(seconds, 0); err != nil || !now.Before(end) || end.After(now.Add(10*time.Minute)) {
		return bad("expired authorization code") // the words for an assertion that is too old or good for too long
	}
	return nil
}
