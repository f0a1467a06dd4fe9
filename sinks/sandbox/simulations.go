package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// mounted is a simulation with what the sandbox puts around it.
type mounted struct {
	sim.Simulation
	name   string
	served http.Handler // with the prefix taken away
	faults *faults
	struck atomic.Int64 // requests that a fault fell on
}

// mount makes the simulations ready to be served. Faults of the kind refuse reach those
// that can refuse.
func (s *Server) mount(simulations map[string]sim.Simulation) {
	s.sims = make(map[string]*mounted, len(simulations))
	for name, simulation := range simulations {
		delete(s.apps, name)
		m := &mounted{Simulation: simulation, name: name, faults: s.faults}
		// A page of another origin must not be able to write to it.
		m.served = http.NewCrossOriginProtection().Handler(sim.Mount(name, simulation))
		if r, ok := simulation.(sim.Refuser); ok {
			r.SetRefusals(func(object string, fields map[string]json.RawMessage) *sim.Refusal {
				f := s.faults.refusal(name, object, Record{Op: opUpsert, Fields: fields})
				if f == nil {
					return nil
				}
				return &sim.Refusal{Code: f.Code, Message: f.Message, Retryable: f.Retryable}
			})
		}
		s.sims[name] = m
	}
}

// simulation finds the simulation that a request is for.
func (s *Server) simulation(r *http.Request) *mounted {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return s.sims[name]
}

// ServeHTTP answers one request, with the fault that falls on it, if any. The body is read
// to its end before a fault waits: only then does the server see a client that goes away.
func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, hit := m.faults.nextWhere(func(f Fault) bool { return f.aboutPath(m.name, r.URL.Path) })
	if !hit {
		m.served.ServeHTTP(w, r)
		return
	}
	m.struck.Add(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFaultBytes))
	if err != nil {
		writeProblem(w, http.StatusRequestEntityTooLarge, "TOO_LARGE", fmt.Errorf("read request: %w", err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.Delay > 0 && cdc.Sleep(r.Context(), f.Delay) != nil {
		return
	}
	switch {
	case f.Kind == Delay:
		m.served.ServeHTTP(w, r)
	case f.After || f.Kind == Truncate:
		lost := &recorder{header: w.Header().Clone(), status: http.StatusOK}
		m.served.ServeHTTP(lost, r)
		m.showAfter(w, r, f, lost)
	default:
		m.show(w, r, f, nil)
	}
}

// show gives the faulty answer, a status in the simulation's own form if it has one.
func (m *mounted) show(w http.ResponseWriter, r *http.Request, f Fault, proper []byte) {
	own, ok := m.Simulation.(sim.Faulty)
	if f.Kind != Status || !ok {
		f.show(w, r, proper)
		return
	}
	if f.RetryAfter > 0 {
		setRetryAfter(w, f.RetryAfter)
	}
	code, message := "", fmt.Sprintf("scripted answer %d", f.Status)
	if f.Refusal != nil {
		code, message = f.Refusal.Code, cmp.Or(f.Refusal.Message, message)
	}
	own.Fault(w, f.Status, code, message)
}

// maxFaultBytes bounds the body of a request that a fault falls on.
const maxFaultBytes = 256 << 20

// aboutPath tells whether the fault is about a request to a simulation: its object, if any,
// must be a part of the path, such as composite.
func (f Fault) aboutPath(name, path string) bool {
	return (f.App == "" || f.App == name) && (f.Object == "" || slices.Contains(strings.Split(path, "/"), f.Object))
}

// showAfter gives the faulty answer in place of a proper one.
func (m *mounted) showAfter(w http.ResponseWriter, r *http.Request, f Fault, proper *recorder) {
	if f.Kind != Truncate {
		m.show(w, r, f, proper.body.Bytes())
		return
	}
	maps.Copy(w.Header(), proper.header)
	// Fewer bytes than were promised make net/http close the connection.
	w.Header().Set("Content-Length", strconv.Itoa(max(1, proper.body.Len())))
	w.WriteHeader(proper.status)
	_, _ = w.Write(proper.body.Bytes()[:proper.body.Len()/2]) // an error means that the client has gone
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.body.Write(b)
}

// checkRefusal says why a refusal would never happen.
func (s *Server) checkRefusal(f Fault) error {
	if m := s.sims[f.App]; f.Kind == Refuse && m != nil {
		if _, ok := m.Simulation.(sim.Refuser); !ok {
			return errors.New("refuse: " + f.App + " has no way to; choose another kind, such as status")
		}
	}
	return nil
}

// Simulations lists the names of the simulations, sorted.
func (s *Server) Simulations() []string { return slices.Sorted(maps.Keys(s.sims)) }

// simStats are the counters of a simulation.
type simStats struct {
	Calls   map[string]int64 `json:"calls"`
	Faults  int64            `json:"faults"` // requests that a fault fell on
	Objects int64            `json:"objects"`
}

// simSummary is what the page shows of a simulation.
type simSummary struct {
	Simulation string       `json:"simulation"`
	Stats      simStats     `json:"stats"`
	Objects    []simObjects `json:"objects"`
}

type simObjects struct {
	Object string    `json:"object"`
	Count  int       `json:"count"`
	Rows   []sim.Row `json:"rows"`
}

func (m *mounted) stats() simStats {
	st := simStats{Calls: m.Calls(), Faults: m.struck.Load()}
	for _, object := range m.Objects() {
		st.Objects += int64(m.Count(object))
	}
	return st
}

// summary leaves out kinds of which there are no records.
func (m *mounted) summary() simSummary {
	sum := simSummary{Simulation: m.name, Stats: m.stats(), Objects: []simObjects{}}
	for _, object := range m.Objects() {
		if n := m.Count(object); n > 0 {
			sum.Objects = append(sum.Objects, simObjects{Object: object, Count: n, Rows: m.Records(object, newestShown)})
		}
	}
	return sum
}

func (m *mounted) reset() {
	m.Reset()
	m.struck.Store(0)
}
