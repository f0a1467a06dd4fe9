package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// maxMessage bounds what is kept of the text of a refusal.
const maxMessage = 4 << 10

// statusError says what an answer with a status outside of 2xx means. Its text has the
// status only: the body may quote records, and is for rules and dead letters.
func (c *Client) statusError(res *http.Response, body []byte) error {
	status := res.StatusCode
	after := retryAfter(res.Header.Get("Retry-After"), c.now())
	later := status == http.StatusRequestTimeout || status >= 500
	err := &sinks.Answer{Status: status, Unknown: later, Err: fmt.Errorf("%s answered %d %s", c.host, status, http.StatusText(status))}
	err.Code, err.Message = saying(body)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &sinks.Unauthorized{Err: err, Forbidden: status == http.StatusForbidden}
	case status == http.StatusTooManyRequests:
		return &sinks.Throttled{Err: err, After: after}
	case later:
		return &sinks.Retryable{Err: err, After: after, Unknown: true}
	case status < 400:
		return &sinks.Misconfigured{Err: err, Hint: "set the target's url to where it redirects to; redirects are not followed"}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		// Of the address, never of a record: parking records would not mend it.
		return &sinks.Misconfigured{Err: err, Hint: "check the path of the target's url"}
	}
	return &sinks.Rejected{Err: err, Code: fmt.Sprintf("http_%d", status)}
}

// saying reads code and text of a refusal: those of a JSON object, or else the body is
// the text.
func saying(body []byte) (code, message string) {
	var a struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &a) == nil && (a.Code != "" || a.Message != "") {
		return a.Code, shorten(a.Message)
	}
	return "", shorten(string(body))
}

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "")
}

type result struct {
	OK        *bool           `json:"ok"`
	ID        json.RawMessage `json:"id"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Retryable bool            `json:"retryable"`
}

func (r *result) read() sinks.Result {
	if *r.OK {
		id := string(r.ID)
		var text string
		if json.Unmarshal(r.ID, &text) == nil {
			id = text
		}
		return sinks.Result{RemoteID: id}
	}
	code := word(r.Code)
	err := &sinks.Answer{Status: r.Status, Code: r.Code, Message: shorten(r.Message), Err: errors.New("the target refused the record: " + code)}
	if r.Retryable {
		return sinks.Result{Err: &sinks.Retryable{Err: err}}
	}
	return sinks.Result{Err: &sinks.Rejected{Err: err, Code: code}}
}

// maxRetryAfter bounds what a target may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header Retry-After: seconds or a date. Zero if there is
// none that makes sense.
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		d = time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
