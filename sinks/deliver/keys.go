package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// How target keys are owned, see package targetkey. Of a row that makes another key than
// its record has:
//
//  1. prepare notes that it goes for the new key and has the old one (state.Known.Old).
//  2. takeKeys tells that it leaves the old one, and takes the new one. If that is
//     another row's, the record waits: the other may be about to leave it too.
//  3. send brings the record under the new key.
//  4. settleKeys removes the record under the old key, unless another row has taken it
//     meanwhile; only then is the change dealt with.
//
// A process that ends in between leaves in the state what is still to be done.

const (
	// blockedTries is how often a record is tried whose target key is another row's.
	blockedTries = 8
	// rivalRetry is how often it is tried again after that, while it waits aside; it is woken
	// when the other row leaves the key.
	rivalRetry = 10 * time.Minute
	// rivalRetryFar is that where the other row may be another worker's, so that nothing wakes it.
	rivalRetryFar = time.Minute
	// mostOld is how many old keys a row may have before they are seen to first: each try
	// with another key may add one.
	mostOld = 8
)

var blockedWaits = waits{200 * time.Millisecond, 10 * time.Second}

// keyed is the part of an item that is about target keys.
type keyed struct {
	// moved: the row had another target key before, and its record may lie there.
	moved bool
	// noted is what prepare wrote of the key; nil if nothing.
	noted *state.Known
	// givesUp: the row makes no key any more, and nothing is sent of that.
	givesUp bool
	// blocked: the target key is another row's; tries is how often it was before.
	blocked bool
	tries   int
	rival   queue.Key // that has the key, if it was parked for that
	// reserved is the entry of a key whose record is removed, until when nobody else takes
	// it.
	reserved string
	until    time.Time
	releases []targetkey.Op
	// took: the target has the record, though the item may come again, for what is left to
	// be done of its keys.
	took bool
}

// moves tells whether the record of an item goes to another key than the one before.
func (j *job) moves(it *item) bool {
	k := &it.known
	return !leaving(&it.rec) && (k.Live || k.Doubt) && !j.s.e.keys.same(j.mapper.Object(), k.Key, it.rec.Key)
}

// goneFor is what is known of a row from when on it goes for a key that it has not.
func (j *job) goneFor(it *item) state.Known {
	k := it.known
	k.Old = j.without(k.Old, it.rec.Key)
	if it.moved {
		k.Old = append(k.Old, k.Key)
		k.Live, k.Partial, k.Lacking, k.Sent = false, false, true, ""
	}
	k.Doubt, k.Key = true, it.rec.Key
	return k
}

// without gives a copy of a list of keys less one.
func (j *job) without(keys []sinks.Field, key sinks.Field) (out []sinks.Field) {
	for _, f := range keys {
		if !j.s.e.keys.same(j.mapper.Object(), f, key) {
			out = append(out, f)
		}
	}
	return out
}

// olds are the keys other than its own where a record of the row may still lie.
func (it *item) olds() []sinks.Field {
	if it.noted != nil {
		return it.noted.Old
	}
	return it.known.Old
}

func (j *job) owner(it *item) targetkey.Owner {
	return targetkey.Owner{Partition: it.entry.Partition, Mapping: it.entry.Key.Mapping, Source: it.entry.Key.Source}
}

func (j *job) op(kind targetkey.Kind, it *item, key sinks.Field) targetkey.Op {
	return targetkey.Op{Kind: kind, ID: j.s.e.keys.id(j.mapper.Object(), key), Owner: j.owner(it), Nonce: targetkey.NewNonce()}
}

// leave is the operation that gives up a key. Only where the record certainly lies there
// is an entry made that is not there, as of records from before there were any.
func (j *job) leave(it *item, key sinks.Field) targetkey.Op {
	if it.known.Live && j.s.e.keys.same(j.mapper.Object(), key, it.known.Key) {
		return j.op(targetkey.Leave, it, key)
	}
	return j.op(targetkey.Quit, it, key)
}

// takeKeys tells which keys are left, takes those of the records, and gives the items
// that may be sent. All that is left goes first, so that rows of a batch that swap their
// keys need not wait for each other.
func (j *job) takeKeys(ctx context.Context, items []*item) (ready []*item) {
	var ops []targetkey.Op
	var takes []*item
	for _, it := range items {
		for _, key := range it.olds() {
			ops = append(ops, j.leave(it, key))
		}
	}
	leaves := len(ops)
	for _, it := range items {
		if leaving(&it.rec) || j.s.e.keys.sure(&it.rec) {
			ready = append(ready, it)
			continue
		}
		kind := targetkey.Take
		if it.known.Live && !it.moved {
			kind = targetkey.Keep
		}
		takes = append(takes, it)
		ops = append(ops, j.op(kind, it, it.rec.Key))
	}
	answers, ok := j.own(ctx, ops)
	if !ok {
		return nil
	}
	return append(ready, j.taken(ctx, takes, ops[leaves:], answers[leaves:])...)
}

// taken sorts out which items have their keys.
func (j *job) taken(ctx context.Context, items []*item, ops []targetkey.Op, answers []targetkey.Answer) (ready []*item) {
	owners, ok := j.contest(ctx, ops, answers)
	if !ok {
		return nil
	}
	for i, it := range items {
		switch answers[i].Result {
		case targetkey.Owned:
			j.block(it, owners[i], answers[i].Entry)
			var next time.Time
			if it.fate == again {
				next = time.Now().Add(it.after)
			}
			j.s.e.wanted.add(time.Now(), ops[i].ID, next)
			continue
		case targetkey.Other:
			j.s.e.wanted.met(ops[i].ID)
			// What lies there is another row's: whatever comes of this record, it is this
			// row's to take away.
			if it.noted != nil {
				it.known = *it.noted
			}
		}
		ready = append(ready, it)
	}
	return ready
}

// own carries out operations on the owners of keys. It is false if that failed.
func (j *job) own(ctx context.Context, ops []targetkey.Op) ([]targetkey.Answer, bool) {
	const what = "write owners of target keys"
	if len(ops) == 0 {
		return nil, true
	}
	answers := make([]targetkey.Answer, 0, len(ops))
	for part := range slices.Chunk(ops, chunk) {
		some, err := j.s.claim.Own(ctx, part)
		if err != nil {
			j.halt = &fault{what: what, err: err, waits: redisWaits}
			return nil, false
		}
		answers = append(answers, some...)
	}
	j.s.e.log.works(what)
	return answers, true
}

// contest asks the rows that are said to own keys, by their own state, and takes the keys
// of those that do not. The answers are brought up to date; it gives the owners of keys
// that stay theirs.
//
// A row writes to its state that it goes for a key before it takes it, with a number of its
// own in the entry. So one that was not found to name the key either had not taken it when the
// entry was read, and will find the new owner, or its entry is another one now.
func (j *job) contest(ctx context.Context, ops []targetkey.Op, answers []targetkey.Answer) (map[int]targetkey.Owner, bool) {
	owners := map[int]targetkey.Owner{}
	var asked []int
	var places []state.Place
	var again []targetkey.Op
	var at []int
	proven := func(i int) {
		op := ops[i]
		op.Was, op.Nonce = answers[i].Entry, targetkey.NewNonce()
		again, at = append(again, op), append(at, i)
	}
	for i, a := range answers {
		if a.Result != targetkey.Owned {
			continue
		}
		o, err := targetkey.OwnerOf(a.Entry)
		if err != nil || j.s.e.byName[o.Mapping] == nil { // the mapping leads here no more
			proven(i)
			continue
		}
		owners[i] = o
		asked = append(asked, i)
		places = append(places, state.Place{Key: state.Key{Mapping: o.Mapping, Source: o.Source}, Partition: o.Partition})
	}
	if len(places) > 0 {
		known, err := j.s.load(ctx, places)
		if err != nil {
			j.halt = &fault{what: "read state", err: err, waits: redisWaits}
			return nil, false
		}
		for n, i := range asked {
			if known[n].Err != nil {
				continue
			}
			switch j.s.e.keys.standing(j.s.e.byName[owners[i].Mapping].Object(), &known[n].Known, ops[i].ID) {
			case strange:
				proven(i)
			case quits: // its request to remove the record may be under way
				if takes := ops[i].Kind == targetkey.Take || ops[i].Kind == targetkey.Keep; takes && targetkey.Held(answers[i].Entry) {
					proven(i)
				}
			case has:
			}
		}
	}
	renewed, ok := j.own(ctx, again)
	if !ok {
		return nil, false
	}
	for n, i := range at {
		answers[i] = renewed[n]
	}
	return owners, true
}

// duplicate says that a target key is another row's.
type duplicate struct{ owner targetkey.Owner }

func (e *duplicate) Error() string {
	if e.owner.Mapping == "" {
		return "another row has the same target key"
	}
	return fmt.Sprintf("another row has the same target key, by mapping %s", e.owner.Mapping)
}

// Detail names the other row.
func (e *duplicate) Detail() string { return "the other row is " + e.owner.Source }

func (s *session) rivalRetry() time.Duration {
	if s.workers.others {
		return rivalRetryFar
	}
	return rivalRetry
}

// block lets an item wait for its key, or parks it. One whose owner is about to remove its
// record is only waited for.
func (j *job) block(it *item, o targetkey.Owner, entry string) {
	if !targetkey.Held(entry) {
		it.fate, it.after, it.why = again, backOff(blockedWaits, max(3, it.tries)), "the row that has its target key is about to leave it"
		return
	}
	if it.tries+1 >= blockedTries {
		j.park(time.Now(), it, sinks.CodeDuplicateKey, &sinks.Rejected{Code: sinks.CodeDuplicateKey, Err: &duplicate{o}})
		it.orphan, it.rival = true, queue.Key{Mapping: o.Mapping, Source: o.Source}
		return
	}
	it.fate, it.blocked, it.after, it.why = again, true, backOff(blockedWaits, it.tries), (&duplicate{o}).Error()
}

// countBlocked notes which keys of a batch wait for another row, and wakes those that waited
// for one which has left its own. A row that comes back from aside is tried once.
func (s *session) countBlocked(now time.Time, items []*item) {
	for _, it := range items {
		if len(it.olds()) > 0 || it.givesUp || it.rec.Op != 0 && leaving(&it.rec) {
			// Also if it is not done yet: then its record was left in place for them.
			for child := range maps.Clone(s.rivals.children[it.entry.Key]) {
				s.rivals.forget(child)
				s.queue.Wake(now, child)
			}
		}
		switch {
		case it.rival != (queue.Key{}):
		case it.fate != again:
			delete(s.blocked, it.entry.Key)
		case it.blocked:
			s.blocked[it.entry.Key]++
		}
	}
}
