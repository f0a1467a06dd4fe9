package deliver

import (
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// replayRead is a page of a replay: what was read of a partition, and what of it is to go
// through the queue. Its work is done beside the loop.
type replayRead struct {
	rp   *replayPart
	from map[string]cdc.Position
	// live is up to where live delivery had dealt with each lane before the page was read.
	live [laneCount]cdc.Position

	found []replayFound
	over  [laneCount]bool
	err   error
}

// replayFound is an entry with what comes of it.
type replayFound struct {
	lane     queue.Lane
	at       cdc.Position
	time     time.Time
	count    cdc.ReplayProgress
	arrivals []queue.Arrival
}

// replayUse is an entry as a mapping uses it.
type replayUse struct {
	found  int
	m      *cdc.Message
	mapper Mapper
}

// read reads a page and decides what is to be sent of it.
func (d *replayRead) read(s *session, most int) {
	spec := &d.rp.of.spec
	messages, err := s.e.o.Replays.Read(s.ctx, d.rp.p.n, d.from, most)
	if err != nil {
		d.err = err
		return
	}
	var count [laneCount]int
	var uses []replayUse
	var places []state.Place
	for i := range messages {
		m := &messages[i]
		lane := queue.LaneOf(m.Stream.Lane)
		count[lane]++
		if spec.To.Before(m.Change.Position) {
			d.over[lane] = true
			continue
		}
		d.found = append(d.found, replayFound{lane: lane, at: m.Change.Position, time: m.Change.Time})
		if spec.Key != "" && !cdc.SameKey(spec.Key, m.Change.Key) {
			continue
		}
		for _, mapper := range s.mappersOf(&m.Change) {
			if spec.Mapping == "" || spec.Mapping == mapper.Name() {
				uses = append(uses, replayUse{len(d.found) - 1, m, mapper})
				places = append(places, state.Place{Key: state.Key{Mapping: mapper.Name(), Source: m.Change.Key}, Partition: d.rp.p.n})
			}
		}
	}
	for i, lane := range cdc.Lanes() {
		_, asked := d.from[lane]
		d.over[i] = d.over[i] || asked && count[i] == 0
	}
	if len(places) == 0 {
		return
	}
	known, err := s.claim.Load(s.ctx, places)
	if err != nil {
		d.err = err
		return
	}
	for i := range uses {
		d.decide(s, &uses[i], &known[i])
	}
}

// decide says what comes of an entry for a mapping.
//
// Of all the entries of a row the one counts at which the row was last dealt with: it is the
// row's state. Those below it are older (I4), those above it are live delivery's, if it has
// not come to them.
func (d *replayRead) decide(s *session, u *replayUse, l *state.Loaded) {
	count := &d.found[u.found].count
	count.Changes++
	spec, ch := &d.rp.of.spec, u.m.Change
	switch at := ch.Position; {
	case l.Err != nil:
		d.fromSource(u, at) // what is wrong is told when its turn comes
	case at == l.Seen:
		if !spec.Force && s.holds(u.mapper, &ch, l.Known) {
			count.Same++
			return
		}
		d.add(u, ch)
	case at.Before(l.Seen) && (spec.Within || !spec.To.Before(l.Seen)):
		count.Older++ // the newer one comes, or is not meant
	case at.Before(l.Seen):
		k := queue.Key{Mapping: u.mapper.Name(), Source: ch.Key}
		if d.rp.fromSource[k] {
			count.Older++
			return
		}
		if len(d.rp.fromSource) >= replayMost { // what is forgotten is sent once more, at worst
			clear(d.rp.fromSource)
		}
		d.rp.fromSource[k] = true
		d.fromSource(u, l.Seen)
	case d.live[d.found[u.found].lane].Before(at):
		count.Live++
	case l.Seen.IsZero(): // it was skipped, or its state was lost
		d.fromSource(u, at)
	default:
		d.fromSource(u, l.Seen)
	}
}

// fromSource puts a row into the queue as the source has it, at the Position at which it was
// dealt with.
func (d *replayRead) fromSource(u *replayUse, at cdc.Position) {
	ch := u.m.Change
	d.found[u.found].count.Source++
	d.add(u, cdc.Change{Position: at, Op: cdc.OpUpdate, Table: ch.Table, Key: ch.Key, Time: ch.Time, XID: ch.XID})
}

func (d *replayRead) add(u *replayUse, ch cdc.Change) {
	d.found[u.found].count.Queued++
	how := queue.Again
	if d.rp.of.spec.Force {
		how = queue.Forced
	}
	f := &d.found[u.found]
	f.arrivals = append(f.arrivals, queue.Arrival{
		Key: queue.Key{Mapping: u.mapper.Name(), Source: ch.Key}, Partition: d.rp.p.n, Change: ch, Lane: queue.Bulk, Replay: how,
		Token: queue.Token{Lane: queue.Bulk, Size: u.m.Size},
	})
}

// holds tells whether the target has all that a row comes to, which is whole.
func (s *session) holds(m Mapper, ch *cdc.Change, k state.Known) bool {
	nothing := !k.Live && !k.Doubt && !k.Lacking && len(k.Old) == 0
	if ch.Op == cdc.OpDelete {
		return nothing
	}
	if len(ch.Absent) > 0 || len(k.Old) > 0 || k.Doubt {
		return false
	}
	rec, send, err := m.Map(ch, k.Prior())
	switch {
	case err != nil:
		return false
	case !send:
		return nothing || rec.Op == sinks.Upsert && k.Live && !k.Lacking
	case leaving(&rec):
		return false
	}
	j := &job{s: s, mapper: m}
	return k.Holds(j.hash(&item{change: *ch, known: k}, &rec))
}

// replayed tells that an item was dealt with before, and that a replay asks for it.
func (it *item) replayed() bool {
	return it.entry.Replay != queue.Live && it.change.Position == it.known.Seen
}

// unread tells that the row of an item is to be read from the source.
func (it *item) unread() bool {
	return it.entry.Replay != queue.Live && it.change.Op == cdc.OpUpdate && it.change.After == ""
}

// mapAgain maps an item that was dealt with before. It is false if its row is to be read from
// the source: it lacks columns; or the target has no record of it, so that a sweep may have
// taken it away of which the state of the row does not tell.
func (j *job) mapAgain(it *item) bool {
	if it.change.Op == cdc.OpDelete {
		return j.mapOne(it)
	}
	if it.entry.Replay == queue.Forced {
		it.known.Sent = "" // fields that are only written when they change, too
	}
	whole := !it.unread() && len(it.row.Newest().Absent) == 0
	if whole && !it.known.Live {
		rec, send, err := j.mapper.Map(&it.change, it.known.Prior())
		whole = err != nil || !send || rec.Op != sinks.Upsert
	}
	if whole {
		return j.mapOne(it)
	}
	it.change = cdc.Change{Position: it.change.Position, Op: cdc.OpUpdate, Table: it.change.Table, Key: it.change.Key, Time: it.change.Time, XID: it.change.XID}
	return false
}
