package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// faultJSON is a Fault over HTTP; durations are written as "250ms" or "2s".
type faultJSON struct {
	Kind       Kind     `json:"kind"`
	App        string   `json:"app,omitempty"`
	Object     string   `json:"object,omitempty"`
	Times      int      `json:"times,omitempty"`
	Rate       float64  `json:"rate,omitempty"`
	After      bool     `json:"after,omitempty"`
	Status     int      `json:"status,omitempty"`
	RetryAfter string   `json:"retry_after,omitempty"`
	Delay      string   `json:"delay,omitempty"`
	Refusal    *Refusal `json:"refusal,omitempty"`
}

// faultsJSON is the body of /_faults. Clear removes what was there before.
type faultsJSON struct {
	Clear  bool        `json:"clear,omitempty"`
	Faults []faultJSON `json:"faults"`
}

func (s *Server) postFaults(w http.ResponseWriter, r *http.Request) {
	var req faultsJSON
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	// An empty body with nothing to clear or inject is allowed.
	if err := dec.Decode(&req); err != nil && err != io.EOF {
		writeProblem(w, http.StatusBadRequest, "BAD_REQUEST", fmt.Errorf("read faults: %w", err))
		return
	}
	list := make([]Fault, 0, len(req.Faults))
	for i, j := range req.Faults {
		f, err := j.fault()
		if err == nil {
			err = f.Validate()
		}
		if err != nil {
			writeProblem(w, http.StatusBadRequest, "BAD_FAULT", fmt.Errorf("read faults[%d]: %w", i, err))
			return
		}
		list = append(list, f)
	}
	if req.Clear {
		s.ClearFaults()
	}
	if err := s.Inject(list...); err != nil {
		writeProblem(w, http.StatusBadRequest, "BAD_FAULT", err)
		return
	}
	s.getFaults(w, r)
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	out := faultsJSON{Faults: []faultJSON{}}
	for _, f := range s.Faults() {
		out.Faults = append(out.Faults, jsonOf(f))
	}
	writeJSON(w, http.StatusOK, out)
}

func (j faultJSON) fault() (Fault, error) {
	f := Fault{
		Kind: j.Kind, App: j.App, Object: j.Object, Times: j.Times, Rate: j.Rate,
		After: j.After, Status: j.Status, Refusal: j.Refusal,
	}
	var err error
	if f.RetryAfter, err = parseDuration("retry_after", j.RetryAfter); err != nil {
		return Fault{}, err
	}
	if f.Delay, err = parseDuration("delay", j.Delay); err != nil {
		return Fault{}, err
	}
	return f, nil
}

func jsonOf(f Fault) faultJSON {
	j := faultJSON{
		Kind: f.Kind, App: f.App, Object: f.Object, Times: f.Times, Rate: f.Rate,
		After: f.After, Status: f.Status, Refusal: f.Refusal,
	}
	if f.RetryAfter > 0 {
		j.RetryAfter = f.RetryAfter.String()
	}
	if f.Delay > 0 {
		j.Delay = f.Delay.String()
	}
	return j
}

func parseDuration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s %q: want a duration such as 250ms or 2s", name, text)
	}
	return d, nil
}

func (s *Server) postReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	writeJSON(w, http.StatusOK, struct{}{})
}

func (s *Server) getStats(w http.ResponseWriter, _ *http.Request) {
	out := make(map[string]any, len(s.apps)+len(s.sims))
	for name, st := range s.Stats() {
		out[name] = st
	}
	for name, m := range s.sims {
		out[name] = m.stats()
	}
	writeJSON(w, http.StatusOK, out)
}

// objectJSON is an Object in a list.
type objectJSON struct {
	Object
	KeyText  string `json:"key_text"`
	Position string `json:"position,omitempty"`
}

func (s *Server) listObjects(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r.PathValue("app"))
	if err != nil {
		writeProblem(w, http.StatusNotFound, "UNKNOWN_APP", err)
		return
	}
	objects := s.Objects(a.name, r.PathValue("object"))
	list := make([]objectJSON, 0, len(objects))
	for key, o := range objects {
		list = append(list, newObjectJSON(key, o))
	}
	slices.SortFunc(list, func(x, y objectJSON) int { return cmp.Compare(x.KeyText, y.KeyText) })
	writeJSON(w, http.StatusOK, list)
}

func newObjectJSON(key string, o Object) objectJSON {
	j := objectJSON{Object: o, KeyText: key}
	if !o.Position.IsZero() {
		j.Position = o.Position.String()
	}
	return j
}
