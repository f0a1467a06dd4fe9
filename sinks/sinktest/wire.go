package sinktest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// fault answers one request. serve lets the server carry it out, and gives its answer; it may
// be called once.
type fault func(w http.ResponseWriter, r *http.Request, serve func() *httptest.ResponseRecorder)

// wire stands in front of a server that speaks HTTP.
type wire struct {
	http    *httptest.Server
	server  http.Handler
	carries func(r *http.Request) bool
	closing chan struct{}
	once    sync.Once

	mu      sync.Mutex // covers what follows
	next    []fault    // for the requests with records to come
	always  fault      // for those after them, nil for none
	headers http.Header
	seen    int // requests with records
	all     int
	arrived chan struct{} // is told of each with records, if anybody listens
}

func newWire(server http.Handler, carries func(*http.Request) bool) *wire {
	if carries == nil {
		carries = func(*http.Request) bool { return true }
	}
	w := &wire{server: server, carries: carries, closing: make(chan struct{}), arrived: make(chan struct{}, 1)}
	w.http = httptest.NewServer(w)
	return w
}

func (w *wire) close() {
	w.once.Do(func() {
		close(w.closing)
		w.http.CloseClientConnections()
		w.http.Close()
	})
}

// script sets what happens to the next requests with records, one each.
func (w *wire) script(next ...fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.always = next, nil
}

// forever sets what happens to each request with records; nil ends it.
func (w *wire) forever(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.always = nil, f
}

// tell adds headers to all answers.
func (w *wire) tell(h http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.headers = h
}

// count gives how many requests there were with records, and in all.
func (w *wire) count() (carrying, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.all
}

// take gives the fault that falls on a request.
func (w *wire) take(r *http.Request) (fault, http.Header) {
	carries := w.carries(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all++
	if !carries {
		return nil, w.headers
	}
	w.seen++
	select {
	case w.arrived <- struct{}{}:
	default:
	}
	if len(w.next) > 0 {
		f := w.next[0]
		w.next = w.next[1:]
		return f, w.headers
	}
	return w.always, w.headers
}

// ServeHTTP reads the whole request first: only then is a client noticed that goes away.
func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone before it had sent everything
	}
	again := func() *http.Request {
		r.Body = io.NopCloser(bytes.NewReader(body))
		return r
	}
	f, headers := w.take(again())
	serve := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, again())
		for name, values := range headers {
			rec.Header()[name] = values
		}
		return rec
	}
	if f == nil {
		pass(rw, serve())
		return
	}
	f(rw, again(), serve)
}

// pass sends an answer as it is.
func pass(w http.ResponseWriter, a *httptest.ResponseRecorder) {
	send(w, a.Code, a.Header(), a.Body.Bytes())
}

func send(w http.ResponseWriter, status int, h http.Header, body []byte) {
	for name, values := range h {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}

// answer is a fault that answers in place of the server; the body quotes what must not be
// shown.
func answer(status int, body string, headers ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		send(w, status, h, []byte(body))
	}
}

// applied is a fault that lets the server carry the request out and changes its answer.
func applied(change func(body []byte) []byte) fault {
	return func(w http.ResponseWriter, _ *http.Request, serve func() *httptest.ResponseRecorder) {
		a := serve()
		send(w, a.Code, a.Header(), change(a.Body.Bytes()))
	}
}

// before breaks the connection, and nothing is carried out.
func before(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) { reset(w) }

// after breaks the connection once the request was carried out.
func after(w http.ResponseWriter, _ *http.Request, serve func() *httptest.ResponseRecorder) {
	serve()
	reset(w)
}

// cut promises the whole answer and sends half of it.
func cut(w http.ResponseWriter, _ *http.Request, serve func() *httptest.ResponseRecorder) {
	a := serve()
	for name, values := range a.Header() {
		w.Header()[name] = values
	}
	body := a.Body.Bytes()
	if len(body) == 0 {
		reset(w) // there is no half of nothing
		return
	}
	w.Header().Set("Content-Length", itoa(len(body)))
	w.WriteHeader(a.Code)
	_, _ = w.Write(body[:len(body)/2]) // net/http closes the connection, as the rest is missing
}

// silence gives no answer until the client has gone, or the wire is closed.
func (w *wire) silence(_ http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
	select {
	case <-r.Context().Done():
	case <-w.closing:
	}
}

// reset ends a connection with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // without it there is an orderly end, which is no answer either
	}
	_ = conn.Close()
}

// flood is an answer without an end. It counts what the client has let come.
type flood struct {
	mu   sync.Mutex
	sent int64
}

// most bounds what a client may read of an answer that was meant to be small.
const most = 256 << 20

func (f *flood) fault(w http.ResponseWriter, r *http.Request, serve func() *httptest.ResponseRecorder) {
	serve()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for f.count() < most && r.Context().Err() == nil {
		n, err := w.Write(chunk)
		f.mu.Lock()
		f.sent += int64(n)
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (f *flood) count() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// wait waits for a request with records.
func (w *wire) wait() bool {
	select {
	case <-w.arrived:
		return true
	case <-time.After(patience):
		return false
	}
}
