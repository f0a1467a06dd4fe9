package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// sendError says what it means that a request has no answer. Only a request whose connection
// was never made is known not to have been carried out.
func sendError(host string, err error) error {
	err = plain(err)
	var (
		cert   *tls.CertificateVerificationError
		op     *net.OpError
		dns    *net.DNSError
		denied *DeniedError
	)
	switch {
	case errors.As(err, &denied):
		return &sinks.Misconfigured{Err: fmt.Errorf("connect to %s: %w", host, denied),
			Hint: "correct the target's url, or allow the address in its addresses"}
	case errors.As(err, &cert):
		return &sinks.Misconfigured{Err: fmt.Errorf("send to %s: %w", host, err),
			Hint: "use a certificate that this machine trusts, or add its authority to the system's list"}
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return &sinks.Retryable{Err: fmt.Errorf("connect to %s: %w", host, err)}
	}
	return &sinks.Retryable{Unknown: true, Err: fmt.Errorf("send to %s: %w", host, err)}
}

// Saying is what an answer says of itself: the target's own word and text.
type Saying struct{ Code, Message string }

// MaxMessage bounds what is kept of the text of a refusal, in bytes.
const MaxMessage = 4 << 10

// Shorten cuts a text to MaxMessage.
func Shorten(s string) string {
	if len(s) <= MaxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:MaxMessage], "")
}

// StatusError says what an answer with a status outside of 2xx means, where the target's own
// code does not tell. Its text has the status only: what the answer says may quote records,
// and is for rules and dead letters.
//
//	401, 403        Unauthorized
//	402             Paused: the account has not paid
//	429             Throttled, with Retry-After
//	408, 5xx        Retryable with an unknown outcome, with Retry-After
//	425             Retryable
//	3xx, 404, 405   Misconfigured: of the address, never of a record
//	407             Misconfigured: of the proxy
//	others          Rejected
func StatusError(a *Answer, said Saying, now time.Time) error {
	after := RetryAfter(a.Header, now)
	later := a.Status == http.StatusRequestTimeout || a.Status >= 500
	err := &sinks.Answer{Status: a.Status, Unknown: later, Code: said.Code, Message: Shorten(said.Message),
		Err: fmt.Errorf("%s answered %d %s", a.Host, a.Status, http.StatusText(a.Status))}
	switch {
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return &sinks.Unauthorized{Err: err, Forbidden: a.Status == http.StatusForbidden}
	case a.Status == http.StatusTooManyRequests:
		return &sinks.Throttled{Err: err, After: after}
	case later:
		return &sinks.Retryable{Err: err, After: after, Unknown: true}
	case a.Status < 400:
		return &sinks.Misconfigured{Err: err, Hint: "set the target's url to where it redirects to; redirects are not followed"}
	case a.Status == http.StatusPaymentRequired:
		return &sinks.Paused{Err: err, After: after}
	case a.Status == http.StatusTooEarly:
		return &sinks.Retryable{Err: err, After: after}
	case a.Status == http.StatusProxyAuthRequired:
		return &sinks.Misconfigured{Err: err, Hint: "give the proxy of the environment (HTTPS_PROXY) its user and password"}
	case a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed:
		return &sinks.Misconfigured{Err: err, Hint: "check the target's url, and the names and ids in its path"}
	}
	return &sinks.Rejected{Err: err, Code: fmt.Sprintf("http_%d", a.Status)}
}

// MaxRetryAfter bounds what a target may ask for.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter reads the header Retry-After: seconds or a date. Zero if there is none that
// makes sense.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	s := h.Get("Retry-After")
	var d time.Duration
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		d = time.Duration(min(n, int(MaxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), MaxRetryAfter)
}

// Word takes a code of a target as it is if it looks like one, and not like a sentence that
// may quote a record; else it is "refused".
func Word(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-.:", c)
	}
	if s == "" || len(s) > 80 || strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return "refused"
	}
	return s
}
