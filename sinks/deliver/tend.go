package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
)

// The reasons for which dead letters are dropped: there are more than the bound, or they
// are older. That is data_loss (I12).
const (
	LossFull = "dead_letters_full"
	LossOld  = "dead_letters_old"
)

const (
	// tendEvery is how often the dead letters are looked after; those that somebody
	// discards are counted then.
	tendEvery = 10 * time.Second
	// tellEvery bounds how often it is logged that some were dropped.
	tellEvery = time.Minute
)

// tend looks after the dead letters of a partition: their bounds, and the counts.
func (s *session) tend(p *part, now time.Time, soon func(time.Time)) {
	if p.tending {
		return
	}
	if now.Before(p.tendFrom) {
		soon(p.tendFrom)
		return
	}
	p.tending, p.tendFrom = true, now.Add(tendEvery)
	told := p.dead
	s.spawn(func() {
		d := &tendDone{p: p}
		d.totals, d.more, d.err = s.claim.Tend(s.ctx, p.n, now, told)
		s.post(d)
	})
}

// baseline sets from where on dropped dead letters of a partition are counted and logged:
// from what was logged, by whomever, since a process that was killed may not have come
// to it; what this process counted it logged with the end of its session.
func (e *Engine) baseline(partition int, t *deadletter.Totals) {
	have := e.dropped[partition]
	t.Full, t.Old = max(t.ToldFull, have.Full), max(t.ToldOld, have.Old)
	t.ToldFull, t.ToldOld = t.Full, t.Old
}

// tendDone is what looking after the dead letters of a partition came to.
type tendDone struct {
	p      *part
	totals deadletter.Totals
	more   bool
	err    error
}

// apply counts what became of dead letters since the last look.
func (d *tendDone) apply(s *session, now time.Time) {
	const what = "look after the dead letters"
	p := d.p
	p.tending = false
	if p.over() {
		return
	}
	p.oldestAside = p.oldest()
	var lost *state.LostError
	switch {
	case errors.As(d.err, &lost):
		s.cancel(d.err)
		return
	case errors.Is(d.err, context.Canceled) && s.ctx.Err() != nil:
		return
	case d.err != nil:
		s.e.log.fails(what, d.err)
		p.tendFrom = now.Add(backOff(redisWaits, p.tendFailures))
		p.tendFailures++
		return
	}
	s.e.log.works(what)
	p.tendFailures = 0
	was, t := p.dead, d.totals
	t.ToldFull, t.ToldOld = was.ToldFull, was.ToldOld
	p.dead, s.e.dropped[p.n] = t, t
	// A server that lost writes counts lower than before: that is no event.
	since := func(was, now int64) uint64 { return uint64(max(0, now-was)) }
	c := &s.e.stats.counters
	c.resolved.Add(since(was.Resolved, t.Resolved))
	c.replaced.Add(since(was.Replaced, t.Replaced))
	c.discarded.Add(since(was.Discarded, t.Discarded))
	full, old := since(was.Full, t.Full), since(was.Old, t.Old)
	c.full.Add(full)
	c.old.Add(old)
	s.full, s.old = s.full+int64(full), s.old+int64(old)
	if d.more {
		p.tendFrom = now
	}
}

// tellDropped logs what was dropped: the first at once, then what came together in a
// minute.
func (s *session) tellDropped(now time.Time, soon func(time.Time)) {
	if s.full+s.old == 0 {
		return
	}
	if next := s.e.toldDropped.Add(tellEvery); !s.e.toldDropped.IsZero() && now.Before(next) {
		soon(next)
		return
	}
	s.e.toldDropped = now
	s.flushDropped()
}

func (s *session) flushDropped() {
	for _, l := range []struct {
		reason string
		n      int64
		bound  string
	}{{LossFull, s.full, "count"}, {LossOld, s.old, "age"}} {
		if l.n > 0 {
			s.e.logger.Error("data_loss", "reason", l.reason, "count", l.n,
				"what", "records that the target refused are not kept any more, by delivery.dead_letters."+l.bound)
		}
	}
	if s.full+s.old == 0 {
		return
	}
	s.full, s.old = 0, 0
	for _, p := range s.owned() {
		p.dead.ToldFull, p.dead.ToldOld = p.dead.Full, p.dead.Old
		p.tendFrom = time.Time{} // so that it is not logged again after a crash
	}
}
