package queue

import (
	"container/heap"
	"slices"
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
// longer or to a greater part than is meant, or hold nothing of it any more, or wait for
// something else while their lane is full: it may come behind what has no room. may is asked
// whether there is room for one. They are in flight until Done, which is to say that they
// are Away once they are written. While the target or the mapping is paused none is taken:
// then it is not the key that holds the log.
//
// A key of which an older part is away comes back first, by Coming: only whole can it be
// written again.
func (q *Queue) Overdue(now time.Time, p Patience, may func(*Entry) bool) []*Entry {
	if now.Before(q.paused) {
		return nil
	}
	q.promote(now)
	var over []*node
	for _, n := range q.timers {
		if len(over) < p.Most && q.overdue(now, n, &p) && (n.away || may(n.pending)) {
			over = append(over, n)
		}
	}
	var out []*Entry
	for _, n := range over {
		q.stopWaiting(n)
		if n.away {
			n.come()
			continue
		}
		n.inFlight, n.pending, n.since = n.pending, nil, time.Time{}
		out = append(out, n.inFlight)
	}
	q.pending -= len(out)
	q.inFlight += len(out)
	return out
}

// overdue is of a node that waits by time.
func (q *Queue) overdue(now time.Time, n *node, p *Patience) bool {
	e := n.pending
	switch {
	case e == nil || n.waiting || now.Before(n.group.paused) || n.until().Sub(now) < p.Least || q.gates[n.partition] != nil:
		return false
	case len(e.Tokens) == 0:
		return true // it takes up memory only
	case n.notBefore.Before(n.waitUntil) && slices.ContainsFunc(e.Tokens, func(t Token) bool { return q.held[t.Lane].full }):
		return true
	}
	return !now.Before(e.held.Add(p.Hold)) || len(e.Tokens) >= p.Entries || e.bytes >= p.Bytes
}

// leave notes a node as away until its back-off is over.
func (q *Queue) leave(n *node) {
	n.away = true
	q.away++
	n.due = n.until()
	heap.Push(&q.timers, n)
}

// come notes a node that is away and is to be read.
func (n *node) come() {
	n.coming = true
	n.group.coming.push(n)
}

// backDue is for a node that is away and whose back-off is over: it is to be read, but not
// before the pause ends, since it would take up memory only.
func (q *Queue) backDue(now time.Time, n *node) {
	until := q.paused
	if until.Before(n.group.paused) {
		until = n.group.paused
	}
	if !until.After(now) {
		n.come()
		return
	}
	n.due = until
	heap.Push(&q.timers, n)
}

// Away makes a key known that is in the retry set, as a session before left it. It must
// be before the first change of the key is added. What comes of the key meanwhile waits
// until it is restored.
// waits tells that it waits for something else, so that Wake ends it.
func (q *Queue) Away(k Key, partition int, due time.Time, waits bool) {
	n := &node{key: k, partition: partition, group: q.byName[k.Mapping], heap: -1, notBefore: due}
	if waits {
		n.notBefore, n.waitUntil = time.Time{}, due
	}
	q.nodes[k] = n
	q.leave(n)
}

// Coming gives keys that are due to be read from the retry set. Each is given once; Restore,
// or Later, is to follow. Of each mapping at most so many are read or restored at a time,
// until they are settled or away again.
func (q *Queue) Coming(now time.Time, most int) (out []Key) {
	q.promote(now)
	for _, g := range q.groups {
		for n := g.coming.first; n != nil && g.back < most; {
			next := n.next
			if q.gates[n.partition] == nil {
				g.coming.remove(n)
				n.coming, n.asked = false, true
				g.back++
				out = append(out, n.key)
			}
			n = next
		}
	}
	return out
}

// Due is the end of the back-off and of the wait of a key that is in the queue.
func (q *Queue) Due(k Key) time.Time { return q.nodes[k].until() }

// Later puts off a key that Coming gave, and that could not be read.
func (q *Queue) Later(k Key, until time.Time) {
	n := q.nodes[k]
	if n == nil || !n.asked {
		return
	}
	n.asked = false
	n.group.back--
	n.due = until
	heap.Push(&q.timers, n)
}

// Restore puts an entry that Coming asked for beneath what arrived meanwhile. Its
// back-off stays. It was held back for long enough to be sent as soon as that is over.
func (q *Queue) Restore(now time.Time, e *Entry) {
	n := q.nodes[e.Key]
	if n == nil || !n.asked {
		return
	}
	n.away, n.asked = false, false
	q.away--
	if n.pending == nil {
		q.pending++
	}
	e.node, e.Deferred = n, true
	n.pending = e.onto(n.pending)
	q.schedule(now, n)
}
