package queue

import "time"

// Jobs say which entries of the bulk lane are given together, to be carried out as one job.
// The zero value is that there are none.
type Jobs struct {
	// From is the least number of entries of a mapping that make a job, Most the greatest.
	From, Most int
	// Quiet is for how long no more must have come until they go, with those that there are,
	// and Gather how long they wait at most.
	Quiet, Gather time.Duration
}

// stage is what becomes of those ready entries of a mapping that may go in a job.
type stage uint8

const (
	// single: they go as any others.
	single stage = iota
	// gathering: they wait for more.
	gathering
	// ripe: they make a job, and wait for it.
	ripe
)

// SetJobs lets entries go in jobs. It must be before the first change is added.
func (q *Queue) SetJobs(j Jobs) { q.jobs = j }

// Single has all entries go as if there were no jobs, or ends that.
func (q *Queue) Single(on bool) { q.single = on }

// mayJob tells whether an entry may go in a job: one of bulk that was not tried before, and
// of which all is known that the log tells.
func (q *Queue) mayJob(e *Entry) bool {
	return q.jobs.From > 0 && e.Lane == Bulk && e.Attempts == 0 && e.Together == 0 && !e.Alone && !e.Deferred && !e.Row.sweeps()
}

// stage tells what becomes of the entries of a mapping. They are as many as there can be where
// the lane has no room and most of what it holds is theirs.
func (q *Queue) stage(g *group, now time.Time) stage {
	n, full := g.forJob.len, q.held[Bulk].full
	still := full || !now.Before(q.gathered(g))
	switch {
	case n == 0 || q.single:
		return single
	case n >= q.jobs.Most, n >= q.jobs.From && still, full && n > g.policy.MaxBatch && 2*n > q.held[Bulk].entries:
		return ripe
	case still:
		return single
	}
	return gathering
}

// gathered is when entries of a mapping do not wait for others any more, if none come.
func (q *Queue) gathered(g *group) time.Time {
	at := g.gather.Add(q.jobs.Gather)
	if quiet := g.joined.Add(q.jobs.Quiet); quiet.Before(at) {
		return quiet
	}
	return at
}

// Ripe tells whether TakeJob would give a job.
func (q *Queue) Ripe(now time.Time) bool { return q.ripest(now) != nil }

// ripest is the mapping whose job has waited longest.
func (q *Queue) ripest(now time.Time) (of *group) {
	if now.Before(q.paused) {
		return nil
	}
	q.promote(now)
	for _, g := range q.groups {
		if !now.Before(g.paused) && q.stage(g, now) == ripe && (of == nil || g.gather.Before(of.gather)) {
			of = g
		}
	}
	return of
}

// TakeJob gives the entries of a job, as Take does those of a batch.
func (q *Queue) TakeJob(now time.Time) (Batch, bool) {
	of := q.ripest(now)
	if of == nil {
		return Batch{}, false
	}
	b := Batch{Mapping: of.name, Lane: Bulk, Job: true, Entries: make([]*Entry, 0, min(of.forJob.len, q.jobs.Most))}
	for of.forJob.first != nil && len(b.Entries) < q.jobs.Most {
		q.give(&b, of.forJob.first)
	}
	of.gather = now
	q.passed[Bulk] = 0
	q.taken(now, &b)
	return b, true
}

// InJob tells whether a key is in flight in a job.
func (q *Queue) InJob(k Key) bool {
	n := q.nodes[k]
	return n != nil && n.inFlight != nil && n.inJob
}
