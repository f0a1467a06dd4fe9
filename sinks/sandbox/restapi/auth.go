package restapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Auth is who may call. Of its kinds the one that is set is asked for; with none anybody may.
type Auth struct {
	Token          string // a bearer token
	User, Password string // basic
	// Header and HeaderValue are a key in a header of the API's own, such as X-Api-Key.
	Header, HeaderValue string
	// Secret signs each request: X-Signature is t=SECONDS,v1=HEX with the HMAC-SHA256 of
	// SECONDS.BODY. More than one v1 may be there, while keys are changed.
	Secret string
	// ClientID and ClientSecret get an access token at POST /oauth/token; it lives for an
	// hour unless Lifetime says how long.
	ClientID, ClientSecret string
	Lifetime               time.Duration
}

// tolerance is how far the time of a signature may be off.
const tolerance = 5 * time.Minute

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// denied says why a request is not of somebody who may call; empty if it is.
func (a *Auth) denied(r *http.Request, body []byte, issued map[string]time.Time, now time.Time) string {
	bearer, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case a.Token != "":
		if !isBearer || !same(bearer, a.Token) {
			return "the bearer token is missing or wrong"
		}
	case a.User != "":
		user, password, ok := r.BasicAuth()
		if !ok || !same(user, a.User) || !same(password, a.Password) {
			return "the user or the password is wrong"
		}
	case a.Header != "":
		if !same(r.Header.Get(a.Header), a.HeaderValue) {
			return "the key in " + a.Header + " is missing or wrong"
		}
	case a.Secret != "":
		return wrongSignature(r.Header.Get("X-Signature"), a.Secret, body, now)
	case a.ClientID != "":
		if ends, ok := issued[bearer]; !isBearer || !ok || !now.Before(ends) {
			return "the access token is missing, unknown or over"
		}
	}
	return ""
}

// wrongSignature says why a signature does not vouch for a body; empty if it does.
func wrongSignature(header, secret string, body []byte, now time.Time) string {
	var at string
	var signatures []string
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			at = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	if why := wrongTime(at, now); why != "" {
		return why
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", at, body)
	want := hex.EncodeToString(mac.Sum(nil))
	for _, s := range signatures {
		if same(s, want) {
			return ""
		}
	}
	return "the signature is missing or wrong"
}

// wrongTime says why a time is not of now; empty if it is.
func wrongTime(seconds string, now time.Time) string {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "the time of the signature is missing or no number"
	}
	if off := now.Sub(time.Unix(n, 0)); off > tolerance || off < -tolerance {
		return "the time of the signature is too far off"
	}
	return ""
}
