package deliver

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/rate"
)

// Stats is what a delivery has done, since its start or in a window.
type Stats struct {
	// Read and Released count entries of the log; an entry that several mappings
	// use is released once for each.
	Read, Released uint64
	// Delivered counts records that the target accepted, Folded the changes that
	// went into them.
	Delivered, Folded uint64
	// Requests counts requests to the target, Retries records put back, Throttles
	// calls that it answered with "too many".
	Requests, Retries, Throttles uint64
	// Jobs counts jobs of the target.
	Jobs uint64
	// Parked, Filtered and Stale count records not sent: refused or given up,
	// not wanted by the mapping, dealt with before.
	Parked, Filtered, Stale uint64
	// Suppressed counts those of Filtered that the target has already.
	Suppressed uint64
	// DeadLetters is how many there are, as last looked at; Resolved counts those that a
	// newer state of the key took away, Replaced a newer refusal, Discarded somebody.
	DeadLetters                   int64
	Resolved, Replaced, Discarded uint64
	// DroppedFull and DroppedOld count dead letters that are lost, as there were too many,
	// or as they were too old.
	DroppedFull, DroppedOld uint64
	// Deferred is how many entries wait aside now, DeferredSince when the first of them
	// was put there, zero if there is none; Aside counts how often one was. DeferredFull tells that
	// some partition has no room for more.
	Deferred      int
	DeferredSince time.Time
	Aside         uint64
	DeferredFull  bool
	// Awaited counts how often a record was held back since one that it refers to was not
	// there, Waiting is how many are now.
	Awaited uint64
	Waiting int
	// States is how many keys have a state, when all were last looked at; Collected counts
	// those whose state was taken away as it was of no use any more.
	States    int
	Collected uint64
	// Truncates counts truncations of mapped tables, once for each partition; Swept the
	// records that were looked for because of one, or of a generation.
	Truncates, Swept uint64
	// Pending and InFlight count keys, as they are now.
	Pending, InFlight int
	// Owner tells that this process owns partitions of the target now, Partitions how many.
	Owner      bool
	Partitions int
	// PausedUntil is the end of the last pause of the target.
	PausedUntil time.Time
	// Condition is how the target is.
	Condition Condition
	// Rate is what the account of the target allows; nil if nobody keeps that.
	Rate *rate.View
	// LastError is the last one met, when LastErrorAt; it may be over.
	LastError   string
	LastErrorAt time.Time
	// Lanes are by urgency, the most urgent first.
	Lanes []LaneStats
	// SLO are of the mappings that have one, in their order.
	SLO []SLOStats
}

// SLOStats are of a mapping whose changes are to be accepted by the target so soon
// after their commit.
type SLOStats struct {
	Mapping string
	Within  time.Duration
	// Met and Missed count accepted records, by the time since the commit of the newest
	// change that went into them.
	Met, Missed uint64
}

// LaneStats are of one lane, over all partitions.
type LaneStats struct {
	Lane string
	// Read is the highest Position read.
	Read cdc.Position
	// Open is how many entries are read and not released, Oldest when the first of
	// them was committed at the source; zero if there are none.
	Open   int
	Oldest time.Time
	// Delivered counts records, Folded the changes that went into them since the
	// start, and P50, P95 and P99 are of the time from the commit of a record's
	// oldest change to its acceptance; P100 is the longest.
	Delivered           int64
	Folded              uint64
	P50, P95, P99, P100 time.Duration
}

// Age is how old the oldest entry not dealt with is. Clocks that do not agree give
// zero, not a negative age.
func (l *LaneStats) Age(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(l.Oldest))
}

// gauges are what the loop tells of now.
type gauges struct {
	condition         Condition
	pending, inFlight int
	pausedUntil       time.Time
	partitions        int
	dead              int64
	deferred          int
	deferredSince     time.Time
	deferredFull      bool
	waiting, states   int
	open              [laneCount]int
	oldest            [laneCount]time.Time
	read              [laneCount]cdc.Position
}

func (s *session) gauges(condition Condition) gauges {
	c := s.queue.Counts()
	g := gauges{condition: condition, pending: c.Pending, inFlight: c.InFlight, pausedUntil: s.queue.PausedUntil(), waiting: len(s.family.parents)}
	for _, p := range s.owned() {
		g.partitions++
		g.dead += p.dead.Parked
		g.states += p.collecting.states
		g.deferred += len(p.deferred)
		g.deferredFull = g.deferredFull || len(p.deferred) >= s.roomAside()
		if at := p.oldestAside; !at.IsZero() && (g.deferredSince.IsZero() || at.Before(g.deferredSince)) {
			g.deferredSince = at
		}
		for i, w := range p.marks {
			g.open[i] += w.Open()
			if at := w.Oldest(); !at.IsZero() && (g.oldest[i].IsZero() || at.Before(g.oldest[i])) {
				g.oldest[i] = at
			}
			if g.read[i].Before(w.Read()) {
				g.read[i] = w.Read()
			}
		}
	}
	return g
}

type counters struct {
	read, released, delivered, folded, requests, retries,
	throttles, parked, filtered, suppressed, stale, collected, truncates, swept,
	resolved, replaced, discarded, full, old, deferred, awaited, jobs atomic.Uint64
	foldedIn [laneCount]atomic.Uint64
}

// slo counts for a mapping.
type slo struct {
	mapping     string
	within      time.Duration
	met, missed atomic.Uint64
}

// recorder collects what Stats shows.
type recorder struct {
	counters
	slos    []*slo
	observe func(lane queue.Lane, d time.Duration) // for metrics

	mu      sync.Mutex // covers all below
	gauges  gauges
	err     string
	errAt   time.Time
	total   [laneCount]*hdrhistogram.Histogram
	window  [laneCount]*hdrhistogram.Histogram
	counted Stats // the counters when the window began
}

// longest is the longest latency that is told apart.
const longest = 24 * time.Hour

func newRecorder(mappers []Mapper) *recorder {
	r := &recorder{observe: func(queue.Lane, time.Duration) {}}
	for _, m := range mappers {
		if d := m.SLO(); d > 0 {
			r.slos = append(r.slos, &slo{mapping: m.Name(), within: d})
		}
	}
	for i := range laneCount {
		r.total[i] = hdrhistogram.New(1, longest.Microseconds(), 2)
		r.window[i] = hdrhistogram.New(1, longest.Microseconds(), 2)
	}
	return r
}

// accepted notes how long after its commit a record was accepted. Clocks that do
// not agree may make that negative.
func (r *recorder) accepted(lane queue.Lane, d time.Duration) {
	d = min(max(d, time.Microsecond), longest)
	r.observe(lane, d)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range []*hdrhistogram.Histogram{r.total[lane], r.window[lane]} {
		// Its only error is a value out of bounds, which this is not.
		_ = h.RecordValue(d.Microseconds())
	}
}

// within counts a record that was accepted now for the mapping's objective. Only a
// change that was committed just then says how fast delivery is: a row that a backfill
// read, or that a sweep looked for, has been at the source for any length of time, and
// a load of old rows would drown what the objective is about. The same goes for a
// replay; here it does not come, as what was seen before is stale. Clocks that do not
// agree may make the time negative, which counts as met.
func (r *recorder) within(mapping string, newest cdc.Change, now time.Time) {
	if newest.Op != cdc.OpCreate && newest.Op != cdc.OpUpdate && newest.Op != cdc.OpDelete {
		return
	}
	for _, o := range r.slos {
		switch {
		case o.mapping != mapping:
		case now.Sub(newest.Time) <= o.within:
			o.met.Add(1)
		default:
			o.missed.Add(1)
		}
	}
}

func (r *recorder) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.errAt = err.Error(), time.Now()
}

func (r *recorder) setGauges(g gauges) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauges = g
}

// snapshotLocked gives everything, with the latencies of hs.
func (r *recorder) snapshotLocked(hs *[laneCount]*hdrhistogram.Histogram) Stats {
	c := &r.counters
	s := Stats{
		Read: c.read.Load(), Released: c.released.Load(), Delivered: c.delivered.Load(), Folded: c.folded.Load(),
		Requests: c.requests.Load(), Retries: c.retries.Load(), Throttles: c.throttles.Load(), Jobs: c.jobs.Load(),
		Parked: c.parked.Load(), Filtered: c.filtered.Load(), Suppressed: c.suppressed.Load(), Stale: c.stale.Load(), Truncates: c.truncates.Load(), Swept: c.swept.Load(),
		DeadLetters: r.gauges.dead, Resolved: c.resolved.Load(), Replaced: c.replaced.Load(), Discarded: c.discarded.Load(),
		DroppedFull: c.full.Load(), DroppedOld: c.old.Load(),
		Deferred: r.gauges.deferred, DeferredSince: r.gauges.deferredSince, Aside: c.deferred.Load(), DeferredFull: r.gauges.deferredFull, Awaited: c.awaited.Load(), Waiting: r.gauges.waiting,
		States: r.gauges.states, Collected: c.collected.Load(),
		Pending: r.gauges.pending, InFlight: r.gauges.inFlight, Owner: r.gauges.partitions > 0, Partitions: r.gauges.partitions,
		PausedUntil: r.gauges.pausedUntil, Condition: r.gauges.condition, LastError: r.err, LastErrorAt: r.errAt,
	}
	if c := &s.Condition; c.Circuit == Open && !time.Now().Before(c.Until) {
		c.Circuit = Probing // as soon as there is something to send
	}
	for i, lane := range cdc.Lanes() {
		at := func(q float64) time.Duration { return time.Duration(hs[i].ValueAtQuantile(q)) * time.Microsecond }
		s.Lanes = append(s.Lanes, LaneStats{
			Lane: lane, Read: r.gauges.read[i], Open: r.gauges.open[i], Oldest: r.gauges.oldest[i], Delivered: hs[i].TotalCount(), Folded: c.foldedIn[i].Load(),
			P50: at(50), P95: at(95), P99: at(99), P100: at(100),
		})
	}
	for _, o := range r.slos {
		s.SLO = append(s.SLO, SLOStats{Mapping: o.mapping, Within: o.within, Met: o.met.Load(), Missed: o.missed.Load()})
	}
	return s
}

// Stats gives what was done since the start.
func (e *Engine) Stats() Stats {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	s := e.stats.snapshotLocked(&e.stats.total)
	if e.o.Rate != nil {
		v := e.o.Rate.View()
		s.Rate = &v
	}
	return s
}

// Window gives what was done since the last call of Window, for one table that is
// drawn again and again.
func (e *Engine) Window() Stats {
	r := e.stats
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.snapshotLocked(&r.window)
	for i := range r.window {
		r.window[i].Reset()
	}
	was := r.counted
	r.counted = now
	now.Read -= was.Read
	now.Released -= was.Released
	now.Delivered -= was.Delivered
	now.Folded -= was.Folded
	now.Requests -= was.Requests
	now.Retries -= was.Retries
	now.Throttles -= was.Throttles
	now.Jobs -= was.Jobs
	now.Parked -= was.Parked
	now.Filtered -= was.Filtered
	now.Suppressed -= was.Suppressed
	now.Stale -= was.Stale
	now.Collected -= was.Collected
	now.Resolved -= was.Resolved
	now.Replaced -= was.Replaced
	now.Discarded -= was.Discarded
	now.DroppedFull -= was.DroppedFull
	now.DroppedOld -= was.DroppedOld
	now.Aside -= was.Aside
	now.Awaited -= was.Awaited
	now.Truncates -= was.Truncates
	now.Swept -= was.Swept
	now.SLO = slices.Clone(now.SLO) // the other is kept
	for i, o := range was.SLO {
		now.SLO[i].Met -= o.Met
		now.SLO[i].Missed -= o.Missed
	}
	return now
}
