package wire

import (
	"cmp"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// TraceEvent is a line of the story: a change, or a step that was made with some.
type TraceEvent struct {
	Change *TraceChange
	Step   *TraceStep
}

func sortSteps(steps []TraceStep) {
	slices.SortStableFunc(steps, func(a, b TraceStep) int { return cmp.Or(a.Time.Compare(b.Time), a.To.Compare(b.To)) })
}

// Events tells the story for a mapping in order, the newest last. A change stands before what
// became of it, whatever the clocks of source and workers say.
func (r *TraceReport) Events(m *TraceMapping) (out []TraceEvent) {
	var changes []*TraceChange
	for i := range r.Changes {
		if c := &r.Changes[i]; c.Means(m.Target, m.Mapping) {
			changes = append(changes, c)
		}
	}
	flush := func(to cdc.Position, until time.Time) {
		for len(changes) > 0 && (!to.Before(changes[0].Position) || changes[0].Time.Before(until)) {
			out = append(out, TraceEvent{Change: changes[0]})
			changes = changes[1:]
		}
	}
	for i := range m.Steps {
		s := &m.Steps[i]
		flush(s.To, s.Time)
		out = append(out, TraceEvent{Step: s})
	}
	for _, c := range changes {
		out = append(out, TraceEvent{Change: c})
	}
	return out
}
