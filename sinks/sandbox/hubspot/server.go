package hubspot

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the most bytes of a request.
const maxBody = 8 << 20

// Server is the simulation of one account. It is an http.Handler, safe for concurrent use,
// owns no goroutine and needs no Close.
type Server struct {
	options Options
	mux     *http.ServeMux

	// mu covers what follows. It is never held during I/O.
	mu        sync.Mutex
	portal    *portal
	limiter   *limiter
	locks     *locks
	tokens    tokens
	migrating time.Time // the account is moved until then
	uninstall bool      // the account has removed the public app
	calls     map[string]int64
	rnd       *rand.Rand
	refuse    refuser // outlives a Reset
}

// New makes a Server.
func New(o Options) *Server {
	s := &Server{options: o.withDefaults()}
	s.resetLocked()
	s.mux = s.routes()
	return s
}

// Reset forgets all records, counts, access tokens and switches.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
}

func (s *Server) resetLocked() {
	o := &s.options
	s.portal = newPortal(o)
	s.portal.refuse = s.refuse
	s.limiter = newLimiter(o.Limits, o.Zone)
	s.locks = newLocks(o.Lock)
	s.tokens = tokens{issued: make(map[string]time.Time)}
	s.migrating, s.uninstall = time.Time{}, false
	s.calls = make(map[string]int64)
	s.rnd = rand.New(rand.NewPCG(o.Seed, 0x48b5))
}

// Lock makes the next calls that write meet a lock (423).
func (s *Server) Lock(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks.next = calls
	s.options.Logger.Info("hubspot_locked", "calls", calls)
}

// Migrate moves the account to another data centre: until that is over every call is
// answered with 477, and Retry-After says how long it will take.
func (s *Server) Migrate(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.migrating = s.options.Now().Add(d)
	s.options.Logger.Info("hubspot_migrates", "for", d)
}

// Uninstall takes the public app from the account: its access tokens end, and its refresh
// token is answered with BAD_HUB.
func (s *Server) Uninstall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uninstall = true
	clear(s.tokens.issued)
	s.options.Logger.Info("hubspot_uninstalled")
}

// Restore takes a record out of the recycling bin, as people do in the app. It tells
// whether there was one to restore.
func (s *Server) Restore(object, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, f := s.portal.table(object)
	return f == nil && s.portal.restore(t, id, s.options.Now())
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// call is a request that was let in.
type call struct {
	*http.Request
	now    time.Time
	answer http.Header // headers of the answer
	body   []byte
	public bool // it is of a public app (OAuth)
}

// reply is what a call comes to: a status and what its body says, nil if it has none.
type reply struct {
	status int
	body   any
}

// handler does a call, with mu held.
type handler func(s *Server, c *call) (reply, *fault)

// kind is what sort of call it is.
type kind struct {
	name   string // as it is counted
	write  bool   // it may meet a lock
	search bool
	scope  string // such as crm.objects.TYPE.write; TYPE is that of the path
	from   string // the part of the path that is TYPE
}

// notFound answers a path that there is not. HubSpot says so before it asks who calls.
func (s *Server) notFound(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.calls["unknown_path"]++
	f, id := noSuchPath(), s.correlationLocked()
	s.mu.Unlock()
	answer(w, f.status, f.body(id))
}

// serve makes a handler of HTTP: it lets a call in, or says why not, and writes the answer.
func (s *Server) serve(k kind, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, tooLong := readBody(w, r)
		s.mu.Lock()
		c := &call{Request: r, now: s.options.Now(), answer: w.Header(), body: body}
		out := s.doLocked(k, h, c, tooLong)
		s.mu.Unlock()
		answer(w, out.status, out.body)
	}
}

func (s *Server) doLocked(k kind, h handler, c *call, tooLong *fault) reply {
	s.calls[k.name]++
	out, f := reply{}, tooLong
	if f == nil {
		var stop *reply
		if stop, f = s.admitLocked(k, c); stop != nil {
			return *stop
		}
	}
	if f == nil {
		out, f = h(s, c)
	}
	if f != nil {
		s.calls["refused"]++
		return reply{f.status, f.body(s.correlationLocked())}
	}
	return out
}

// admitLocked lets a call in, in the order: who calls, may they, is the account there, is it
// within the limits, and is nobody else writing.
func (s *Server) admitLocked(k kind, c *call) (*reply, *fault) {
	who, f := s.whoLocked(c)
	if f != nil {
		s.calls["unauthorized"]++
		return nil, f
	}
	c.public = who.public
	if f := s.permit(k, c, who); f != nil {
		s.calls["forbidden"]++
		return nil, f
	}
	if left := s.migrating.Sub(c.now); left > 0 {
		s.calls["migrating"]++
		c.answer.Set("Retry-After", strconv.Itoa(int((left+time.Second-1)/time.Second)))
		return nil, &fault{status: 477, message: "This account is being migrated between data centers."}
	}
	if over := s.limiter.take(c.now, k.search); over != nil {
		s.calls["throttled"]++
		if !k.search {
			s.limiter.headers(c.answer, c.now, c.public)
		}
		return &reply{http.StatusTooManyRequests, errorBody{Status: "error", Message: over.message, ErrorType: "RATE_LIMIT",
			CorrelationID: s.correlationLocked(), PolicyName: over.policy}}, nil
	}
	if !k.search {
		s.limiter.headers(c.answer, c.now, c.public)
	}
	if k.write && s.locks.locked(s.portal.nameOf(c.PathValue(k.from)), c.now) {
		s.calls["locked"]++
		return nil, &fault{status: http.StatusLocked, message: "The resource is locked while other writes are carried out."}
	}
	return nil, nil
}

// permit tells whether an app may make a call.
func (s *Server) permit(k kind, c *call, who caller) *fault {
	scope := k.scope
	if k.from != "" {
		scope = strings.Replace(scope, "TYPE", s.portal.nameOf(c.PathValue(k.from)), 1)
	}
	if who.may(scope) {
		return nil
	}
	return &fault{status: http.StatusForbidden, category: missingScopes,
		message: "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
		details: []detail{{Message: "One or more of the following scopes are required.", Context: map[string][]string{"requiredGranularScopes": {scope}}}}}
}

// correlationLocked makes the id that HubSpot's support asks for.
func (s *Server) correlationLocked() string {
	a, b := s.rnd.Uint64(), s.rnd.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", uint32(a>>32), uint16(a>>16), a&0xfff, b>>52, b&0xffffffffffff)
}

// Calls gives the number of requests by kind, such as batch_upsert, and of those that were
// not carried out by why: refused, throttled, locked, unauthorized, forbidden, migrating.
func (s *Server) Calls() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func answer(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	// An error here means that the client has gone; there is nobody to tell.
	_, _ = w.Write(text)
}
