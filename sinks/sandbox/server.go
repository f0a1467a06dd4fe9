package sandbox

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// The apps that a Server has when Options names none.
const (
	AppCRM        = "crm"
	AppForecast   = "forecast"
	AppCommission = "commission"
)

// Bounds of an app that says nothing itself, and of a request body.
const (
	defaultMaxRecords = 200
	maxBodyBytes      = 32 << 20
)

// App says how one simulated system behaves.
type App struct {
	// Token is the bearer token asked for; empty asks for none.
	Token string
	// MaxRecords bounds a batch; zero means 200. More is answered with 400.
	MaxRecords int
	// RequestsPerSecond fills a token bucket; zero means no limit. An empty
	// bucket is answered with 429 and Retry-After.
	RequestsPerSecond float64
	// Burst is the size of the bucket; zero means one second's worth.
	Burst int
}

// Options configure a Server. The zero value is useful.
type Options struct {
	// Apps by name; nil means crm, forecast and commission without limits of rate.
	Apps map[string]App
	// Schemas are those of objects, by app: a record that its object's does not allow is
	// refused. Objects without one take anything.
	Schemas map[string]map[string]*sinks.Schema
	// Simulations are APIs of somebody else, served below /NAME/. A name is that of no app,
	// and faults fall on the requests to it as on those of apps.
	Simulations map[string]sim.Simulation
	// History bounds how many applied records each app remembers for checkers;
	// zero remembers none. What no longer fits is counted in Stats.
	History int
	// Seed starts the random faults.
	Seed uint64
	// Now is the clock of the rate limit; nil means time.Now.
	Now func() time.Time
	// Logger gets the lifecycle of faults; nil means silence.
	Logger *slog.Logger
}

// Server is the simulation. It is an http.Handler and safe for concurrent use.
type Server struct {
	apps   map[string]*app     // never changed after New
	sims   map[string]*mounted // nor this
	faults *faults
	now    func() time.Time
	logger *slog.Logger
	mux    http.Handler
}

var _ http.Handler = (*Server)(nil)

// New makes a Server. It owns no goroutine and needs no Close.
func New(o Options) *Server {
	if o.Apps == nil {
		o.Apps = map[string]App{AppCRM: {}, AppForecast: {}, AppCommission: {}}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		apps:   make(map[string]*app, len(o.Apps)),
		faults: newFaults(o.Seed),
		now:    o.Now,
		logger: o.Logger,
	}
	for name, conf := range o.Apps {
		s.apps[name] = newApp(name, conf, o.History)
		s.apps[name].schemas = o.Schemas[name]
	}
	s.mount(o.Simulations)
	s.mux = s.routes()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := s.simulation(r); m != nil {
		m.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{app}/batch", s.batch)
	mux.HandleFunc("GET /{app}/describe/{object}", s.describe)
	mux.HandleFunc("GET /{app}/objects/{object}", s.listObjects)
	mux.HandleFunc("GET /_faults", s.getFaults)
	mux.HandleFunc("POST /_faults", s.postFaults)
	mux.HandleFunc("POST /_reset", s.postReset)
	mux.HandleFunc("GET /_stats", s.getStats)
	mux.HandleFunc("GET /_summary", s.getSummary)
	mux.HandleFunc("GET /{$}", servePage("page/index.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET /_page.js", servePage("page/page.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /_page.css", servePage("page/page.css", "text/css; charset=utf-8"))
	// A page of another origin must not be able to reset the sandbox.
	return http.NewCrossOriginProtection().Handler(mux)
}

// Reset forgets all records, histories, counters and faults; the random faults
// start again from the seed.
func (s *Server) Reset() {
	s.faults.clear(true)
	for _, a := range s.apps {
		a.reset()
	}
	for _, m := range s.sims {
		m.reset()
	}
}

// Apps lists the names of the apps, sorted.
func (s *Server) Apps() []string {
	names := make([]string, 0, len(s.apps))
	for name := range s.apps {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// app finds an app by name; the error says which there are.
func (s *Server) app(name string) (*app, error) {
	if a := s.apps[name]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("no app %q here; there are %s", name, strings.Join(s.Apps(), ", "))
}

// bucket is a token bucket. It is pure: time is an argument.
type bucket struct {
	rate, size, tokens float64
	last               time.Time
}

func newBucket(perSecond float64, burst int) bucket {
	size := float64(burst)
	if size <= 0 {
		size = max(1, perSecond)
	}
	return bucket{rate: perSecond, size: size, tokens: size}
}

// take takes one token, or says how long until there is one.
func (b *bucket) take(now time.Time) (wait time.Duration, ok bool) {
	if b.rate <= 0 {
		return 0, true
	}
	if !b.last.IsZero() && now.After(b.last) {
		b.tokens = min(b.size, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	if b.last.IsZero() || now.After(b.last) {
		b.last = now
	}
	if b.tokens >= 1 {
		b.tokens--
		return 0, true
	}
	return time.Duration((1 - b.tokens) / b.rate * float64(time.Second)), false
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5a17b0c5)) }
