package state

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// Place is a key together with its partition.
type Place struct {
	Key       Key
	Partition int
}

// Loaded is what Load finds at a place.
type Loaded struct {
	Known
	// Text is as it is stored, empty for a key never seen.
	Text string
	// Err tells that the text cannot be read; it does not quote it.
	Err error
}

// bucketOf is a bucket of a partition.
type bucketOf struct{ partition, bucket int }

// wanted is a place of a Load in its bucket.
type wanted struct {
	place int
	shape shape
}

// Load reads what is known of keys, in the order of the places. The same place
// may be given twice.
func (c *Claim) Load(ctx context.Context, places []Place) ([]Loaded, error) {
	members, fields := map[bucketOf][]wanted{}, map[bucketOf][]string{}
	for i, p := range places {
		n := c.names[p.Partition]
		if n == nil {
			return nil, fmt.Errorf("read state of partition %d: %w", p.Partition, errNotOpen)
		}
		of := p.Key.shape()
		number, ok := n.of(of.name)
		if !ok {
			continue // no key like it was ever seen
		}
		at := spotOf(number, of.values)
		b := bucketOf{p.Partition, at.bucket}
		members[b], fields[b] = append(members[b], wanted{i, of}), append(fields[b], at.field)
	}
	out := make([]Loaded, len(places))
	if len(members) == 0 {
		return out, nil
	}
	pipe := c.s.rdb.Pipeline()
	answers := make(map[bucketOf]*redis.SliceCmd, len(members))
	for b, list := range fields {
		answers[b] = pipe.HMGet(ctx, c.s.o.Keys.StateBucket(c.s.o.Target, b.partition, b.bucket), list...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	for b, list := range members {
		for i, v := range answers[b].Val() {
			text, ok := v.(string)
			if !ok {
				continue // never seen
			}
			l := &out[list[i].place]
			l.Text = text
			l.Known, l.Err = c.names[b.partition].known(text, list[i].shape)
		}
	}
	return out, nil
}

// Found is what Scan finds of a key.
type Found struct {
	Key   Key
	Known Known
	// Err tells that the state cannot be read.
	Err error

	bucket      int
	field, text string
}

// scanFirst is how many buckets a scan reads first; it reads twice as many each time it
// did not find enough.
const scanFirst = 8

// Scan gives some of the keys of a partition of which something is known, about count,
// and the cursor of the next; it begins with cursor 0, which also is what it ends with.
// A key that is there all the time comes once.
func (c *Claim) Scan(ctx context.Context, partition int, cursor uint64, count int64) ([]Found, uint64, error) {
	n := c.names[partition]
	if n == nil {
		return nil, 0, fmt.Errorf("scan state of partition %d: %w", partition, errNotOpen)
	}
	var out []Found
	at, end := int(min(cursor, redislog.StateBuckets)), redislog.StateBuckets
	for step := scanFirst; at < end && int64(len(out)) < count; step *= 2 {
		pipe := c.s.rdb.Pipeline()
		answers := make([]*redis.MapStringStringCmd, min(step, end-at))
		for i := range answers {
			answers[i] = pipe.HGetAll(ctx, c.s.o.Keys.StateBucket(c.s.o.Target, partition, at+i))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, 0, fmt.Errorf("scan state of partition %d: %w", partition, err)
		}
		for i, a := range answers {
			for field, text := range a.Val() {
				f := Found{bucket: at + i, field: field, text: text}
				var of shape
				var err error
				if f.Key, of, err = n.keyAt(field); err != nil {
					return nil, 0, fmt.Errorf("scan state of partition %d: %w", partition, err)
				}
				f.Known, f.Err = n.known(text, of)
				out = append(out, f)
			}
		}
		at += len(answers)
	}
	if at == end {
		at = 0
	}
	return out, uint64(at), nil
}
