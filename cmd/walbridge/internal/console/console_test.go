package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a source whose answers a test sets.
type fake struct {
	mu     sync.Mutex // covers the rest
	status Status
	ready  error
}

func (f *fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready
}

func (f *fake) set(ready error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = ready
}

func full() Status {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return Status{
		Name: "sales", Version: "v1", Started: at, Now: at.Add(time.Minute),
		Capture: &Capture{
			State: "streaming", Slot: "walbridge_sales", Publication: "walbridge_pub", Rows: 7, Transactions: 3, Bytes: 99, Entries: 8,
			RowsPerSecond: 2.5, Appended: "0/3", Confirmed: "0/2", ServerEnd: "0/4", LagBytes: 2, Durability: "none", Progress: at,
			CompleteUntil: at.Add(time.Second), LagMS: 2500, Retained: 11, Budget: 12, Losses: 13,
			Backfills: []Backfill{{ID: "0a1b", Table: "public.deals", State: "running", Rows: 14, Estimate: 15, RowsPerSecond: 16, LeftSeconds: 17, Reason: "request", Note: "<i>"}},
		},
		Log: &Log{Entries: 21, Bytes: 22, Oldest: at, Trimmed: 23, HeldBy: "crm", HeldBytes: 24, Over: 25, Memory: 26, MaxMemory: 27,
			Detached: []string{"forecast"}, BlockedMS: 28, BlockedText: "OOM"},
		Targets: []Target{{
			Name: "crm", Type: "http", State: "paused", PausedUntil: at, Why: "429", LastError: "<b>429</b>",
			Owned: 3, Partitions: 8, InFlight: 1, Pending: 2, Requests: 3, Retries: 4, Throttles: 9, Account: "sf", Rate: 2.5, RateLimit: 10, BudgetKnown: true, BudgetDaily: 100, BudgetLeft: 60, Parked: 5, Deferred: 30, DeferredAge: 1.5, Waiting: 31, SLOMet: 7, SLOMissed: 8,
			Lanes: []Lane{{
				Name: "urgent", Changes: 10, Records: 4, ChangesPerSecond: 1, RecordsPerSecond: 0.5, Lag: 6, Age: 1250 * time.Millisecond,
				P50: 1500 * time.Microsecond, P95: 20 * time.Millisecond, P99: 2 * time.Second,
			}},
		}},
	}
}

// start runs a console for the time of the test and fails it if Run gives an
// error. The function it returns stops the console and waits for Run.
func start(t *testing.T, source Source, change func(*Server)) (base string, stop func()) {
	t.Helper()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "walbridge_made_up_total", Help: "For the test."})
	registry.MustRegister(counter)
	counter.Add(42)
	s, err := New(Options{Listen: "127.0.0.1:0", Source: source, Gatherer: registry, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return "http://" + s.Addr(), stop
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// client keeps no connection, so that goleak sees only what the console leaves,
// and ends streams on which nothing comes.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

func do(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestRoutes(t *testing.T) {
	base, _ := start(t, &fake{status: full()}, nil)
	for _, c := range []struct {
		path  string
		code  int
		kind  string
		cache string
		holds string
	}{
		{"/", 200, "text/html; charset=utf-8", "no-cache", "<!doctype html>"},
		{"/app.js", 200, "text/javascript; charset=utf-8", "no-cache", "EventSource"},
		{"/format.js", 200, "text/javascript; charset=utf-8", "no-cache", "export function"},
		{"/style.css", 200, "text/css; charset=utf-8", "no-cache", "prefers-color-scheme: dark"},
		{"/favicon.svg", 200, "image/svg+xml", "no-cache", "<svg"},
		{"/favicon.ico", 200, "image/svg+xml", "no-cache", "<svg"},
		{"/api/status", 200, "application/json", "no-store", `"name":"sales"`},
		{"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "no-store", "walbridge_made_up_total 42"},
		{"/livez", 200, "text/plain; charset=utf-8", "no-store", "ok\n"},
		{"/readyz", 200, "text/plain; charset=utf-8", "no-store", "ok\n"},
		{"/index.html", 404, "text/plain; charset=utf-8", "", "404"},
		{"/static/app.js", 404, "text/plain; charset=utf-8", "", "404"},
		{"/api/", 404, "text/plain; charset=utf-8", "", "404"},
		{"/api/status/more", 404, "text/plain; charset=utf-8", "", "404"},
	} {
		resp, body := do(t, http.MethodGet, base+c.path)
		if resp.StatusCode != c.code || !strings.Contains(body, c.holds) {
			t.Errorf("GET %s: %d %.80q, want %d with %q", c.path, resp.StatusCode, body, c.code, c.holds)
		}
		wantHeader(t, c.path, resp, "Content-Type", c.kind)
		wantHeader(t, c.path, resp, "Cache-Control", c.cache)
		wantHeader(t, c.path, resp, "X-Content-Type-Options", "nosniff")
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: policy %q", c.path, csp)
		}
	}
}

func wantHeader(t *testing.T, path string, resp *http.Response, name, want string) {
	t.Helper()
	if got := resp.Header.Get(name); got != want {
		t.Errorf("%s: %s is %q, want %q", path, name, got, want)
	}
}

func TestMethods(t *testing.T) {
	source := &fake{status: full()}
	base, _ := start(t, source, nil)
	for _, path := range []string{"/", "/app.js", "/api/status", "/api/events", "/metrics", "/livez", "/readyz"} {
		resp, body := do(t, http.MethodHead, base+path)
		if resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d %q", path, resp.StatusCode, body)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			resp, _ := do(t, method, base+path)
			if resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, resp.StatusCode)
			}
			wantHeader(t, path, resp, "Allow", "GET, HEAD")
		}
	}
}

func TestUnchangedFileIsNotSentAgain(t *testing.T) {
	base, _ := start(t, &fake{}, nil)
	first, _ := do(t, http.MethodGet, base+"/app.js")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/app.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", first.Header.Get("ETag"))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusNotModified {
		t.Errorf("asked with the tag: %d", resp.StatusCode)
	}
}

func TestStatusJSON(t *testing.T) {
	base, _ := start(t, &fake{status: full(), ready: errors.New("capture: no keepalive for 40s")}, nil)
	_, body := do(t, http.MethodGet, base+"/api/status")
	want := `{"name":"sales","version":"v1","started":"2026-03-04T05:06:07Z","now":"2026-03-04T05:07:07Z",
		"capture":{"state":"streaming","slot":"walbridge_sales","publication":"walbridge_pub","rows":7,"transactions":3,
			"bytes":99,"entries":8,"rows_per_second":2.5,"appended":"0/3","confirmed":"0/2","server_end":"0/4","lag_bytes":2,
			"durability":"none","progress":"2026-03-04T05:06:07Z","complete_until":"2026-03-04T05:06:08Z","lag_ms":2500,
			"retained_wal_bytes":11,"wal_budget_bytes":12,"losses":13,"backfills":[{"id":"0a1b","table":"public.deals","state":"running","rows":14,"estimate":15,"rows_per_second":16,"left_seconds":17,"reason":"request","note":"\u003ci\u003e"}]},
		"log":{"entries":21,"bytes":22,"oldest":"2026-03-04T05:06:07Z","trimmed":23,"held_by":"crm","held_bytes":24,"over_bytes":25,
			"memory_bytes":26,"max_memory_bytes":27,"detached":["forecast"],"blocked_ms":28,"blocked_text":"OOM"},
		"targets":[{"name":"crm","type":"http","state":"paused","owned":3,"partitions":8,"paused_until":"2026-03-04T05:06:07Z",
			"why":"429","last_error":"\u003cb\u003e429\u003c/b\u003e","in_flight":1,"pending":2,"requests":3,"retries":4,"throttles":9,"account":"sf","rate":2.5,"rate_limit":10,"budget_known":true,"budget_daily":100,"budget_left":60,"parked":5,"deferred":30,"deferred_seconds":1.5,"waiting_for_parent":31,"slo_met":7,"slo_missed":8,
			"lanes":[{"name":"urgent","changes":10,"records":4,"changes_per_second":1,"records_per_second":0.5,"lag":6,"age_ms":1250,
				"p50_ms":1.5,"p95_ms":20,"p99_ms":2000}]}],
		"ready":false,"not_ready":"capture: no keepalive for 40s"}`
	var short bytes.Buffer
	if err := json.Compact(&short, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(body); got != short.String() {
		t.Errorf("got  %s\nwant %s", got, short.String())
	}
}

// A source that has little to say, or divides by zero, still gives valid JSON,
// and what it gave is not changed in place.
func TestStatusJSONOfOddSources(t *testing.T) {
	lanes := []Lane{{Name: "bulk", ChangesPerSecond: math.NaN(), RecordsPerSecond: math.Inf(1)}}
	given := Status{
		Capture: &Capture{RowsPerSecond: math.Inf(-1)},
		Targets: []Target{{Name: "a"}, {Name: "b", Lanes: lanes}},
	}
	base, _ := start(t, &fake{status: given}, nil)
	_, body := do(t, http.MethodGet, base+"/api/status")
	var got struct {
		Capture map[string]any
		Targets []struct {
			Lanes       []map[string]any
			PausedUntil *string `json:"paused_until"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if got.Capture["rows_per_second"] != 0.0 || got.Targets[1].Lanes[0]["changes_per_second"] != 0.0 || got.Targets[1].Lanes[0]["records_per_second"] != 0.0 {
		t.Errorf("rates that are no numbers are not 0: %s", body)
	}
	if _, ok := got.Capture["progress"]; ok || got.Targets[0].PausedUntil != nil {
		t.Errorf("times that are not known are not left out: %s", body)
	}
	if got.Targets[0].Lanes == nil {
		t.Errorf("no lanes is not an empty list: %s", body)
	}
	if given.Targets[0].Lanes != nil || !math.IsInf(given.Capture.RowsPerSecond, -1) {
		t.Error("the source's own values were changed")
	}
	empty, _ := start(t, &fake{}, nil)
	if _, body := do(t, http.MethodGet, empty+"/api/status"); !strings.Contains(body, `"capture":null,"log":null,"targets":[]`) {
		t.Errorf("empty status: %s", body)
	}
}

func TestReadiness(t *testing.T) {
	source := &fake{}
	base, _ := start(t, source, nil)
	source.set(errors.New("redis is not reachable"))
	resp, body := do(t, http.MethodGet, base+"/readyz")
	if resp.StatusCode != http.StatusServiceUnavailable || body != "not ready: redis is not reachable\n" {
		t.Errorf("without progress: %d %q", resp.StatusCode, body)
	}
	if resp, _ := do(t, http.MethodGet, base+"/livez"); resp.StatusCode != 200 {
		t.Errorf("alive without progress: %d", resp.StatusCode)
	}
	source.set(nil)
	if resp, _ := do(t, http.MethodGet, base+"/readyz"); resp.StatusCode != 200 {
		t.Errorf("with progress: %d", resp.StatusCode)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct{ name, listen, what, hint string }{
		{"in use", taken.Addr().String(), "listen: open \"" + taken.Addr().String() + "\" for the console: bind: address already in use", "another process"},
		{"not here", "192.0.2.1:8642", "listen: open \"192.0.2.1:8642\" for the console: bind: cannot assign requested address", "this machine has no such address"},
		{"no port", "127.0.0.1", "listen: open \"127.0.0.1\" for the console: address 127.0.0.1: missing port in address", "set listen to host:port"},
		{"empty", "", "listen: no address to serve the console on", "set listen to host:port"},
	} {
		_, err := New(Options{Listen: c.listen, Source: &fake{}, Gatherer: prometheus.NewRegistry(), Logger: quiet()})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		what, hint, _ := strings.Cut(err.Error(), "\n  hint: ")
		if what != c.what || !strings.HasPrefix(hint, c.hint) {
			t.Errorf("%s: %q, hint %q", c.name, what, hint)
		}
	}
	if _, err := New(Options{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("no source: no error")
	}
}

func TestRunWithEndedContextFreesThePort(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0", Source: &fake{}, Gatherer: prometheus.NewRegistry(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	again, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatalf("port not free: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// full must fill every field, or the tests of the JSON and the page see less.
func TestFullIsFull(t *testing.T) {
	s := full()
	for _, v := range []any{s, *s.Capture, *s.Log, s.Targets[0], s.Targets[0].Lanes[0]} {
		r := reflect.ValueOf(v)
		for i := range r.NumField() {
			if r.Field(i).IsZero() {
				t.Errorf("%s.%s is not filled", r.Type().Name(), r.Type().Field(i).Name)
			}
		}
	}
}
