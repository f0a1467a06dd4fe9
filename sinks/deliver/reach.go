package deliver

import (
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// reach is how far a partition may have been handed to the target.
type reach struct {
	lanes [laneCount]cdc.Position
	// swept is the Position of the last sweep of which rows were.
	swept cdc.Position
	// hold is until when requests of a replay may be carried out.
	hold time.Time
}

func (r *reach) raise(in *state.Intent) {
	for i, lane := range cdc.Lanes() {
		if at, ok := in.Sent[lane]; ok && r.lanes[i].Before(at) {
			r.lanes[i] = at
		}
	}
	if r.swept.Before(in.Swept) {
		r.swept = in.Swept
	}
	if r.hold.Before(in.Hold) {
		r.hold = in.Hold
	}
}

func (s *session) notedOf(partition int) reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noted[partition]
}

func (s *session) note(partition int, in *state.Intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted[partition].raise(in)
	s.e.mu.Lock() // within s.mu
	defer s.e.mu.Unlock()
	s.e.handed[partition].raise(in)
}

func (e *Engine) handedOf(partition int) reach {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.handed[partition]
}

// sweptOver gives, as a change of an entry's row, the last sweep above the entry of which a
// session before may have sent rows; one without an operation if there is none.
//
// What a sweep finds is read at the source, and sent at the sweep's Position. A session that
// ended before that was written leaves no more than the note that it may have sent some. So of
// such a row nothing from below the sweep may be sent as it is, neither what is read again nor
// what waits aside: it would come after what is newer (I4). It is read at the source in its
// turn.
func (p *part) sweptOver(e *queue.Entry) (ch cdc.Change) {
	for _, w := range p.sweeps {
		if at := w.change.Position; !p.swept.Before(at) && e.Row.Position().Before(at) && w.means(e.Key.Mapping) {
			ch = w.of(e.Key)
		}
	}
	return ch
}
