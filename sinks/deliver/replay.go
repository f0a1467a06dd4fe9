package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// A replay reads a part of the log once more, beside live delivery, whose checkpoints it
// does not touch. It is carried out by the owner of the target, in its session: what it finds
// that has to be sent goes through the same queue as all else, as bulk, so that a key is in
// one request at a time and each record is held against the state when its turn comes (I4).
// The places of its entries are in watermarks of its own, which it writes under the lease;
// a session that begins goes on there.
//
// What is not to be sent is found out beside the loop, page by page (replayread.go).

// Replays is where replays of a target are asked for.
type Replays interface {
	// Version is another text when Running may give something else.
	Version(ctx context.Context) (string, error)
	// Running gives those that are to run, the oldest first.
	Running(ctx context.Context) ([]cdc.Replay, error)
	// Place tells up to where one is dealt with in a partition, by lane.
	Place(ctx context.Context, id string, partition int) (map[string]cdc.Position, cdc.ReplayProgress, error)
	// Read is that of Reader, on connections of its own.
	Read(ctx context.Context, partition int, from map[string]cdc.Position, max int) ([]cdc.Message, error)
	// Finish is called when the partitions of one are done that are ours, and tells whether all
	// are; then it has ended. It may be called again.
	Finish(ctx context.Context, id string) (ended bool, err error)
}

const (
	// replayLook is how often it is looked for replays.
	replayLook = time.Second
	// replayWrite is how often the place of one is written.
	replayWrite = 500 * time.Millisecond
	// replayOpen is how many entries of one may be open in a partition.
	replayOpen = 1000
	// replayMost bounds the keys of a partition that are remembered as sent from the source.
	replayMost = 20_000
)

// replays is what the loop knows of them: one is at work at a time.
type replays struct {
	looking  bool
	lookFrom time.Time
	failures int
	version  string
	now      *replay
}

// replay is one at work.
type replay struct {
	spec       cdc.Replay
	parts      map[int]*replayPart
	finishing  bool
	finishFrom time.Time // it is not ended before
}

// join adds a partition that is ours now.
func (w *replays) join(p *part) {
	if r := w.now; r != nil {
		r.parts[p.n] = &replayPart{of: r, p: p, fromSource: map[queue.Key]bool{}}
	}
}

// leave takes one away.
func (w *replays) leave(p *part) {
	if w.now != nil {
		delete(w.now.parts, p.n)
	}
}

// replayPart is a replay in a partition.
type replayPart struct {
	of       *replay
	p        *part
	busy     bool // its place is being looked up
	marks    *[laneCount]*queue.Watermark
	over     [laneCount]bool // read to the end
	reading  bool
	failures int
	from     time.Time // nothing is done before
	// progress is of what is dealt with, coming what is to be added to it then.
	progress cdc.ReplayProgress
	coming   [laneCount][]replayCount

	writing   bool
	writeFrom time.Time
	written   [laneCount]cdc.Position
	done      bool // and that is written

	fromSource map[queue.Key]bool // of the reader alone, while reading
}

// replayCount is what an entry adds to the counts.
type replayCount struct {
	at    cdc.Position
	count cdc.ReplayProgress
}

// settle takes what is dealt with into the progress.
func (rp *replayPart) settle(lane int, upTo cdc.Position) {
	list := rp.coming[lane]
	for len(list) > 0 && !upTo.Before(list[0].at) {
		rp.progress.Add(&list[0].count)
		list = list[1:]
	}
	rp.coming[lane] = list
}

// replay goes on with the replay that is at work.
func (s *session) replay(now time.Time, soon func(time.Time)) {
	if s.e.o.Replays == nil {
		return
	}
	s.lookForReplays(now, soon)
	r := s.replays.now
	if r == nil {
		return
	}
	left := len(r.parts) == 0
	for _, rp := range r.parts {
		if rp.done {
			continue
		}
		left = true
		switch {
		case rp.p.leaving, rp.p.holding():
		case now.Before(rp.from):
			soon(rp.from)
		case rp.marks == nil:
			s.openReplay(rp)
		case rp.p.cleared(): // what a session before has left comes first
			s.writeReplay(rp, now, soon)
			s.readReplay(rp)
		}
	}
	switch {
	case left || r.finishing:
	case now.Before(r.finishFrom):
		soon(r.finishFrom)
	default:
		s.finishReplay(r)
	}
}

func (s *session) lookForReplays(now time.Time, soon func(time.Time)) {
	w := &s.replays
	switch {
	case w.looking:
		return
	case now.Before(w.lookFrom):
		soon(w.lookFrom)
		return
	}
	w.looking = true
	version := w.version
	s.spawn(func() {
		d := &replaysDone{}
		if d.version, d.err = s.e.o.Replays.Version(s.ctx); d.err == nil && d.version != version {
			d.list, d.err = s.e.o.Replays.Running(s.ctx)
			d.fresh = true
		}
		s.post(d)
	})
}

// replaysDone is what the look for replays came to.
type replaysDone struct {
	version string
	list    []cdc.Replay
	fresh   bool
	err     error
}

func (d *replaysDone) apply(s *session, now time.Time) {
	w := &s.replays
	w.looking, w.lookFrom = false, now.Add(replayLook)
	if s.replayFailed("look for replays", d.err, &w.failures, &w.lookFrom, now) || !d.fresh {
		return
	}
	w.version = d.version
	switch {
	case len(d.list) == 0:
		w.now = nil
	case w.now == nil || w.now.spec.ID != d.list[0].ID:
		r := &replay{spec: d.list[0], parts: map[int]*replayPart{}}
		w.now = r
		for _, p := range s.owned() {
			w.join(p)
		}
		s.e.logger.Info("a replay goes on", "replay", r.spec.ID, "from", r.spec.From.String(), "to", r.spec.To.String(), "force", r.spec.Force)
	}
}

// replayFailed deals with an error of something that is tried again, and tells whether
// there is one.
func (s *session) replayFailed(what string, err error, failures *int, from *time.Time, now time.Time) bool {
	var lost *state.LostError
	switch {
	case err == nil:
		*failures = 0
		s.e.log.works(what)
		return false
	case errors.As(err, &lost):
		s.cancel(err)
	case errors.Is(err, context.Canceled) && s.ctx.Err() != nil:
	default:
		s.e.log.fails(what, err)
		*from = now.Add(backOff(redisWaits, *failures))
		*failures++
	}
	return true
}

func (s *session) openReplay(rp *replayPart) {
	if rp.busy {
		return
	}
	rp.busy = true
	id, n := rp.of.spec.ID, rp.p.n
	s.spawn(func() {
		d := &replayOpened{rp: rp}
		d.at, d.progress, d.err = s.e.o.Replays.Place(s.ctx, id, n)
		s.post(d)
	})
}

// replayOpened is where a replay goes on in a partition.
type replayOpened struct {
	rp       *replayPart
	at       map[string]cdc.Position
	progress cdc.ReplayProgress
	err      error
}

func (d *replayOpened) apply(s *session, now time.Time) {
	rp := d.rp
	rp.busy = false
	if rp.p.over() {
		return
	}
	if s.replayFailed("read the place of a replay", d.err, &rp.failures, &rp.from, now) {
		return
	}
	rp.progress, rp.done, rp.marks = d.progress, d.progress.Done, new([laneCount]*queue.Watermark)
	for i, lane := range cdc.Lanes() {
		at := d.at[lane]
		if at.Before(rp.of.spec.From) {
			at = rp.of.spec.From
		}
		rp.marks[i], rp.written[i] = queue.NewWatermark(at), at
	}
}

// readReplay starts the next read of a replay in a partition, if there is room.
func (s *session) readReplay(rp *replayPart) {
	open, from := 0, map[string]cdc.Position{}
	for i, lane := range cdc.Lanes() {
		open += rp.marks[i].Open()
		if !rp.over[i] {
			from[lane] = rp.marks[i].Read()
		}
	}
	if rp.reading || len(from) == 0 || open >= replayOpen || !s.queue.Readable(queue.Bulk) {
		return // room comes with an event
	}
	rp.reading = true
	d := &replayRead{rp: rp, from: from, live: rp.p.committed}
	most := s.readMost()
	s.spawn(func() {
		d.read(s, most)
		s.post(d)
	})
}

// apply puts what is to be sent into the queue.
func (d *replayRead) apply(s *session, now time.Time) {
	rp := d.rp
	rp.reading = false
	if rp.p.over() {
		return
	}
	if s.replayFailed("read the log for a replay", d.err, &rp.failures, &rp.from, now) || s.replays.now != rp.of {
		return
	}
	for i := range d.found {
		f := &d.found[i]
		rp.coming[f.lane] = append(rp.coming[f.lane], replayCount{f.at, f.count})
		mark := rp.marks[f.lane].Add(f.at, f.time, len(f.arrivals))
		for _, a := range f.arrivals {
			a.Token.Mark = mark
			s.queue.Add(now, a)
		}
	}
	for i := range rp.over {
		rp.over[i] = rp.over[i] || d.over[i]
	}
}

// writeReplay writes the place of a replay in a partition. While a commit is on its way
// what it releases does not count.
func (s *session) writeReplay(rp *replayPart, now time.Time, soon func(time.Time)) {
	if rp.writing || rp.p.committing {
		return
	}
	d := &replayWritten{rp: rp, at: map[string]cdc.Position{}}
	done := !rp.reading
	changed := false
	for i, lane := range cdc.Lanes() {
		m := rp.marks[i]
		done = done && rp.over[i] && m.Open() == 0
		at := m.Checkpoint()
		d.at[lane] = at
		changed = changed || rp.written[i].Before(at)
	}
	switch {
	case done:
	case !changed:
		return
	case now.Before(rp.writeFrom):
		soon(rp.writeFrom)
		return
	}
	for i, lane := range cdc.Lanes() {
		rp.settle(i, d.at[lane])
	}
	rp.writing, rp.writeFrom = true, now.Add(replayWrite)
	d.progress = rp.progress
	d.progress.Done, d.progress.Updated = done, now.UTC()
	id, n := rp.of.spec.ID, rp.p.n
	s.spawn(func() {
		d.err = s.claim.SetReplay(s.ctx, n, id, d.at, d.progress)
		s.post(d)
	})
}

// replayWritten is what writing the place of a replay came to.
type replayWritten struct {
	rp       *replayPart
	at       map[string]cdc.Position
	progress cdc.ReplayProgress
	err      error
}

func (d *replayWritten) apply(s *session, now time.Time) {
	rp := d.rp
	rp.writing = false
	if rp.p.over() {
		return
	}
	if s.replayFailed("write the place of a replay", d.err, &rp.failures, &rp.from, now) {
		return
	}
	for i, lane := range cdc.Lanes() {
		rp.written[i] = d.at[lane]
	}
	rp.done = d.progress.Done
}

func (s *session) finishReplay(r *replay) {
	r.finishing = true
	s.spawn(func() {
		d := &replayFinished{r: r}
		d.ended, d.err = s.e.o.Replays.Finish(s.ctx, r.spec.ID)
		s.post(d)
	})
}

// replayFinished is what ending a replay came to.
type replayFinished struct {
	r     *replay
	ended bool
	err   error
}

func (d *replayFinished) apply(s *session, now time.Time) {
	w := &s.replays
	if s.replayFailed("end a replay", d.err, &w.failures, &w.lookFrom, now) {
		d.r.finishing = false
		return
	}
	if !d.ended { // other workers have not done theirs
		d.r.finishing, d.r.finishFrom = false, now.Add(replayLook)
		return
	}
	s.e.logger.Info("a replay is done", "replay", d.r.spec.ID)
	if w.now == d.r {
		w.now = nil
	}
	w.version = "" // there may be another one
}
