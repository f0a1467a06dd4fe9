package deliver

import (
	"errors"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// maxCommit is the usual bound of the entries of one commit.
const maxCommit = 500

// settled is an entry that was dealt with, and what is to be written of it.
type settled struct {
	entry *queue.Entry
	write state.Known
	dead  *deadletter.Letter
	hold  time.Time // of its item
	// aside, if not nil, is the entry as it is put aside: it is not settled at all. stale
	// has nothing written of it, but that it is aside no more.
	aside *state.Deferred
	wait  time.Time // of what is aside: until when it waits for other records
	stale bool
}

// commitDone is what a commit came to.
type commitDone struct {
	p       *part
	entries []settled
	written state.Commit
	err     error
}

// commit writes what is settled of a partition, at most one commit at a time. An
// entry's log entries are released into the watermark when its state joins the
// commit that is about to be made, so that a checkpoint and the state it stands
// on are always in the same commit, or the state in an earlier one.
func (s *session) commit(p *part, now time.Time, soon func(time.Time)) {
	if p.committing {
		return
	}
	n := min(len(p.settled), s.e.maxCommit)
	d := &commitDone{p: p, entries: p.settled[:n:n]}
	p.settled = p.settled[n:]
	for i := range d.entries {
		e := &d.entries[i]
		key := state.Key(e.entry.Key)
		switch {
		case e.aside != nil:
			d.written.Deferred = append(d.written.Deferred, *e.aside)
		case p.deferred[e.entry.Key] != nil:
			d.written.Deferred = append(d.written.Deferred, state.Deferred{Key: key})
		}
		if e.aside == nil && !e.stale {
			d.written.Writes = append(d.written.Writes, state.Write{Key: key, Known: e.write})
		}
		if e.hold.After(d.written.Hold) {
			d.written.Hold = e.hold
		}
		if e.dead != nil {
			d.written.Dead = append(d.written.Dead, *e.dead)
		}
		releaseMarks(e.entry.Tokens)
	}
	for i, lane := range cdc.Lanes() {
		if at := p.marks[i].Checkpoint(); p.committed[i].Before(at) {
			if d.written.Checkpoints == nil {
				d.written.Checkpoints = map[string]cdc.Position{}
			}
			d.written.Checkpoints[lane] = at
		}
	}
	if n == 0 {
		if len(d.written.Checkpoints) == 0 {
			return
		}
		if now.Before(p.idleFrom) && !p.leaving {
			soon(p.idleFrom)
			return
		}
	}
	p.idleFrom = now.Add(s.e.o.CheckpointEvery)
	p.commits++
	d.written.ID = p.commits
	p.committing = true
	s.spawn(func() {
		d.err = s.write(p.n, d.written)
		s.post(d)
	})
}

func releaseMarks(ts []queue.Token) {
	for _, t := range ts {
		t.Mark.Release()
	}
}

// write commits until it succeeds or cannot.
func (s *session) write(partition int, w state.Commit) error {
	const what = "write state"
	for failures := 0; ; failures++ {
		err := s.claim.Commit(s.ctx, partition, w)
		if err == nil {
			s.e.log.works(what)
			return nil
		}
		var lost *state.LostError
		if errors.As(err, &lost) || errors.Is(err, state.ErrGroupGone) || errors.Is(err, state.ErrRolledBack) || s.ctx.Err() != nil {
			return err
		}
		s.e.log.fails(what, err)
		if err := cdc.Sleep(s.ctx, backOff(redisWaits, failures)); err != nil {
			return err
		}
	}
}

// apply frees the keys whose state is written.
func (d *commitDone) apply(s *session, now time.Time) {
	d.p.committing = false
	if d.err != nil {
		s.cancel(d.err)
		return
	}
	for i, lane := range cdc.Lanes() {
		if at, ok := d.written.Checkpoints[lane]; ok {
			d.p.committed[i] = at
		}
	}
	for i := range d.written.Writes {
		delete(d.p.doubtful, queue.Key(d.written.Writes[i].Key))
	}
	d.p.noteAside(s, d.written.Deferred)
	if len(d.written.Dead) > 0 {
		d.p.tendFrom = time.Time{} // there may be too many now
	}
	outcomes := make([]queue.Outcome, len(d.entries))
	for i := range d.entries {
		outcomes[i] = queue.Outcome{Entry: d.entries[i].entry, Until: d.entries[i].hold, Away: d.entries[i].aside != nil, Wait: d.entries[i].wait}
	}
	s.e.stats.released.Add(uint64(len(s.queue.Done(now, outcomes))))
	for i := range d.entries {
		if e := &d.entries[i]; there(&e.write) {
			s.wakeChildren(now, e.entry.Key)
		}
	}
}
