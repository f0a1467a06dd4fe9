package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/state"
)

const (
	// collectPage is about how many states are looked at at once, collectPause how long
	// the server then has for others.
	collectPage  = 500
	collectPause = 500 * time.Millisecond
	// collectEvery is how often all states of a partition are looked at.
	collectEvery = 10 * time.Minute
)

// collecting is the search for states of a partition that hold back nothing any more:
// of rows that the target has no record of, seen below everything that can still be
// read.
type collecting struct {
	busy     bool
	from     time.Time // nothing is looked at before
	failures int

	// Of the pass that is under way: from where it goes on, below which Position states
	// are of no use, and how many were kept.
	cursor uint64
	below  cdc.Position
	kept   int
	// states is how many the last whole pass has kept.
	states int
}

// collect goes on with the search in a partition.
func (s *session) collect(p *part, now time.Time, soon func(time.Time)) {
	c := &p.collecting
	if s.e.o.Oldest == nil || c.busy {
		return
	}
	if now.Before(c.from) {
		soon(c.from)
		return
	}
	c.busy = true
	cursor, below := c.cursor, c.below
	s.spawn(func() {
		d := &collectDone{p: p, below: below}
		if cursor == 0 {
			d.below, d.err = s.e.o.Oldest(s.ctx, p.n)
		}
		if d.err == nil {
			d.done, d.err = s.claim.Collect(s.ctx, p.n, cursor, collectPage, d.below)
		}
		s.post(d)
	})
}

// collectDone is what a step of the search came to.
type collectDone struct {
	p     *part
	below cdc.Position
	done  state.Collected
	err   error
}

func (d *collectDone) apply(s *session, now time.Time) {
	const what = "collect states"
	c := &d.p.collecting
	c.busy = false
	if d.p.over() {
		return
	}
	var lost *state.LostError
	switch {
	case errors.As(d.err, &lost):
		s.cancel(d.err)
		return
	case errors.Is(d.err, context.Canceled) && s.ctx.Err() != nil:
		return
	case d.err != nil:
		s.e.log.fails(what, d.err)
		c.from = now.Add(backOff(redisWaits, c.failures))
		c.failures++
		return
	}
	s.e.log.works(what)
	s.e.stats.collected.Add(uint64(d.done.Gone))
	c.failures, c.cursor, c.below, c.kept = 0, d.done.Next, d.below, c.kept+d.done.Kept
	c.from = now.Add(collectPause)
	if c.cursor == 0 {
		c.from, c.states, c.kept = now.Add(s.e.collectEvery), c.kept, 0
	}
}
