package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// open opens an event stream; the test closes its body.
func open(ctx context.Context, t *testing.T, base string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := resp.Body.Close(); err != nil {
			t.Errorf("close stream: %v", err)
		}
	})
	return resp
}

// next reads one event.
func next(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read event: %v", err)
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok {
		t.Fatalf("line %q is no data", line)
	}
	if blank, err := r.ReadString('\n'); err != nil || blank != "\n" {
		t.Fatalf("after the data: %q, %v", blank, err)
	}
	var a answer
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		t.Fatalf("event %q: %v", data, err)
	}
	return a
}

func TestEvents(t *testing.T) {
	source := &fake{status: full()}
	base, _ := start(t, source, func(s *Server) { s.every = 5 * time.Millisecond })
	resp := open(t.Context(), t, base)
	wantHeader(t, "/api/events", resp, "Content-Type", "text/event-stream")
	wantHeader(t, "/api/events", resp, "Cache-Control", "no-store")
	wantHeader(t, "/api/events", resp, "X-Content-Type-Options", "nosniff")
	r := bufio.NewReader(resp.Body)
	if a := next(t, r); a.Name != "sales" || !a.Ready || len(a.Targets) != 1 {
		t.Errorf("first event: %+v", a)
	}
	source.set(errors.New("stalled"))
	for a := next(t, r); a.Ready; a = next(t, r) {
	}
}

// The timeouts of the server are for requests that should end. A stream that is
// read goes on past them.
func TestEventsOutliveTheTimeouts(t *testing.T) {
	const limit = 60 * time.Millisecond
	base, _ := start(t, &fake{}, func(s *Server) {
		s.every = 10 * time.Millisecond
		s.http.ReadTimeout, s.http.WriteTimeout = limit, limit
	})
	r := bufio.NewReader(open(t.Context(), t, base).Body)
	for began := time.Now(); time.Since(began) < 5*limit; {
		next(t, r)
	}
}

func TestEventStreamsAreBounded(t *testing.T) {
	base, _ := start(t, &fake{}, func(s *Server) {
		s.every = 5 * time.Millisecond
		s.streams = make(chan struct{}, 2)
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 2 {
		next(t, bufio.NewReader(open(ctx, t, base).Body))
	}
	resp, body := do(t, http.MethodGet, base+"/api/events")
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(body, "2 event streams are open") {
		t.Fatalf("third stream: %d %q", resp.StatusCode, body)
	}
	wantHeader(t, "/api/events", resp, "Retry-After", "10")
	if resp, _ := do(t, http.MethodGet, base+"/api/status"); resp.StatusCode != 200 {
		t.Errorf("status beside full streams: %d", resp.StatusCode)
	}
	// Clients that leave make room; the server learns of it by its reading.
	leave()
	for {
		resp := open(t.Context(), t, base)
		if resp.StatusCode == 200 {
			return
		}
	}
}

// A client that holds its connection and does not read loses it.
func TestEventsDropAClientThatDoesNotRead(t *testing.T) {
	big := full()
	big.Targets[0].LastError = strings.Repeat("x", 1<<20)
	ended := make(chan struct{})
	base, _ := start(t, &fake{status: big}, func(s *Server) {
		s.every, s.timeout = time.Millisecond, 20*time.Millisecond
		inner := s.http.Handler
		s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			inner.ServeHTTP(w, r)
		})
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if _, err := io.WriteString(conn, "GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream is still written to")
	}
}

func TestShutdownWithAnOpenStream(t *testing.T) {
	base, stop := start(t, &fake{}, func(s *Server) { s.every = time.Hour })
	r := bufio.NewReader(open(t.Context(), t, base).Body)
	next(t, r)
	began := time.Now()
	stop()
	if took := time.Since(began); took >= stopTimeout {
		t.Errorf("stopping took %s: it waited for the stream", took)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the stop: %v, want a clean end", err)
	}
}

// A request that does not end is cut off, and Run still returns.
func TestShutdownCutsOffWhatHangs(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	base, stop := start(t, &fake{}, func(s *Server) {
		s.grace = 20 * time.Millisecond
		s.http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(inside)
			<-release
		})
	})
	failed := make(chan error, 1)
	go func() {
		resp, err := client.Get(base)
		if err == nil {
			err = errors.Join(errors.New("answered"), resp.Body.Close())
		}
		failed <- err
	}()
	<-inside
	stop()
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Errorf("the hanging request: %v, want its connection closed", err)
	}
	close(release)
}
