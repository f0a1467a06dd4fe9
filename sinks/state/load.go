package state

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// loadTries is how often what is known of keys is read again because another process gave
// numbers to names meanwhile, which it does a few times in its life.
const loadTries = 10

// Load reads what is known of keys, in the order of the places. The same place
// may be given twice. Of partitions that are not ours it is what their owner has written
// until now.
func (c *Claim) Load(ctx context.Context, places []Place) ([]Loaded, error) {
	for range loadTries {
		if out, fresh, err := c.load(ctx, places); err != nil || fresh {
			return out, err
		}
	}
	return nil, errors.New("read state: its names change all the time")
}

// load is Load, unless names that another process gives are not those that we know: then
// fresh is false.
func (c *Claim) load(ctx context.Context, places []Place) (out []Loaded, fresh bool, err error) {
	members, fields := map[bucketOf][]wanted{}, map[bucketOf][]string{}
	used, foreign := map[int]*names{}, map[int]*redis.MapStringStringCmd{}
	pipe := c.s.rdb.Pipeline()
	for i, p := range places {
		n, looked := used[p.Partition]
		if !looked {
			mine := false
			n, mine = c.known(p.Partition)
			if used[p.Partition] = n; !mine || n == nil {
				foreign[p.Partition] = pipe.HGetAll(ctx, c.s.o.Keys.State(c.s.o.Target, p.Partition))
			}
		}
		if n == nil {
			continue
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
	out = make([]Loaded, len(places))
	if len(members)+len(foreign) == 0 {
		return out, true, nil
	}
	answers := make(map[bucketOf]*redis.SliceCmd, len(members))
	for b, list := range fields {
		answers[b] = pipe.HMGet(ctx, c.s.o.Keys.StateBucket(c.s.o.Target, b.partition, b.bucket), list...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, fmt.Errorf("read state: %w", err)
	}
	fresh = true
	for p, marks := range foreign {
		same, err := c.look(p, used[p], marks.Val())
		if err != nil {
			return nil, false, err
		}
		fresh = fresh && same
	}
	if !fresh {
		return nil, false, nil
	}
	for b, list := range members {
		for i, v := range answers[b].Val() {
			text, ok := v.(string)
			if !ok {
				continue // never seen
			}
			l := &out[list[i].place]
			l.Text = text
			l.Known, l.Err = used[b.partition].known(text, list[i].shape)
		}
	}
	return out, true, nil
}

// known gives the names of a partition, as far as we know them, and whether it is ours, so
// that nobody else gives one.
func (c *Claim) known(partition int) (n *names, mine bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n = c.names[partition]
	return n, c.leases[partition] != ""
}

// look takes the names of a partition that is not ours from its marks, and tells whether
// they are those that were known. A state that was never written has none.
func (c *Claim) look(partition int, known *names, marks map[string]string) (same bool, err error) {
	switch have := marks[layoutField]; have {
	case "":
		if len(marks) > 0 {
			return false, &LayoutError{c.s.o.Target, "was written by an older version"}
		}
	case redislog.StateForgetting:
		return false, &LayoutError{c.s.o.Target, "was being forgotten, but not to the end"}
	case layout:
	default:
		return false, &LayoutError{c.s.o.Target, fmt.Sprintf("lies in %q, where this version has %q", have, layout)}
	}
	n, err := readNames(marks)
	if err != nil {
		return false, fmt.Errorf("look at the state of partition %d: %w", partition, err)
	}
	if known != nil && slices.Equal(known.name, n.name) {
		return true, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[partition] == known { // else it was opened meanwhile
		c.names[partition] = n
	}
	return false, nil
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
	n := c.namesOf(partition)
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
