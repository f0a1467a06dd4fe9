package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// Where a target carries out jobs (sinks.Bulk), what there is of the bulk lane of a mapping
// goes in one, if it is enough. A job is a batch like any other, but for what follows from its
// size and from the minutes that it takes:
//
//   - It has a sender of those that bulk may have, and not all of them have jobs. What is
//     urgent goes out meanwhile; a change of a key that is in the job waits for its end.
//   - Only what can be sent as it is goes in it. What must be read at the source first, and
//     what changes or gives up its target key, goes by ordinary requests: the source is asked
//     for a batch at a time, and a key is reserved for no longer than a request.
//   - What failed once goes by ordinary requests from then on, and so does a whole job that
//     failed. There it is found out what is to blame; a job is never halved.
//   - A job that is cut off, by a stop or a crash, may still be carried out. The target keeps
//     back what that is about, so that nothing else need wait for it.
const (
	// quietJob is for how long no more of bulk must have come until a job goes out, or, if it is
	// too little for one, an ordinary request; gatherJob is how long it waits at most.
	quietJob, gatherJob = time.Second, 5 * time.Second
	// chunk is how many records of a job are loaded, noted or taken in at once: others want
	// their turn at the server and in the loop.
	chunk = 1000
)

// jobsOf says which entries go in jobs. A target with one sender has none: what is urgent would
// wait for their ends.
func (e *Engine) jobsOf(l sinks.Limits) queue.Jobs {
	if l.MaxInFlight < 2 {
		return queue.Jobs{}
	}
	return queue.Jobs{From: l.Bulk.From, Most: l.Bulk.MaxBatch, Quiet: e.quietJob, Gather: gatherJob}
}

// mostJobs is how many jobs may be under way: some senders are left to the rest of bulk, where
// there are some.
func (s *session) mostJobs() int { return max(1, (s.limits.MaxInFlight-1)/2) }

// startJob starts a job, if there is one that may be. A target that is probed is not probed
// with minutes.
func (s *session) startJob(now time.Time) bool {
	s.queue.Single(s.faults > 0)
	if s.jobs >= s.mostJobs() || s.least() != queue.Bulk || !s.queue.Ripe(now) {
		return false
	}
	j := &job{}
	if k := s.e.o.Rate; k != nil {
		p, ok := k.Take(queue.Bulk)
		if !ok {
			return false // the loop is told when to ask again
		}
		j.permit = &p
	}
	b, ok := s.queue.TakeJob(now)
	if !ok {
		s.giveBack(j.permit)
		return false
	}
	s.start(j, &b)
	return true
}

// load reads what is known of keys, of many in parts.
func (s *session) load(ctx context.Context, places []state.Place) ([]state.Loaded, error) {
	out := make([]state.Loaded, 0, len(places))
	for part := range slices.Chunk(places, chunk) {
		known, err := s.claim.Load(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, known...)
	}
	return out, nil
}

// setApart takes out of a job what does not go in one. It gives the rest.
func (j *job) setApart(lacking []*item) (rest []*item) {
	for _, it := range lacking {
		it.goAlone()
	}
	for _, it := range j.undecided() {
		if it.moved || len(it.known.Old) > 0 || leaving(&it.rec) && !j.s.e.keys.sure(&it.rec) {
			it.goAlone()
			continue
		}
		rest = append(rest, it)
	}
	return rest
}

// goAlone has an item come again at once, by an ordinary request.
func (it *item) goAlone() { it.fate, it.alone = again, true }

// sendJob hands records to the target as one job; or as ordinary batches, if only few are
// left of what there was.
func (j *job) sendJob(ctx context.Context, items []*item) {
	if from := j.s.limits.Bulk.From; len(items) < from && 2*len(items) < len(j.items) {
		for len(items) > 0 {
			n := min(len(items), j.usual)
			j.send(ctx, items[:n])
			items = items[n:]
		}
		return
	}
	if j.halt != nil || ctx.Err() != nil || !j.permitted(ctx) {
		return
	}
	j.s.e.stats.jobs.Add(1)
	results, err := j.ask(ctx, items, true)
	hold := time.Now().Add(j.s.limits.Timeout) // the rest is the target's to know
	if err == nil {
		if !j.heard(items, results, hold) {
			for _, it := range items {
				it.together = true
			}
		}
		return
	}
	f := haltOf(err)
	off := refused(err) || forbidden(err) // the job as such
	for _, it := range items {
		it.together = off || !f.throttled && !f.mend
		if unknown(err) {
			it.hold = hold
		}
	}
	if !off {
		j.halt = f
	}
}
