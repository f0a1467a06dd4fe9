package restapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// maxBody is the most bytes of a request, maxBulk the most records.
const (
	maxBody = 8 << 20
	maxBulk = 100
)

// Options configure a Server. The zero value takes anything from anybody.
type Options struct {
	Auth Auth
	// Collections are those that there are; nil is any name, without rules.
	Collections map[string]Rules
	// Hooks are the addresses of webhooks; nil is any name, without a look at signatures.
	Hooks map[string]Hook
	// PerSecond is the most calls in any second; zero is no limit.
	PerSecond int
	// SearchLag is how long a new record is not found by a search.
	SearchLag time.Duration
	Now       func() time.Time // nil is time.Now
}

// Server is the simulation. It is an http.Handler, safe for concurrent use, owns no
// goroutine and needs no Close.
type Server struct {
	options Options
	mux     *http.ServeMux

	// mu covers what follows. It is never held during I/O.
	mu          sync.Mutex
	collections map[string]*collection
	hooks       map[string]*hook
	window      sim.Window
	issued      map[string]time.Time // access tokens and when they end
	tokens      int                  // made so far, also before a Reset
	calls       map[string]int64
	ask         func(object string, fields map[string]json.RawMessage) *sim.Refusal // outlives a Reset
}

// New makes a Server. The error says which key of a hook is none.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Auth.Lifetime == 0 {
		o.Auth.Lifetime = time.Hour
	}
	s := &Server{options: o}
	for name, h := range o.Hooks {
		if _, err := newHook(h); err != nil {
			return nil, fmt.Errorf("make hook %s: %w", name, err)
		}
	}
	s.resetLocked()
	s.mux = s.routes()
	return s, nil
}

// Reset forgets all records, events, access tokens and counts, and the rules and hooks that
// were switched; hooks that were gone are back.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
}

func (s *Server) resetLocked() {
	s.collections = make(map[string]*collection)
	for name, rules := range s.options.Collections {
		s.collections[name] = newCollection(name, rules, s.options.SearchLag)
	}
	s.hooks = make(map[string]*hook)
	for name, h := range s.options.Hooks {
		if made, err := newHook(h); err == nil { // New has looked at them
			s.hooks[name] = made
		}
	}
	s.window = sim.Window{Max: s.options.PerSecond, Per: time.Second}
	s.issued = make(map[string]time.Time)
	s.calls = make(map[string]int64)
}

// Remove takes a hook away: what is sent to it is answered with 410 from then on.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(name)
}

func (s *Server) removeLocked(name string) {
	if h := s.hook(name); h != nil {
		h.gone = true
	}
}

// Events copies what arrived at a hook, oldest first.
func (s *Server) Events(name string) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[name]
	if h == nil {
		return nil
	}
	out := make([]Event, len(h.events))
	for i, e := range h.events {
		out[i] = *e
	}
	return out
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// call is a request with its body.
type call struct {
	*http.Request
	now  time.Time
	body []byte
}

// reply is an answer; a body that is nil is none.
type reply struct {
	status int
	body   any
	wait   time.Duration // before the next try
}

// refuse makes an answer of errors.
func refuse(status int, wrong ...problem) reply {
	return reply{status: status, body: map[string][]problem{"errors": wrong}}
}

var notFound = refuse(http.StatusNotFound, problem{Code: "not_found", Message: "there is no such thing"})

// handler does a call, with mu held.
type handler func(s *Server, c *call) reply

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{collection}", s.serve("create", true, create))
	mux.HandleFunc("GET /{collection}", s.serve("search", true, search))
	mux.HandleFunc("GET /{collection}/{id}", s.serve("read", true, read))
	mux.HandleFunc("PATCH /{collection}/{id}", s.serve("update", true, change(true)))
	mux.HandleFunc("PUT /{collection}/{id}", s.serve("replace", true, change(false)))
	mux.HandleFunc("DELETE /{collection}/{id}", s.serve("delete", true, remove))
	// Tokens and webhooks have an authentication of their own.
	mux.HandleFunc("POST /oauth/token", s.serve("token", false, token))
	mux.HandleFunc("POST /_control", s.serveControl)
	unknown := s.serve("unknown_path", true, func(*Server, *call) reply { return notFound })
	mux.HandleFunc("POST /{collection}/{name}", byName(s.serve("hook", false, receive), s.serve("bulk", true, bulk), unknown))
	mux.HandleFunc("/", unknown)
	return mux
}

// byName tells a webhook from a bulk, since patterns of a mux cannot: /hooks/bulk could be
// either.
func byName(hook, bulk, unknown http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.PathValue("collection") == "hooks":
			hook(w, r)
		case r.PathValue("name") == "bulk":
			bulk(w, r)
		default:
			unknown(w, r)
		}
	}
}

// serve makes a handler of HTTP: it lets a call in, or says why not, and writes the answer.
// The body is read to its end first: only then does the server see a client that goes away.
func (s *Server) serve(kind string, auth bool, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		s.mu.Lock()
		s.calls[kind]++
		c := &call{Request: r, now: s.options.Now(), body: body}
		out := s.admitLocked(c, auth, err)
		if out == nil {
			done := h(s, c)
			out = &done
		}
		s.mu.Unlock()
		out.write(w)
	}
}

func (s *Server) admitLocked(c *call, auth bool, bodyErr error) *reply {
	stop := func(why string, status int, code, message string) *reply {
		s.calls[why]++
		out := refuse(status, problem{Code: code, Message: message})
		return &out
	}
	var tooLarge *http.MaxBytesError
	if errors.As(bodyErr, &tooLarge) {
		return stop("too_large", http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("at most %d bytes", maxBody))
	}
	if bodyErr != nil {
		return stop("unreadable", http.StatusBadRequest, "unreadable", "the request could not be read")
	}
	if auth {
		if why := s.options.Auth.denied(c.Request, c.body, s.issued, c.now); why != "" {
			return stop("unauthorized", http.StatusUnauthorized, "unauthorized", why)
		}
	}
	if wait, ok := s.window.Take(c.now); !ok {
		out := stop("throttled", http.StatusTooManyRequests, "rate_limit", "too many requests")
		out.wait = wait
		return out
	}
	return nil
}

func (r *reply) write(w http.ResponseWriter) {
	if r.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.wait.Seconds()))))
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	text, err := json.Marshal(r.body)
	if err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	// An error here means that the client has gone; there is nobody to tell.
	_, _ = w.Write(text)
}

// Calls gives the number of requests by kind, such as create, and of those that were not
// carried out by why: unauthorized, throttled, too_large, unreadable; repeated counts the
// webhooks that had arrived before.
func (s *Server) Calls() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}
