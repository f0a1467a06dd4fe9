package deliver

import (
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// dispatch sends what is ready, as far as the target may be asked at once.
func (s *session) dispatch(now time.Time, soon func(time.Time)) {
	if s.holding {
		return
	}
	if now.Before(s.holdUntil) {
		soon(s.holdUntil)
		return
	}
	for s.senders < s.limits.MaxInFlight && s.closed() {
		permit, least, ok := s.admit(now, s.least(), soon)
		if !ok {
			return
		}
		b, ok := s.queue.Take(now, least)
		if !ok {
			s.giveBack(permit)
			if at, ok := s.queue.Next(now, least); ok {
				soon(at)
			}
			return
		}
		s.hired(b.Lane, 1)
		j := &job{s: s, lane: b.Lane, permit: permit, faults: s.faults, idle: s.e.idle, mapper: s.e.byName[b.Mapping], read: map[int][laneCount]cdc.Position{}}
		for _, e := range b.Entries {
			s.family.forget(e.Key)
			s.rivals.forget(e.Key)
			j.items = append(j.items, &item{entry: e, doubt: s.parts[e.Partition].inDoubt(e), swept: s.parts[e.Partition].sweptOver(e), unanswered: s.doubtful[e.Key], keyed: keyed{tries: s.blocked[e.Key]}})
			if _, ok := j.read[e.Partition]; !ok {
				j.read[e.Partition] = s.parts[e.Partition].readTo()
			}
		}
		s.probes(j)
		s.spawn(func() {
			j.run(s.ctx)
			s.giveBack(j.permit)
			s.post(j)
		})
	}
}

func (p *part) readTo() (at [laneCount]cdc.Position) {
	for i, w := range p.marks {
		at[i] = w.Read()
	}
	return at
}
