package mapping

import (
	"fmt"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

func (p *parser) delete(n *yamldoc.Node) {
	switch {
	case n == nil:
	case n.Kind == yamldoc.Map:
		s := p.doc.Section(n, "set")
		s.Require("set", "{IsDeleted: true}")
		set := p.assigns(s.Node("set"), "IsDeleted: true")
		for _, a := range set {
			if a.Write != WriteAlways {
				p.doc.Fail(a.key, "write has no meaning here", a.Field, "take it out: these fields are sent once, when the row is gone")
			}
		}
		if len(set) > 0 {
			p.f.Delete = DeletePolicy{Action: SetFields, Set: set}
		}
	case n.Kind != yamldoc.String || !slices.Contains(deletePolicies, n.Text):
		p.doc.Fail(n, "unknown delete policy", n.Text, nearest.Hint(n.Text, deletePolicies, "write delete, archive, ignore, or {set: {IsDeleted: true}}"))
	default:
		p.f.Delete.Action = Action(n.Text)
	}
}

// lane takes a lane, or rules of which the first that holds decides.
func (p *parser) lane(s *yamldoc.Section) {
	n := s.Node("lane")
	switch {
	case n == nil:
	case n.Kind == yamldoc.List:
		p.laneRules(n)
	default:
		s.Text("lane", &p.f.Lane)
		if !p.doc.Failed("lane") {
			p.knownLane(n, p.f.Lane)
		}
	}
}

const laneExample = "- urgent: amount > 100000"

func (p *parser) laneRules(n *yamldoc.Node) {
	for i, item := range n.Values {
		switch {
		case item.Kind == yamldoc.String:
			if !p.knownLane(item, item.Text) {
				continue
			}
			if i < len(n.Values)-1 {
				p.doc.Fail(item, "a lane without a condition before the end", item.Text, "what stands behind it never holds: make it the last")
			}
			p.f.Lane = item.Text
		case item.Kind != yamldoc.Map || len(item.Keys) != 1:
			p.doc.Fail(item, "not a rule for a lane", item.Text, "write "+laneExample+", and at the end a lane alone")
		default:
			lane := item.Keys[0]
			when, ok := p.expr(item.Values[0])
			if p.knownLane(lane, lane.Text) && ok {
				p.f.LaneRules = append(p.f.LaneRules, LaneRule{Lane: lane.Text, When: when})
			}
		}
	}
	if len(n.Values) == 0 {
		p.doc.Fail(n, "no rule", "", "write "+laneExample+", or a lane such as urgent")
	}
}

func (p *parser) knownLane(n *yamldoc.Node, lane string) bool {
	if slices.Contains(cdc.Lanes(), lane) {
		return true
	}
	p.doc.Fail(n, "unknown lane", lane, nearest.Hint(lane, cdc.Lanes(), "lanes are "+nearest.List(cdc.Lanes())))
	return false
}

func (p *parser) start(s *yamldoc.Section) {
	s.Text("start", &p.f.Start)
	known := []string{StartBackfill, StartNow}
	p.f.start = s.Node("start")
	if p.f.start != nil && p.f.start.Kind != yamldoc.Null && !slices.Contains(known, p.f.Start) && !p.doc.Failed("start") {
		p.doc.Fail(p.f.start, "unknown start", p.f.Start, nearest.Hint(p.f.Start, known, "write one of "+nearest.List(known)))
	}
}

func (p *parser) coalesce(n *yamldoc.Node) {
	s := p.doc.Section(n, keysOfCoalesce...)
	c := &p.f.Coalesce
	s.Duration("quiet", &c.Quiet)
	s.Duration("max_delay", &c.MaxDelay)
	s.Int("max_batch", &c.MaxBatch)
	if p.doc.Failed("coalesce") {
		return
	}
	if c.MaxBatch < 1 || c.MaxBatch > maxBatch {
		p.doc.Fail(s.Node("max_batch"), "out of range", s.Node("max_batch").Text, fmt.Sprintf("write a number from 1 to %d", maxBatch))
	}
	if c.Quiet > c.MaxDelay {
		at := s.Node("quiet")
		if at == nil {
			at = s.Node("max_delay")
		}
		p.doc.Fail(at, fmt.Sprintf("quiet (%s) is longer than max_delay (%s)", c.Quiet, c.MaxDelay), "", "make max_delay at least as long: it bounds the wait that quiet makes")
	}
}

func (p *parser) slo(s *yamldoc.Section) {
	s.Duration("slo", &p.f.SLO)
	n := s.Node("slo")
	if n == nil || p.doc.Failed("slo") {
		return
	}
	switch quiet := p.f.Coalesce.Quiet; {
	case p.f.SLO < time.Millisecond:
		p.doc.Fail(n, "out of range", n.Text, "write how long a change may take from its commit to the target, such as 5s")
	case p.f.SLO <= quiet && !p.doc.Failed("coalesce"):
		p.doc.Fail(n, fmt.Sprintf("slo (%s) can never be met: every change waits for coalesce.quiet (%s)", p.f.SLO, quiet), "", "make coalesce.quiet shorter, or slo longer")
	}
}
