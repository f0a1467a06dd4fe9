package deliver

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
)

// PeekQuery says what of a queue is meant. The zero value means none of its keys.
type PeekQuery struct {
	// Mapping and Key choose, if not empty: a mapping by its name, a row as cdc.SameKey
	// understands it.
	Mapping, Key string
	// Lane chooses by the name of a lane, if not empty.
	Lane string
	// Limit is how many keys are given at most, Values has their rows given too.
	Limit  int
	Values bool
}

func (q *PeekQuery) means(k queue.Key, l queue.Lane) bool {
	return (q.Mapping == "" || q.Mapping == k.Mapping) && (q.Lane == "" || q.Lane == l.String()) && (q.Key == "" || cdc.SameKey(q.Key, k.Source))
}

// Peek is the queue of a target as its owner has it at a moment.
type Peek struct {
	At time.Time
	// Partitions are those that are ours, Held those of them of which nothing is sent now.
	Partitions []int
	Held       []HeldPart
	Condition  Condition
	// Mappings are those that are paused.
	Mappings []PausedMapping
	Queue    queue.Peek
	// Keys are those of Queue, with what is known of them besides.
	Keys []PeekKey
}

// HeldPart is a partition of which nothing is sent: the log is read first as far as it was
// sent before, or, with an Until, requests of a session before may still be carried out.
// Of one that is Leaving for another worker only what is urgent is sent.
type HeldPart struct {
	Partition int
	Until     time.Time
	Leaving   bool
}

// PausedMapping is one that somebody has to mend something for.
type PausedMapping struct {
	Name  string
	Until time.Time
	Why   string
}

// PeekKey is a key in the queue of a target.
type PeekKey struct {
	queue.Sight
	// Parents are the records that it refers to and waits for, Rivals the rows that have its
	// target key.
	Parents, Rivals []queue.Key
	// Doubt tells that the target may have more than is known.
	Doubt bool
}

// ErrNotOwner says that this process does not deliver to the target now: it has no partition.
var ErrNotOwner = errors.New("this process does not deliver to the target now")

// ErrNotYet says that a delivery has not begun yet: it opens its partitions, or waits until
// the target can be reached.
var ErrNotYet = errors.New("the delivery has not begun yet")

// peeking asks the loop for a Peek.
type peeking struct {
	query PeekQuery
	got   chan *Peek // with room for one
	// opening is set before that: partitions were taken, and are not open yet.
	opening bool
}

// Peek looks at the queue as it is now. It may be called from anywhere; the loop stops for
// the look, for about a tenth of a microsecond for each key. Its errors are ErrNotOwner,
// ErrNotYet, or that ctx has ended.
func (e *Engine) Peek(ctx context.Context, q PeekQuery) (*Peek, error) {
	s := e.current.Load()
	if s == nil {
		return nil, ErrNotOwner
	}
	ask := &peeking{query: q, got: make(chan *Peek, 1)}
	select {
	case s.events <- ask:
	case <-s.ctx.Done():
		return nil, ErrNotOwner
	case <-ctx.Done():
		return nil, ErrNotYet
	}
	select {
	case p := <-ask.got:
		switch {
		case len(p.Partitions) > 0:
			return p, nil
		case ask.opening:
			return nil, ErrNotYet
		}
		return nil, ErrNotOwner
	case <-s.ctx.Done():
		return nil, ErrNotOwner
	case <-ctx.Done():
		return nil, ErrNotYet
	}
}

// apply makes the snapshot.
func (a *peeking) apply(s *session, now time.Time) {
	p := &Peek{At: now, Condition: s.condition(now)}
	a.opening = len(s.workers.asked) > 0
	for _, part := range s.owned() {
		p.Partitions = append(p.Partitions, part.n)
		if held, until := part.heldUntil(now); held || part.leaving {
			p.Held = append(p.Held, HeldPart{Partition: part.n, Until: until, Leaving: part.leaving || part.shut})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.mappingFaults)) {
		if until := s.queue.GroupPausedUntil(name); now.Before(until) {
			p.Mappings = append(p.Mappings, PausedMapping{Name: name, Until: until, Why: s.mappingFaults[name].why})
		}
	}
	p.Queue = s.queue.Peek(now, max(0, a.query.Limit), a.query.Values, a.query.means)
	for i := range p.Queue.Keys {
		k := PeekKey{Sight: p.Queue.Keys[i]}
		k.Parents, k.Rivals = slices.Clone(s.family.parents[k.Key]), slices.Clone(s.rivals.parents[k.Key])
		if k.Partition >= 0 && s.parts[k.Partition] != nil {
			k.Doubt = s.parts[k.Partition].doubtful[k.Key]
		}
		if k.Partition < 0 {
			s.sightAside(&k)
		}
		p.Keys = append(p.Keys, k)
	}
	a.got <- p
}

// heldUntil tells whether nothing is sent of a partition, and until when; zero if that is not
// known.
func (p *part) heldUntil(now time.Time) (held bool, until time.Time) {
	if now.Before(p.holdUntil) {
		return true, p.holdUntil
	}
	return p.held(now), time.Time{}
}

// sightAside tells what is known of a key that is aside.
func (s *session) sightAside(k *PeekKey) {
	for _, p := range s.owned() {
		if d := p.deferred[k.Key]; d != nil {
			k.Partition, k.Position, k.Since, k.Doubt = p.n, d.position, d.first, k.Doubt || d.doubt || d.unanswered
			return
		}
	}
}

// whyAgain says what the try of an item came to that goes back; empty if there was none.
func (j *job) whyAgain(it *item) string {
	if it.why != "" || j.halt == nil {
		return it.why
	}
	j.halt.why = cmp.Or(j.halt.why, j.halt.err.Error()) // one text for all of them
	return j.halt.why
}
