package deliver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// A record that refers to others waits until the target has them. The wait is bounded:
// then it is sent all the same, since the target may know them by other means. If it is
// refused it becomes a dead letter, and its entry waits aside until they are there.
const (
	codeWaiting = "waiting_for_parent"
	// parentRetry is how often what was refused so is sent again without.
	parentRetry = time.Hour
	// parentLook is how often the state is looked at for what others wait for, besides
	// what this session delivers; parentsAtOnce bounds one look.
	// parentLookFar is that where other workers deliver some of them.
	parentLook    = 10 * time.Second
	parentLookFar = time.Second
	parentsAtOnce = 500
)

// family is what the loop knows of records that wait for others.
type family struct {
	children map[queue.Key]map[queue.Key]bool // of each that is waited for
	parents  map[queue.Key][]queue.Key        // of each that waits
	// fresh are parents that were not looked for since a child waits: they may have been
	// delivered between its look and now.
	fresh   map[queue.Key]bool
	looking bool
	lookAt  time.Time
}

func newFamily() family {
	return family{children: map[queue.Key]map[queue.Key]bool{}, parents: map[queue.Key][]queue.Key{}, fresh: map[queue.Key]bool{}}
}

// wait notes that a child waits for parents.
func (f *family) wait(child queue.Key, parents []queue.Key) {
	f.forget(child)
	if len(parents) == 0 {
		return
	}
	f.parents[child] = parents
	for _, p := range parents {
		if f.children[p] == nil {
			f.children[p] = map[queue.Key]bool{}
		}
		f.children[p][child] = true
		f.fresh[p] = true
	}
}

// forget notes that a child waits no more.
func (f *family) forget(child queue.Key) {
	for _, p := range f.parents[child] {
		if delete(f.children[p], child); len(f.children[p]) == 0 {
			delete(f.children, p)
			delete(f.fresh, p)
		}
	}
	delete(f.parents, child)
}

// wakeChildren has those looked at that wait for a record which the target has now.
func (s *session) wakeChildren(now time.Time, parent queue.Key) {
	for child := range maps.Clone(s.family.children[parent]) {
		s.family.forget(child)
		s.queue.Wake(now, child)
	}
}

// there tells whether the target has the record of a key.
func there(k *state.Known) bool { return k.Live && !k.Doubt }

// placesOf are where the state of a record may be: its partition follows from the name
// that the log has for its table.
func (e *Engine) placesOf(k queue.Key) []state.Place {
	m := e.byName[k.Mapping]
	if m == nil {
		return nil
	}
	names := []cdc.Table{m.Table()}
	for log, now := range e.o.Renamed {
		if now == m.Table() {
			names = append(names, log)
		}
	}
	out := make([]state.Place, len(names))
	for i, t := range names {
		out[i] = state.Place{Key: state.Key(k), Partition: cdc.PartitionOf(t.String(), []byte(k.Source), e.o.Partitions)}
	}
	return out
}

// haveParents tells which of some records the target has.
func (s *session) haveParents(ctx context.Context, keys []queue.Key) (map[queue.Key]bool, error) {
	have := make(map[queue.Key]bool, len(keys))
	for part := range slices.Chunk(keys, parentsAtOnce) {
		var places []state.Place
		for _, k := range part {
			places = append(places, s.e.placesOf(k)...)
		}
		known, err := s.claim.Load(ctx, places)
		if err != nil {
			return nil, err
		}
		for i := range known {
			if known[i].Err == nil && there(&known[i].Known) {
				have[queue.Key(places[i].Key)] = true
			}
		}
	}
	return have, nil
}

// parentsDone is what a look for parents came to.
type parentsDone struct {
	asked []queue.Key
	have  map[queue.Key]bool
	err   error
}

// lookForParents looks for the records that others wait for: at once for what was not
// looked for since, and now and then for some of all of them.
func (s *session) lookForParents(now time.Time, soon func(time.Time)) {
	f := &s.family
	if f.looking || len(f.children) == 0 {
		return
	}
	d := &parentsDone{}
	switch {
	case now.Before(f.lookAt) && len(f.fresh) == 0:
		soon(f.lookAt)
		return
	case len(f.fresh) > 0:
		d.asked = slices.Collect(maps.Keys(f.fresh))
		clear(f.fresh)
	default:
		f.lookAt = now.Add(parentLook)
		if s.workers.others {
			f.lookAt = now.Add(parentLookFar)
		}
		for p := range f.children { // in any order, so that each has its turn
			if d.asked = append(d.asked, p); len(d.asked) == 4*parentsAtOnce {
				break
			}
		}
	}
	f.looking = true
	s.spawn(func() {
		d.have, d.err = s.haveParents(s.ctx, d.asked)
		s.post(d)
	})
}

// apply wakes the children of what is there.
func (d *parentsDone) apply(s *session, now time.Time) {
	const what = "read state"
	f := &s.family
	f.looking = false
	if d.err != nil {
		if s.ctx.Err() == nil {
			s.e.log.fails(what, d.err)
		}
		return // all are looked for again by then
	}
	s.e.log.works(what)
	for p := range d.have {
		s.wakeChildren(now, p)
	}
}

// parentsOf are the records of mappings of this target that an item refers to, but for
// itself.
func (j *job) parentsOf(it *item) (out []queue.Key) {
	if it.rec.Op != sinks.Upsert || it.rec.Left {
		return nil
	}
	for _, p := range it.rec.Parents {
		k := queue.Key{Mapping: p.Mapping, Source: p.Source}
		if k != it.entry.Key && j.s.e.byName[p.Mapping] != nil && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// await looks for the parents of items, and gives those items that may be sent. The
// others wait: a parent in the same batch counts as not there.
func (j *job) await(ctx context.Context, items []*item) []*item {
	all := map[queue.Key]bool{}
	for _, it := range items {
		it.missing = j.parentsOf(it)
		for _, p := range it.missing {
			all[p] = true
		}
	}
	if len(all) == 0 {
		return items
	}
	have, err := j.s.haveParents(ctx, slices.Collect(maps.Keys(all)))
	if err != nil {
		j.halt = &fault{what: "read state", err: err, waits: redisWaits}
		return nil
	}
	now := time.Now()
	return slices.DeleteFunc(items, func(it *item) bool {
		it.missing = slices.DeleteFunc(it.missing, func(p queue.Key) bool { return have[p] })
		if len(it.missing) == 0 {
			return false
		}
		until := j.waitEnd(now, it)
		if !now.Before(until) {
			if !it.parentInJob {
				return false
			}
			until = now.Add(j.s.e.o.ParentWait) // it is on its way
		}
		it.fate, it.wait = again, until
		j.s.e.stats.awaited.Add(1)
		return true
	})
}

// waitEnd is until when an item waits for what it refers to, counted from the first look,
// or, of what was sent without and refused, from then. The time in which the target was not
// asked does not count, nor that before its partition was taken.
func (j *job) waitEnd(now time.Time, it *item) time.Time {
	if e := it.entry; !e.Tried.IsZero() && !e.Tried.Before(e.Row.Position()) {
		return e.TriedAt.Add(parentRetry)
	}
	switch it.looked = it.entry.Looked; {
	case it.looked.IsZero():
		it.looked = now
	case it.looked.Before(it.opened):
		it.looked = it.opened
	}
	return it.looked.Add(j.s.e.o.ParentWait + j.idle.since(it.looked, now))
}

// forParent tells whether a refusal means that a record is missing: the target says so, or
// one is.
func (it *item) forParent(err error) bool {
	var (
		rej *sinks.Rejected
		wai *sinks.WaitForParent
	)
	return errors.As(err, &wai) || len(it.missing) > 0 && errors.As(err, &rej)
}

// orphaned is what becomes of an item that was refused as a record is missing. Where the
// target knows of one that we do not, the wait begins with that answer.
func (j *job) orphaned(now time.Time, it *item, err error) {
	if until := j.waitEnd(now, it); now.Before(until) && !it.looked.IsZero() {
		it.fate, it.after, it.why = again, min(until.Sub(now), backOff(recordWaits, 2)), err.Error()
		var wai *sinks.WaitForParent
		if errors.As(err, &wai) {
			it.after = max(it.after, wai.After)
		}
		return
	}
	j.park(now, it, codeWaiting, err)
	it.orphan = true
}

// keepOrphan puts an item aside that was refused for want of another record, if there is
// room; its dead letter is written with it.
func (s *session) keepOrphan(now time.Time, it *item) bool {
	if !it.orphan || !s.mayAside(it.entry) {
		return false
	}
	if it.rival != (queue.Key{}) {
		s.rivals.wait(it.entry.Key, []queue.Key{it.rival})
		s.aside(now, it.entry, now.Add(s.rivalRetry()), it.dead)
		return true
	}
	it.entry.Looked, it.entry.Tried, it.entry.TriedAt = time.Time{}, it.entry.Row.Position(), now
	s.family.wait(it.entry.Key, it.missing)
	s.aside(now, it.entry, now.Add(parentRetry), it.dead)
	return true
}
