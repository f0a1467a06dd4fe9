package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deadletter"
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

// Load reads what is known of keys, in the order of the places. The same place
// may be given twice.
func (c *Claim) Load(ctx context.Context, places []Place) ([]Loaded, error) {
	byPartition := map[int][]int{}
	for i, p := range places {
		byPartition[p.Partition] = append(byPartition[p.Partition], i)
	}
	pipe := c.s.rdb.Pipeline()
	answers := map[int]*redis.SliceCmd{}
	for partition, members := range byPartition {
		fields := make([]string, len(members))
		for i, m := range members {
			fields[i] = places[m].Key.field()
		}
		answers[partition] = pipe.HMGet(ctx, c.s.o.Keys.State(c.s.o.Target, partition), fields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	out := make([]Loaded, len(places))
	for partition, members := range byPartition {
		for i, v := range answers[partition].Val() {
			text, ok := v.(string)
			if !ok {
				continue // never seen
			}
			l := &out[members[i]]
			l.Text = text
			l.Known, l.Err = ParseKnown(text)
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
}

// Scan gives some of the keys of a partition of which something is known, about count,
// and the cursor of the next; it begins with cursor 0, which also is what it ends with.
// A key that is there all the time comes at least once.
func (c *Claim) Scan(ctx context.Context, partition int, cursor uint64, count int64) ([]Found, uint64, error) {
	texts, next, err := c.s.rdb.HScan(ctx, c.s.o.Keys.State(c.s.o.Target, partition), cursor, "", count).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("scan state of partition %d: %w", partition, err)
	}
	var out []Found
	for i := 0; i+1 < len(texts); i += 2 {
		mapping, source, ok := strings.Cut(texts[i], "\x00")
		if !ok || mapping == "" {
			continue // a mark of the partition
		}
		f := Found{Key: Key{Mapping: mapping, Source: source}}
		f.Known, f.Err = ParseKnown(texts[i+1])
		out = append(out, f)
	}
	return out, next, nil
}

// Write is a new state of a key.
type Write struct {
	Key   Key
	Known Known
	// Was is the text that Load gave. Prepare writes only in place of it.
	Was string
}

// Intent is what is noted of a partition before a batch is sent.
type Intent struct {
	// Sent are Positions by lane up to which entries may be handed to the target.
	Sent map[string]cdc.Position
	// Writes are of the keys that the target may hold for the first time, or hold
	// no longer.
	Writes []Write
}

// ErrMoved says that the state of a key is not the one that was loaded.
var ErrMoved = errors.New("the state of a key was written meanwhile")

// Prepare notes an intent. It is *LostError if the lease is lost, and ErrMoved if
// a key is not as it was loaded; then no key is written.
func (c *Claim) Prepare(ctx context.Context, partition int, in Intent) error {
	args := make([]any, 0, 2+2*len(in.Sent)+3*len(in.Writes))
	args = append(args, c.leases[partition], len(in.Sent))
	for lane, pos := range in.Sent {
		args = append(args, sentField(lane), pos.String())
	}
	for _, w := range in.Writes {
		args = append(args, w.Key.field(), w.Was, w.Known.String())
	}
	keys := []string{c.s.o.Keys.Lease(c.s.o.Target, partition), c.s.o.Keys.State(c.s.o.Target, partition)}
	return c.run(ctx, prepareScript, partition, keys, args)
}

// Commit is what is written of a partition at once.
type Commit struct {
	// ID numbers the commits of a claim and partition from 1, so that one that is
	// repeated, or comes late, is not carried out again.
	ID     uint64
	Writes []Write
	// Dead are parked. Each key of Writes that is not among them has no dead letter any
	// more.
	Dead []deadletter.Letter
	// Checkpoints are by lane; those that do not move are left out.
	Checkpoints map[string]cdc.Position
	// Hold is until when a request that these states stand on may still be carried
	// out, its outcome not being known; zero if there is none.
	Hold time.Time
	// Deferred are put into the retry set, or, without an Entry, taken from it.
	Deferred []Deferred
}

// Commit writes w, all of it or nothing. It may be repeated until it succeeds,
// before another commit of the partition is begun. It is *LostError if the lease
// is lost, ErrGroupGone if the checkpoint has no place, ErrRolledBack if the
// server does not have the commit before.
func (c *Claim) Commit(ctx context.Context, partition int, w Commit) error {
	k, target := c.s.o.Keys, c.s.o.Target
	keys := []string{k.Lease(target, partition), k.State(target, partition), k.DeadLetters(target, partition), k.Parked(target, partition)}
	args := make([]any, 0, 12+2*len(w.Writes)+2*deadletter.FieldCount*len(w.Dead))
	hold := int64(0)
	if !w.Hold.IsZero() {
		hold = w.Hold.UnixMicro()
	}
	most, _ := c.s.o.DeadLetters.Of(c.s.o.Partitions, time.Now())
	args = append(args, c.leases[partition], target, w.ID, c.last[partition], len(w.Writes), len(w.Dead), deadletter.FieldCount, hold, most)
	for _, lane := range cdc.Lanes() {
		if pos, ok := w.Checkpoints[lane]; ok {
			keys = append(keys, k.Stream(cdc.Stream{Lane: lane, Partition: partition}))
			args = append(args, pos.String())
		}
	}
	for _, s := range w.Writes {
		args = append(args, s.Key.field(), s.Known.String())
	}
	for i := range w.Dead {
		args = w.Dead[i].Append(args)
	}
	keys = append(keys, k.Deferred(target, partition)) // the last of them
	for i := range w.Deferred {
		text, err := w.Deferred[i].text()
		if err != nil {
			return err
		}
		args = append(args, w.Deferred[i].Key.field(), text)
	}
	if err := c.run(ctx, commitScript, partition, keys, args); err != nil {
		return err
	}
	c.last[partition] = c.leases[partition] + " " + strconv.FormatUint(w.ID, 10)
	return nil
}

// ErrRolledBack says that the server lost writes, by a failover or a restart,
// while the lease survived: the state is older than what was done since.
var ErrRolledBack = errors.New("the server lost writes: the state is not the one last written")

// ErrGroupGone says that a consumer group is not there any more: somebody removed
// it, and with it the checkpoint.
var ErrGroupGone = errors.New("the consumer group of the target is gone")

func (c *Claim) run(ctx context.Context, s *redis.Script, partition int, keys []string, args []any) error {
	answer, err := s.Run(ctx, c.s.rdb, keys, args...).Text()
	switch {
	case err == nil && answer == "lost":
		return &LostError{Partition: partition}
	case err == nil && answer == "rolled back":
		return fmt.Errorf("write state of partition %d: %w", partition, ErrRolledBack)
	case err == nil && answer == "moved":
		return fmt.Errorf("write state of partition %d: %w", partition, ErrMoved)
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "NOGROUP"), strings.Contains(err.Error(), "requires the key to exist"):
		return fmt.Errorf("write checkpoint of partition %d: %w", partition, ErrGroupGone)
	}
	return fmt.Errorf("write state of partition %d: %w", partition, err)
}
