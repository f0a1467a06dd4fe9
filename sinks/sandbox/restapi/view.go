package restapi

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

var (
	_ sim.Simulation = (*Server)(nil)
	_ sim.Refuser    = (*Server)(nil)
)

// hookPrefix tells hooks from collections among the objects.
const hookPrefix = "hooks/"

// SetRefusals makes it ask about each record that is written; objects are collections.
func (s *Server) SetRefusals(ask func(object string, fields map[string]json.RawMessage) *sim.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask = ask
}

// Objects lists the collections, and the hooks as hooks/NAME, sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Collect(maps.Keys(s.collections))
	for name := range s.hooks {
		out = append(out, hookPrefix+name)
	}
	slices.Sort(out)
	return out
}

// Count tells how many records a collection has, or events a hook.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hooks[strings.TrimPrefix(object, hookPrefix)]; h != nil && strings.HasPrefix(object, hookPrefix) {
		return len(h.events)
	}
	if c := s.collections[object]; c != nil {
		return len(c.records)
	}
	return 0
}

// Records gives the records of a collection, or the events of a hook, newest first.
func (s *Server) Records(object string, max int) []sim.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := []sim.Row{}
	if name, ok := strings.CutPrefix(object, hookPrefix); ok {
		if h := s.hooks[name]; h != nil {
			for _, e := range slices.Backward(h.events) {
				rows = append(rows, sim.Row{ID: e.ID, Fields: map[string]json.RawMessage{"payload": slices.Clone(e.Body)}, Changed: e.Arrived})
			}
		}
	} else if c := s.collections[object]; c != nil {
		all := slices.SortedFunc(maps.Values(c.records), func(a, b *record) int { return cmp.Compare(b.seq, a.seq) })
		for _, r := range all {
			rows = append(rows, sim.Row{ID: r.id, Fields: maps.Clone(r.fields), Changed: r.updated})
		}
	}
	if max > 0 && len(rows) > max {
		rows = rows[:max]
	}
	return rows
}
