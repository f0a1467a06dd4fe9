package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// made counts the requests of f.
func made(t *testing.T, f func(ctx context.Context)) int {
	t.Helper()
	beyond := 0
	ctx, r := sinks.CountRequests(t.Context(), func() { beyond++ })
	f(ctx)
	n := r.End()
	if beyond != max(n-1, 0) {
		t.Errorf("%d requests, %d beyond the first", n, beyond)
	}
	return n
}

// What was sent is counted, whatever came of it; what was refused before that is not.
func TestSentIsCounted(t *testing.T) {
	var came atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // else it is not noticed that the client has gone
		switch r.URL.Path {
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/hang":
			<-r.Context().Done()
		case "/away":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		}
	})
	c, address := serve(t, Options{}, handler)
	public, _ := serve(t, Options{Addresses: sinks.Addresses{"public"}}, handler)
	untrusted := httptest.NewTLSServer(handler)
	defer untrusted.Close()
	nobody := httptest.NewServer(handler)
	nobody.Close()
	given, _ := serve(t, Options{Transport: direct{handler}}, handler)
	for name, r := range map[string]struct {
		c    *Client
		url  string
		cut  func(context.Context) context.Context
		want int
	}{
		"answered":           {c, address, nil, 1},
		"refused":            {c, address + "/500", nil, 1},
		"no answer":          {c, address + "/reset", nil, 1},
		"a redirect":         {c, address + "/away", nil, 1},
		"given up":           {c, address + "/hang", shortly(t), 1},
		"by another":         {given, "http://elsewhere.test/", nil, 1},
		"nobody listens":     {c, nobody.URL, nil, 0},
		"not allowed":        {public, address, nil, 0},
		"not trusted":        {c, untrusted.URL, nil, 0},
		"no url":             {c, "http://[", nil, 0},
		"after its end":      {c, address, func(ctx context.Context) context.Context { return past{ctx} }, 0},
		"after it was ended": {c, address, ended(t), 0},
	} {
		came.Store(0)
		n := made(t, func(ctx context.Context) {
			if r.cut != nil {
				ctx = r.cut(ctx)
			}
			send(ctx, r.c, r.url)
		})
		if n != r.want || int(came.Load()) != r.want {
			t.Errorf("%s: %d requests are counted, %d came, want %d", name, n, came.Load(), r.want)
		}
	}
	if n := made(t, func(ctx context.Context) {
		for range 3 {
			send(ctx, c, address+"/500")
		}
	}); n != 3 {
		t.Errorf("%d requests are counted of one that was tried three times", n)
	}
}

// send sends a request; what comes of it is not looked at.
func send(ctx context.Context, c *Client, address string) {
	_, _ = c.Do(ctx, Request{Method: http.MethodPost, URL: address, Body: []byte("{}")})
}

func shortly(t *testing.T) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
}

func ended(t *testing.T) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx
	}
}

// direct asks a handler without a network, and tells of nothing.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// What net/http sends again, since the connection that it had kept was closed, counts again.
func TestSentAgainIsCounted(t *testing.T) {
	var came atomic.Int32
	c, address := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if came.Add(1) == 2 { // the one that is kept
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	})
	for i, want := range []int{1, 2, 1} {
		n := made(t, func(ctx context.Context) {
			if _, err := c.Do(ctx, Request{Method: http.MethodGet, URL: address}); err != nil {
				t.Error(err)
			}
		})
		if n != want {
			t.Errorf("%d requests are counted for request %d, want %d", n, i+1, want)
		}
	}
	if came.Load() != 4 {
		t.Errorf("%d requests came", came.Load())
	}
}

// Requests for tokens count where the API counts them.
func TestTokensAreCounted(t *testing.T) {
	for _, counts := range []bool{false, true} {
		c, address := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token":"t"}`)
		})
		ts := NewTokens(c, Grant{URL: address, Form: func(time.Time) (url.Values, error) { return nil, nil }, Counts: counts}, nil)
		n := made(t, func(ctx context.Context) {
			if _, err := ts.Get(ctx); err != nil {
				t.Fatal(err)
			}
		})
		if n != map[bool]int{true: 1}[counts] {
			t.Errorf("counts %v: %d requests are counted", counts, n)
		}
	}
}

// A probe by a connection sends nothing.
func TestProbeIsNotCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := made(t, func(ctx context.Context) {
		if err := Probe(ctx, "http://"+l.Addr().String(), nil); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%d requests are counted", n)
	}
}
