package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

const (
	// meetEvery is how often a worker looks who else is there, and meetSoon how often if it
	// has less than its part: what another gives is nobody's until it is taken.
	meetEvery, meetSoon = time.Second, 100 * time.Millisecond
)

// workers is what the loop knows of who else delivers to the target.
type workers struct {
	meeting  bool
	meetFrom time.Time
	failures int
	others   bool // somebody else is there
	asked    map[int]bool
	// begun are the mappings for which Begin was called last; nil if it was for none that are known.
	begun     []string
	beginning bool
	started   bool // something was owned once
	told      string
	telling   int // calls under way that tell the others of our leaving
}

// meet looks who else is there, now and then.
func (s *session) meet(now time.Time, soon func(time.Time)) {
	w := &s.workers
	switch {
	case w.meeting, !s.parting.IsZero():
		return
	case now.Before(w.meetFrom):
		soon(w.meetFrom)
		return
	}
	w.meeting = true
	me := s.me()
	s.spawn(func() {
		d := &met{}
		ctx, cancel := context.WithTimeout(s.ctx, s.e.leases.ttl/3)
		defer cancel()
		d.meeting, d.err = s.claim.Meet(ctx, me)
		s.post(d)
	})
}

// me is what others are told of this worker.
func (s *session) me() state.Worker {
	me := s.e.worker
	if s.e.o.Address != nil {
		me.Address = s.e.o.Address()
	}
	return me
}

// met is what a look at the others came to.
type met struct {
	meeting state.Meeting
	err     error
}

// apply gives and takes what is to be.
func (d *met) apply(s *session, now time.Time) {
	const what = "meet the other workers"
	w := &s.workers
	w.meeting = false
	if d.err != nil {
		if s.ctx.Err() == nil {
			s.e.log.fails(what, d.err)
		}
		w.meetFrom = now.Add(backOff(redisWaits, w.failures))
		w.failures++
		return
	}
	s.e.log.works(what)
	w.failures, w.others = 0, len(d.meeting.Workers) > 1
	if !s.parting.IsZero() {
		s.tellLeaving() // perhaps it came after that
		return
	}
	hands := make([]hand, s.e.o.Partitions)
	for n := range hands {
		switch p := s.parts[n]; {
		case w.asked[n]:
			hands[n] = askedFor
		case p == nil:
		case p.leaving:
			hands[n] = onItsWay
		default:
			hands[n] = isOurs
		}
	}
	take, give, hungry := share(&d.meeting, s.e.leases.name, hands)
	for _, n := range give {
		s.parts[n].leaving = true
	}
	if hungry {
		hungry = s.keep(&d.meeting, len(take))
	}
	w.meetFrom = now.Add(meetEvery)
	if hungry {
		w.meetFrom = now.Add(meetSoon)
	}
	s.tellWaiting(&d.meeting, hungry && len(take) == 0)
	if len(take) > 0 {
		s.take(take)
		return
	}
	names := agreed(&d.meeting, s.e.worker.Mappings)
	if len(s.owned()) > 0 && !w.beginning && names != nil && (w.begun == nil || !slices.Equal(names, w.begun)) {
		w.beginning = true
		s.spawn(func() {
			d := &begun{names: names}
			d.err = s.begin(names)
			s.post(d)
		})
	}
}

// keep takes back what is on its way to others and has not gone, where they are not there any
// more: a bulk job may hold it for minutes, with nothing sent but what is urgent. It tells whether
// there is less than the part all the same.
func (s *session) keep(m *state.Meeting, taking int) (hungry bool) {
	part, _ := partOf(m.Workers, s.e.leases.name, s.e.o.Partitions)
	have := taking + len(s.workers.asked)
	for _, p := range s.owned() {
		if !p.leaving {
			have++
		}
	}
	for _, p := range s.owned() {
		if have < part && p.leaving && !p.shut {
			p.leaving = false
			have++
		}
	}
	return have < part
}

// tellWaiting says once who has the partitions when there are none for this worker.
func (s *session) tellWaiting(m *state.Meeting, waits bool) {
	w := &s.workers
	if !waits || len(s.owned())+len(w.asked) > 0 {
		w.told = ""
		return
	}
	var names []string
	for _, o := range m.Owners {
		if o != "" && !slices.Contains(names, o) {
			names = append(names, o)
		}
	}
	if all := strings.Join(names, ", "); all != w.told {
		w.told = all
		s.e.logger.Info("waiting for partitions of the target", "owners", all)
	}
}

// begin does what is to be done before anything is read. It ends when the session
// does, or is to.
func (s *session) begin(names []string) error {
	if s.e.o.Begin == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer context.AfterFunc(s.soft, cancel)()
	if err := s.e.o.Begin(ctx, Beginning{Failing: s.failing.Load(), Mappings: names}); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// begun is that other mappings are agreed on.
type begun struct {
	names []string
	err   error
}

func (d *begun) apply(s *session, now time.Time) {
	const what = "tell which mappings are delivered"
	w := &s.workers
	w.beginning = false
	if d.err != nil {
		if s.ctx.Err() == nil && s.soft.Err() == nil {
			s.e.log.fails(what, d.err)
		}
		return // the next meeting tries again
	}
	s.e.log.works(what)
	w.begun = d.names
}

// handOver goes on with giving partitions away. First nothing is sent of one but what is
// urgent, until the longer requests are answered; then nothing at all, for as long as the last
// of the short ones takes. A job is waited for, with nothing more added to it.
func (s *session) handOver(now time.Time) {
	for _, p := range s.owned() {
		if !p.leaving || p.releasing || !s.parting.IsZero() && !s.stopping {
			continue
		}
		if p.flying[queue.Normal]+p.flying[queue.Bulk] == 0 || s.stopping {
			p.shut = true
		}
		if p.shut && p.idle() {
			s.release(p, p.clean(now))
		}
	}
}

// release gives a partition back.
func (s *session) release(p *part, clean bool) {
	p.releasing = true
	s.spawn(func() {
		if s.persist("release lease", func() error { return s.claim.Release(s.ctx, clean, p.n) }) {
			s.post(&released{p})
		}
	})
}

// released is that a partition is not ours any more.
type released struct{ p *part }

func (d *released) apply(s *session, _ time.Time) {
	if s.forget(d.p); !s.stopping {
		s.left = 0
		s.e.logger.Info("a partition was handed over", "partition", d.p.n, "owned", len(s.owned()), "of", s.e.o.Partitions)
	}
}

// leave has others take this worker's part, as it ends. Where there are any it goes on with what
// is urgent until they must have seen that, so that they are there when it gives its part away.
func (s *session) leave(now time.Time) {
	s.parting = now
	if look := meetEvery + 2*meetSoon; s.workers.others && look <= s.e.o.DrainTimeout/2 {
		s.parting = now.Add(look)
	}
	for _, p := range s.owned() {
		p.leaving = true
	}
	s.tellLeaving()
}

// tellLeaving tells the others that this worker takes no part any more. A stop waits for it: else
// they would keep its part free until they notice.
func (s *session) tellLeaving() {
	s.workers.telling++
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.e.leases.ttl/3)
		defer cancel()
		if err := s.claim.Leave(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.e.log.fails("leave the other workers", err) // they notice in time
		}
		s.post(leavingTold{})
	})
}

// leavingTold is that the others were told, or that it was tried.
type leavingTold struct{}

func (leavingTold) apply(s *session, _ time.Time) { s.workers.telling-- }
