package console

import (
	"fmt"
	"net/http"
	"time"
)

// events streams the status as server-sent events: one at once, then one each
// second, until the client leaves or the process stops.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		s.text(w, http.StatusServiceUnavailable,
			fmt.Sprintf("%d event streams are open, which is the most; close a page, or read /api/status", cap(s.streams)))
		return
	}
	body, err := ask(s.source)
	if err != nil {
		s.broken(w, err)
		return
	}
	if err := s.stream(w, r, body); err != nil && r.Context().Err() == nil {
		// Mostly a client that does not read, which is no fault of the process.
		// A status that became unwritable is told when the page asks again.
		s.logger.Debug("event stream ended", "error", err)
	}
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, body []byte) error {
	conn := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx in between passes events on at once
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		if err := s.send(conn, w, body); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-tick.C:
		}
		var err error
		if body, err = ask(s.source); err != nil {
			return fmt.Errorf("encode status: %w", err)
		}
	}
}

// send writes one event. The deadline is for this one write: a client that has
// stopped reading is dropped, one that reads may stay for days.
func (s *Server) send(conn *http.ResponseController, w http.ResponseWriter, body []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", body); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	return nil
}
