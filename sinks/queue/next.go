package queue

import "time"

// Next says when Take should be asked again, for the same least, if nothing is added
// before: not after now when a key is ready. It may be earlier than a key becomes
// ready, never later. ok is false when nothing is pending that Take would give.
func (q *Queue) Next(now time.Time, least Lane) (at time.Time, ok bool) {
	if q.pending+q.away > 0 && len(q.timers) > 0 {
		at, ok = q.timers[0].due, true
	}
	for _, g := range q.groups {
		ready, waits := now, least == Bulk && q.stage(g, now) == gathering
		switch {
		case q.anyReady(g, now, least):
		case waits:
			ready = q.gathered(g)
		default:
			continue
		}
		if ready.Before(g.paused) {
			ready = g.paused
		}
		if !ok || ready.Before(at) {
			at, ok = ready, true
		}
	}
	if ok && at.Before(q.paused) {
		at = q.paused
	}
	return at, ok
}

// anyReady tells whether a mapping has a ready node that Take would give.
func (q *Queue) anyReady(g *group, now time.Time, least Lane) bool {
	for l := Urgent; l <= least; l++ {
		if q.head(g, now, l) != nil {
			return true
		}
	}
	return false
}

// Counts tell how much is in the queue.
type Counts struct {
	// Pending and InFlight count keys.
	Pending, InFlight int
	// Entries and Bytes count what is not released, by lane.
	Entries [3]int
	Bytes   [3]int64
}

// Counts gives the counts of now.
func (q *Queue) Counts() Counts {
	c := Counts{Pending: q.pending, InFlight: q.inFlight}
	for l, h := range q.held {
		c.Entries[l], c.Bytes[l] = h.entries, h.bytes
	}
	return c
}
