package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/rate"
	"github.com/walbridge/walbridge/sinks/state"
)

// job is a batch on its way through a sender: load, guard, map, complete, note,
// send. It touches nothing of the loop; what came of it is in its items.
type job struct {
	s      *session
	lane   queue.Lane // that led the batch
	permit *rate.Permit
	more   int // requests that were made beyond those of permits
	mapper Mapper
	bulk   bool // it is to be carried out as a job of the target
	usual  int  // the most records of an ordinary request
	items  []*item
	// read is how far each partition was read when the batch was taken.
	read map[int][laneCount]cdc.Position

	faults int // of the target when the batch was taken
	idle   downtime

	answered  bool      // a request was answered record by record
	completed bool      // the source gave a row
	asked     bool      // the target said something of a single record
	suspects  []suspect // records with which alone a request failed
	refusals  []suspect // records that were refused alone
	halt      *fault    // what keeps the target from taking more
}

// fault is a failure that is not a record's own.
type fault struct {
	what  string // for the log
	err   error
	after time.Duration // as the target asked, or zero
	waits waits
	mend  bool // a person has to
	// mapping: only the records of the job's mapping cannot be taken.
	mapping bool
	// throttled: the target asked for fewer requests.
	throttled bool
	why       string // that of err, once it was asked for
}

// fate is what became of an item.
type fate uint8

const (
	undecided fate = iota
	delivered
	filtered // nothing to send
	stale    // dealt with before
	parked
	again // to be tried later
)

// item is one entry of a job.
type item struct {
	entry  *queue.Entry
	row    queue.Folded // the entry's, less what was seen before
	change cdc.Change   // what row comes to
	known  state.Known
	text   string // of known, as it is stored
	rec    sinks.Record
	// doubt tells that a session before may have handed one of its changes to the target,
	// unanswered that this one did, and that
	// nothing is known of an answer (I11, see doubt.go): what the state says of what was
	// delivered is not trusted, and not in known.
	doubt, unanswered bool
	opened            time.Time // when its partition was taken
	// swept is a sweep above the entry; see sweptOver.
	swept cdc.Change
	// hash is that of the record; suppressed tells that the target has it already.
	hash       uint64
	suppressed bool

	// completed tells that the absent columns were read from the source.
	completed bool
	// needed are columns that the mapping could not do without.
	needed []string

	why     string // it goes back, without values of the row
	fate    fate
	write   state.Known        // if delivered, filtered or parked
	dead    *deadletter.Letter // if parked
	after   time.Duration      // if again
	counted bool               // if again: on account of the record
	// together tells that a batch failed as a whole with it, alone that it is to go by an
	// ordinary request.
	together, alone bool
	// missing are the records it refers to that the target does not have; looked is when
	// that was found for the first time, wait until when it waits for them, orphan that it
	// was refused for want of one.
	missing      []queue.Key
	looked, wait time.Time
	orphan       bool
	parentInJob  bool // one of them was, when the batch was taken
	// hold is until when a request of no known outcome may still be carried out:
	// no other state of the key goes out before (I4).
	hold time.Time

	keyed
	traced
}

// places are where the state of the items is.
func (j *job) places() []state.Place {
	out := make([]state.Place, len(j.items))
	for i, it := range j.items {
		out[i] = state.Place{Key: state.Key(it.entry.Key), Partition: it.entry.Partition}
	}
	return out
}

// undecided gives the items that are still on their way.
func (j *job) undecided() (out []*item) {
	for _, it := range j.items {
		if it.fate == undecided {
			out = append(out, it)
		}
	}
	return out
}

// run does the whole of it. Whatever is undecided in the end is tried again.
func (j *job) run(ctx context.Context) {
	known, err := j.s.load(ctx, j.places())
	if err != nil {
		j.halt = &fault{what: "read state", err: err, waits: redisWaits}
	} else {
		j.s.e.log.works("read state")
		for i, it := range j.items {
			it.known, it.text = known[i].Known, known[i].Text
			if it.doubt || it.unanswered {
				it.known.Payload = 0
			}
			if it.doubt = it.doubt && it.known.Sent != ""; it.doubt {
				it.known.Sent = ""
			}
			if err := known[i].Err; err != nil {
				it.fate, it.after = again, settingWaits.initial
				j.s.e.log.wants("read the state of a key of mapping "+j.mapper.Name(), err)
			}
			if it.row = it.entry.Row; it.swept.Op == cdc.OpSweep && it.known.Seen.Before(it.swept.Since) {
				it.row = queue.Fold(it.swept) // else the sweep had passed it by
			}
			it.change = it.row.Change()
		}
		lacking := j.mapAll()
		if j.bulk {
			j.deliver(ctx, j.setApart(lacking))
			lacking = nil
		}
		// What needs nothing of the source does not wait for it.
		j.deliver(ctx, slices.DeleteFunc(j.undecided(), func(it *item) bool { return slices.Contains(lacking, it) }))
		if len(lacking) > 0 && j.halt == nil {
			j.complete(ctx, lacking)
			j.deliver(ctx, slices.DeleteFunc(lacking, func(it *item) bool { return it.fate != undecided }))
		}
		j.blame(time.Now())
		j.settleKeys(ctx)
	}
	for _, it := range j.undecided() {
		it.fate = again
	}
}

// deliver notes what is about to be sent, and sends it.
func (j *job) deliver(ctx context.Context, items []*item) {
	items = j.unburden(ctx, j.await(ctx, items))
	if len(items) == 0 || !j.prepare(ctx, items) {
		return
	}
	if items = j.takeKeys(ctx, items); j.bulk {
		j.sendJob(ctx, items)
	} else {
		j.send(ctx, items)
	}
}

// send hands records to the target.
func (j *job) send(ctx context.Context, items []*item) {
	if j.halt != nil || ctx.Err() != nil || !j.permitted(ctx) {
		return
	}
	if items = j.reserveKeys(ctx, items); len(items) == 0 {
		return
	}
	hold := time.Now().Add(j.s.limits.Timeout)
	results, err := j.ask(ctx, items, false)
	if err != nil {
		if unknown(err) {
			for _, it := range items {
				it.hold = hold
			}
		}
		j.failed(ctx, items, err)
		return
	}
	j.heard(items, results, hold)
}

// heard takes in what the target said of records. It is false if that is about the target.
func (j *job) heard(items []*item, results []sinks.Result, hold time.Time) bool {
	for i, it := range items {
		if err := resultOf(results, i).Err; err != nil && unknown(err) {
			it.hold = hold
		}
	}
	if err := allLater(results, len(items)); err != nil {
		j.stop(haltOf(err))
		return false
	}
	now := time.Now()
	if !allKeptBack(results, len(items)) {
		j.answered, j.asked = true, true
		j.s.e.answeredAt.Store(now.UnixNano())
	}
	for i, it := range items {
		j.judge(now, it, resultOf(results, i))
	}
	return true
}

// ask has the target make a request, or the few that it needs, or has a job carried out.
func (j *job) ask(ctx context.Context, items []*item, bulk bool) ([]sinks.Result, error) {
	b := sinks.Batch{Object: j.mapper.Object(), Records: make([]sinks.Record, len(items)), Bulk: bulk}
	for i, it := range items {
		b.Records[i] = it.rec
	}
	most := j.s.limits.Timeout
	if bulk {
		most = j.s.limits.Bulk.Timeout
	}
	if !j.s.mayAsk(time.Now()) {
		return nil, &sinks.Retryable{Err: errLeaseExpired}
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	ctx, made := j.counted(ctx)
	began := time.Now()
	rs, err := j.s.e.o.Target.Deliver(ctx, b)
	j.traceRequest(items, reply{began, bulk, rs, err})
	j.told(rs, err, len(items), made())
	return rs, err
}

// outcome is what became of a batch, or of a part of one.
type outcome struct {
	j           *job
	items       []*item
	first, last bool
}

// post tells the loop of the outcome. What is to be known of the target comes with the first
// of its parts, before anything else is sent.
func (j *job) post() {
	j.trace(time.Now())
	for at := 0; at < len(j.items); at += chunk {
		end := min(at+chunk, len(j.items))
		j.s.post(&outcome{j: j, items: j.items[at:end], first: at == 0, last: end == len(j.items)})
	}
}

// apply takes it into the queue and the partitions.
func (o *outcome) apply(s *session, now time.Time) {
	s.countBlocked(now, o.items)
	for _, it := range o.items {
		p := s.parts[it.entry.Partition]
		p.flying[o.j.lane]--
		if it.hold.After(p.unclearUntil) {
			p.unclearUntil = it.hold
		}
		if !it.hold.IsZero() || it.took {
			p.doubtful[it.entry.Key] = true
		}
	}
	var outcomes []queue.Outcome
	for _, it := range o.items {
		switch it.fate {
		case stale:
			s.e.stats.stale.Add(1)
			if p := s.parts[it.entry.Partition]; p.deferred[it.entry.Key] != nil {
				p.settled = append(p.settled, settled{entry: it.entry, stale: true})
				continue
			}
			releaseMarks(it.entry.Tokens)
			outcomes = append(outcomes, queue.Outcome{Entry: it.entry})
		case again:
			if !it.alone && it.wait.IsZero() { // one that waits for another was not tried
				s.e.stats.retries.Add(1)
			}
			until := now.Add(it.after)
			if it.hold.After(until) {
				until = it.hold
			}
			if !it.wait.IsZero() {
				s.family.wait(it.entry.Key, it.missing)
			}
			outcomes = append(outcomes, queue.Outcome{Entry: it.entry, Again: true, Until: until, Wait: it.wait, Looked: it.looked, Counted: it.counted, Together: it.together, Alone: it.alone, Why: o.j.whyAgain(it)})
		default:
			s.count(it)
			if s.keepOrphan(now, it) {
				continue
			}
			delete(s.blocked, it.entry.Key) // where there is no room aside it is done with
			p := s.parts[it.entry.Partition]
			p.settled = append(p.settled, settled{entry: it.entry, write: it.write, dead: it.dead, hold: it.hold})
		}
	}
	s.e.stats.released.Add(uint64(len(s.queue.Done(now, outcomes))))
	if o.last {
		s.hired(o.j, -1)
	}
	if !o.first {
		return
	}
	if s.probe == o.j {
		s.probe = nil
	}
	s.weigh(o.j, now)
}

func (s *session) count(it *item) {
	switch it.fate {
	case delivered:
		s.e.stats.delivered.Add(1)
		s.e.stats.folded.Add(uint64(it.entry.Changes))
		s.e.stats.foldedIn[it.entry.Lane].Add(uint64(it.entry.Changes))
	case filtered:
		s.e.stats.filtered.Add(1)
		if it.suppressed {
			s.e.stats.suppressed.Add(1)
		}
	case parked:
		s.e.stats.parked.Add(1)
	}
}
