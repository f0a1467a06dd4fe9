package deliver

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Circuit is whether a target is asked.
type Circuit uint8

// The states of a circuit. After a fault the target is paused; then one request probes,
// and only when one was answered the others start again. Changes fold throughout.
const (
	Closed  Circuit = iota // requests go
	Open                   // none do, until the pause ends
	Probing                // one does
)

// String gives the word used in status and metrics.
func (c Circuit) String() string {
	switch c {
	case Open:
		return "paused"
	case Probing:
		return "probing"
	}
	return "running"
}

// Condition is how a target is, for people.
type Condition struct {
	Circuit Circuit
	// Until is the end of the pause, Why what it is for; empty while requests go.
	Until time.Time
	Why   string
	// Waits says which mappings somebody has to mend, and what; empty if none. The others
	// go on meanwhile.
	Waits string
}

// condition says how the target is now.
func (s *session) condition(now time.Time) Condition {
	c := Condition{Until: s.queue.PausedUntil(), Why: s.e.why, Waits: s.waits()}
	switch {
	case now.Before(c.Until):
		c.Circuit = Open
	case s.faults > 0:
		c.Circuit = Probing
	default:
		return Condition{Waits: c.Waits}
	}
	return c
}

// mappingFault is what keeps a mapping from being sent.
type mappingFault struct {
	times int // in a row
	why   string
}

// waits says which mappings wait for somebody to mend something.
func (s *session) waits() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.mappingFaults)) {
		all = append(all, "mapping "+name+" waits: "+s.mappingFaults[name].why)
	}
	return strings.Join(all, "; ")
}

// closed tells whether another request may be started: while the target is probed, only
// one is under way of those that were started since.
func (s *session) closed() bool { return s.faults == 0 || s.probe == nil }

// probes notes that a job is the one that probes.
func (s *session) probes(j *job) {
	if s.faults > 0 {
		s.probe = j
	}
}

// tellCondition says how the target is, whenever that changes.
func (s *session) tellCondition(now time.Time) Condition {
	c := s.condition(now)
	if s.e.o.Told != nil && (c != s.e.condition || !s.told) {
		s.e.o.Told(c)
	}
	s.e.condition, s.told = c, true
	return c
}

// weigh pauses the target after a fault, and notes when it takes requests again.
func (s *session) weigh(j *job, now time.Time) {
	const what = "target"
	mapping := "mapping " + j.mapper.Name()
	if j.asked { // also if it failed after that: what it had failed before is over
		s.faults, s.e.faults = 0, 0
	}
	if j.halt == nil {
		if j.asked {
			s.e.why = ""
			delete(s.mappingFaults, j.mapper.Name())
			s.e.log.works(what)
			s.e.log.works(mapping)
		}
		return
	}
	f := j.halt
	if f.mapping {
		s.e.log.wants(mapping, f.err)
		n := s.mappingFaults[j.mapper.Name()].times
		s.mappingFaults[j.mapper.Name()] = mappingFault{times: n + 1, why: f.err.Error()}
		s.queue.PauseGroup(j.mapper.Name(), now.Add(max(f.after, backOff(f.waits, n))))
		return
	}
	if f.throttled {
		s.e.stats.throttles.Add(1)
	}
	name := what
	if f.what != "" {
		name = f.what
	}
	if f.mend {
		s.e.log.wants(name, f.err)
	} else {
		s.e.log.fails(name, f.err)
	}
	s.e.why = f.err.Error()
	// Requests that failed side by side are one failure.
	if !now.Before(s.queue.PausedUntil()) {
		s.faults++
	}
	s.queue.Pause(now.Add(max(f.after, backOff(f.waits, max(s.faults-1, 0)))))
	s.e.pausedUntil, s.e.faults = s.queue.PausedUntil(), s.faults
}
