package sim

import "time"

// Window is a limit of calls in any span of a length: a rolling window. It is pure, time is
// an argument; its zero value has no limit. A copy starts empty only before the first Take.
type Window struct {
	Max int // calls in the span; zero or less is no limit
	Per time.Duration

	taken []time.Time // a ring of the last Max calls that were let through
	next  int         // where the next one goes: at the oldest once the ring is full
}

// Take counts a call at a time and tells that it is within the limit, or how long until
// one would be. A call that is refused does not count.
func (w *Window) Take(now time.Time) (wait time.Duration, ok bool) {
	if w.Max <= 0 {
		return 0, true
	}
	if len(w.taken) < w.Max {
		w.taken = append(w.taken, now)
		w.next = len(w.taken) % w.Max
		return 0, true
	}
	if wait := w.taken[w.next].Add(w.Per).Sub(now); wait > 0 {
		return wait, false
	}
	w.taken[w.next] = now
	w.next = (w.next + 1) % w.Max
	return 0, true
}

// Left tells how many calls could be made at a time; zero where there is no limit.
func (w *Window) Left(now time.Time) int {
	left := w.Max - len(w.taken)
	for _, at := range w.taken {
		if !at.Add(w.Per).After(now) {
			left++
		}
	}
	return max(0, left)
}

// Clear forgets all calls.
func (w *Window) Clear() { w.taken, w.next = nil, 0 }
