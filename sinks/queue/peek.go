package queue

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Stage is what becomes of a key of the queue next.
type Stage uint8

// The stages, in the order in which Peek gives keys.
const (
	// InFlight: it was taken, and is not settled.
	InFlight Stage = iota
	// Ready: it is taken when its turn comes.
	Ready
	// Gated: it is ready, but for the gate of its partition.
	Gated
	// Gathering: it waits for others to go with it in a job.
	Gathering
	// Quiet: it waits for its row to rest, or for the longest delay.
	Quiet
	// BackOff: it was tried, and is tried again later.
	BackOff
	// Awaiting: it waits for something else, which Wake tells of.
	Awaiting
	// Leaving: it is being written into the retry set.
	Leaving
	// Returning: it is due, and is read from the retry set in its turn.
	Returning
	// Aside: it is in the retry set.
	Aside
)

// Sight is a key of the queue as it was at a moment.
type Sight struct {
	Key       Key
	Partition int // of one that is aside it is not known, and negative
	Lane      Lane
	Stage     Stage
	// Until is when the stage ends by itself, Since since when a key is in flight; zero if
	// that is not known.
	Until, Since time.Time
	// Job tells that it is in flight in a job.
	Job bool
	// Changes were folded in, of which Entries of the log with so many Bytes are not
	// released. More came while it was in flight or aside.
	Changes, Entries int
	Bytes            int64
	More             int
	// Position is that of the newest change, Oldest when the first was committed; zero if
	// that is not known.
	Position cdc.Position
	Oldest   time.Time
	// Attempts failed on account of the record, Together as a whole batch; Why says what
	// the last try came to, without values of the row, empty if it was not tried in vain.
	Attempts, Together int
	Why                string
	Replay             Replay
	// Change is what the row comes to, where it was asked for.
	Change cdc.Change
}

// PeekLane is what a lane holds: how many keys with what of the log, and when the first
// change of them was committed, zero without any. A key counts in the most urgent lane of
// its changes, entries and bytes in those that they were read from.
type PeekLane struct {
	Keys, Entries int
	Bytes         int64
	Oldest        time.Time
}

// Peek is the queue as it was at a moment.
type Peek struct {
	Lanes [lanes]PeekLane
	// Aside is how many keys are in the retry set.
	Aside int
	// Matching is how many keys are meant, Keys the first of them.
	Matching int
	Keys     []Sight
}

// Peek looks at the queue and gives the first keys of those that are meant, in about the
// order in which something becomes of them. It looks at every key, and copies those that it
// gives.
func (q *Queue) Peek(now time.Time, most int, values bool, meant func(Key, Lane) bool) Peek {
	q.promote(now)
	p := Peek{Aside: q.away}
	for l := range p.Lanes {
		p.Lanes[l].Entries, p.Lanes[l].Bytes = q.held[l].entries, q.held[l].bytes
	}
	var first worst
	for _, n := range q.nodes {
		e := cmp.Or(n.inFlight, n.pending)
		lane := Bulk
		if e != nil {
			lane = e.Lane
			v := &p.Lanes[lane]
			v.Keys++
			if v.Oldest.IsZero() || e.Oldest.Before(v.Oldest) {
				v.Oldest = e.Oldest
			}
		} else if !n.away {
			continue // it only rests
		}
		if !meant(n.key, lane) {
			continue
		}
		p.Matching++
		s := ranked{n: n, lane: lane}
		s.stage, s.until = q.stageOf(n, now)
		if len(first) == most && (most == 0 || !s.before(&first[0])) {
			continue
		}
		if len(first) == most {
			heap.Pop(&first)
		}
		heap.Push(&first, s)
	}
	slices.SortFunc(first, func(a, b ranked) int { return a.compare(&b) })
	for i := range first {
		p.Keys = append(p.Keys, first[i].sight(values))
	}
	return p
}

// stageOf tells what becomes of a key next, and when that stage ends by itself.
func (q *Queue) stageOf(n *node, now time.Time) (Stage, time.Time) {
	switch {
	case n.inFlight != nil && n.since.IsZero():
		return Leaving, time.Time{}
	case n.inFlight != nil:
		return InFlight, time.Time{}
	case n.away && n.heap >= 0 && !n.asked:
		return Aside, n.due
	case n.away:
		return Returning, time.Time{}
	case n.ready != nil && n.ready == q.behindGate(n):
		return Gated, time.Time{}
	case n.ready == &n.group.forJob && q.stage(n.group, now) == gathering:
		return Gathering, q.gathered(n.group)
	case n.ready != nil:
		return Ready, time.Time{}
	case n.waiting:
		return Quiet, n.readyAt()
	case n.notBefore.Before(n.waitUntil):
		return Awaiting, n.waitUntil
	}
	return BackOff, n.notBefore
}

// ranked is a key on its way into a Peek.
type ranked struct {
	n     *node
	lane  Lane
	stage Stage
	until time.Time
}

// compare orders keys by what becomes of them first; any two differ.
func (r *ranked) compare(o *ranked) int {
	var seq, other uint64
	if r.stage == Ready || r.stage == Gathering {
		seq, other = r.n.seq, o.n.seq
	}
	return cmp.Or(cmp.Compare(r.stage, o.stage), cmp.Compare(r.lane, o.lane), cmp.Compare(seq, other), r.until.Compare(o.until),
		r.n.since.Compare(o.n.since), cmp.Compare(r.n.key.Mapping, o.n.key.Mapping), cmp.Compare(r.n.key.Source, o.n.key.Source))
}

func (r *ranked) before(o *ranked) bool { return r.compare(o) < 0 }

func (r *ranked) sight(values bool) Sight {
	n := r.n
	s := Sight{Key: n.key, Partition: -1, Lane: r.lane, Stage: r.stage, Until: r.until}
	e := n.pending
	if n.inFlight != nil {
		e, s.Since, s.Job = n.inFlight, n.since, n.inJob
	}
	if n.pending != nil && (n.inFlight != nil || n.away) {
		s.More = n.pending.Changes
	}
	if e == nil {
		return s
	}
	s.Partition, s.Changes, s.Entries, s.Bytes, s.Position, s.Oldest = e.Partition, e.Changes, len(e.Tokens), e.bytes, e.Row.Position(), e.Oldest
	s.Attempts, s.Together, s.Why, s.Replay = e.Attempts, e.Together, e.Why, e.Replay
	if n.away {
		s.Changes = 0 // those that are aside are not known
	}
	if values {
		s.Change = e.Row.Change()
	}
	return s
}

// worst is a heap of the keys that are kept, the last of them on top.
type worst []ranked

func (w worst) Len() int           { return len(w) }
func (w worst) Less(i, j int) bool { return w[j].before(&w[i]) }
func (w worst) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *worst) Push(x any)        { *w = append(*w, x.(ranked)) }
func (w *worst) Pop() any {
	old := *w
	x := old[len(old)-1]
	*w = old[:len(old)-1]
	return x
}
