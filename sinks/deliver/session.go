package deliver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// laneCount is how many lanes there are.
const laneCount = 3

// session is delivery for as long as no lease is lost.
type session struct {
	e      *Engine
	claim  claim
	limits sinks.Limits
	began  time.Time
	// leased is up to when, in Unix nanoseconds, all that is ours is certainly ours; zero if
	// nothing ever was. failing tells that the last requests failed.
	leased  atomic.Int64
	failing atomic.Bool

	soft   context.Context // that of Run
	ctx    context.Context // ends with the session, its cause says why
	cancel context.CancelCauseFunc
	work   sync.WaitGroup
	events chan event

	// Of the loop alone:
	queue    *queue.Queue
	parts    []*part // by number; nil where they are not ours
	list     []*part // those that are; see own
	workers  workers
	keeping  bool // the leases are renewed
	senders  int
	bulk     int // senders of batches that bulk leads
	jobs     int // senders of jobs
	stopping bool
	// parting is when a stop begins; others are told before.
	parting  time.Time
	left     int   // keys that were pending in partitions that were given back
	faults   int   // of the target, in a row
	meanSize int64 // of entries, as read lately
	// full and old are how many dead letters were dropped and not told of yet.
	full, old int64
	// blocked counts how often keys were tried whose target key is another row's.
	blocked map[queue.Key]int
	// rivals are the rows whose target keys others wait for aside.
	rivals family
	// mappingFaults are those of mappings that wait, by name.
	mappingFaults map[string]mappingFault
	probe         *job // while the target is probed
	told          bool // how the target is
	// asideFrom is before when it is not looked for what is to be put aside.
	asideFrom time.Time
	family    family

	replays replays

	// mu covers noted: up to where it is written that a partition may be handed to
	// the target.
	mu    sync.Mutex
	noted []reach
}

// event is something that ended, for the loop to act upon.
type event interface {
	apply(s *session, now time.Time)
}

func newSession(e *Engine) *session {
	s := &session{
		e: e, claim: e.leases.claim(), began: time.Now(), limits: e.o.Target.Limits(), faults: e.faults,
		events: make(chan event, 16), queue: queue.New(e.o.Limits), parts: make([]*part, e.o.Partitions), workers: workers{asked: map[int]bool{}},
		noted: make([]reach, e.o.Partitions), mappingFaults: map[string]mappingFault{}, blocked: map[queue.Key]int{}, family: newFamily(), rivals: newFamily(), meanSize: meanSizeFirst,
	}
	s.queue.Pause(e.pausedUntil)
	s.queue.SetJobs(e.jobsOf(s.limits))
	for _, m := range e.o.Mappers {
		s.queue.Group(m.Name(), s.policyOf(m))
	}
	return s
}

// policyOf is how the changes of a mapping are held back, within the bounds of the target.
func (s *session) policyOf(m Mapper) sinks.Coalesce {
	policy := m.Coalesce()
	policy.MaxBatch = MostInBatch(policy, s.limits)
	return policy
}

// MostInBatch is how many records a request has at most: as many as a mapping says, within the
// limits of the target.
func MostInBatch(c sinks.Coalesce, l sinks.Limits) int {
	if c.MaxBatch < 1 {
		return l.MaxBatch
	}
	return min(c.MaxBatch, l.MaxBatch)
}

// run is the life of a session. soft ends it in order, hard at once.
func (s *session) run(soft, hard context.Context) error {
	s.soft = soft
	s.ctx, s.cancel = context.WithCancelCause(hard)
	s.e.current.Store(s)
	defer s.e.current.Store(nil)
	err := s.loop(soft)
	answered := s.senders == 0
	s.cancel(err)
	s.work.Wait()
	s.flushDropped()
	counts := s.queue.Counts()
	s.e.stats.setGauges(gauges{})
	if errors.Is(context.Cause(hard), errKilled) {
		return err
	}
	if soft.Err() != nil {
		s.e.logger.Info("delivery stopped", "pending", s.left+counts.Pending, "in_flight", counts.InFlight, "partitions_left", len(s.owned()))
	}
	if lost := (*state.LostError)(nil); answered && !errors.As(err, &lost) { // otherwise a request may still be at the target: others wait for the leases to end
		ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), s.e.leases.ttl/2)
		defer cancel()
		err = errors.Join(err, s.claim.Release(ctx, false))
	}
	return err
}

// spawn runs f in a goroutine that the session waits for.
func (s *session) spawn(f func()) {
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		f()
	}()
}

// post hands an event to the loop, unless the session is over.
func (s *session) post(ev event) {
	select {
	case s.events <- ev:
	case <-s.ctx.Done():
	}
}

// loop acts on events until soft ends and all under way is done, or until the
// session ends.
func (s *session) loop(soft context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var rated <-chan struct{}
	if s.e.o.Rate != nil {
		ch, end := s.e.o.Rate.Watch()
		defer end()
		rated = ch
	}
	stop := soft.Done()
	var deadline <-chan time.Time
	for {
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-stop:
			stop = nil
			s.leave(time.Now())
			d := time.NewTimer(s.e.o.DrainTimeout)
			defer d.Stop()
			deadline = d.C
		case <-deadline:
			return nil
		case ev := <-s.events:
			ev.apply(s, time.Now())
		case <-timer.C:
		case <-rated:
		}
		if s.turn(timer, time.Now()) {
			return nil
		}
	}
}

// turn starts what can be started and sets the timer for what can be later. It
// tells whether a stop is complete.
func (s *session) turn(timer *time.Timer, now time.Time) (stopped bool) {
	next := now.Add(time.Hour)
	soon := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	s.e.idle = s.e.idle.at(now, s.down(now))
	if !s.parting.IsZero() && !s.stopping {
		s.stopping = !now.Before(s.parting)
		soon(s.parting)
	}
	s.failing.Store(s.faults > 0)
	if !s.stopping {
		s.meet(now, soon)
		for _, p := range s.owned() {
			s.gate(p, now, soon)
			if p.shut {
				continue
			}
			s.read(p, now, soon)
			s.sweep(p, now, soon)
			s.tend(p, now, soon)
			s.collect(p, now, soon)
		}
		s.replay(now, soon)
		s.tellDropped(now, soon)
		s.dispatch(now, soon)
		s.putAside(now, soon)
		s.bringBack(now)
		s.lookForParents(now, soon)
	}
	for _, p := range s.owned() {
		s.commit(p, now, soon)
	}
	s.handOver(now)
	s.e.stats.setGauges(s.gauges(s.tellCondition(now)))
	timer.Reset(next.Sub(now))
	return s.stopping && s.senders == 0 && len(s.owned()) == 0 && s.workers.telling == 0
}
