package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "s3cr3t-key"

// serve starts a server and a client for it.
func serve(t *testing.T, o Options, h http.HandlerFunc) (*Client, string) {
	t.Helper()
	s := httptest.NewServer(h)
	c := New(o)
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c, s.URL
}

// outcome writes the kind of an error in a word.
func outcome(err error) string {
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
	)
	switch {
	case errors.As(err, &ret):
		return fmt.Sprintf("retry unknown=%v after %v", sinks.Unknown(err), ret.After)
	case errors.As(err, &thr):
		return fmt.Sprint("throttled after ", thr.After)
	}
	return sinks.Code(err)
}

// past is a context whose end has come, and that has not said so yet: as in the moment in which
// a process goes on that was stopped.
type past struct{ context.Context }

func (past) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

// Nothing is sent after the end of its context, whether or not that was told.
func TestNothingIsSentLate(t *testing.T) {
	var came atomic.Int32
	c, url := serve(t, Options{}, func(http.ResponseWriter, *http.Request) { came.Add(1) })
	_, err := c.Do(past{t.Context()}, Request{Method: http.MethodPost, URL: url})
	if got := outcome(err); got != "retry unknown=false after 0s" || came.Load() > 0 {
		t.Errorf("%d requests came, and it says %s", came.Load(), got)
	}
}

func TestDo(t *testing.T) {
	c, url := serve(t, Options{MaxAnswer: 10}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/echo":
			w.WriteHeader(207)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("X"), body)
		case "/long":
			fmt.Fprint(w, strings.Repeat("x", 11))
		case "/cut":
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "abc")
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/away":
			http.Redirect(w, r, "http://127.0.0.1:1/"+secret, http.StatusTemporaryRedirect)
		}
	})
	req := Request{Method: http.MethodPut, URL: url + "/echo?key=" + secret, Header: http.Header{"X": {"y"}}, Body: []byte("b")}
	for range 2 { // a request can be made again
		a, err := c.Do(t.Context(), req)
		if err != nil || a.Err != nil || !a.OK() || string(a.Body) != "PUT y b" || a.Status != 207 {
			t.Fatalf("answer %+v, %v", a, err)
		}
	}
	for path, want := range map[string]string{"/long": "retry unknown=true after 0s", "/cut": "retry unknown=true after 0s"} {
		a, err := c.Do(t.Context(), Request{Method: http.MethodGet, URL: url + path})
		if err != nil || outcome(a.Err) != want || errors.Is(a.Err, ErrTooLong) != (path == "/long") {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	if a, err := c.Do(t.Context(), Request{Method: http.MethodGet, URL: url + "/away"}); err != nil || a.Status != 307 {
		t.Errorf("a redirect was followed: %+v, %v", a, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for name, r := range map[string]struct {
		ctx  context.Context
		url  string
		want string
	}{
		"reset":     {t.Context(), url + "/reset?" + secret, "retry unknown=true after 0s"},
		"nobody":    {t.Context(), "http://" + nobody + "/" + secret, "retry unknown=false after 0s"},
		"cancelled": {done, url + "/echo?" + secret, "retry unknown=true after 0s"},
		"no url":    {t.Context(), "http://[" + secret, "misconfigured"},
	} {
		_, err := c.Do(r.ctx, Request{Method: http.MethodGet, URL: r.url})
		if outcome(err) != r.want || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %s (%v), want %s", name, outcome(err), err, r.want)
		}
	}
}

func TestStatusError(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for status, want := range map[int]string{
		301: "misconfigured", 400: "http_400", 401: "unauthorized", 403: "unauthorized", 402: "paused", 404: "misconfigured", 405: "misconfigured", 407: "misconfigured",
		408: "retry unknown=true after 1m30s", 409: "http_409", 422: "http_422", 425: "retry unknown=false after 1m30s", 429: "throttled after 1m30s", 500: "retry unknown=true after 1m30s", 503: "retry unknown=true after 1m30s",
	} {
		a := &Answer{Host: "h", Status: status, Header: http.Header{"Retry-After": {now.Add(90 * time.Second).Format(http.TimeFormat)}}}
		err := StatusError(a, Saying{Code: "X", Message: "the row " + secret}, now)
		var told *sinks.Answer
		if outcome(err) != want || strings.Contains(err.Error(), secret) || !errors.As(err, &told) || told.Code != "X" || told.Status != status {
			t.Errorf("%d: %s (%v), want %s", status, outcome(err), err, want)
		}
	}
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": 0, "-4": 0, "999999999999": MaxRetryAfter} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
	if Word("UNABLE_TO_LOCK_ROW") != "UNABLE_TO_LOCK_ROW" || Word("row 7 is bad") != "refused" || Word("") != "refused" {
		t.Error("words")
	}
	if long := Shorten(strings.Repeat("é", MaxMessage)); len(long) != MaxMessage {
		t.Errorf("shortened to %d", len(long))
	}
}

func TestAddresses(t *testing.T) {
	for text, allowed := range map[string]sinks.Addresses{
		"8.8.8.8":              {"public"},
		"2606:4700::1111":      {"public"},
		"127.0.0.1":            {"private"},
		"10.1.2.3":             {"private"},
		"169.254.169.254":      {"private"},
		"::1":                  {"private"},
		"fd00::1":              {"private"},
		"0.0.0.0":              {"private"},
		"100.64.1.1":           {"private"},
		"64:ff9b::a9fe:a9fe":   {"private"},
		"10.1.2.4":             {"10.1.2.0/24", "127.0.0.1"},
		"fe80::1%eth0":         {"private"},
		"224.0.0.1":            {"private"},
		"::ffff:10.0.0.1":      {"private"},
		"198.18.0.1":           {"private"},
		"::ffff:93.184.215.14": {"public"},
	} {
		a := netip.MustParseAddr(text)
		other := sinks.Addresses{"public"}
		if allowed[0] == "public" {
			other = sinks.Addresses{"private"}
		}
		if !allowed.Allow(a) || other.Allow(a) || !(sinks.Addresses{}).Allow(a) {
			t.Errorf("%s: %v allows it: %v, %v: %v", text, allowed, allowed.Allow(a), other, other.Allow(a))
		}
	}
	if err := (sinks.Addresses{"public", "10.0.0.0/33"}).Validate(); err == nil {
		t.Error("10.0.0.0/33 is an address")
	}
	if err := (sinks.Addresses{"public", "private", "10.0.0.0/8", "::1"}).Validate(); err != nil {
		t.Error(err)
	}
	asked := atomic.Int32{}
	c, url := serve(t, Options{Addresses: sinks.Addresses{"public"}}, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	url = strings.Replace(url, "127.0.0.1", "localhost", 1) // what counts is what a name resolves to
	_, err := c.Do(t.Context(), Request{Method: http.MethodGet, URL: url})
	var mis *sinks.Misconfigured
	if !errors.As(err, &mis) || asked.Load() != 0 || sinks.Unknown(err) {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
	if err := Probe(t.Context(), url, sinks.Addresses{"public"}); err == nil {
		t.Error("the probe connects to what is not allowed")
	}
	if err := Probe(t.Context(), url, sinks.Addresses{"private"}); err != nil {
		t.Error(err)
	}
}
