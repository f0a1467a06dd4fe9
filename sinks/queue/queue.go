package queue

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// Limits bound what a lane may hold of entries not yet released, and say how lanes
// share.
type Limits struct {
	Entries int
	Bytes   int64
	// Floor gives a lane its turn when it was passed over: of so many batches, one is
	// led by the key of it that has been ready longest, whatever more urgent lanes hold.
	// With zero a lane waits until nothing more urgent is ready.
	Floor int
}

// Queue holds at most one pending and one in-flight entry for each key.
type Queue struct {
	limits Limits
	groups []*group
	byName map[string]*group
	nodes  map[Key]*node
	timers timers
	paused time.Time
	seq    uint64

	held     [lanes]held
	passed   [lanes]int // batches of other lanes since its last, while it had a ready key
	pending  int
	inFlight int

	away int // how many nodes are

	jobs   Jobs
	single bool

	gates map[int]*gate // by partition, those that are not open
}

// held counts what a lane holds unreleased.
type held struct {
	entries int
	bytes   int64
	full    bool
}

// group is the part of the queue that belongs to a mapping.
type group struct {
	name    string
	policy  sinks.Coalesce
	paused  time.Time
	waiting list // those not in back-off, in the order they came
	ready   [lanes]list
	forJob  list      // those ready in bulk that may go in a job; they are not in ready
	gather  time.Time // since when there are some, or when a job was given last
	joined  time.Time // when the last came

	coming list // those that are away and due
	back   int  // those asked for or restored, and not settled
}

func (g *group) readyLen() int {
	return g.ready[Urgent].len + g.ready[Normal].len + g.ready[Bulk].len + g.forJob.len
}

// Batch is what Take gives: entries of one mapping, no two of one key.
type Batch struct {
	Mapping string
	// Lane is the one whose turn it was; entries of others fill the batch up.
	Lane    Lane
	Entries []*Entry
	// Job tells that it is one, as Jobs say.
	Job bool
}

// Outcome says what became of an entry that was taken.
type Outcome struct {
	Entry *Entry
	// Again puts the entry back; otherwise it is finished and its tokens are
	// released. In both cases nothing of its key is taken before Until.
	Again bool
	Until time.Time
	// Away says that the entry is written in the retry set: its tokens are released, and
	// it comes back by Coming and Restore.
	Away bool
	// Wait is until when an entry that is put back, or away, waits for something else than
	// its back-off, unless Wake is called before, or a new change comes; zero if it does not.
	// Looked is Entry.Looked from now on, if not zero.
	Wait, Looked time.Time
	// Counted says that the try is held against the entry.
	Counted bool
	// Together says that its whole batch failed.
	Together bool
	// Alone says that it goes in no job from now on.
	Alone bool
	// Why is Entry.Why from now on, if not empty.
	Why string
}

// New gives an empty queue. Each lane is bounded by limits.
func New(limits Limits) *Queue {
	return &Queue{limits: limits, byName: map[string]*group{}, nodes: map[Key]*node{}, gates: map[int]*gate{}}
}

// Group makes a mapping known; it must be before its first change is added. A
// MaxBatch below one is taken as one.
func (q *Queue) Group(mapping string, policy sinks.Coalesce) {
	policy.MaxBatch = max(policy.MaxBatch, 1)
	g := &group{name: mapping, policy: policy}
	q.groups = append(q.groups, g)
	q.byName[mapping] = g
}

// Add folds a change into the pending entry of its key. It is never refused:
// Readable says when to stop reading.
func (q *Queue) Add(now time.Time, a Arrival) {
	n := q.nodes[a.Key]
	if n == nil {
		n = &node{key: a.Key, partition: a.Partition, group: q.byName[a.Key.Mapping], heap: -1}
		q.nodes[a.Key] = n
	}
	q.hold(a.Token)
	if n.pending != nil {
		n.pending.add(now, a)
		q.wakeAt(n, now.Add(lookAgain))
		if n.ready != nil && n.ready != q.listOf(n) {
			n.ready.remove(n)
			q.makeReady(now, n)
			q.fillUp(now, n.group)
		}
		return
	}
	q.pending++
	n.pending = &Entry{
		Key: a.Key, Partition: a.Partition, Row: Fold(a.Change), Lane: a.Lane, Replay: a.Replay,
		Tokens: []Token{a.Token}, Changes: 1, Oldest: a.Change.Time,
		first: now, last: now, held: now, bytes: int64(a.Token.Size), node: n,
	}
	q.wakeAt(n, now.Add(lookAgain))
	if n.inFlight == nil && !n.away {
		q.stopWaiting(n) // it may rest
		q.schedule(now, n)
	}
}

func (q *Queue) hold(t Token) {
	h := &q.held[t.Lane]
	h.entries++
	h.bytes += int64(t.Size)
	if h.entries >= q.limits.Entries || h.bytes >= q.limits.Bytes {
		h.full = true
	}
}

func (q *Queue) release(t Token) {
	h := &q.held[t.Lane]
	h.entries--
	h.bytes -= int64(t.Size)
	if h.entries <= q.limits.Entries/2 && h.bytes <= q.limits.Bytes/2 {
		h.full = false
	}
}

// Readable tells whether a lane has room. Once full it has room again only when
// half of it is released, so that it does not flap.
func (q *Queue) Readable(l Lane) bool { return !q.held[l].full }

// schedule puts a node with a pending entry, not in flight, where it belongs.
func (q *Queue) schedule(now time.Time, n *node) {
	if n.until().After(now) { // looked at again when the back-off is over
		n.due = n.until()
		heap.Push(&q.timers, n)
		return
	}
	g := n.group
	if n.due = n.readyAt(); n.due.After(now) {
		heap.Push(&q.timers, n)
		n.waiting = true
		g.waiting.push(n)
	} else {
		q.makeReady(now, n)
	}
	q.fillUp(now, g)
}

// fillUp has all that wait go once a batch is full. What is behind a gate fills none.
func (q *Queue) fillUp(now time.Time, g *group) {
	if g.waiting.len+g.readyLen() < g.policy.MaxBatch {
		return
	}
	for g.waiting.first != nil {
		w := g.waiting.first
		q.stopWaiting(w)
		q.makeReady(now, w)
	}
}

func (q *Queue) stopWaiting(n *node) {
	if n.heap >= 0 {
		heap.Remove(&q.timers, n.heap)
	}
	if n.waiting {
		n.waiting = false
		n.group.waiting.remove(n)
	}
}

func (q *Queue) makeReady(now time.Time, n *node) {
	q.seq++
	n.seq, n.ready = q.seq, q.listOf(n)
	if g := n.group; n.ready == &g.forJob {
		if g.joined = now; g.forJob.len == 0 {
			g.gather = now
		}
	}
	n.ready.push(n)
}

// listOf is the list of ready nodes where one belongs.
func (q *Queue) listOf(n *node) *list {
	if behind := q.behindGate(n); behind != nil {
		return behind
	}
	if q.mayJob(n.pending) {
		return &n.group.forJob
	}
	return &n.group.ready[n.pending.Lane]
}

// promote makes ready what is due. Changes that arrive do not move a node in the
// heap, so one that is due is looked at again first.
func (q *Queue) promote(now time.Time) {
	for len(q.timers) > 0 && !q.timers[0].due.After(now) {
		n := q.timers[0]
		q.stopWaiting(n)
		if n.away {
			q.backDue(now, n)
			continue
		}
		if n.pending == nil { // it only rested
			delete(q.nodes, n.key)
			continue
		}
		q.schedule(now, n)
	}
}

// Take gives the next batch, whose keys are then in flight until Done. It is led by a
// lane no less urgent than least: with Bulk, by any.
func (q *Queue) Take(now time.Time, least Lane) (Batch, bool) {
	if now.Before(q.paused) {
		return Batch{}, false
	}
	q.promote(now)
	g, lead, ok := q.turn(now, least)
	if !ok {
		return Batch{}, false
	}
	b := Batch{Mapping: g.name, Lane: lead, Entries: make([]*Entry, 0, min(g.readyLen(), g.policy.MaxBatch))}
	q.fill(now, &b, g)
	q.taken(now, &b)
	return b, true
}

// give moves a ready node into a batch.
func (q *Queue) give(b *Batch, n *node) {
	n.ready.remove(n)
	n.ready = nil
	n.inFlight, n.pending, n.inJob = n.pending, nil, b.Job
	b.Entries = append(b.Entries, n.inFlight)
}

func (q *Queue) taken(now time.Time, b *Batch) {
	for _, e := range b.Entries {
		e.node.since = now
	}
	q.pending -= len(b.Entries)
	q.inFlight += len(b.Entries)
}

// Done takes back entries that were taken, of any batches, and gives the tokens
// that are released. An entry that is not in flight is passed over.
func (q *Queue) Done(now time.Time, outcomes []Outcome) []Token {
	var released []Token
	for _, o := range outcomes {
		n := o.Entry.node
		if n.inFlight != o.Entry {
			continue
		}
		n.inFlight = nil
		q.inFlight--
		if o.Entry.Deferred && !o.Again {
			n.group.back--
		}
		switch n.waitUntil = o.Wait; {
		case n.woken:
			q.wakeAt(n, now)
		case n.pending != nil:
			q.wakeAt(n, now.Add(lookAgain))
		}
		n.woken = false
		if o.Again {
			if n.pending == nil {
				q.pending++
			}
			n.pending = o.Entry.onto(n.pending)
			if !o.Looked.IsZero() {
				n.pending.Looked = o.Looked
			}
			n.pending.Alone = n.pending.Alone || o.Alone
			n.pending.Why = cmp.Or(o.Why, n.pending.Why)
			if o.Counted {
				n.pending.Attempts++
			}
			if o.Together {
				n.pending.Together++
				n.pending.Failed = now
			}
		} else {
			for _, t := range o.Entry.Tokens {
				q.release(t)
			}
			released = append(released, o.Entry.Tokens...)
		}
		if o.Until.After(n.notBefore) {
			n.notBefore = o.Until
		}
		switch {
		case o.Away:
			q.leave(n)
		case n.pending != nil:
			q.schedule(now, n)
		case n.notBefore.After(now): // its next change waits until then
			n.due = n.notBefore
			heap.Push(&q.timers, n)
		default:
			delete(q.nodes, n.key)
		}
	}
	return released
}

// Pause keeps Take from giving anything until a time; changes go on folding. It
// never shortens a pause.
func (q *Queue) Pause(until time.Time) {
	if until.After(q.paused) {
		q.paused = until
	}
}

// PauseGroup is Pause for the keys of one mapping.
func (q *Queue) PauseGroup(mapping string, until time.Time) {
	if g := q.byName[mapping]; until.After(g.paused) {
		g.paused = until
	}
}

// GroupPausedUntil is the end of the last pause of a mapping.
func (q *Queue) GroupPausedUntil(mapping string) time.Time { return q.byName[mapping].paused }

// PausedUntil is the end of the last pause.
func (q *Queue) PausedUntil() time.Time { return q.paused }

// Has tells whether a key is in the queue.
func (q *Queue) Has(k Key) bool { return q.nodes[k] != nil }
