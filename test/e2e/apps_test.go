package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

// apps are the targets: the sandbox behind a recorder, on a listener that can be
// taken away and brought back at the same address.
type apps struct {
	*sandbox.Server
	t    testing.TB
	addr string

	mu       sync.Mutex // covers what follows
	server   *http.Server
	ended    chan error
	requests []request
	late     func() time.Duration // for how long a request lies about; nil if none does
}

// request is one request as it arrived, and what it was answered. It began when all of it
// was there.
type request struct {
	began, ended time.Time
	app, object  string
	records      []sandbox.Record
	header       http.Header
	status       int // zero without an answer
}

// newApps serves a sandbox that remembers everything.
func newApps(t testing.TB) *apps {
	t.Helper()
	a := &apps{t: t, Server: sandbox.New(sandbox.Options{History: 1 << 22})}
	a.listen("127.0.0.1:0")
	t.Cleanup(a.close)
	return a
}

// listen serves at an address.
func (a *apps) listen(address string) {
	a.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addr = l.Addr().String()
	a.server = &http.Server{Handler: http.HandlerFunc(a.record), ReadHeaderTimeout: 10 * time.Second}
	a.ended = make(chan error, 1)
	go func(s *http.Server, ended chan error) { ended <- s.Serve(l) }(a.server, a.ended)
}

// reopen serves at the address of before.
func (a *apps) reopen() { a.listen(a.addr) }

// close stops serving; connections are refused from now on.
func (a *apps) close() {
	a.mu.Lock()
	s, ended := a.server, a.ended
	a.server = nil
	a.mu.Unlock()
	if s == nil {
		return
	}
	if err := s.Close(); err != nil {
		a.t.Errorf("close the targets: %v", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		a.t.Errorf("serve the targets: %v", err)
	}
}

// url is where batches for an app are posted.
func (a *apps) url(app string) string { return "http://" + a.addr + "/" + app + "/batch" }

// record notes a request and hands it to the sandbox.
func (a *apps) record(w http.ResponseWriter, r *http.Request) {
	req := request{header: r.Header.Clone()}
	req.app, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away; nothing was applied
	}
	req.began = time.Now()
	var batch struct {
		Object  string           `json:"object"`
		Records []sandbox.Record `json:"records"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		a.t.Errorf("a request to %s is not JSON: %v", req.app, err)
	}
	req.object, req.records = batch.Object, batch.Records
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &answer{ResponseWriter: w}
	// Deferred, because the sandbox breaks connections on purpose.
	defer func() {
		req.ended, req.status = time.Now(), answer.status
		a.mu.Lock()
		a.requests = append(a.requests, req)
		a.mu.Unlock()
	}()
	ctx, cancel := a.lieAbout(r.Context())
	defer cancel()
	a.ServeHTTP(answer, r.WithContext(ctx))
}

// lateAtRandom has some of the requests lie about for up to most before they are carried
// out, whatever has become of who sent them.
func (a *apps) lateAtRandom(seed uint64, rate float64, most time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, 96))
	a.late = func() time.Duration { // with mu held
		if rng.Float64() >= rate {
			return 0
		}
		return time.Duration(rng.Int64N(int64(most)))
	}
}

// lieAbout holds a request back if it is to be late. It is carried out then even if nobody
// waits for its answer any more.
func (a *apps) lieAbout(ctx context.Context) (context.Context, context.CancelFunc) {
	var d time.Duration
	a.mu.Lock()
	if a.late != nil {
		d = a.late()
	}
	a.mu.Unlock()
	if d == 0 {
		return ctx, func() {}
	}
	<-time.After(d)
	return context.WithTimeout(context.WithoutCancel(ctx), time.Second) // a fault may have it hang
}

// answer notes the status.
type answer struct {
	http.ResponseWriter
	status int
}

func (w *answer) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the sandbox take the connection.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answered copies the requests that are over, in the order they ended.
func (a *apps) answered() []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// applied counts the records that an app has applied.
func (a *apps) applied(app string) int64 {
	s := a.Stats()[app]
	return s.Upserts + s.Deletes + s.Archives
}

// inject adds faults.
func (a *apps) inject(faults ...sandbox.Fault) {
	a.t.Helper()
	if err := a.Inject(faults...); err != nil {
		a.t.Fatal(err)
	}
}
