package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// scanPage is about how many keys of the state are looked at at once.
const scanPage = 500

// sweep is a truncate of a table, or the end of a generation, at work in a partition:
// the records of rows that were seen below a Position only, and not since, are deleted,
// if the source does not have the row either.
//
// It begins when every lane was read as far and all that is older is dealt with, so
// that nothing older comes after it. That a read finds nothing in a lane does not tell so:
// each stream is appended to on its own, and the capture puts a sweep into all of them,
// whatever ends it in between. Until it has ended its entries hold the
// checkpoints. What comes behind it goes on meanwhile.
//
// This is what the floor of the design is for (I4), by other means. No change from below
// brings a row back: in whatever lane it comes it is dealt with before its row is looked
// for, what waits aside from below is looked for as well, and the delete raises what was
// seen of the key to the sweep's Position, which lives as long as something older can be
// read (collect.go). A session that ends in between leaves the checkpoints below the sweep, so that the
// next one reads it again, and before it all that was not dealt with.
type sweep struct {
	change   cdc.Change
	since    cdc.Position
	mappings []string
	marks    [laneCount]*queue.Mark // nil where a lane was past it already
	// work holds the entries of the rows that are being deleted: one of the marks.
	work *queue.Mark

	cursor   uint64
	scanning bool // a page is on its way
	scanned  bool // all of them were
	failures int
	scanFrom time.Time
	found    int
}

// addSweep puts an entry without a key into the watermark, and begins with the sweep
// when it has come in every lane.
func (s *session) addSweep(p *part, lane queue.Lane, ch *cdc.Change) {
	var names []string
	for _, m := range s.e.routes[s.e.tableOf(ch)] {
		if s.e.meant(ch, m) {
			names = append(names, m.Name())
		}
	}
	if len(names) == 0 {
		p.marks[lane].Add(ch.Position, ch.Time, 0)
		s.e.stats.released.Add(1)
		return
	}
	mark := p.marks[lane].Add(ch.Position, ch.Time, 1)
	i, found := slices.BinarySearchFunc(p.sweeps, ch.Position, func(w *sweep, at cdc.Position) int { return w.change.Position.Compare(at) })
	if !found {
		w := &sweep{change: *ch, since: ch.Position, mappings: names}
		if ch.Op == cdc.OpSweep {
			w.since = ch.Since
		} else {
			s.e.stats.truncates.Add(1)
		}
		p.sweeps = slices.Insert(p.sweeps, i, w)
	}
	p.sweeps[i].marks[lane] = mark
}

// sweep goes on with the first sweep of a partition.
func (s *session) sweep(p *part, now time.Time, soon func(time.Time)) {
	if len(p.sweeps) == 0 || p.held(now) || p.leaving {
		return
	}
	for len(p.sweeps) > 1 && p.sweeps[0].work == nil && p.covers(p.sweeps[1], p.sweeps[0]) {
		for _, m := range p.sweeps[0].marks {
			m.Release()
		}
		p.sweeps = p.sweeps[1:]
	}
	w := p.sweeps[0]
	switch {
	case w.scanning, !w.scanned && !s.queue.Readable(queue.Bulk):
		return
	case w.work == nil && !p.settledBelow(w):
		return
	case now.Before(w.scanFrom):
		soon(w.scanFrom)
		return
	case w.scanned:
		if w.work.Uses() == 1 { // ours
			s.endSweep(p, w)
			soon(now)
		}
		return
	}
	if w.work == nil {
		for _, m := range w.marks {
			if m != nil {
				w.work = m // bulk, if it is there
			}
		}
		s.sweepDeferred(now, p, w)
	}
	w.scanning = true
	cursor := w.cursor
	s.spawn(func() {
		d := &scanDone{p: p, sweep: w}
		d.found, d.cursor, d.err = s.claim.Scan(s.ctx, p.n, cursor, scanPage)
		s.post(d)
	})
}

// settledBelow tells whether all that lies below a sweep, in every lane, was read and
// dealt with, and is written.
func (p *part) settledBelow(w *sweep) bool {
	at := w.change.Position
	for _, m := range p.marks {
		if m.Read().Before(at) || !m.Settled(at) {
			return false
		}
	}
	return !p.committing
}

// covers tells whether a sweep does all that one before it would, as where a table is
// truncated again and again: nothing that is not dealt with lies between them.
func (p *part) covers(next, w *sweep) bool {
	if next.since.Before(w.since) || !slices.Equal(next.mappings, w.mappings) {
		return false
	}
	at := next.change.Position
	for i, m := range p.marks {
		if m.Read().Before(at) || !m.SettledBut(w.marks[i], at) {
			return false
		}
	}
	return !p.committing
}

func (s *session) endSweep(p *part, w *sweep) {
	p.sweeps = p.sweeps[1:]
	for _, m := range w.marks {
		m.Release()
	}
	s.e.stats.swept.Add(uint64(w.found))
	level := slog.LevelDebug
	if w.found > 0 {
		level = slog.LevelInfo
	}
	s.e.logger.Log(s.ctx, level, "records of rows that are gone were looked for", "table", w.change.Table.String(), "partition", p.n,
		"found", w.found, "by", w.change.Op.String())
}

// scanDone is what a page of the state came to.
type scanDone struct {
	p      *part
	sweep  *sweep
	found  []state.Found
	cursor uint64
	err    error
}

// apply puts the rows that may be gone into the queue, as bulk.
func (d *scanDone) apply(s *session, now time.Time) {
	const what = "read state"
	w := d.sweep
	w.scanning = false
	if d.p.over() {
		return
	}
	if d.err != nil {
		if errors.Is(d.err, context.Canceled) && s.ctx.Err() != nil {
			return
		}
		s.e.log.fails(what, d.err)
		w.scanFrom = now.Add(backOff(redisWaits, w.failures))
		w.failures++
		return
	}
	s.e.log.works(what)
	w.failures, w.cursor, w.scanned = 0, d.cursor, d.cursor == 0
	for _, f := range d.found {
		if !w.means(f.Key.Mapping) {
			continue
		}
		// A state that cannot be read is told of when its key's turn comes.
		if f.Err == nil && (!f.Known.Live && !f.Known.Doubt && len(f.Known.Old) == 0 || !f.Known.Seen.Before(w.since)) {
			continue
		}
		s.addSwept(now, d.p, w, queue.Key(f.Key))
	}
}

// means tells whether a sweep is for the rows of a mapping.
func (w *sweep) means(mapping string) bool { return slices.Contains(w.mappings, mapping) }

// of gives a sweep as a change of a row: it takes the row as the source has it, or its delete.
func (w *sweep) of(k queue.Key) cdc.Change {
	return cdc.Change{Position: w.change.Position, Op: cdc.OpSweep, Since: w.since, Table: w.change.Table, Key: k.Source, Time: w.change.Time, XID: w.change.XID}
}

// addSwept puts a row that may be gone into the queue.
func (s *session) addSwept(now time.Time, p *part, w *sweep, k queue.Key) {
	w.found++
	w.work.Use()
	s.queue.Add(now, queue.Arrival{Key: k, Partition: p.n, Change: w.of(k), Lane: queue.Bulk,
		Token: queue.Token{Mark: w.work, Lane: queue.Bulk, Size: len(k.Source) + 64}})
}
