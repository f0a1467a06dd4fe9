package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
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

// Lines is the story for people, line by line.
func (r *TraceReport) Lines() (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	add("%s %s, partition %d", r.Table, r.Key, r.Partition)
	for _, text := range r.Reach() {
		add("  %s", text)
	}
	if len(r.Targets) == 0 {
		add("")
		add("no mapping leads from this table; in the log is")
		out = append(out, r.eventLines(&TraceMapping{})...)
	}
	for i := range r.Targets {
		m := &r.Targets[i]
		add("")
		add("%s, mapping %s to %s", m.Target, m.Mapping, m.Object)
		for _, text := range m.Reach() {
			add("  %s", text)
		}
		out = append(out, r.eventLines(m)...)
		for n, text := range m.Words(r.Now) {
			head := ""
			if n == 0 {
				head = "now"
			}
			add("  %-24s  %s", head, text)
		}
	}
	return out
}

// eventLines are the lines of what happened.
func (r *TraceReport) eventLines(m *TraceMapping) (out []string) {
	for _, e := range r.Events(m) {
		at := e.Time().UTC().Format(momentForm)
		if e.Change == nil {
			out = append(out, fmt.Sprintf("  %s  %-8s  %s", at, e.Step.Label(), e.Step.Words()))
			continue
		}
		out = append(out, fmt.Sprintf("  %s  %-8s  %s", at, "change", e.Change.Words()))
		for _, part := range []struct {
			name string
			text json.RawMessage
		}{{"before", e.Change.Before}, {"after", e.Change.After}} {
			if len(part.text) > 0 {
				out = append(out, fmt.Sprintf("%38s%-6s  %s", "", part.name, part.text))
			}
		}
	}
	return out
}
