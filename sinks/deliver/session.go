package deliver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// laneCount is how many lanes there are.
const laneCount = 3

// session is delivery for as long as one lease lasts.
type session struct {
	e      *Engine
	claim  claim
	limits sinks.Limits
	// claimed is when the lease was asked for.
	claimed time.Time

	ctx    context.Context // ends with the session, its cause says why
	cancel context.CancelCauseFunc
	work   sync.WaitGroup
	events chan event

	// Of the loop alone:
	queue    *queue.Queue
	parts    []*part
	senders  int
	bulk     int  // senders of batches that bulk leads
	jobs     int  // senders of jobs
	holding  bool // nothing is sent until the log is read as far as before
	stopping bool
	faults   int // of the target, in a row
	// holdUntil is before when nothing is sent: requests of a session before may
	// still be carried out.
	holdUntil time.Time
	// doubtful are the keys whose last request has no known outcome, or one that is not
	// written: the target has more than the state tells.
	doubtful map[queue.Key]bool
	// unclearUntil is until when a request of no known outcome may be carried out.
	unclearUntil time.Time
	meanSize     int64 // of entries, as read lately
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

// part is what the loop knows of a partition.
type part struct {
	n     int
	marks [laneCount]*queue.Watermark
	// behind are the lanes not yet read as far as entries were sent before, and
	// until how far that is.
	behind map[string]cdc.Position
	doubts

	reading      bool
	readFailures int
	readFrom     time.Time // not to be read before

	sweeps []*sweep // in the order of their Positions
	// swept is that of the last of which a session before may have sent rows.
	swept cdc.Position

	deferred map[queue.Key]*deferred // what is in the retry set
	// oldestAside is when the first of them was put there, as last looked at.
	oldestAside time.Time
	deferring   int // what is on its way there and was not before

	tending      bool
	tendFailures int
	tendFrom     time.Time // the dead letters are not looked after before
	dead         deadletter.Totals
	collecting   collecting

	settled    []settled // dealt with, not yet written
	committing bool
	committed  [laneCount]cdc.Position
	commits    uint64
	idleFrom   time.Time // a checkpoint without state is not written before
}

func newSession(e *Engine, c claim, claimed time.Time) *session {
	s := &session{
		e: e, claim: c, claimed: claimed, limits: e.o.Target.Limits(), faults: e.faults,
		events: make(chan event, 16), queue: queue.New(e.o.Limits),
		noted: make([]reach, e.o.Partitions), mappingFaults: map[string]mappingFault{}, doubtful: map[queue.Key]bool{}, blocked: map[queue.Key]int{}, family: newFamily(), rivals: newFamily(), meanSize: meanSizeFirst,
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
	if policy.MaxBatch < 1 || policy.MaxBatch > s.limits.MaxBatch {
		policy.MaxBatch = s.limits.MaxBatch
	}
	return policy
}

// run is the life of a session. soft ends it in order, hard at once.
func (s *session) run(soft, hard context.Context) error {
	s.ctx, s.cancel = context.WithCancelCause(hard)
	s.e.current.Store(s)
	defer s.e.current.Store(nil)
	s.spawn(s.keepLease)
	err := s.begin(soft)
	if err == nil {
		err = s.open()
	}
	if err == nil {
		err = s.loop(soft)
	}
	answered, settled := s.senders == 0, s.settled()
	s.cancel(err)
	s.work.Wait()
	s.flushDropped()
	counts := s.queue.Counts()
	s.e.stats.setGauges(gauges{})
	if errors.Is(context.Cause(hard), errKilled) {
		return err
	}
	if soft.Err() != nil {
		s.e.logger.Info("delivery stopped", "pending", counts.Pending, "in_flight", counts.InFlight)
	}
	if answered { // otherwise a request may still be at the target: others wait for the lease to end
		ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), s.e.leases.ttl/2)
		defer cancel()
		if lost := (*state.LostError)(nil); !errors.As(err, &lost) {
			err = errors.Join(err, s.claim.Release(ctx, err == nil && settled))
		}
	}
	return err
}

// settled tells whether all that was handed to the target has a known outcome, and
// that is written.
func (s *session) settled() bool {
	for _, p := range s.parts {
		if p.committing || len(p.settled) > 0 || !p.cleared() {
			return false
		}
	}
	return s.senders == 0 && len(s.doubtful) == 0 && !time.Now().Before(s.unclearUntil)
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

var errLeaseExpired = errors.New("the lease could not be renewed in time")

// keepLease renews the lease at a third of its time, and ends the session if it
// is lost or was not renewed in time. The watch does not depend on any answer.
func (s *session) keepLease() {
	const what = "renew lease"
	ttl := s.e.leases.ttl
	safe := ttl - ttl/10
	watch := time.AfterFunc(safe-time.Since(s.claimed), func() { s.cancel(errLeaseExpired) })
	defer watch.Stop()
	wait := ttl/3 - time.Since(s.claimed)
	for cdc.Sleep(s.ctx, wait) == nil {
		ctx, cancel := context.WithTimeout(s.ctx, ttl/3)
		began := time.Now()
		err := s.claim.Renew(ctx)
		cancel()
		var lost *state.LostError
		switch {
		case err == nil:
			watch.Reset(safe - time.Since(began))
			wait = ttl / 3
			s.e.log.works(what)
		case errors.As(err, &lost):
			s.cancel(err)
			return
		case s.ctx.Err() == nil:
			wait = ttl / 20
			s.e.log.fails(what, err)
		}
	}
}

// begin does what is to be done before anything is read. It ends when the session
// does, or is to.
func (s *session) begin(soft context.Context) error {
	if s.e.o.Begin == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer context.AfterFunc(soft, cancel)()
	if err := s.e.o.Begin(ctx, s.faults > 0); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// open finds out where the partitions go on.
func (s *session) open() error {
	claimed, lanes := time.Now(), cdc.Lanes()
	for n := range s.e.o.Partitions {
		start, err := s.claim.Open(s.ctx, n)
		if err != nil {
			return fmt.Errorf("open partition %d: %w", n, err)
		}
		p := &part{n: n, behind: map[string]cdc.Position{}, dead: start.Dead}
		if start.Unclean {
			p.unclean = claimed.Add(s.e.clockSlack)
		}
		s.e.baseline(n, &p.dead)
		if start.Hold.After(s.holdUntil) { // but no longer than such a request can live
			s.holdUntil = start.Hold
			if most := claimed.Add(s.limits.Timeout); s.holdUntil.After(most) {
				s.holdUntil = most
			}
			s.unclearUntil = s.holdUntil
		}
		if err := s.openDeferred(p); err != nil {
			return err
		}
		handed, anySent := s.e.handedOf(n), false
		s.noted[n].swept = start.Swept
		if p.swept = start.Swept; p.swept.Before(handed.swept) {
			p.swept = handed.swept
		}
		for i, lane := range lanes {
			at, sent := start.Checkpoint[lane], start.Sent[lane]
			p.marks[i] = queue.NewWatermark(at)
			p.committed[i] = at
			s.noted[n].lanes[i] = sent
			if sent.Before(handed.lanes[i]) {
				sent = handed.lanes[i] // the server lost what was noted there
			}
			anySent = anySent || !sent.IsZero()
			if at.Before(sent) {
				p.behind[lane], p.handed[i], p.proven[i] = sent, sent, sent
				s.holding, s.holdUntil = true, claimed.Add(s.limits.Timeout) // the most that can be
			}
		}
		if anySent && len(p.deferred) > 0 { // which leave no other mark when they are sent
			s.holdUntil = claimed.Add(s.limits.Timeout)
			s.unclearUntil = s.holdUntil
		}
		s.parts = append(s.parts, p)
	}
	return nil
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
			s.stopping, stop = true, nil
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
	if !s.stopping {
		for _, p := range s.parts {
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
	busy := s.senders > 0
	for _, p := range s.parts {
		s.commit(p, now, soon)
		busy = busy || p.committing
	}
	s.e.stats.setGauges(s.gauges(s.tellCondition(now)))
	timer.Reset(next.Sub(now))
	return s.stopping && !busy
}
