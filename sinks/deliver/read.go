package deliver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// readMax is how many entries of a lane are read at once. While there is a backlog in bulk
// they are readMaxBulk: all partitions are read side by side, and what an urgent record
// waits for at each of its steps is as long as such a read takes to be taken apart.
const readMax, readMaxBulk = 500, 100

// readDone is what a read came to.
type readDone struct {
	p        *part
	from     map[string]cdc.Position
	messages []cdc.Message
	// stale tells, for the uses of the messages in order, which are dealt with
	// already. It is nil when that was not looked up.
	stale []bool
	err   error
}

// read starts the next read of a partition: of the lanes that have room.
func (s *session) read(p *part, now time.Time, soon func(time.Time)) {
	if p.reading {
		return
	}
	if now.Before(p.readFrom) {
		soon(p.readFrom)
		return
	}
	from := map[string]cdc.Position{}
	for i, lane := range cdc.Lanes() {
		_, behind := p.behind[lane]
		room := s.queue.Readable(queue.Lane(i))
		if behind && !room {
			if room = s.roomToHold(queue.Lane(i)); !room && s.fullOfHeld(i) {
				s.giveUpHolding(p)
				behind = false
			}
		}
		if room {
			from[lane] = p.marks[i].Read()
		}
	}
	if len(from) == 0 {
		return // room comes with an event
	}
	p.reading = true
	recover, most := p.holding(), s.readMost()
	if _, bulk := from[cdc.LaneBulk]; bulk && s.queue.Counts().Entries[queue.Bulk] > 0 {
		most = min(most, readMaxBulk)
	}
	s.spawn(func() {
		d := &readDone{p: p, from: from}
		d.messages, d.err = s.e.o.Reader.Read(s.ctx, p.n, from, most)
		if d.err == nil && recover {
			d.stale, d.err = s.findStale(s.ctx, p.n, d.messages)
		}
		s.post(d)
	})
}

// readMost is how many entries of each lane a read may ask for: the log counts
// entries, and what must be bounded is bytes (I8). All partitions may be read at
// once, in all lanes; entries are taken to be of the size that they were lately.
func (s *session) readMost() int {
	share := s.e.o.Limits.Bytes / int64(laneCount*max(1, len(s.owned())))
	return int(min(max(share/max(s.meanSize, 1), 1), readMax))
}

// meanSizeFirst is what entries are taken to be like before one was read.
const meanSizeFirst = 4 << 10

// roomToHold tells whether a lane may be read on while nothing is sent. What is
// read again was in the queue before, which by the reads under way may hold more
// than its limit; a queue with the same limits has room for it here.
func (s *session) roomToHold(l queue.Lane) bool {
	c, limits := s.queue.Counts(), s.e.o.Limits
	uses := 1 // of an entry, at most
	for _, mappers := range s.e.routes {
		uses = max(uses, len(mappers))
	}
	return c.Entries[l] < 2*limits.Entries+uses*readMax*len(s.owned()) && c.Bytes[l] < 4*limits.Bytes
}

// fullOfHeld tells whether a lane has no room for the sake of partitions alone of which
// nothing is sent yet, so that no room comes by itself.
func (s *session) fullOfHeld(lane int) bool {
	for _, p := range s.owned() {
		if !p.holding() && p.marks[lane].Open() > 0 {
			return false
		}
	}
	return true
}

// giveUpHolding lets sending of a partition begin although not all was read that had been sent:
// the queue is smaller than it was. It begins when no request of the session before can be under
// way any more; the target may see an older state of a key once more, before the newer.
func (s *session) giveUpHolding(p *part) {
	s.e.logger.Warn("sending begins before all is read that was sent before: the queue is full",
		"partition", p.n, "entries", s.e.o.Limits.Entries, "bytes", s.e.o.Limits.Bytes)
	clear(p.behind)
	if p.holdUntil.Before(p.restUntil) {
		p.holdUntil = p.restUntil // which rows it is about was not read
	}
}

// findStale looks up which uses of entries were dealt with before the start. They
// are left out at once, so that what is read again fits where it fitted before.
func (s *session) findStale(ctx context.Context, partition int, ms []cdc.Message) ([]bool, error) {
	var places []state.Place
	var at []cdc.Position
	for i := range ms {
		for _, m := range s.mappersOf(&ms[i].Change) {
			places = append(places, state.Place{Key: state.Key{Mapping: m.Name(), Source: ms[i].Change.Key}, Partition: partition})
			at = append(at, ms[i].Change.Position)
		}
	}
	if len(places) == 0 {
		return nil, nil
	}
	known, err := s.claim.Load(ctx, places)
	if err != nil {
		return nil, err
	}
	stale := make([]bool, len(places))
	for i, k := range known {
		stale[i] = !k.Seen.Before(at[i]) && !k.Partial && !k.Lacking
	}
	return stale, nil
}

func (s *session) mappersOf(ch *cdc.Change) []Mapper {
	if !ch.Op.Keyed() {
		return nil
	}
	all := s.e.routes[s.e.tableOf(ch)]
	if len(ch.For) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Mapper) bool { return !s.e.meant(ch, m) })
}

// meant tells whether a change that a backfill brought is for a mapping.
func (e *Engine) meant(ch *cdc.Change, m Mapper) bool {
	return len(ch.For) == 0 || slices.Contains(ch.For, e.o.Name) || slices.Contains(ch.For, e.o.Name+"/"+m.Name())
}

// tableOf is the table of a change as the mappings know it.
func (e *Engine) tableOf(ch *cdc.Change) cdc.Table {
	if t, ok := e.o.Renamed[ch.Table]; ok {
		return t
	}
	return ch.Table
}

// apply puts what was read into the queue.
func (d *readDone) apply(s *session, now time.Time) {
	const what = "read log"
	p := d.p
	p.reading = false
	if p.over() {
		return
	}
	if d.err != nil {
		if errors.Is(d.err, context.Canceled) && s.ctx.Err() != nil {
			return
		}
		s.e.log.fails(what, d.err)
		p.readFrom = now.Add(backOff(redisWaits, p.readFailures))
		p.readFailures++
		return
	}
	s.e.log.works(what)
	p.readFailures = 0
	use, count := 0, [laneCount]int{}
	for i := range d.messages {
		m := &d.messages[i]
		// Up at once, down slowly: one large row says that there may be more.
		s.meanSize = max(int64(m.Size), s.meanSize-s.meanSize/64)
		lane := queue.LaneOf(m.Stream.Lane)
		mappers := s.mappersOf(&m.Change)
		stale := d.staleOf(use, len(mappers))
		use += len(mappers)
		if !p.marks[lane].Read().Before(m.Change.Position) {
			continue // read before
		}
		count[lane]++
		s.e.stats.read.Add(1)
		s.add(now, p, m, mappers, stale)
	}
	p.noteRead(d, count)
	p.caughtUp(d, count)
}

func (d *readDone) staleOf(use, n int) []bool {
	if d.stale == nil {
		return nil
	}
	return d.stale[use : use+n]
}

// add puts an entry into the watermark and, for each mapping that uses it, into
// the queue.
func (s *session) add(now time.Time, p *part, m *cdc.Message, mappers []Mapper, stale []bool) {
	lane := queue.LaneOf(m.Stream.Lane)
	if !m.Change.Op.Keyed() {
		s.addSweep(p, lane, &m.Change)
		return
	}
	dealt := func(i int) bool {
		return stale != nil && stale[i] || len(p.deferred) > 0 && p.hasAside(queue.Key{Mapping: mappers[i].Name(), Source: m.Change.Key}, lane, m.Change.Position)
	}
	uses := len(mappers)
	for i := range mappers {
		if dealt(i) {
			uses--
			s.e.stats.stale.Add(1)
		}
	}
	mark := p.marks[lane].Add(m.Change.Position, m.Change.Time, uses)
	if uses == 0 {
		s.e.stats.released.Add(1)
	}
	for i, mapper := range mappers {
		if dealt(i) {
			continue
		}
		s.queue.Add(now, queue.Arrival{
			Key: queue.Key{Mapping: mapper.Name(), Source: m.Change.Key}, Partition: p.n,
			Change: m.Change, Lane: urgency(mapper, lane),
			Token: queue.Token{Mark: mark, Lane: lane, Size: m.Size},
		})
		if !p.handed[lane].Before(m.Change.Position) { // its request may still be carried out
			s.queue.Rest(now, queue.Key{Mapping: mapper.Name(), Source: m.Change.Key}, p.restUntil)
		}
	}
}

// urgency says how urgent a change of a lane is to a mapping.
func urgency(m Mapper, lane queue.Lane) queue.Lane {
	if lane == queue.Bulk || m.Lane() == "" {
		return lane
	}
	return queue.LaneOf(m.Lane())
}

// caughtUp notes which lanes were read as far as entries were sent before, or to their ends.
func (p *part) caughtUp(d *readDone, count [laneCount]int) {
	for i, lane := range cdc.Lanes() {
		sent, behind := p.behind[lane]
		if !behind {
			continue
		}
		_, asked := d.from[lane]
		if !p.marks[i].Read().Before(sent) || asked && count[i] == 0 {
			delete(p.behind, lane)
		}
	}
}
