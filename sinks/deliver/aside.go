package deliver

import (
	"cmp"
	"fmt"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// A key in a long back-off of its own must not hold the checkpoint: its entry is put
// aside in the retry set of its partition, in the commit that releases its log entries
// (I1), and comes back from there when it is due. What the log brings of it meanwhile
// waits for it (I4), and after Hold is written together with it.
const (
	// asideShare is which part of a lane a key may hold before its time, as 1/asideShare.
	asideShare = 4
	// asideAtOnce bounds how many entries are put aside at once, backAtOnce how many of
	// a mapping are back in memory without holding the log.
	asideAtOnce, backAtOnce = 100, 200
)

// deferred is what the loop knows of an entry in the retry set.
type deferred struct {
	position cdc.Position
	upto     [laneCount]cdc.Position
	first    time.Time
	// doubt tells that a session before left it, unanswered that its last request in this
	// one has no known outcome.
	doubt, unanswered bool
}

func deferredOf(d *state.Deferred) *deferred {
	out := &deferred{position: d.Position, first: d.First}
	for i, lane := range cdc.Lanes() {
		out.upto[i] = d.Upto[lane]
	}
	return out
}

// hasAside tells whether an entry of a lane that is read again is part of what waits
// aside, or older than that.
func (p *part) hasAside(k queue.Key, lane queue.Lane, at cdc.Position) bool {
	d := p.deferred[k]
	return d != nil && !d.upto[lane].Before(at)
}

// roomAside is how many entries the retry set of a partition may have.
func (s *session) roomAside() int { return max(1, s.e.o.Deferred/s.e.o.Partitions) }

// putAside takes out what holds the log for too long, to be written in the retry set.
func (s *session) putAside(now time.Time, soon func(time.Time)) {
	if s.queue.Counts().Pending == 0 {
		return
	}
	if s.faults > 0 {
		return // it is the target that holds the log, also while it is probed
	}
	if now.Before(s.asideFrom) {
		soon(s.asideFrom)
		return
	}
	step := min(s.e.o.Hold/8, time.Second)
	s.asideFrom = now.Add(step)
	limits := s.e.o.Limits
	over := s.queue.Overdue(now, queue.Patience{
		Hold: s.e.o.Hold, Entries: max(1, limits.Entries/asideShare), Bytes: max(1, limits.Bytes/asideShare), Least: step, Most: asideAtOnce,
	}, s.mayAside)
	for _, e := range over {
		due := time.Time{}
		if s.queue.Waits(e.Key) {
			due = s.queue.Due(e.Key)
		}
		s.aside(now, e, due, nil)
	}
	if len(over) == asideAtOnce {
		s.asideFrom = now
	}
	soon(s.asideFrom)
}

// mayAside tells whether the retry set has room for an entry, and takes it.
func (s *session) mayAside(e *queue.Entry) bool {
	p := s.parts[e.Partition]
	if p.deferred[e.Key] != nil {
		return true
	}
	if len(p.deferred)+p.deferring < s.roomAside() {
		p.deferring++
		return true
	}
	s.e.log.once("deferred full", "no more entries can be put aside: keys that are refused hold the checkpoint now; see delivery.deferred.count",
		"partition", p.n, "count", s.roomAside())
	return false
}

// aside puts an entry on its way into the retry set. wait, if not zero, is until when it
// waits for other records; dead, if not nil, is its dead letter.
func (s *session) aside(now time.Time, e *queue.Entry, wait time.Time, dead *deadletter.Letter) {
	p := s.parts[e.Partition]
	was := p.deferred[e.Key]
	if was == nil {
		was = &deferred{first: now}
	}
	e.Doubt = p.inDoubt(e)
	d := state.Deferred{Key: state.Key(e.Key), Position: e.Row.Position(), First: was.first, Upto: map[string]cdc.Position{}}
	if d.Due, d.Waiting = s.queue.Due(e.Key), !wait.IsZero(); d.Waiting && d.Due.Before(wait) {
		d.Due = wait
	}
	for _, parent := range s.family.parents[e.Key] {
		d.Parents = append(d.Parents, state.Key(parent))
	}
	for i, lane := range cdc.Lanes() {
		at := was.upto[i]
		for _, t := range e.Tokens {
			if int(t.Lane) == i && at.Before(t.Mark.Position()) {
				at = t.Mark.Position()
			}
		}
		if !at.IsZero() {
			d.Upto[lane] = at
		}
	}
	var err error
	if d.Entry, err = e.Encode(); err != nil {
		s.cancel(err)
		return
	}
	s.traceAside(now, e, d.Due)
	p.settled = append(p.settled, settled{entry: e, aside: &d, wait: wait, dead: dead})
}

// noteAside takes what a commit did to the retry set.
func (p *part) noteAside(s *session, list []state.Deferred) {
	for i := range list {
		d := &list[i]
		k := queue.Key(d.Key)
		if len(d.Entry) == 0 {
			delete(p.deferred, k)
			continue
		}
		s.e.stats.deferred.Add(1)
		known := deferredOf(d)
		if was := p.deferred[k]; was != nil {
			known.doubt = was.doubt
		} else {
			p.deferring--
		}
		known.unanswered = p.doubtful[k]
		p.deferred[k] = known
		delete(p.doubtful, k) // the next session takes all of them for doubtful
	}
	if len(list) > 0 && (p.oldestAside.IsZero() || len(p.deferred) == 0) {
		p.oldestAside = p.oldest()
	}
}

// oldest is when the first of the entries that wait aside was put there; zero if there is none.
func (p *part) oldest() (first time.Time) {
	for _, d := range p.deferred {
		if first.IsZero() || d.first.Before(first) {
			first = d.first
		}
	}
	return first
}

// backDone is what a read of the retry set came to.
type backDone struct {
	p   *part
	all []state.Deferred
}

// bringBack reads what is due from the retry set.
func (s *session) bringBack(now time.Time) {
	byPart := map[*part][]state.Key{}
	for _, k := range s.queue.Coming(now, backAtOnce) {
		for _, p := range s.owned() {
			if p.deferred[k] != nil {
				byPart[p] = append(byPart[p], state.Key(k))
				break
			}
		}
	}
	for p, keys := range byPart {
		s.spawn(func() {
			d := &backDone{p: p}
			read := func() (err error) {
				d.all, err = s.claim.LoadDeferred(s.ctx, p.n, keys)
				return err
			}
			if s.persist("read deferred entries", read) {
				s.post(d)
			}
		})
	}
}

// apply puts the entries beneath what arrived meanwhile.
func (d *backDone) apply(s *session, now time.Time) {
	if d.p.over() {
		return
	}
	for i := range d.all {
		row := &d.all[i]
		k := queue.Key(row.Key)
		if row.Err == nil && len(row.Entry) == 0 { // it would have been there
			s.cancel(fmt.Errorf("read deferred entries of partition %d: %w", d.p.n, state.ErrRolledBack))
			return
		}
		e, err := queue.Decode(k, d.p.n, row.Entry)
		if err = cmp.Or(row.Err, err); err != nil {
			s.e.log.wants("read a deferred entry of mapping "+k.Mapping, err)
			s.queue.Later(k, now.Add(settingWaits.max))
			continue
		}
		e.Doubt = e.Doubt || d.p.deferred[k].doubt
		if d.p.deferred[k].unanswered {
			d.p.doubtful[k] = true
		}
		s.queue.Restore(now, e)
	}
}

// sweepDeferred has the rows deleted that wait aside from below a sweep: the state may know
// nothing of them, and they are not open in the log.
func (s *session) sweepDeferred(now time.Time, p *part, w *sweep) {
	for k, d := range p.deferred {
		if w.means(k.Mapping) && d.position.Before(w.since) {
			s.addSwept(now, p, w, k)
		}
	}
}
