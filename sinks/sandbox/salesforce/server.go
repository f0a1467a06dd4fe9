package salesforce

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// Options configure a Server. The zero value is a sales team's org that takes any login.
type Options struct {
	// Objects are the kinds of records; nil means DefaultObjects. Those named User and
	// Group have some records from the start.
	Objects []Object
	// Clients are the secrets of OAuth clients by their ids; nil takes any.
	Clients map[string]string
	// PublicKey is what assertions of the JWT flow must be signed for; nil looks at their
	// claims alone.
	PublicKey *rsa.PublicKey
	// RefreshTokens are those that are good; nil takes any.
	RefreshTokens []string
	// RotateRefresh gives a new refresh token with each refresh, in place of the one that was
	// used.
	RotateRefresh bool
	// SessionLife is how long an access token is good; zero is two hours.
	SessionLife time.Duration
	// DailyCalls bounds the API calls of 24 hours; zero is 100,000. Concurrent bounds those
	// that are answered at once; zero is without bound.
	DailyCalls, Concurrent int
	// WriteTime is how long records are locked while they are written: another request that
	// writes them, or children of the same parent, meanwhile finds them locked. Zero locks
	// nothing.
	WriteTime time.Duration
	// BulkTime is how long a bulk job takes from the end of its upload; with none it is
	// done at the next request.
	BulkTime time.Duration
	// Room is how many records the org can hold; zero is without bound.
	Room int
	// Seed starts what is random: the order of results of bulk jobs and of subrequests.
	Seed uint64
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Bounds of the API.
const (
	defaultDailyCalls  = 100_000
	defaultSessionLife = 2 * time.Hour
	maxURIBytes        = 16_384
	maxBodyBytes       = 50 << 20
	maxUploadBytes     = 150 << 20
	oldestVersion      = 46
	newestVersion      = 67
)

// Server is the simulation. It is an http.Handler and safe for concurrent use.
type Server struct {
	o Options

	// mu covers what follows. It is not held while WriteTime passes, nor during I/O.
	mu       sync.Mutex
	store    *store
	sessions map[string]time.Time // access token -> its end
	families map[string]*family   // by each of their refresh tokens
	revoked  bool                 // no login is good any more
	usage    usage
	calls    map[string]int64
	running  int
	locks    map[string]*call // what is locked -> by whom
	jobs     map[string]*job
	jobOrder []string
	jobsMade int64
	breaks   []breakage
	cursors  []*cursor
	queries  int64
	rand     *rand.Rand
	refusals func(object string, fields map[string]json.RawMessage) *sim.Refusal
}

var (
	_ sim.Simulation = (*Server)(nil)
	_ sim.Refuser    = (*Server)(nil)
	_ sim.Faulty     = (*Server)(nil)
)

// New makes a Server. It owns no goroutine and needs no Close.
func New(o Options) *Server {
	if o.Objects == nil {
		o.Objects = DefaultObjects()
	}
	if o.SessionLife <= 0 {
		o.SessionLife = defaultSessionLife
	}
	if o.DailyCalls <= 0 {
		o.DailyCalls = defaultDailyCalls
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o}
	s.Reset()
	return s
}

// Reset makes the org new: only its users and a queue are there, nobody is logged in, and the limits
// are full.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = newStore(s.o.Objects)
	for name, records := range seeded {
		if t := s.store.table(name); t != nil {
			for _, r := range records {
				s.store.insert(t, r, s.o.Now())
			}
		}
	}
	s.sessions, s.families, s.revoked = make(map[string]time.Time), make(map[string]*family), false
	s.usage, s.calls, s.locks = usage{}, make(map[string]int64), make(map[string]*call)
	s.jobs, s.jobOrder, s.jobsMade, s.breaks = make(map[string]*job), nil, 0, nil
	s.cursors, s.queries = nil, 0
	s.rand = rand.New(rand.NewPCG(s.o.Seed, 0x5f))
}

// Objects lists the kinds of records, sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.names()
}

// Count tells how many records of an object there are.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	if t := s.store.table(object); t != nil {
		return len(t.records)
	}
	return 0
}

// Records gives the records of an object, the last changed first; all if most is zero.
func (s *Server) Records(object string, most int) []sim.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	t := s.store.table(object)
	if t == nil {
		return nil
	}
	found := t.newest(most)
	rows := make([]sim.Row, len(found))
	for i, r := range found {
		rows[i] = sim.Row{ID: r.id, Fields: maps.Clone(r.fields), Changed: r.changed}
	}
	return rows
}

// Calls gives the number of requests by kind. Those that count against the daily limit are
// summed up as api: one for a composite request, whatever is in it.
func (s *Server) Calls() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// SetRefusals lets the sandbox's faults refuse records.
func (s *Server) SetRefusals(f func(object string, fields map[string]json.RawMessage) *sim.Refusal) {
	s.refusals = f
}

// Fault answers with a status as the API does, by default with the code that it has for it.
func (s *Server) Fault(w http.ResponseWriter, status int, code, message string) {
	if code == "" {
		code = map[int]string{
			401: "INVALID_SESSION_ID", 403: "REQUEST_LIMIT_EXCEEDED", 404: "NOT_FOUND", 414: "URI_TOO_LONG", 503: "SERVER_UNAVAILABLE",
		}[status]
	}
	if code == "" {
		code = "UNKNOWN_EXCEPTION"
	}
	s.write(w, (&fault{Code: code, Message: message, status: status}).reply())
}

// ExpireSessions ends all sessions: the next request of each client is answered with 401.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// RevokeGrants makes every login fail with invalid_grant, until Reset.
func (s *Server) RevokeGrants() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
}

// SpendCalls counts calls that were never made, as if somebody else had.
func (s *Server) SpendCalls(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.add(s.o.Now(), n)
}

// call is one request, or one within a composite request.
type call struct {
	s       *Server
	ctx     context.Context
	base    string // address of the org, for ids of users
	version string // as in the path, such as v63.0
	method  string
	path    []string // after the version
	query   map[string][]string
	header  http.Header
	body    []byte
	top     *call    // the request that it is within; itself if none
	held    []string // what it has locked
	waited  bool     // WriteTime has passed
}

// reply is an answer.
type reply struct {
	status int
	header map[string]string
	body   any
	csv    []byte // in place of body
}

func created(body any) reply { return reply{status: http.StatusCreated, body: body} }
func ok(body any) reply      { return reply{status: http.StatusOK, body: body} }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/services/oauth2/token":
		s.serveToken(w, r)
	case r.URL.Path == "/_control":
		s.serveControl(w, r)
	case strings.TrimSuffix(r.URL.Path, "/") == "/services/data":
		s.write(w, ok(versions()))
	default:
		s.serveData(w, r)
	}
}

var dataPath = regexp.MustCompile(`^/services/data/(v\d\d\.0)(/.*)?$`)

// serveData answers a request that needs a session and counts against the limit.
func (s *Server) serveData(w http.ResponseWriter, r *http.Request) {
	body, bad := readBody(w, r)
	if bad != nil {
		s.write(w, bad.reply())
		return
	}
	c := &call{s: s, ctx: r.Context(), base: sim.BaseURL(r), method: r.Method, header: r.Header, body: body}
	c.top = c
	answer, info := s.answer(c, r)
	w.Header().Set("Sforce-Limit-Info", info)
	s.write(w, answer)
}

// answer carries out a request; info is how much of the limit is spent.
func (s *Server) answer(c *call, r *http.Request) (a reply, info string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad := s.admit(c, r); bad != nil {
		a = bad.reply()
	} else {
		s.running++
		a = c.dispatch(r.URL.EscapedPath(), r.URL.RawQuery)
		s.running--
		s.store.commit()
		s.unlock(c)
	}
	return a, fmt.Sprintf("api-usage=%d/%d", s.usage.used(s.o.Now()), s.o.DailyCalls)
}

// admit says why a request is turned away at the door, and counts one that is not.
func (s *Server) admit(c *call, r *http.Request) *fault {
	now := s.o.Now()
	s.advance()
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	var bad *fault
	switch end, known := s.sessions[token]; {
	case len(r.RequestURI) > maxURIBytes:
		bad = &fault{Code: "URI_TOO_LONG", Message: "URI is too long", status: http.StatusRequestURITooLong}
	case !bearer:
		bad = &fault{Code: "INVALID_AUTH_HEADER", Message: "INVALID_AUTH_HEADER", status: http.StatusUnauthorized}
	case !known || !now.Before(end):
		bad = &fault{Code: "INVALID_SESSION_ID", Message: "Session expired or invalid", status: http.StatusUnauthorized}
	case s.usage.used(now) >= s.o.DailyCalls:
		bad = &fault{Code: "REQUEST_LIMIT_EXCEEDED", Message: "TotalRequests Limit exceeded.", status: http.StatusForbidden}
	case s.o.Concurrent > 0 && s.running >= s.o.Concurrent:
		bad = &fault{Code: "REQUEST_LIMIT_EXCEEDED", Message: "ConcurrentPerOrgLongTxn Limit exceeded.", status: http.StatusForbidden}
	}
	if bad != nil {
		s.calls["turned_away"]++
		return bad
	}
	s.count("api", 1)
	return nil
}

// count counts requests of a kind; api is what counts against the limit.
func (s *Server) count(kind string, n int) {
	s.calls[kind] += int64(n)
	if kind == "api" {
		s.usage.add(s.o.Now(), n)
	}
}

// readBody reads a body, which may be compressed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *fault) {
	most := int64(maxBodyBytes)
	if r.Method == http.MethodPut {
		most = maxUploadBytes
	}
	var from io.Reader = http.MaxBytesReader(w, r.Body, most)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, unreadable("JSON_PARSER_ERROR", "the body is not compressed: %v", err)
		}
		from = io.LimitReader(z, most+1)
	}
	body, err := io.ReadAll(from)
	if err != nil || int64(len(body)) > most {
		return nil, &fault{Code: "REQUEST_TOO_LARGE", Message: fmt.Sprintf("Request body cannot be read, or is larger than %d bytes", most), status: http.StatusRequestEntityTooLarge}
	}
	return body, nil
}

// write sends an answer.
func (s *Server) write(w http.ResponseWriter, a reply) {
	body, kind := a.csv, "text/csv"
	if a.body != nil {
		var err error
		if body, err = marshal(a.body); err != nil {
			http.Error(w, "encode answer", http.StatusInternalServerError)
			return
		}
		kind = "application/json;charset=UTF-8"
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if len(body) > 0 || a.csv != nil {
		w.Header().Set("Content-Type", kind)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // an error means that the client has gone; there is nobody to tell
}

// marshal writes JSON without escapes for HTML, so that texts come back as they went in.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// work lets WriteTime pass, without the mutex, once for a request.
func (c *call) work() {
	if c.s.o.WriteTime <= 0 || c.top.waited {
		return
	}
	c.top.waited = true
	c.s.mu.Unlock()
	// Whoever goes away meanwhile does not stop what was begun.
	_ = cdc.Sleep(c.ctx, c.s.o.WriteTime)
	c.s.mu.Lock()
}
