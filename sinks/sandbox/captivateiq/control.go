package captivateiq

import (
	"io"
	"net/http"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// control is what a person can switch at POST /_control; what is left out stays.
type control struct {
	// Slow is how many of the next calls that write are answered with 502; CarriedOut
	// tells that they do what they were to.
	Slow       *int  `json:"slow"`
	CarriedOut bool  `json:"carried_out"`
	Firewall   *bool `json:"firewall"`
	// Limits take the place of those of the plan.
	Limits *struct {
		PerSecond int `json:"per_second"`
		PerHour   int `json:"per_hour"`
	} `json:"limits"`
}

// serveControl carries out switches. It asks for no token, as the sandbox's own.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	var in control
	if err == nil {
		err = decode(body, &in)
	}
	if err != nil {
		parseError(err).write(w)
		return
	}
	if in.Slow != nil {
		s.Slow(*in.Slow, in.CarriedOut)
	}
	s.mu.Lock()
	if in.Firewall != nil {
		s.options.Firewall = *in.Firewall
	}
	if l := in.Limits; l != nil {
		s.options.Limits = Limits{PerSecond: l.PerSecond, PerHour: l.PerHour}
		s.limitLocked()
	}
	s.mu.Unlock()
	reply{status: http.StatusOK, body: struct{}{}}.write(w)
}

// limitLocked makes the limits those of the options.
func (s *Server) limitLocked() {
	s.second = sim.Window{Max: s.options.Limits.PerSecond, Per: time.Second}
	s.hour = sim.Window{Max: s.options.Limits.PerHour, Per: time.Hour}
}
