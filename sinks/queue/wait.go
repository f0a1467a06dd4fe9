package queue

import (
	"container/heap"
	"time"
)

// lookAgain is how soon after a new change a key that waits for something else is looked
// at: the change may be what it waits for, and many of them must not be many looks.
const lookAgain = time.Second

// until is when the key's back-off and its wait for something else are over.
func (n *node) until() time.Time {
	if n.notBefore.Before(n.waitUntil) {
		return n.waitUntil
	}
	return n.notBefore
}

// Waits tells whether a key that is in the queue waits for something else for longer than
// its back-off.
func (q *Queue) Waits(k Key) bool { return q.nodes[k].notBefore.Before(q.nodes[k].waitUntil) }

// Wake ends the wait of a key for something else, not its back-off. Of a key in flight it
// is the wait that Done is told of: what it waits for came while that was being written.
func (q *Queue) Wake(now time.Time, k Key) {
	n := q.nodes[k]
	if n == nil {
		return
	}
	n.woken = n.inFlight != nil
	q.wakeAt(n, now)
}

// wakeAt has the wait of a key end at a time, if that is earlier.
func (q *Queue) wakeAt(n *node, at time.Time) {
	if !at.Before(n.waitUntil) {
		return
	}
	n.waitUntil = at
	if n.heap >= 0 && !n.waiting {
		n.due = n.until()
		heap.Fix(&q.timers, n.heap)
	}
}
