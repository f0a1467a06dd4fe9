package deliver

import (
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
)

// dispatch sends what is ready, as far as the target may be asked at once.
func (s *session) dispatch(now time.Time, soon func(time.Time)) {
	for s.senders < s.limits.MaxInFlight && s.closed() {
		if s.startJob(now) {
			continue
		}
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
		s.start(&job{permit: permit}, &b)
	}
}

// start sends a batch, or job.
func (s *session) start(j *job, b *queue.Batch) {
	j.s, j.lane, j.bulk, j.mapper = s, b.Lane, b.Job, s.e.byName[b.Mapping]
	j.faults, j.idle, j.usual, j.read = s.faults, s.e.idle, s.policyOf(j.mapper).MaxBatch, map[int][laneCount]cdc.Position{}
	j.items = make([]*item, 0, len(b.Entries))
	s.hired(j, 1)
	for _, e := range b.Entries {
		p := s.parts[e.Partition]
		it := &item{entry: e, doubt: p.inDoubt(e), swept: p.sweptOver(e), unanswered: p.doubtful[e.Key], opened: p.opened, keyed: keyed{tries: s.blocked[e.Key]}}
		p.flying[j.lane]++
		it.parentInJob = slices.ContainsFunc(s.family.parents[e.Key], s.queue.InJob)
		s.family.forget(e.Key)
		s.rivals.forget(e.Key)
		j.items = append(j.items, it)
		if _, ok := j.read[e.Partition]; !ok {
			j.read[e.Partition] = p.readTo()
		}
	}
	s.probes(j)
	s.spawn(func() {
		j.run(s.ctx)
		s.giveBack(j.permit)
		j.post()
	})
}

func (p *part) readTo() (at [laneCount]cdc.Position) {
	for i, w := range p.marks {
		at[i] = w.Read()
	}
	return at
}
