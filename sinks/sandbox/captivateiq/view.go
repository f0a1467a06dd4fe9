package captivateiq

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

var (
	_ sim.Simulation = (*Server)(nil)
	_ sim.Refuser    = (*Server)(nil)
)

// SetRefusals makes it ask about each record that is written; objects are the names of
// worksheets. That a record can be tried again is not told: the API has no way to.
func (s *Server) SetRefusals(ask func(object string, fields map[string]json.RawMessage) *sim.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask = ask
	for _, sh := range s.sheets {
		sh.refuse = s.refusal(sh.Name)
	}
}

// refusal makes the question of a worksheet; nil if there is nobody to ask.
func (s *Server) refusal(object string) func(map[string]json.RawMessage) string {
	if s.ask == nil {
		return nil
	}
	return func(fields map[string]json.RawMessage) string {
		r := s.ask(object, fields)
		if r == nil {
			return ""
		}
		return cmp.Or(r.Message, r.Code)
	}
}

// Objects lists the names of the worksheets, sorted.
func (s *Server) Objects() []string {
	var names []string
	for _, w := range s.options.Worksheets {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	return names
}

// named finds a worksheet by its name; nil if there is none.
func (s *Server) named(object string) *sheet {
	for _, sh := range s.sheets {
		if sh.Name == object {
			return sh
		}
	}
	return nil
}

// Count tells how many records a worksheet has.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.named(object); sh != nil {
		return len(sh.records)
	}
	return 0
}

// Records gives the records of a worksheet, newest first, by their unique id.
func (s *Server) Records(object string, max int) []sim.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.named(object)
	if sh == nil {
		return nil
	}
	all := sh.find("", "")
	slices.SortFunc(all, func(a, b *record) int { return cmp.Compare(b.seq, a.seq) })
	if max > 0 && len(all) > max {
		all = all[:max]
	}
	rows := make([]sim.Row, len(all))
	for i, r := range all {
		rows[i] = sim.Row{ID: r.unique, Fields: r.row(), Changed: r.updated}
	}
	return rows
}
