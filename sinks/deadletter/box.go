package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// Bounds are how much is kept of one target.
type Bounds struct {
	// Count is shared evenly by the partitions; 100,000 if zero.
	Count int
	// Age is how long an entry is kept; 30 days if zero.
	Age time.Duration
}

// Of gives how many entries a partition keeps, and the id up to which entries are too
// old at a time.
func (b Bounds) Of(partitions int, now time.Time) (count int, id string) {
	if b.Count <= 0 {
		b.Count = 100_000
	}
	if b.Age <= 0 {
		b.Age = 30 * 24 * time.Hour
	}
	ms := max(0, now.Add(-b.Age).UnixMilli()-1)
	return (b.Count + partitions - 1) / partitions, strconv.FormatInt(ms, 10)
}

// Totals are what became of the entries of a partition or of a target, since it is
// known.
type Totals struct {
	// Parked is how many there are.
	Parked int64 `json:"parked"`
	// Resolved went with a newer state of the key, Replaced with a newer refusal,
	// Discarded by hand.
	Resolved  int64 `json:"resolved"`
	Replaced  int64 `json:"replaced"`
	Discarded int64 `json:"discarded"`
	// Full were dropped as there were too many, Old as they were too old. They are lost.
	Full int64 `json:"dropped_full"`
	Old  int64 `json:"dropped_old"`
	// ToldFull and ToldOld are how many of these a worker has logged.
	ToldFull int64 `json:"-"`
	ToldOld  int64 `json:"-"`
}

// Add gives the sum of two.
func (t Totals) Add(o Totals) Totals {
	return Totals{
		Parked: t.Parked + o.Parked, Resolved: t.Resolved + o.Resolved, Replaced: t.Replaced + o.Replaced, Discarded: t.Discarded + o.Discarded,
		Full: t.Full + o.Full, Old: t.Old + o.Old, ToldFull: t.ToldFull + o.ToldFull, ToldOld: t.ToldOld + o.ToldOld,
	}
}

// ReadTotals reads the totals of a partition.
func ReadTotals(ctx context.Context, rdb redis.Cmdable, stream, index string) (t Totals, err error) {
	pipe := rdb.Pipeline()
	n, marks := pipe.XLen(ctx, stream), pipe.HMGet(ctx, index, counts...)
	if _, err := pipe.Exec(ctx); err != nil {
		return t, fmt.Errorf("count dead letters: %w", err)
	}
	t.Parked = n.Val()
	for i, dst := range []*int64{&t.Resolved, &t.Replaced, &t.Discarded, &t.Full, &t.Old, &t.ToldFull, &t.ToldOld} {
		text, ok := marks.Val()[i].(string)
		if !ok {
			continue // nothing was counted yet
		}
		if *dst, err = strconv.ParseInt(text, 10, 64); err != nil {
			return t, fmt.Errorf("count dead letters: %w", err)
		}
	}
	return t, nil
}

// Box is the dead letters of a target, for whoever looks after them. It needs no lease,
// whether a worker runs or not.
type Box struct {
	Client     redis.UniversalClient
	Keys       redislog.Keys
	Target     string
	Partitions int
}

// page is how many entries are read at once: each holds a row.
const page = 100

func (b Box) keys(partition int) []string {
	return []string{b.Keys.DeadLetters(b.Target, partition), b.Keys.Parked(b.Target, partition)}
}

// Totals gives those of the target.
func (b Box) Totals(ctx context.Context) (sum Totals, err error) {
	for p := range b.Partitions {
		k := b.keys(p)
		t, err := ReadTotals(ctx, b.Client, k[0], k[1])
		if err != nil {
			return sum, err
		}
		sum = sum.Add(t)
	}
	return sum, nil
}

// Each calls f for the entry of every key that has one and that the filter takes, the
// oldest of a partition first, until f fails. An entry that is replaced meanwhile comes
// once, as the one or the other.
func (b Box) Each(ctx context.Context, filter Filter, f func(Entry) error) error {
	for p := range b.Partitions {
		if err := b.each(ctx, p, &filter, f); err != nil {
			return err
		}
	}
	return nil
}

func (b Box) each(ctx context.Context, partition int, filter *Filter, f func(Entry) error) error {
	stream := b.keys(partition)[0]
	// The entry of a key may be read, and then be replaced by one at the end of the stream,
	// which is read too.
	seen := map[string]bool{}
	for from := "-"; ; {
		list, err := b.Client.XRangeN(ctx, stream, from, "+", page).Result()
		if err != nil {
			return fmt.Errorf("read dead letters of target %s: %w", b.Target, err)
		}
		for _, m := range list {
			e := Entry{Letter: parse(m.Values), Target: b.Target, Partition: partition, ID: m.ID}
			if seen[e.field()] && e.Mapping != "" { // else somebody spoilt it
				continue
			}
			seen[e.field()] = true
			if !filter.Match(&e.Letter) {
				continue
			}
			if err := f(e); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		from = "(" + list[len(list)-1].ID
	}
}

// Find gives the entry of a key of a partition; ok is false if there is none.
func (b Box) Find(ctx context.Context, partition int, mapping, key string) (e Entry, ok bool, err error) {
	k := b.keys(partition)
	id, err := b.Client.HGet(ctx, k[1], field(mapping, key)).Result()
	if errors.Is(err, redis.Nil) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("look for a dead letter of target %s: %w", b.Target, err)
	}
	list, err := b.Client.XRange(ctx, k[0], id, id).Result()
	if err != nil || len(list) == 0 { // it went meanwhile
		return e, false, err
	}
	return Entry{Letter: parse(list[0].Values), Target: b.Target, Partition: partition, ID: id}, true, nil
}

// Discard takes entries away that were read, and tells how many of them were still
// there.
func (b Box) Discard(ctx context.Context, entries []Entry) (gone int64, err error) {
	args := map[int][]any{}
	flush := func(p int) error {
		n, err := discardScript.Run(ctx, b.Client, b.keys(p), args[p]...).Int64()
		if err != nil {
			return fmt.Errorf("discard dead letters of target %s: %w", b.Target, err)
		}
		gone += n
		delete(args, p)
		return nil
	}
	for i := range entries {
		e := &entries[i]
		args[e.Partition] = append(args[e.Partition], e.ID, e.field())
		if len(args[e.Partition]) >= 2*page {
			if err := flush(e.Partition); err != nil {
				return gone, err
			}
		}
	}
	var errs []error
	for p := range args {
		errs = append(errs, flush(p))
	}
	return gone, errors.Join(errs...)
}
