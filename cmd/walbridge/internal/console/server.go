package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second // a scrape of all metrics over a slow line
	idleTimeout  = 2 * time.Minute
	stopTimeout  = 3 * time.Second
	maxHeader    = 16 << 10

	eventEvery   = time.Second
	eventTimeout = 5 * time.Second // for one write to one client
	maxStreams   = 32
)

// Options are what New needs; all but Peeker and Teller are required.
type Options struct {
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// Source is what the page and the health routes show.
	Source Source
	// Peeker shows the queues of targets; nil if nobody may look at them.
	Peeker Peeker
	// Teller tells the stories of records; nil if nobody does.
	Teller Teller
	// Gatherer is what /metrics shows.
	Gatherer prometheus.Gatherer
	// Logger gets what goes wrong while serving.
	Logger *slog.Logger
}

// Server serves the console of one process.
type Server struct {
	source   Source
	peeker   Peeker
	teller   Teller
	logger   *slog.Logger
	listener net.Listener
	http     *http.Server
	streams  chan struct{} // one element per open event stream
	telling  chan struct{} // one element while a story is told

	// What tests make shorter.
	every   time.Duration // between two events of a stream
	timeout time.Duration // for the write of one event
	grace   time.Duration // for requests in flight when Run ends
}

// New opens the listener, so that a port in use is told before anything else
// starts, and connections wait until Run serves them. The error of an address
// that cannot be opened names the setting and says what to do.
func New(o Options) (*Server, error) {
	if o.Source == nil || o.Gatherer == nil || o.Logger == nil {
		return nil, errors.New("open console: Source, Gatherer and Logger must be given")
	}
	s := &Server{
		source:  o.Source,
		peeker:  o.Peeker,
		teller:  o.Teller,
		telling: make(chan struct{}, 1),
		logger:  o.Logger,
		streams: make(chan struct{}, maxStreams),
		every:   eventEvery,
		timeout: eventTimeout,
		grace:   stopTimeout,
	}
	handler, err := s.routes(o.Gatherer)
	if err != nil {
		return nil, err
	}
	s.listener, err = listen(o.Listen)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Addr is the address that is listened on, with the port that was taken.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, then ends the event streams, lets the other
// requests finish for a moment, and closes the listener. It gives an error only
// if serving breaks while ctx has not ended. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	// The streams' requests end with ctx, as Shutdown would wait for them.
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve console: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if err := s.http.Shutdown(last); err != nil {
		s.logger.Warn("console requests cut off", "error", err)
		if err := s.http.Close(); err != nil {
			s.logger.Warn("console not closed", "error", err)
		}
	}
	<-served
	return nil
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		// net.Listen would take any port on every interface.
		return nil, errors.New("listen: no address to serve the console on\n  hint: set listen to host:port, such as 127.0.0.1:8642")
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the rest repeats the address
	}
	return nil, fmt.Errorf("listen: open %q for the console: %w\n  hint: %s", address, err, listenHint(err))
}

func listenHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return `another process, perhaps another walbridge, listens there; stop it, or set listen (of walbridge demo: --listen) to another port, or to "" to run without the console`
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 need a privilege; set listen to a higher port, such as 127.0.0.1:8642"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address; set listen to one of its own, such as 127.0.0.1:8642, or 0.0.0.0:8642 for all of them"
	}
	return "set listen to host:port with an address of this machine, such as 127.0.0.1:8642"
}
