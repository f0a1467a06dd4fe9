package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// suspectAfter is how many batches fail as a whole with a record among them
// before it is looked for what is to blame.
const suspectAfter = 3

// suspect is a record with which a request failed although it was alone in it.
type suspect struct {
	it  *item
	err error
}

// unknown tells whether a request that failed so may have been carried out.
func unknown(err error) bool { return sinks.Unknown(err) }

func forbidden(err error) bool {
	var una *sinks.Unauthorized
	return errors.As(err, &una) && una.Forbidden
}

// failed is what the failure of a whole request comes to. One that may be about
// what it holds is sent again in halves, to find the record that is meant (I6):
// at once where the target says so, otherwise only when the same records failed
// together before. Until some half is answered nobody is blamed, and only one
// path down is tried, so that a target that is away gets few requests.
func (j *job) failed(ctx context.Context, items []*item, err error) {
	f, divide := haltOf(err), refused(err) || forbidden(err)
	if !divide && !f.throttled && !f.mend {
		for _, it := range items {
			it.together = true
		}
		// A target that names a wait means itself.
		divide = f.after == 0 && slices.ContainsFunc(j.items, func(it *item) bool { return it.entry.Together >= suspectAfter })
	}
	switch {
	case !divide:
		j.halt = f
	case len(items) > 1:
		if !refused(err) && len(items) == len(j.items) { // another path each time
			items = slices.Clone(items)
			rand.Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
		}
		half := len(items) / 2
		j.send(ctx, items[:half])
		j.send(ctx, items[half:])
	case refused(err):
		j.refusals = append(j.refusals, suspect{items[0], err})
	case j.convicted(err):
		j.fail(time.Now(), items[0], err)
	default:
		items[0].together = true // as the queue's word for when it failed
		j.suspects = append(j.suspects, suspect{items[0], err})
		if !j.answered && len(j.suspects) == 2 {
			j.halt = f // two alone and none answered: it is the target
		}
	}
}

// convicted tells whether every record of the job failed for itself before, while
// the target takes others; or whether there never are others to compare it with.
func (j *job) convicted(err error) bool {
	alone := min(j.s.limits.MaxBatch, max(1, j.mapper.Coalesce().MaxBatch)) == 1 && !forbidden(err)
	return j.faults == 0 && (alone || !slices.ContainsFunc(j.items, func(it *item) bool { return it.entry.Attempts == 0 }))
}

// blame settles the records that failed alone. Those of the halves are to blame
// for themselves if another was answered; if none was, it is the target.
func (j *job) blame(now time.Time) {
	for _, s := range j.suspects {
		if j.answered || j.othersAnswered(s.it) {
			j.fail(now, s.it, s.err)
		} else if j.halt == nil {
			j.halt = haltOf(s.err)
		}
	}
	if len(j.refusals) == 0 {
		return
	}
	j.asked = true
	code := sinks.Code(j.refusals[0].err)
	var rej *sinks.Rejected
	same := errors.As(j.refusals[0].err, &rej) && !slices.ContainsFunc(j.refusals, func(s suspect) bool { return sinks.Code(s.err) != code })
	if len(j.refusals) > 1 && same && !j.answered {
		if j.halt == nil {
			j.halt = haltOf(&sinks.Misconfigured{Err: fmt.Errorf("every record of a batch was refused alone: %w", j.refusals[0].err),
				Hint: "compare the mapping with what the target accepts"})
		}
		return
	}
	for _, s := range j.refusals {
		j.judge(now, s.it, sinks.Result{Err: s.err})
	}
}

// othersAnswered tells whether the target has taken others since a record failed
// before: then the record is to blame although nothing else was in its batch.
func (j *job) othersAnswered(it *item) bool {
	return !it.entry.Failed.IsZero() && j.s.e.answeredAt.Load() > it.entry.Failed.UnixNano()
}

// fail counts a failure against the record itself.
func (j *job) fail(now time.Time, it *item, err error) {
	j.asked = true
	var (
		ret *sinks.Retryable
		wai *sinks.WaitForParent
	)
	if it.entry.Attempts+1 >= j.s.e.o.MaxAttempts {
		it.unsure(err)
		j.park(now, it, sinks.Code(err), err)
		return
	}
	it.fate, it.counted, it.why = again, true, err.Error()
	it.after = backOff(waits{j.s.e.o.Retry.Initial, j.s.e.o.Retry.Max}, it.entry.Attempts)
	if errors.As(err, &ret) {
		it.after = max(it.after, ret.After)
	}
	if errors.As(err, &wai) {
		it.after = max(it.after, wai.After)
	}
}

// unsure notes of an item that is to be parked that the target may hold its record all the
// same, if its error does not say that nothing was carried out: it is deleted with its row.
func (it *item) unsure(err error) {
	if !unknown(err) {
		return
	}
	if it.noted != nil {
		it.known = *it.noted
	}
	if it.rec.Op != sinks.Upsert || !it.known.Live {
		it.known.Doubt, it.known.Key = true, it.rec.Key
	}
}
