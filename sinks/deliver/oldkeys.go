package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// reserveKeys makes sure, before records are removed, that they are still those of their
// rows, and that nobody takes their keys while the request may last. Those that are not
// are dealt with. It is asked before every request: batches that are halved take longer.
func (j *job) reserveKeys(ctx context.Context, items []*item) (ready []*item) {
	var ops []targetkey.Op
	var asked []*item
	now, lasts := time.Now(), j.s.limits.Timeout
	for _, it := range items {
		if !leaving(&it.rec) || !it.until.Before(now.Add(lasts)) || j.s.e.keys.sure(&it.rec) {
			ready = append(ready, it)
			continue
		}
		op := j.leave(it, it.rec.Key)
		if wait := j.s.e.wanted.claim(now, op.ID); wait > 0 {
			it.fate, it.after, it.why = again, wait, "its record is left in place for a row that is to take it over"
		} else {
			op.For = 2 * lasts
		}
		ops, asked = append(ops, op), append(asked, it)
	}
	if len(ops) == 0 {
		return items
	}
	answers, ok := j.own(ctx, ops)
	if ok {
		_, ok = j.contest(ctx, ops, answers)
	}
	if !ok {
		return nil // those that are left in place come again as well
	}
	if time.Since(now) > lasts { // the request would last longer than its key is reserved
		return nil
	}
	for i, it := range asked {
		a := answers[i]
		if a.Result == targetkey.Owned || a.Result == targetkey.Free && ops[i].Kind == targetkey.Quit {
			it.fate, it.write = filtered, state.Known{Seen: it.change.Position, Old: it.olds()}
			continue
		}
		if it.fate == again { // it is left in place
			continue
		}
		it.reserved, it.until = a.Entry, now.Add(2*lasts)
		ready = append(ready, it)
	}
	return ready
}

// release notes that the record under a reserved key is gone.
func (it *item) release(j *job) {
	op := j.op(targetkey.Release, it, it.rec.Key)
	op.Was = it.reserved
	it.releases = append(it.releases, op)
}

// settleKeys removes what lies under old keys of records that are dealt with, and tells
// which keys are free. What cannot be removed now lets its item be tried again.
func (j *job) settleKeys(ctx context.Context) {
	var done []*item
	for _, it := range j.items {
		if it.fate == delivered || it.fate == filtered {
			done = append(done, it)
		}
	}
	j.removeOld(ctx, done)
	var ops []targetkey.Op
	var giving []*item
	for _, it := range j.items {
		if k := &it.known; it.givesUp && (it.fate == filtered || it.fate == parked) && (k.Live || k.Doubt) && !j.s.e.keys.sole[j.mapper.Name()] {
			ops, giving = append(ops, j.leave(it, k.Key)), append(giving, it)
		}
	}
	if _, ok := j.own(ctx, ops); !ok {
		for _, it := range giving {
			it.fate, it.dead = again, nil
		}
	}
	ops = nil
	for _, it := range j.items {
		ops = append(ops, it.releases...)
	}
	j.own(ctx, ops) // else it is found out by the state of the row
}

// unburden removes the records under the old keys of items that have too many of them,
// before they go for one more. It gives the items that may go on.
func (j *job) unburden(ctx context.Context, items []*item) (ready []*item) {
	var many []*item
	for _, it := range items {
		if it.moved && len(it.known.Old) >= mostOld {
			it.write.Old = it.known.Old
			many = append(many, it)
		}
	}
	if len(many) == 0 {
		return items
	}
	j.removeOld(ctx, many)
	for _, it := range many {
		if it.fate == undecided {
			it.known.Old = nil
		}
	}
	for _, it := range items {
		if it.fate == undecided {
			ready = append(ready, it)
		}
	}
	return ready
}

// removeOld removes the records under the old keys of items, what of them is still the
// rows' own. Those of which that fails are tried again or parked.
func (j *job) removeOld(ctx context.Context, items []*item) {
	for {
		var round, of []*item // a batch has one record of a row
		for _, it := range items {
			if it.fate == again || it.fate == parked {
				continue
			}
			for len(it.write.Old) > 0 {
				if r := j.removal(it, it.write.Old[0]); r != nil {
					round, of = append(round, r), append(of, it)
					break
				}
				it.write.Old = it.write.Old[1:]
			}
		}
		if len(round) == 0 {
			return
		}
		j.suspects, j.refusals = nil, nil
		for part := range slices.Chunk(round, j.usual) {
			j.send(ctx, part)
		}
		j.blame(time.Now())
		for i, r := range round {
			it := of[i]
			switch r.fate {
			case delivered, filtered:
				it.write.Old = it.write.Old[1:]
				it.releases = append(it.releases, r.releases...)
			case parked:
				it.fate, it.dead = parked, r.dead
				it.write.Seen, it.write.Lacking = it.change.Position, true
			default:
				it.fate, it.after, it.counted, it.together, it.hold = again, r.after, r.counted, r.together, r.hold
			}
		}
	}
}

// removal is the item that removes the record of a row under an old key, as the mapping
// says; nil if it is to stay.
func (j *job) removal(it *item, key sinks.Field) *item {
	ch := cdc.Change{Op: cdc.OpDelete, Position: it.change.Position, Table: it.change.Table, Key: it.change.Key, Time: it.change.Time, XID: it.change.XID}
	rec, send, err := j.mapper.Map(&ch, sinks.Prior{Live: true, Key: key})
	if err != nil || !send { // a delete has no error
		return nil
	}
	// Not live: where there is no entry the record was never made, or is gone.
	return &item{entry: it.entry, change: ch, rec: rec, known: state.Known{Seen: it.change.Position, Doubt: true, Key: key}}
}
