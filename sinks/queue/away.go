package queue

import (
	"container/heap"
	"time"
)

// Patience says for how long a key in back-off may hold the log.
type Patience struct {
	// Hold is how long an entry of the log may be held.
	Hold time.Duration
	// Entries and Bytes are how much of it a key may hold, however short that is.
	Entries int
	Bytes   int64
	// Least is how much of the back-off must be left to make it worth while.
	Least time.Duration
	// Most bounds how many keys are dealt with at once.
	Most int
}

// Overdue takes out entries that are in a back-off of their own and hold the log for
// longer or to a greater part than is meant, or hold nothing of it any more; may is asked
// whether there is room for one. They are in flight until Done, which is to say that they
// are Away once they are written. A pause of the target or of the mapping is no
// back-off of a key.
//
// A key of which an older part is away comes back first, by Coming: only whole can it be
// written again.
func (q *Queue) Overdue(now time.Time, p Patience, may func(*Entry) bool) []*Entry {
	q.promote(now)
	var over []*node
	for _, n := range q.timers {
		if len(over) < p.Most && n.overdue(now, &p) && (n.away || may(n.pending)) {
			over = append(over, n)
		}
	}
	var out []*Entry
	for _, n := range over {
		q.stopWaiting(n)
		if n.away {
			q.come(n)
			continue
		}
		n.inFlight, n.pending = n.pending, nil
		out = append(out, n.inFlight)
	}
	q.pending -= len(out)
	q.inFlight += len(out)
	return out
}

// overdue is of a node that waits by time.
func (n *node) overdue(now time.Time, p *Patience) bool {
	e := n.pending
	switch {
	case e == nil || n.waiting || n.notBefore.Sub(now) < p.Least:
		return false
	case len(e.Tokens) == 0:
		return true // it takes up memory only
	}
	return !now.Before(e.held.Add(p.Hold)) || len(e.Tokens) >= p.Entries || e.bytes >= p.Bytes
}

// leave notes a node as away until its back-off is over.
func (q *Queue) leave(n *node) {
	n.away = true
	q.away++
	n.due = n.notBefore
	heap.Push(&q.timers, n)
}

// come puts a node that is away among those that are to be read.
func (q *Queue) come(n *node) { q.coming.push(n) }

// Away makes a key known that is in the retry set, as a session before left it. It must
// be before the first change of the key is added. What comes of the key meanwhile waits
// until it is restored.
func (q *Queue) Away(k Key, due time.Time) {
	n := &node{key: k, group: q.byName[k.Mapping], heap: -1, notBefore: due}
	q.nodes[k] = n
	q.leave(n)
}

// Coming gives keys that are due to be read from the retry set, at most so many. Each is
// given once; Restore is to follow.
func (q *Queue) Coming(now time.Time, most int) (out []Key) {
	q.promote(now)
	for q.coming.first != nil && len(out) < most {
		n := q.coming.first
		q.coming.remove(n)
		n.asked = true
		out = append(out, n.key)
	}
	return out
}

// Restored counts the entries that were restored and are neither settled nor away again.
func (q *Queue) Restored() int { return q.restored }

// Restore puts an entry that Coming asked for beneath what arrived meanwhile. Its
// back-off stays. It was held back for long enough to be sent as soon as that is over.
func (q *Queue) Restore(now time.Time, e *Entry) {
	n := q.nodes[e.Key]
	if n == nil || !n.asked {
		return
	}
	n.away, n.asked = false, false
	q.away--
	q.restored++
	if n.pending == nil {
		q.pending++
	}
	e.node, e.Deferred = n, true
	n.pending = e.onto(n.pending)
	q.schedule(now, n)
}
