package deliver

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// mapAll guards and maps the items of a job. It gives those that have to be
// completed from the source; the others that are undecided are ready to be sent.
func (j *job) mapAll() (lacking []*item) {
	for _, it := range j.undecided() {
		switch it.guard() {
		case fresh:
			if it.change.Op != cdc.OpSweep && !it.unread() && j.mapOne(it) {
				continue
			}
		case repeated:
			if j.mapAgain(it) {
				continue
			}
		case gapped:
		case old:
			it.fate = stale
			continue
		case overtaken:
			// The whole row is sent again, at the Position that was seen.
			it.change = cdc.Change{
				Position: it.known.Seen, Op: cdc.OpUpdate, Table: it.change.Table, Key: it.change.Key,
				Time: it.change.Time, XID: it.change.XID,
			}
		}
		lacking = append(lacking, it)
	}
	return lacking
}

// age is how a change stands to what was seen of its key.
type age uint8

const (
	fresh age = iota
	// gapped is fresh, but a value that it was folded with is no newer than what
	// the target may hold, nor known to be older.
	gapped
	old
	overtaken // old, but the target may lack columns that it has
	// repeated was dealt with before, and is asked for by a replay.
	repeated
)

// guard compares an item with what was seen of its key (I4), and takes from it
// what is not above that. A change that a newer one overtook in another lane is
// of use only where the newer one was delivered with columns left out (I5).
func (it *item) guard() age {
	k := it.known
	switch c := it.change.Position.Compare(k.Seen); {
	case c > 0:
		row, lost := it.row.Above(k.Seen)
		it.row, it.change = row, row.Change()
		if lost && k.Partial {
			return gapped
		}
		return fresh
	case it.replayed():
		return repeated
	case c == 0 && k.Live && k.Partial && (it.row.Filled() || it.row.Bare()), c < 0 && k.Live && (k.Partial || k.Lacking):
		return overtaken
	}
	return old
}

// mapOne maps an item as it is. It is false if the row must be completed first.
func (j *job) mapOne(it *item) bool {
	rec, send, err := j.mapper.Map(&it.change, it.known.Prior())
	var unresolved *sinks.Unresolved
	switch {
	case errors.As(err, &unresolved):
		it.needed = unresolved.Columns
		return false
	case err != nil:
		j.parkUnmapped(it, err)
	case rec.Op == sinks.Upsert && !rec.Left && !it.completed && j.leavesGap(it, rec):
		return false
	case send && j.repeats(it, rec):
		it.suppressed = true
		it.same(rec)
	case send:
		it.rec = rec
		it.rec.Mends = it.row.Newest().Op == cdc.OpRead
		it.moved = j.moves(it)
	case rec.Op == sinks.Upsert && it.known.Live:
		it.same(rec)
	default:
		it.filter()
		it.givesUp = rec.Op != sinks.Upsert
	}
	return true
}

func (j *job) parkUnmapped(it *item, err error) {
	code := sinks.Code(err)
	if code == "unknown" {
		code = "unmapped"
	}
	j.park(time.Now(), it, code, err)
	if it.givesUp = code == sinks.CodeNullKey; it.givesUp {
		it.write.Doubt = it.known.Live || it.known.Doubt // another row may write there
	}
}

// leavesGap tells whether a record leaves out fields that the target does not
// hold: it has no record of the key yet, another one, or not all that came before. A mapping
// that gives the same fields with null for the absent columns does not read them.
func (j *job) leavesGap(it *item, rec sinks.Record) bool {
	if len(it.change.Absent) == 0 {
		return false
	}
	k := it.known
	// What takes the place of a record must be whole, whatever that one has.
	keeps := sinks.AbilitiesOf(j.s.e.o.Target, rec.Object).Partial
	holds := k.Live && !k.Lacking && k.Key.Name == rec.Key.Name && bytes.Equal(k.Key.Value, rec.Key.Value)
	if keeps && holds && !it.row.Bare() {
		return false
	}
	prior := k.Prior()
	if prior.Sent != "" {
		// What did not change is left out too: of a column that is absent that is not
		// known, and null in its place may be what was sent before.
		prior.Sent = ""
		var err error
		if rec, _, err = j.mapper.Map(&it.change, prior); err != nil {
			return true
		}
	}
	nulls := make(map[string]string, len(it.change.Absent))
	for _, name := range it.change.Absent {
		nulls[name] = "null"
	}
	whole := queue.Fill(it.change, nulls)
	full, send, err := j.mapper.Map(&whole, prior)
	return err != nil || !send || len(full.Fields) != len(rec.Fields)
}

// prepare notes, before items are sent, how far entries may reach the target and
// which records may come into being or go. It is false if that could not be
// written.
func (j *job) prepare(ctx context.Context, items []*item) bool {
	byPartition := map[int][]*item{}
	for _, it := range items {
		byPartition[it.entry.Partition] = append(byPartition[it.entry.Partition], it)
	}
	for partition, members := range byPartition {
		for part := range slices.Chunk(members, maxCommit) {
			if err := j.prepareOf(ctx, partition, part); err == nil {
				continue
			} else if errors.Is(err, state.ErrMoved) { // what was loaded is not so any more: load again
				for _, it := range items {
					it.fate, it.after = again, redisWaits.initial
				}
			} else {
				j.halt = &fault{what: "write state", err: err, waits: redisWaits}
			}
			return false
		}
	}
	j.s.e.log.works("write state")
	return true
}

// prepareOf is prepare for items of one partition.
func (j *job) prepareOf(ctx context.Context, partition int, items []*item) error {
	in := j.intent(partition, items)
	if len(in.Sent)+len(in.Writes) == 0 && in.Swept.IsZero() && in.Hold.IsZero() {
		return nil
	}
	err := j.s.claim.Prepare(ctx, partition, in)
	if err == nil {
		j.s.note(partition, &in)
		return nil
	}
	var lost *state.LostError
	if errors.As(err, &lost) || errors.Is(err, state.ErrRolledBack) {
		j.s.cancel(err)
	}
	return err
}

// intent says what has to be noted of a partition. The marks are how far it was
// read, not how far the batch goes, so that most batches find theirs noted.
func (j *job) intent(partition int, items []*item) state.Intent {
	in := state.Intent{Sent: map[string]cdc.Position{}}
	noted, lanes, now := j.s.notedOf(partition), cdc.Lanes(), time.Now()
	for _, it := range items {
		if at := it.row.Position(); it.row.Newest().Op == cdc.OpSweep && noted.swept.Before(at) {
			// The next session reads it again, in whatever lane it is, before it sends anything.
			in.Swept, noted.swept = at, at
			for i, lane := range lanes {
				in.Sent[lane] = j.read[partition][i]
			}
		}
		if timeout := j.s.limits.Timeout; it.entry.Replay != queue.Live && noted.hold.Before(now.Add(timeout)) {
			// Its entry was dealt with long ago: no mark tells of its key. Noted ahead, so that
			// most batches find it so.
			in.Hold = now.Add(2 * timeout)
			noted.hold = in.Hold
		}
		if it.entry.Deferred && noted.lanes == ([laneCount]cdc.Position{}) {
			// It has no place in the log any more. That something was sent at all tells the
			// next session to wait (openDeferred).
			in.Sent[lanes[queue.Bulk]] = firstSent
		}
		for _, t := range it.entry.Tokens {
			if noted.lanes[t.Lane].Before(t.Mark.Position()) {
				in.Sent[lanes[t.Lane]] = j.read[partition][t.Lane]
			}
		}
		if k, changed := j.begun(it); changed {
			it.noted = &k
			in.Writes = append(in.Writes, state.Write{Key: state.Key(it.entry.Key), Known: k, Was: it.text})
		}
	}
	return in
}

// firstSent is a Position below that of any entry.
var firstSent = cdc.Position{Ordinal: 1}

// begun is what is known of a key from the moment on that its record is on its way to
// the target, for as long as there is no answer; changed is false if that is no less
// than what the state says.
func (j *job) begun(it *item) (k state.Known, changed bool) {
	k = it.known
	leaves := it.rec.Op != sinks.Upsert
	switch {
	case leaves || it.rec.Left:
		// If it is deleted, or marked as left, what was there is not what the next change
		// leaves out.
		k.Lacking, k.Doubt = true, k.Doubt || leaves
		return k, k.Lacking != it.known.Lacking || k.Doubt != it.known.Doubt
	case it.moved || !k.Live && !k.Doubt:
		return j.goneFor(it), true
	}
	k.Old = j.without(k.Old, it.rec.Key)
	// A field that changes holds from now on the one value or the other.
	k.Sent = common(k.Sent, it.rec.Sent)
	if it.replayed() {
		k.Payload = 0 // else it would be taken for what the target has, whatever comes of this
	}
	return k, it.doubt || k.Sent != it.known.Sent || len(k.Old) != len(it.known.Old) || k.Payload != it.known.Payload
}

// common gives those tokens of a that b has too.
func common(a, b string) string {
	if a == b {
		return a
	}
	have := strings.Split(b, ",")
	return strings.Join(slices.DeleteFunc(strings.Split(a, ","), func(t string) bool { return !slices.Contains(have, t) }), ",")
}
