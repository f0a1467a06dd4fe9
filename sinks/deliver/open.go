package deliver

import (
	"fmt"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// found is where a partition that was taken goes on.
type found struct {
	n     int
	at    time.Time // when it was looked at, with the lease
	start state.Start
	aside []state.Deferred // without their entries
}

// find looks where a partition goes on.
func (s *session) find(n int) (f found, err error) {
	f = found{n: n, at: time.Now()}
	if f.start, err = s.claim.Open(s.ctx, n); err != nil {
		return f, err
	}
	err = s.claim.EachDeferred(s.ctx, n, func(d state.Deferred) {
		d.Entry = nil // they are read again when their turns come
		f.aside = append(f.aside, d)
	})
	if err != nil {
		return f, fmt.Errorf("read what waits aside: %w", err)
	}
	return f, nil
}

// open begins with a partition that is ours from now on.
//
// Of the requests that a session before may have under way, those of live entries are for keys
// with entries up to where it noted that it handed them over; these rest for as long as a
// request lasts, once all of them were read. So do those that wait aside. Of what a sweep or a
// replay sent there is no such mark by key: then the whole partition is held.
func (s *session) open(f *found) {
	p := &part{n: f.n, behind: map[string]cdc.Position{}, dead: f.start.Dead, opened: f.at, doubtful: map[queue.Key]bool{}, deferred: map[queue.Key]*deferred{}}
	start := &f.start
	if start.Unclean {
		p.unclean = f.at.Add(s.e.clockSlack)
	}
	s.e.baseline(p.n, &p.dead)
	most := f.at.Add(s.limits.Timeout) // no request can live longer
	if start.Hold.After(f.at) {
		p.holdUntil = start.Hold
		if p.holdUntil.After(most) {
			p.holdUntil = most
		}
		p.unclearUntil = p.holdUntil
	}
	handed, anySent, sweeping := s.e.handedOf(p.n), false, false
	if p.swept = start.Swept; p.swept.Before(handed.swept) {
		p.swept = handed.swept
	}
	s.mu.Lock()
	s.noted[p.n] = reach{swept: start.Swept}
	for i, lane := range cdc.Lanes() {
		at, sent := start.Checkpoint[lane], start.Sent[lane]
		p.marks[i] = queue.NewWatermark(at)
		p.committed[i] = at
		s.noted[p.n].lanes[i] = sent
		if sent.Before(handed.lanes[i]) {
			sent = handed.lanes[i] // the server lost what was noted there
		}
		anySent = anySent || !sent.IsZero()
		sweeping = sweeping || at.Before(p.swept)
		if at.Before(sent) {
			p.behind[lane], p.handed[i], p.proven[i] = sent, sent, sent
			p.restUntil = most
		}
	}
	s.mu.Unlock()
	if anySent && len(f.aside) > 0 { // which leave no other mark when they are sent
		p.restUntil = most
	}
	if sweeping {
		p.holdUntil = most
	}
	if p.unclearUntil.Before(p.restUntil) {
		p.unclearUntil = p.restUntil
	}
	s.own(p.n, p)
	s.openDeferred(p, f.aside)
	s.replays.join(p)
}

// openDeferred learns what is in the retry set of a partition.
func (s *session) openDeferred(p *part, list []state.Deferred) {
	for i := range list {
		d := &list[i]
		k := queue.Key(d.Key)
		if p.deferred[k] != nil {
			continue // it comes twice
		}
		known := deferredOf(d)
		known.doubt = true
		p.deferred[k] = known
		if s.e.byName[k.Mapping] == nil {
			s.e.log.once("deferred "+k.Mapping, "entries of a mapping that is not there any more wait aside; walbridge target forget takes them away", "mapping", k.Mapping)
			continue
		}
		due := d.Due
		if d.Waiting && len(d.Parents) == 0 {
			// Which row has its target key is not noted, and that one may have left it.
			due = p.opened
		}
		s.queue.Away(k, p.n, due, d.Waiting)
		s.queue.Rest(p.opened, k, p.restUntil)
		parents := make([]queue.Key, len(d.Parents))
		for i, p := range d.Parents {
			parents[i] = queue.Key(p)
		}
		s.family.wait(k, parents)
	}
	p.oldestAside = p.oldest()
}
