package trial

import (
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// Result is what became of a test.
type Result struct {
	Case *Case
	// Got is what the mapping made; nil if the test could not be run.
	Got *Outcome
	// Passed tells that it is what is expected.
	Passed bool
	// Problem says why a test could not be run, or that it expects nothing.
	Problem string
}

// Run runs a test through the mapping that it belongs to.
func (s *Suite) Run(m *mapping.Mapping, c *Case) Result {
	r := Result{Case: c}
	prior := sinks.Prior{Live: c.prior.live, Key: c.prior.key}
	if prior.Live && prior.Key.Name == "" {
		key, err := m.TargetKey(c.prior.row)
		if err != nil {
			r.Problem = s.keyless(err)
			return r
		}
		prior.Key = key
	}
	if prior.Live {
		prior.Sent = s.sent(m, c)
	}
	change := c.change
	got, err := outcomeOf(m.Map(&change, prior))
	if err != nil {
		r.Problem = fmt.Sprintf("the mapping made what is no JSON: %v", err)
		return r
	}
	r.Got = got
	if c.expect == nil {
		r.Problem = "it does not say what is expected; write expect:, or let walbridge test --update record it"
		return r
	}
	r.Passed = got.meets(c.expect)
	return r
}

// sent gives the signature of what the target was last given: the record of the row
// before. Where that row has none it is not known, as after an answer that was lost.
func (s *Suite) sent(m *mapping.Mapping, c *Case) string {
	before := c.change
	before.Op, before.After, before.Absent = cdc.OpUpdate, c.prior.row, nil
	rec, send, err := m.Map(&before, sinks.Prior{})
	if err != nil || !send {
		return ""
	}
	return rec.Sent
}

// keyless says why it is not known which record the target holds.
func (s *Suite) keyless(err error) string {
	hint := fmt.Sprintf("write delivered: {%s: …} for the record that the target holds, or delivered: false if there is none", s.subject.Key)
	var unresolved *sinks.Unresolved
	if errors.As(err, &unresolved) {
		return fmt.Sprintf("the key of the record that was delivered needs %s, which before does not have; give it there, or %s", list(unresolved.Columns), hint)
	}
	return fmt.Sprintf("the row before has no key at the target: %v; %s", err, hint)
}
