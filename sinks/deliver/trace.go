package deliver

import (
	"slices"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/trace"
)

// Tracer keeps a history of what became of records, beside delivery: it must not wait.
// *trace.Writer.
type Tracer interface {
	// NewID gives the id of a request.
	NewID() string
	// Record takes what became of records of a batch.
	Record(h trace.Head, steps []trace.Step)
}

// traced is the part of an item that only the history wants to know.
type traced struct {
	request *trace.Request // the last that it was in; nil if nothing was sent
	said    sinks.Result   // of it, by that request, if it was answered
	has     bool           // not sent: the target has all of it
}

// reply is what came of a request.
type reply struct {
	began time.Time
	bulk  bool
	rs    []sinks.Result
	err   error
}

// traceRequest notes a request and its answer.
func (j *job) traceRequest(items []*item, a reply) {
	t := j.s.e.o.Trace
	if t == nil {
		return
	}
	r := &trace.Request{ID: t.NewID(), Began: a.began, Took: time.Since(a.began), Records: len(items), Job: a.bulk}
	if a.err != nil {
		r.Code, r.Error = sinks.Code(a.err), a.err.Error()
	}
	for i, it := range items {
		if it.request = r; a.err == nil {
			it.said = resultOf(a.rs, i)
		}
	}
}

// trace tells the history what became of the items.
func (j *job) trace(now time.Time) {
	t := j.s.e.o.Trace
	if t == nil {
		return
	}
	steps := stepRoom.Get().(*[]trace.Step) // the pool has no others
	defer stepRoom.Put(steps)
	for some := range slices.Chunk(j.items, chunk) { // there may be very many in a job
		for _, it := range some {
			if s, ok := j.stepOf(now, it); ok {
				*steps = append(*steps, s)
			}
		}
		if len(*steps) > 0 {
			t.Record(trace.Head{Mapping: j.mapper.Name(), Time: now}, *steps)
		}
		clear(*steps)
		*steps = (*steps)[:0]
	}
}

// stepRoom is room for steps.
var stepRoom = sync.Pool{New: func() any { return new([]trace.Step) }}

// stepOf says what became of an item. Nothing is said of one that comes again at once, for a
// reason that is none of its own.
func (j *job) stepOf(now time.Time, it *item) (s trace.Step, ok bool) {
	s = stepOfEntry(it.entry)
	s.Request, s.Remote = it.request, it.said.RemoteID
	if it.rec.Op != 0 {
		s.Op = it.rec.Op.String()
	}
	if err := it.said.Err; err != nil {
		s.Code, s.Error = sinks.Code(err), err.Error()
	}
	switch it.fate {
	case delivered:
		s.Fate = trace.Accepted
	case filtered:
		if s.Fate = trace.Filtered; it.has {
			s.Fate = trace.Same
		}
	case stale:
		s.Fate = trace.Stale
	case parked:
		s.Fate, s.Code, s.Error = trace.Refused, it.dead.Code, it.dead.Error
	case again:
		return s, j.againOf(now, it, &s)
	default:
		return s, false
	}
	return s, true
}

// againOf says why an item is to be tried again, and when.
func (j *job) againOf(now time.Time, it *item, s *trace.Step) bool {
	s.Next = now.Add(it.after)
	if it.hold.After(s.Next) {
		s.Next = it.hold
	}
	_, kept := keptBack(it.said.Err)
	switch {
	case !it.wait.IsZero():
		s.Fate, s.Next = trace.Parent, it.wait
		if len(it.missing) > 0 {
			s.On = it.missing[0].Mapping
		}
	case it.blocked:
		s.Fate = trace.Blocked
	case it.counted:
		s.Fate = trace.Failed
	case kept:
		s.Fate = trace.Kept
	case it.request != nil:
		s.Fate = trace.Later
	case j.halt != nil && !it.alone:
		s.Fate, s.Code, s.Error = trace.Later, sinks.Code(j.halt.err), j.halt.err.Error()
	default:
		return false
	}
	if j.halt != nil && s.Fate == trace.Later && it.after == 0 && it.hold.IsZero() {
		s.Next = time.Time{} // when the target is asked again
	}
	return true
}

// traceAside tells the history that an entry is put aside.
func (s *session) traceAside(now time.Time, e *queue.Entry, due time.Time) {
	t := s.e.o.Trace
	if t == nil {
		return
	}
	step := stepOfEntry(e)
	step.Fate, step.Next = trace.Aside, due
	t.Record(trace.Head{Mapping: e.Key.Mapping, Time: now}, []trace.Step{step})
}

func stepOfEntry(e *queue.Entry) trace.Step {
	s := trace.Step{Partition: e.Partition, Bulk: e.Lane == queue.Bulk || e.Replay != queue.Live, Key: e.Key.Source, To: e.Row.Position(), Changes: e.Changes, Attempts: e.Attempts}
	for _, t := range e.Tokens {
		if at := t.Mark.Position(); s.From.IsZero() || at.Before(s.From) {
			s.From = at
		}
	}
	return s
}

var _ Tracer = (*trace.Writer)(nil)
