package deliver

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// repeats notes the hash of an item's record, and tells whether the target has all of it
// already: then a request would only set off what the target does on a change. What a
// backfill read is sent all the same, since it may be there to mend what state and target
// do not agree on; so is a row that a sweep had looked for.
func (j *job) repeats(it *item, rec sinks.Record) bool {
	if leaving(&rec) {
		return false
	}
	it.hash = j.hash(it, &rec)
	if it.entry.Replay == queue.Forced || len(it.known.Old) > 0 {
		return false
	}
	if op := it.row.Newest().Op; op != cdc.OpCreate && op != cdc.OpUpdate && !it.replayed() {
		return false
	}
	return it.known.Holds(it.hash)
}

// hash is the hash of a record, as it would be made of the row if the target had a
// record of the key, and nothing was known of its fields: which fields are left out because of
// what was sent before must not make a difference. It is 0 if there is no such record.
func (j *job) hash(it *item, rec *sinks.Record) uint64 {
	prior := it.known.Prior()
	if j.mapper.Selective() && !(prior.Live && !prior.Doubt && prior.Sent == "" && j.s.e.keys.same(rec.Object, prior.Key, rec.Key)) {
		full, send, err := j.mapper.Map(&it.change, sinks.Prior{Live: true, Key: rec.Key})
		if err != nil || !send || leaving(&full) {
			return 0
		}
		rec = &full
	}
	return hashOf(rec)
}

// hashOf is a hash of what is sent of a record: object, operation, key and fields in their
// order. It is never 0.
func hashOf(rec *sinks.Record) uint64 {
	b := make([]byte, 0, 512)
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	text(rec.Object)
	b = append(b, byte(rec.Op))
	for _, f := range append([]sinks.Field{rec.Key}, rec.Fields...) {
		text(f.Name)
		b = append(binary.AppendUvarint(b, uint64(len(f.Value))), f.Value...)
	}
	sum := sha256.Sum256(b)
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}
