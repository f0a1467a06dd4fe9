package captivateiq

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// controlPath is where a person switches.
const controlPath = "/_control"

// maxBody is the most bytes of a request.
const maxBody = 16 << 20

// Limits are those of calls; zero is no limit.
type Limits struct{ PerSecond, PerHour int }

// StandardLimits and EnterpriseLimits are those of the two plans.
func StandardLimits() Limits   { return Limits{PerSecond: 5, PerHour: 1500} }
func EnterpriseLimits() Limits { return Limits{PerSecond: 15, PerHour: 6000} }

// Options configure a Server. The zero value takes any token and has no limits.
type Options struct {
	Token      string      // empty takes any
	Worksheets []Worksheet // nil is DefaultWorksheets
	Limits     Limits
	// Firewall answers texts that look like SQL or JavaScript with 403.
	Firewall bool
	// Replaces makes a record that is written take the place of all that was there;
	// otherwise columns that it does not name stay as they are.
	Replaces bool
	Now      func() time.Time // nil is time.Now
}

// Server is the simulation of an organization. It is an http.Handler, safe for concurrent
// use, owns no goroutine and needs no Close.
type Server struct {
	options Options
	mux     *http.ServeMux

	// mu covers what follows. It is never held during I/O.
	mu       sync.Mutex
	sheets   []*sheet
	second   sim.Window
	hour     sim.Window
	slow     int  // calls that write and take too long yet
	slowDone bool // they are carried out all the same
	calls    map[string]int64
	ask      func(object string, fields map[string]json.RawMessage) *sim.Refusal // outlives a Reset
}

// New makes a Server.
func New(o Options) *Server {
	if o.Worksheets == nil {
		o.Worksheets = DefaultWorksheets()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{options: o}
	s.resetLocked()
	s.mux = s.routes()
	return s
}

// Reset forgets all records, counts and switches.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
}

func (s *Server) resetLocked() {
	s.sheets = nil
	for i := range s.options.Worksheets {
		sh := newSheet(&s.options.Worksheets[i], s.options.Replaces)
		sh.refuse = s.refusal(sh.Name)
		s.sheets = append(s.sheets, sh)
	}
	s.limitLocked()
	s.slow, s.slowDone = 0, false
	s.calls = make(map[string]int64)
}

// Slow makes the next calls that write take longer than CaptivateIQ waits for itself: they
// are answered with 502, whether they are carried out or not.
func (s *Server) Slow(calls int, carriedOut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow, s.slowDone = calls, carriedOut
}

// ServeHTTP answers one request. A path without its last slash is none of them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") && r.URL.Path != controlPath {
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unknown answers a path that there is not.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.serve("unknown_path", false, func(*Server, *call) reply { return notFound })(w, r)
}

// reply is an answer. A body of HTML is one text; nil is none.
type reply struct {
	status int
	body   any
	html   string
	wait   time.Duration // before the next try
}

func detail(status int, text string) reply {
	return reply{status: status, body: map[string]string{"detail": text}}
}

func badRequest(wrong any) reply { return reply{status: http.StatusBadRequest, body: wrong} }

var notFound = detail(http.StatusNotFound, "Not found.")

// call is a request that was let in.
type call struct {
	*http.Request
	now  time.Time
	body []byte
}

// handler does a call, with mu held.
type handler func(s *Server, c *call) reply

func (s *Server) routes() *http.ServeMux {
	const sheets = "/ciq/v1/data-worksheets/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+sheets+"{$}", s.serve("worksheets", false, listWorksheets))
	mux.HandleFunc("GET "+sheets+"{sheet}/{$}", s.serve("worksheets", false, readWorksheet))
	mux.HandleFunc("POST "+sheets+"{sheet}/records/batch/{$}", s.serve("batch", true, writeBatch))
	mux.HandleFunc("POST "+sheets+"{sheet}/records/{$}", s.serve("create", true, createRecord))
	mux.HandleFunc("GET "+sheets+"{sheet}/records/{$}", s.serve("list", false, listRecords))
	mux.HandleFunc("GET "+sheets+"{sheet}/records/{unique}/{$}", s.serve("read", false, readRecord))
	mux.HandleFunc("PUT "+sheets+"{sheet}/records/{unique}/{$}", s.serve("update", true, updateRecord))
	mux.HandleFunc("DELETE "+sheets+"{sheet}/records/{unique}/{$}", s.serve("delete", true, deleteRecord))
	mux.HandleFunc("POST "+controlPath, s.serveControl)
	mux.HandleFunc("/", s.unknown)
	return mux
}

// looksLikeCode are the texts that the firewall stops.
var looksLikeCode = regexp.MustCompile(`(?i)\bselect\b[^"]{1,200}\bfrom\b|\bunion\s+(all\s+)?select\b|\b(drop|alter|truncate)\s+table\b|\binsert\s+into\b|\bdelete\s+from\b|'\s*or\s+\d+\s*=\s*\d+|<script\b|\bjavascript:`)

const (
	forbiddenPage = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n</body>\r\n</html>\r\n"
	gatewayPage   = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)

// serve makes a handler of HTTP: it lets a call in, or says why not, and writes the answer.
// The body is read to its end first: only then does the server see a client that goes away.
func (s *Server) serve(kind string, write bool, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		s.mu.Lock()
		s.calls[kind]++
		c := &call{Request: r, now: s.options.Now(), body: body}
		out, stopped := s.admitLocked(c, err)
		switch {
		case stopped:
		case write && s.slow > 0:
			s.slow--
			s.calls["slow"]++
			if s.slowDone {
				h(s, c) // what it comes to is not told
			}
			out = reply{status: http.StatusBadGateway, html: gatewayPage}
		default:
			out = h(s, c)
		}
		s.mu.Unlock()
		out.write(w)
	}
}

// admitLocked stops a call: the firewall comes first, then who calls, then the limits.
func (s *Server) admitLocked(c *call, bodyErr error) (reply, bool) {
	var tooLarge *http.MaxBytesError
	if errors.As(bodyErr, &tooLarge) {
		return detail(http.StatusRequestEntityTooLarge, "The request is too large."), true
	}
	if bodyErr != nil {
		return detail(http.StatusBadRequest, "The request could not be read."), true
	}
	if s.options.Firewall && (looksLikeCode.Match(c.body) || looksLikeCode.MatchString(c.URL.Path)) {
		s.calls["firewall"]++
		return reply{status: http.StatusForbidden, html: forbiddenPage}, true
	}
	scheme, token, _ := bytes.Cut([]byte(c.Header.Get("Authorization")), []byte(" "))
	if string(scheme) != "Token" || len(token) == 0 {
		s.calls["unauthorized"]++
		return detail(http.StatusUnauthorized, "Authentication credentials were not provided."), true
	}
	if s.options.Token != "" && subtle.ConstantTimeCompare(token, []byte(s.options.Token)) != 1 {
		s.calls["unauthorized"]++
		return detail(http.StatusUnauthorized, "Invalid token."), true
	}
	for _, w := range []*sim.Window{&s.hour, &s.second} {
		if wait, ok := w.Take(c.now); !ok {
			s.calls["throttled"]++
			out := detail(http.StatusTooManyRequests, "Request was throttled.")
			out.wait = wait
			return out, true
		}
	}
	return reply{}, false
}

func (r reply) write(w http.ResponseWriter) {
	if r.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.wait.Seconds()))))
	}
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Token")
	}
	text := []byte(r.html)
	w.Header().Set("Content-Type", "text/html")
	switch {
	case r.body != nil:
		var err error
		if text, err = json.Marshal(r.body); err != nil {
			http.Error(w, "encode answer", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
	case r.html == "":
		w.Header().Del("Content-Type")
	}
	w.WriteHeader(r.status)
	// An error here means that the client has gone; there is nobody to tell.
	_, _ = w.Write(text)
}

// Calls gives the number of requests by kind, such as batch, and of those that were not
// carried out by why: firewall, unauthorized, throttled, slow.
func (s *Server) Calls() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}
