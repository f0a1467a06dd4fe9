package queue

import (
	"container/heap"
	"time"
)

// gate says which lanes of a partition Take gives from. Changes go on folding behind it.
type gate struct {
	open  Lane // lanes below it are open
	ready list // nodes that are ready, but for it
}

// All is the number of lanes: with it a gate is open.
const All = lanes

// Gate lets Take give, of the keys of a partition, only those of lanes more urgent than open:
// none with Urgent, all with All. What is in flight is not touched, and what is away does not
// come back while the gate is not open.
func (q *Queue) Gate(now time.Time, partition int, open Lane) {
	g := q.gates[partition]
	switch {
	case g == nil && open >= All, g != nil && g.open == open:
		return
	case g == nil:
		g = &gate{}
		q.gates[partition] = g
	}
	if g.open = open; open >= All {
		delete(q.gates, partition)
	}
	for n := g.ready.first; n != nil; {
		next := n.next
		if q.listOf(n) != &g.ready {
			g.ready.remove(n)
			q.makeReady(now, n)
		}
		n = next
	}
	for _, of := range q.groups {
		q.fillUp(now, of)
		if open >= All {
			continue
		}
		for l := Urgent; l < lanes; l++ {
			q.shut(g, &of.ready[l], partition)
		}
		q.shut(g, &of.forJob, partition)
	}
}

// shut moves those nodes of a list of ready ones that are behind a gate.
func (q *Queue) shut(g *gate, from *list, partition int) {
	for n := from.first; n != nil; {
		next := n.next
		if n.partition == partition && n.pending.Lane >= g.open {
			from.remove(n)
			n.ready = &g.ready
			g.ready.push(n)
		}
		n = next
	}
}

// behindGate is the list of an entry that is ready, but for a gate; nil if there is none.
func (q *Queue) behindGate(n *node) *list {
	if len(q.gates) == 0 {
		return nil
	}
	if g := q.gates[n.partition]; g != nil && n.pending.Lane >= g.open {
		return &g.ready
	}
	return nil
}

// Rest has nothing taken of a key that is in the queue before a time: what was asked of a
// target for it before may still be carried out (I4). It never shortens a back-off.
func (q *Queue) Rest(now time.Time, k Key, until time.Time) {
	n := q.nodes[k]
	if n == nil || !until.After(n.notBefore) || !until.After(now) {
		return
	}
	n.notBefore = until
	switch {
	case n.inFlight != nil, n.asked:
	case n.away:
		if n.due = n.until(); n.coming { // it was due, and is not any more
			n.group.coming.remove(n)
			n.coming = false
			heap.Push(&q.timers, n)
			return
		}
		heap.Fix(&q.timers, n.heap)
	case n.pending == nil: // it only rests, and goes on to
		n.due = until
		heap.Fix(&q.timers, n.heap)
	default:
		q.stopWaiting(n)
		if n.ready != nil {
			n.ready.remove(n)
			n.ready = nil
		}
		q.schedule(now, n)
	}
}

// Drop forgets all that belongs to a partition, which somebody else goes on with: its entries
// are neither given nor counted any more, and what Done is told of those in flight is passed
// over. It opens the gate, and gives how many keys were pending.
func (q *Queue) Drop(partition int) (pending int) {
	for k, n := range q.nodes {
		if n.partition != partition {
			continue
		}
		q.stopWaiting(n)
		switch {
		case n.ready != nil:
			n.ready.remove(n)
			n.ready = nil
		case n.coming:
			n.group.coming.remove(n)
		}
		if n.away {
			q.away--
		}
		if n.asked || n.holds(func(e *Entry) bool { return e.Deferred }) {
			n.group.back--
		}
		n.holds(func(e *Entry) bool {
			for _, t := range e.Tokens {
				q.release(t)
			}
			return false
		})
		if n.pending != nil {
			q.pending--
			pending++
			n.pending = nil
		}
		if n.inFlight != nil {
			q.inFlight--
			n.inFlight = nil
		}
		delete(q.nodes, k)
	}
	delete(q.gates, partition)
	return pending
}

// holds tells whether something is true of what a node has pending or in flight; it is asked
// of both.
func (n *node) holds(is func(*Entry) bool) (out bool) {
	for _, e := range []*Entry{n.pending, n.inFlight} {
		if e != nil && is(e) {
			out = true
		}
	}
	return out
}
