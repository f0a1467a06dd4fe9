package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rowValue, secret = "very-private-note", "pat-na1-s3cr3t"

// step is one request that is expected, and its answer.
type step struct {
	path, body string // the body is not looked at if it is empty
	status     int    // 200 if zero
	answer     string
	header     []string
}

// script is a server that expects requests in an order.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps []step
	asked int
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.asked >= len(s.steps) {
		s.t.Errorf("request %d, %s %s, was not expected (%v)", s.asked+1, r.URL, body, err)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	step := s.steps[s.asked]
	s.asked++
	if r.URL.RequestURI() != step.path || step.body != "" && string(body) != step.body {
		s.t.Errorf("request %d is\n%s %s\nwant\n%s %s", s.asked, r.URL.RequestURI(), body, step.path, step.body)
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+secret || r.Header.Get("Accept") != "application/json" {
		s.t.Errorf("request %d has headers %v", s.asked, r.Header)
	}
	for i := 0; i < len(step.header); i += 2 {
		w.Header().Set(step.header[i], step.header[i+1])
	}
	if step.status == 0 {
		step.status = http.StatusOK
	}
	w.WriteHeader(step.status)
	fmt.Fprint(w, step.answer)
}

// scripted makes a client of a server that expects requests in an order, and all of them.
func scripted(t *testing.T, o Options, steps ...step) *Client {
	t.Helper()
	s := &script{t: t, steps: steps}
	t.Cleanup(func() {
		if s.asked != len(steps) {
			t.Errorf("%d requests, want %d", s.asked, len(steps))
		}
	})
	return serve(t, o, s)
}

func serve(t *testing.T, o Options, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	if o.URL = s.URL; o.Login == (Login{}) {
		o.Token = secret
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c
}

// upsert makes a record of contacts, by wb_key; fields are names and JSON values.
func upsert(key string, fields ...string) sinks.Record {
	r := sinks.Record{Mapping: "contacts", Source: `{"id":` + key + `}`, Object: "contacts", Op: sinks.Upsert,
		Key: sinks.Field{Name: "wb_key", Value: quoted(key)}, Position: cdc.Position{LSN: 7}}
	for i := 0; i < len(fields); i += 2 {
		r.Fields = append(r.Fields, sinks.Field{Name: fields[i], Value: json.RawMessage(fields[i+1])})
	}
	return r
}

func remove(key string) sinks.Record {
	r := upsert(key)
	r.Op = sinks.Delete
	return r
}

func deliver(t *testing.T, c *Client, records ...sinks.Record) ([]sinks.Result, error) {
	t.Helper()
	return c.Deliver(t.Context(), sinks.Batch{Object: records[0].Object, Records: records})
}

// outcome writes an error's kind in a few words.
func outcome(err error) string {
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
		pau *sinks.Paused
		rej *sinks.Rejected
		mis *sinks.Misconfigured
	)
	note := ""
	if err != nil && sinks.Unknown(err) {
		note = " unknown"
	}
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &rej):
		return "rejected " + rej.Code + note
	case errors.As(err, &thr):
		return fmt.Sprintf("throttled %v", thr.After) + note
	case errors.As(err, &pau):
		return fmt.Sprintf("paused %v", pau.After) + note
	case errors.As(err, &mis):
		return "misconfigured: " + mis.Hint + note
	case errors.As(err, &ret):
		return fmt.Sprintf("retry %v", ret.After) + note
	}
	return sinks.Code(err) + note
}

func outcomes(rs []sinks.Result, err error) string {
	if err != nil {
		return "batch: " + outcome(err)
	}
	var out []string
	for _, r := range rs {
		if r.Err == nil {
			out = append(out, r.RemoteID)
		} else {
			out = append(out, outcome(r.Err))
		}
	}
	return strings.Join(out, ", ")
}

// notes are sinks.Notes in memory.
type notes struct {
	mu     sync.Mutex
	spaces map[string]map[string]string
	sets   int
	err    error
}

func (n *notes) Get(_ context.Context, space string, keys []string) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := n.spaces[space][k]; ok {
			out[k] = v
		}
	}
	return out, n.err
}

func (n *notes) All(_ context.Context, space string) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.spaces[space]), n.err
}

func (n *notes) Set(_ context.Context, space string, m map[string]string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sets++
	if n.err != nil {
		return n.err
	}
	if n.spaces == nil {
		n.spaces = map[string]map[string]string{}
	}
	if n.spaces[space] == nil {
		n.spaces[space] = map[string]string{}
	}
	for k, v := range m {
		n.spaces[space][k] = v
		if v == "" {
			delete(n.spaces[space], k)
		}
	}
	return nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for space, m := range n.spaces {
		if len(m) == 0 {
			delete(n.spaces, space)
		}
	}
	return fmt.Sprint(n.spaces)
}

func withNotes(c *Client) *notes {
	n := &notes{}
	c.TakeNotes(n)
	return n
}
