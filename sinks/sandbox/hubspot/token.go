package hubspot

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// lifetime is how long an access token is good for, if nobody says otherwise.
const lifetime = 30 * time.Minute

// tokens are the access tokens of the public app: when each ends.
type tokens struct{ issued map[string]time.Time }

// caller is the app that makes a call.
type caller struct {
	scopes []string // nil is all
	public bool
}

func (c caller) may(scope string) bool {
	return c.scopes == nil || scope == "" || slices.Contains(c.scopes, scope)
}

// whoLocked tells which app a call is of, by its bearer token.
func (s *Server) whoLocked(c *call) (caller, *fault) {
	token, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return caller{}, &fault{status: http.StatusUnauthorized, category: "INVALID_AUTHENTICATION",
			message: "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"}
	}
	for _, app := range s.options.Apps {
		if same(app.Token, token) {
			return caller{scopes: app.Scopes}, nil
		}
	}
	if ends, ok := s.tokens.issued[token]; ok {
		if !c.now.Before(ends) {
			return caller{}, &fault{status: http.StatusUnauthorized, category: "EXPIRED_AUTHENTICATION",
				message: fmt.Sprintf("The OAuth token used to make this call expired %d second(s) ago.", int(c.now.Sub(ends)/time.Second))}
		}
		who := caller{public: true}
		if s.options.OAuth != nil {
			who.scopes = s.options.OAuth.Scopes
		}
		return who, nil
	}
	if s.open() {
		return caller{}, nil
	}
	return caller{}, &fault{status: http.StatusUnauthorized, category: "INVALID_AUTHENTICATION",
		message: "The access token is not known, or is of another account."}
}

// open tells that any app may call, with any token.
func (s *Server) open() bool { return s.options.Apps == nil && s.options.OAuth == nil }

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// grantError is an answer of the token endpoint, which has a form of its own.
type grantError struct {
	Status        string `json:"status"`
	Message       string `json:"message"`
	CorrelationID string `json:"correlationId"`
	Error         string `json:"error,omitempty"`
	Description   string `json:"error_description,omitempty"`
}

type grant struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

// token answers POST /oauth/2026-03/token, or v1: a new access token for the refresh token, which stays
// as it is.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	readErr := r.ParseForm()
	s.mu.Lock()
	s.calls["token"]++
	out, status := s.grantLocked(r, readErr)
	s.mu.Unlock()
	answer(w, status, out)
}

func (s *Server) grantLocked(r *http.Request, readErr error) (any, int) {
	o := s.options.OAuth
	form := func(name string) string { return r.PostForm.Get(name) }
	if s.open() && form("client_id") != "" && form("client_secret") != "" && form("refresh_token") != "" {
		o = &OAuth{ClientID: form("client_id"), ClientSecret: form("client_secret"), RefreshToken: form("refresh_token"), Lifetime: lifetime}
	}
	refuse := func(status int, code, message string) (any, int) {
		s.calls["refused"]++
		return grantError{Status: code, Message: message, CorrelationID: s.correlationLocked()}, status
	}
	switch {
	case readErr != nil:
		return refuse(http.StatusBadRequest, "BAD_REQUEST", "the form cannot be read")
	case form("grant_type") != "refresh_token":
		return refuse(http.StatusBadRequest, "BAD_GRANT_TYPE", "missing or unknown grant type")
	case o == nil || !same(o.ClientID, form("client_id")):
		return refuse(http.StatusBadRequest, "BAD_CLIENT_ID", "missing or unknown client id")
	case !same(o.ClientSecret, form("client_secret")):
		return refuse(http.StatusBadRequest, "BAD_CLIENT_SECRET", "missing or invalid client secret")
	case !same(o.RefreshToken, form("refresh_token")):
		out, status := refuse(http.StatusBadRequest, "BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked")
		e := out.(grantError) // the words of RFC 6749 stand beside its own (changelog, new-oauth-v3-api-endpoints-and-standardized-error-responses)
		e.Error, e.Description = "invalid_grant", e.Message
		return e, status
	case s.uninstall:
		return refuse(http.StatusForbidden, "BAD_HUB", "missing or unknown hub id")
	}
	token := "access-" + s.correlationLocked()
	s.tokens.issued[token] = s.options.Now().Add(o.Lifetime)
	return grant{AccessToken: token, RefreshToken: o.RefreshToken, ExpiresIn: int(o.Lifetime / time.Second), TokenType: "bearer"}, http.StatusOK
}
