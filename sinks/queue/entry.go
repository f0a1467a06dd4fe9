package queue

import (
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Key is what order is kept for: a row of the source as one mapping sees it.
type Key struct {
	Mapping string
	// Source is the row's key as JSON.
	Source string
}

// Lane is a class of urgency; a lower one goes first.
type Lane uint8

// The lanes, most urgent first.
const (
	Urgent Lane = iota
	Normal
	Bulk
	lanes
)

// LaneOf finds a lane by its name; names not known are normal.
func LaneOf(name string) Lane {
	switch name {
	case cdc.LaneUrgent:
		return Urgent
	case cdc.LaneBulk:
		return Bulk
	}
	return Normal
}

// String gives the name.
func (l Lane) String() string { return cdc.Lanes()[min(l, Bulk)] }

// Token stands for one entry of the log, for as long as it is not released.
type Token struct {
	// Mark is its place in the watermark of its stream. The queue only carries it.
	Mark *Mark
	// Lane is the one it was read from, and Size its bytes: what Full counts.
	Lane Lane
	Size int
}

// Arrival is a change on its way into the queue.
type Arrival struct {
	Key       Key
	Partition int
	Change    cdc.Change
	// Lane is how urgent the change is to this mapping.
	Lane   Lane
	Token  Token
	Replay Replay
}

// Entry is what the changes of a key have folded into. Once taken it is not
// altered by the queue, nor may it be by others.
type Entry struct {
	Key       Key
	Partition int
	Row       Folded
	// Lane is that of the most urgent change folded in: a bulk update that touches
	// the same row must not slow it down.
	Lane Lane
	// Tokens are of all the log's entries folded in.
	Tokens []Token
	// Changes counts them.
	Changes int
	// Oldest is the commit time of the oldest change folded in.
	Oldest time.Time
	// Attempts counts the tries that failed on account of the record.
	Attempts int
	// Together counts the batches that failed as a whole with it among them, Failed
	// is when the last did.
	Together int
	Failed   time.Time
	// Why says what the last try came to that was in vain, without values of the row.
	Why string
	// Alone tells that it goes in no job.
	Alone bool
	// Deferred tells that a part of it is written in the retry set. That part has no
	// tokens any more.
	Deferred bool
	// Doubt tells that a session before may have handed that part to the target.
	Doubt bool
	// Replay tells that a replay asks for it; the most of those folded in.
	Replay Replay
	// Looked is when it was found for the first time that a record it refers to is not
	// there; zero if it was not. Tried is the Position at which it was sent without, and
	// refused, TriedAt when; zero if it was not.
	Looked  time.Time
	Tried   cdc.Position
	TriedAt time.Time

	first, last time.Time // when the first and the last change arrived
	held        time.Time // when the one of its oldest token arrived; zero without tokens
	bytes       int64     // of its tokens
	node        *node
}

func (e *Entry) add(now time.Time, a Arrival) {
	e.Row = e.Row.Merge(Fold(a.Change))
	e.Lane, e.Replay = min(e.Lane, a.Lane), max(e.Replay, a.Replay)
	e.Tokens = append(e.Tokens, a.Token)
	e.bytes += int64(a.Token.Size)
	if e.held.IsZero() {
		e.held = now
	}
	e.Changes++
	if a.Change.Time.Before(e.Oldest) {
		e.Oldest = a.Change.Time
	}
	e.last = now
}

// onto gives the entry that a failed one and what arrived meanwhile come to.
func (e *Entry) onto(newer *Entry) *Entry {
	out := *e
	if newer == nil {
		return &out
	}
	out.Row = e.Row.Merge(newer.Row)
	out.Lane, out.Replay = min(e.Lane, newer.Lane), max(e.Replay, newer.Replay)
	out.Tokens = slices.Concat(e.Tokens, newer.Tokens)
	out.Changes = e.Changes + newer.Changes
	if newer.Oldest.Before(out.Oldest) {
		out.Oldest = newer.Oldest
	}
	out.last = newer.last
	out.bytes += newer.bytes
	if out.held.IsZero() {
		out.held = newer.held
	}
	return &out
}

// node is the place of a key in the queue.
type node struct {
	key       Key
	partition int
	group     *group
	pending   *Entry
	inFlight  *Entry
	// notBefore ends the key's back-off.
	notBefore time.Time
	// waitUntil ends its wait for something else, which Wake may end before.
	waitUntil time.Time
	// woken tells that it was woken while in flight.
	woken bool
	// away tells that what it holds beside the pending entry is in the retry set;
	// coming that it is to be read from there, asked that it is being read.
	away, coming, asked bool

	due  time.Time // when it is looked at again, while it waits
	heap int       // its index in the heap of those that wait, or -1
	seq  uint64    // the order in which it became ready
	// ready is the list of ready nodes that it is in, waiting that it is in that of those
	// that wait.
	ready      *list
	waiting    bool
	inJob      bool      // of what is in flight
	since      time.Time // when it was taken; zero if it is on its way into the retry set
	prev, next *node
}

// readyAt says when a pending entry that is not in back-off becomes ready.
func (n *node) readyAt() time.Time {
	c := n.group.policy
	at := n.pending.last.Add(c.Quiet)
	if limit := n.pending.first.Add(c.MaxDelay); limit.Before(at) {
		at = limit
	}
	return at
}

// list is a queue of nodes.
type list struct {
	first, last *node
	len         int
}

func (l *list) push(n *node) {
	n.prev, n.next = l.last, nil
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
	l.len++
}

func (l *list) remove(n *node) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	n.prev, n.next = nil, nil
	l.len--
}

// timers is a heap of waiting nodes by due time.
type timers []*node

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].heap, t[j].heap = i, j
}
func (t *timers) Push(x any) {
	n := x.(*node)
	n.heap = len(*t)
	*t = append(*t, n)
}
func (t *timers) Pop() any {
	old := *t
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	n.heap = -1
	return n
}
