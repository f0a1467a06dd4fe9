package hubspot

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

var (
	_ sim.Simulation = (*Server)(nil)
	_ sim.Refuser    = (*Server)(nil)
)

// refuser tells of a record whether it is to be refused.
type refuser func(object string, fields map[string]json.RawMessage) *sim.Refusal

// SetRefusals makes it ask about each record that is written.
func (s *Server) SetRefusals(ask func(object string, fields map[string]json.RawMessage) *sim.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = ask
	s.portal.refuse = ask
}

// refused gives the fault of a record that is to be refused. The key that an upsert names
// is one of its fields.
func (p *portal) refused(t *table, in *input) *fault {
	if p.refuse == nil {
		return nil
	}
	fields := make(map[string]json.RawMessage, len(in.Properties)+1)
	set := func(name, value string) {
		if text, err := json.Marshal(value); err == nil { // a text always has a JSON
			fields[name] = text
		}
	}
	if in.IDProperty != "" {
		set(in.IDProperty, in.ID)
	}
	for name, value := range in.Properties {
		set(name, value)
	}
	r := p.refuse(t.Name, fields)
	if r == nil {
		return nil
	}
	f := &fault{status: http.StatusBadRequest, category: validationError, message: r.Message,
		details: []detail{{Message: r.Message, Code: r.Code}}}
	if r.Retryable {
		f.status, f.category = http.StatusInternalServerError, "INTERNAL_ERROR"
	}
	return f
}

// Objects lists the types of records, sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedKeys(s.portal.tables)
}

// Count tells how many records of a type there are that are not archived.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, f := s.portal.table(object)
	if f != nil {
		return 0
	}
	n := 0
	for _, r := range t.records {
		if !r.archived {
			n++
		}
	}
	return n
}

// Records gives the records of a type that are not archived, newest first.
func (s *Server) Records(object string, max int) []sim.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, f := s.portal.table(object)
	if f != nil {
		return nil
	}
	var live []*record
	for _, r := range t.records {
		if !r.archived {
			live = append(live, r)
		}
	}
	slices.SortFunc(live, func(a, b *record) int { return cmp.Compare(b.seq, a.seq) })
	if max > 0 && len(live) > max {
		live = live[:max]
	}
	rows := make([]sim.Row, len(live))
	for i, r := range live {
		rows[i] = sim.Row{ID: r.id, Fields: make(map[string]json.RawMessage, len(r.props)), Changed: r.changed}
		for name, value := range r.props {
			if text, err := json.Marshal(value); err == nil {
				rows[i].Fields[name] = text
			}
		}
	}
	return rows
}
