package deliver

import (
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
)

// part is what the loop knows of a partition that is ours.
type part struct {
	n     int
	marks [laneCount]*queue.Watermark
	// behind are the lanes not yet read as far as entries were sent before, and
	// until how far that is. Nothing is sent until there are none.
	behind map[string]cdc.Position
	doubts

	// opened is when it was taken. holdUntil is before when nothing of it is sent, and
	// restUntil nothing of the keys that were handed to the target: requests of a session before may
	// still be carried out.
	opened, holdUntil, restUntil time.Time
	// leaving tells that it is on its way to another worker: only what is urgent is sent. shut
	// tells that nothing is, gone that it is not ours any more.
	leaving, shut, gone, releasing bool
	// flying counts its entries that senders have, by the lane of their batches.
	flying [laneCount]int
	// doubtful are the keys whose last request has no known outcome, or one that is not
	// written: the target has more than the state tells.
	doubtful map[queue.Key]bool
	// unclearUntil is until when a request of no known outcome may be carried out.
	unclearUntil time.Time

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

// holding tells whether it is still to be read as far as before.
func (p *part) holding() bool { return len(p.behind) > 0 }

// held tells whether nothing of it is sent for now.
func (p *part) held(now time.Time) bool { return p.shut || p.holding() || now.Before(p.holdUntil) }

// over tells that what comes of it now is somebody else's to see to.
func (p *part) over() bool { return p.gone || p.releasing }

// gate lets the queue give of a partition what may be sent of it now.
func (s *session) gate(p *part, now time.Time, soon func(time.Time)) {
	switch {
	case p.held(now):
		s.queue.Gate(now, p.n, queue.Urgent)
		if now.Before(p.holdUntil) {
			soon(p.holdUntil)
		}
	case p.leaving:
		s.queue.Gate(now, p.n, queue.Normal)
	default:
		s.queue.Gate(now, p.n, queue.All)
	}
}

// idle tells whether all that was given to senders has come back, and is written.
func (p *part) idle() bool {
	return p.flying == [laneCount]int{} && len(p.settled) == 0 && !p.committing
}

// clean tells whether all that was handed to the target has a known outcome, and
// that is written.
func (p *part) clean(now time.Time) bool {
	return p.idle() && p.cleared() && len(p.doubtful) == 0 && !now.Before(p.unclearUntil)
}

// owned gives the partitions that are ours, in order.
func (s *session) owned() []*part { return s.list }

// own sets who has a partition: p, or, if that is nil, not us.
func (s *session) own(n int, p *part) {
	s.parts[n] = p
	s.list = slices.DeleteFunc(slices.Clone(s.parts), func(p *part) bool { return p == nil })
}

// forget takes what belongs to a partition that is not ours any more out of the memory.
func (s *session) forget(p *part) {
	p.gone = true
	s.own(p.n, nil)
	s.left += s.queue.Drop(p.n)
	for _, f := range []*family{&s.family, &s.rivals} {
		for child := range f.parents {
			if !s.queue.Has(child) {
				f.forget(child)
			}
		}
	}
	for k := range s.blocked {
		if !s.queue.Has(k) {
			delete(s.blocked, k)
		}
	}
	s.replays.leave(p)
}
