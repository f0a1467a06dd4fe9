package queue

import "time"

// Lead is the most urgent lane, no less urgent than least, that has a ready key which
// Take would give; ok is false if none has. The batch may be led by another one all the
// same, whose turn it is.
func (q *Queue) Lead(now time.Time, least Lane) (l Lane, ok bool) {
	if now.Before(q.paused) {
		return 0, false
	}
	q.promote(now)
	for l := Urgent; l <= least; l++ {
		if q.longestReady(now, l) != nil {
			return l, true
		}
	}
	return 0, false
}
