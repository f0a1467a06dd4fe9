package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed static
var static embed.FS

// files says which embedded file is served where, and as what.
var files = []struct{ route, name, kind string }{
	{"/{$}", "index.html", "text/html; charset=utf-8"},
	{"/app.js", "app.js", "text/javascript; charset=utf-8"},
	{"/format.js", "format.js", "text/javascript; charset=utf-8"},
	{"/style.css", "style.css", "text/css; charset=utf-8"},
	{"/favicon.svg", "favicon.svg", "image/svg+xml"},
	{"/favicon.ico", "favicon.svg", "image/svg+xml"}, // asked for by name, whatever the page says
}

const maxScrapes = 4

func (s *Server) routes(g prometheus.Gatherer) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, f := range files {
		h, err := fileHandler(f.name, f.kind)
		if err != nil {
			return nil, err
		}
		mux.Handle(f.route, h)
	}
	mux.Handle("/api/status", noStore(s.status))
	mux.Handle("/api/events", noStore(s.events))
	mux.Handle("/api/peek", noStore(s.peek))
	mux.Handle("/api/trace", noStore(s.trace))
	mux.Handle("/livez", noStore(func(w http.ResponseWriter, _ *http.Request) { s.text(w, http.StatusOK, "ok") }))
	mux.Handle("/readyz", noStore(s.readyz))
	metrics := promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
		// One broken collector does not hide the metrics of the others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
	mux.Handle("/metrics", noStore(metrics.ServeHTTP))
	return guard(mux), nil
}

// guard sets the headers that every answer has and lets only reads through.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func noStore(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next(w, r)
	})
}

// fileHandler serves one embedded file. Browsers ask again each time, and get
// 304 unless the binary is another one.
func fileHandler(name, kind string) (http.Handler, error) {
	data, err := static.ReadFile("static/" + name)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}), nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	body, err := ask(s.source)
	if err != nil {
		s.broken(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, append(body, '\n'))
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.source.Ready(); err != nil {
		s.text(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	s.text(w, http.StatusOK, "ok")
}

// broken answers for a status that cannot be written as JSON.
func (s *Server) broken(w http.ResponseWriter, err error) {
	s.logger.Error("status not encoded", "error", err)
	s.text(w, http.StatusInternalServerError, "the status cannot be shown; the log of the process says why")
}

func (s *Server) text(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	s.write(w, []byte(line+"\n"))
}

func (s *Server) write(w io.Writer, body []byte) {
	if _, err := w.Write(body); err != nil {
		// The client went away; there is nobody to tell.
		s.logger.Debug("console answer not written", "error", err)
	}
}
