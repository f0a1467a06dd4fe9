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
	// Swept, if not zero, is that of a sweep of which rows may be.
	Swept cdc.Position
	// Hold, if not zero, is until when requests for keys that no mark tells of may be carried out.
	Hold time.Time
	// Writes are of the keys that the target may hold for the first time, or hold
	// no longer.
	Writes []Write
}

// ErrMoved says that the state of a key is not the one that was loaded.
var ErrMoved = errors.New("the state of a key was written meanwhile")

// Prepare notes an intent. It is *LostError if the lease is lost, ErrRolledBack if the
// server does not have what it had, and ErrMoved if
// a key is not as it was loaded; then no key is written.
func (c *Claim) Prepare(ctx context.Context, partition int, in Intent) error {
	w, err := c.writer(ctx, partition, in.Writes)
	if err != nil {
		return err
	}
	marks := make(map[string]cdc.Position, len(in.Sent)+1)
	for lane, pos := range in.Sent {
		marks[sentField(lane)] = pos
	}
	if !in.Swept.IsZero() {
		marks[sweptField] = in.Swept
	}
	w.add(lasting(in.Hold), len(marks))
	for field, pos := range marks {
		w.add(field, pos.String())
	}
	w.add(len(in.Writes))
	for i := range in.Writes {
		bucket, field, text := w.record(&in.Writes[i])
		w.add(bucket, field, in.Writes[i].Was, text)
	}
	return c.run(ctx, prepareScript, partition, w)
}

// lasting is in how many microseconds a time comes; zero if it has come, or is none.
func lasting(until time.Time) int64 {
	if until.IsZero() {
		return 0
	}
	return max(0, time.Until(until).Microseconds())
}

// writer collects the keys and arguments of a script that writes states.
type writer struct {
	c         *Claim
	partition int
	shapes    []shape
	keys      []string
	args      []any
	buckets   map[int]int // their numbers among the keys
	at        int         // the next of shapes
}

// writer begins with the keys that the script has besides lease and state, and sees to
// it that everything that is to be written has its name.
func (c *Claim) writer(ctx context.Context, partition int, writes []Write, keys ...string) (*writer, error) {
	w := &writer{c: c, partition: partition, shapes: make([]shape, len(writes)), buckets: map[int]int{}}
	var names []string
	for i := range writes {
		w.shapes[i] = writes[i].Key.shape()
		names = namesOf(names, w.shapes[i], writes[i].Known.Key)
	}
	if err := c.named(ctx, partition, names); err != nil {
		return nil, fmt.Errorf("write state of partition %d: %w", partition, err)
	}
	k, target := c.s.o.Keys, c.s.o.Target
	w.keys = append(append(make([]string, 0, 8+len(writes)), k.Lease(target, partition), k.State(target, partition)), keys...)
	w.args = make([]any, 0, 16+4*len(writes))
	w.add(c.lease(partition), c.namesOf(partition).count())
	return w, nil
}

func (w *writer) add(args ...any) { w.args = append(w.args, args...) }

// key adds a key, and gives its number.
func (w *writer) key(k string) int {
	w.keys = append(w.keys, k)
	return len(w.keys)
}

// record gives the bucket, field and text of the next of the writes.
func (w *writer) record(r *Write) (bucket int, field, text string) {
	n, of := w.c.namesOf(w.partition), w.shapes[w.at]
	w.at++
	number, _ := n.of(of.name) // named saw to it
	at := spotOf(number, of.values)
	bucket, ok := w.buckets[at.bucket]
	if !ok {
		bucket = w.key(w.c.s.o.Keys.StateBucket(w.c.s.o.Target, w.partition, at.bucket))
		w.buckets[at.bucket] = bucket
	}
	return bucket, at.field, n.text(r.Known, of)
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

// Commit writes in, all of it or nothing. It may be repeated until it succeeds,
// before another commit of the partition is begun. It is *LostError if the lease
// is lost, ErrGroupGone if the checkpoint has no place, ErrRolledBack if the
// server does not have the commit before.
func (c *Claim) Commit(ctx context.Context, partition int, in Commit) error {
	k, target := c.s.o.Keys, c.s.o.Target
	w, err := c.writer(ctx, partition, in.Writes, k.DeadLetters(target, partition), k.Parked(target, partition), k.Deferred(target, partition))
	if err != nil {
		return err
	}
	w.add(in.ID, c.last[partition], lasting(in.Hold))
	most, _ := c.s.o.DeadLetters.Of(c.s.o.Partitions, time.Now())
	w.add(most, len(in.Dead), deadletter.FieldCount)
	for i := range in.Dead {
		w.args = in.Dead[i].Append(w.args)
	}
	w.add(len(in.Writes))
	for i := range in.Writes {
		bucket, field, text := w.record(&in.Writes[i])
		w.add(bucket, field, text, in.Writes[i].Key.field())
	}
	w.add(len(in.Deferred))
	for i := range in.Deferred {
		text, err := in.Deferred[i].text()
		if err != nil {
			return err
		}
		w.add(in.Deferred[i].Key.field(), text)
	}
	w.add(target, len(in.Checkpoints))
	for lane, pos := range in.Checkpoints {
		w.add(w.key(k.Stream(cdc.Stream{Lane: lane, Partition: partition})), pos.String())
	}
	if err := c.run(ctx, commitScript, partition, w); err != nil {
		return err
	}
	c.last[partition] = c.lease(partition) + " " + strconv.FormatUint(in.ID, 10)
	return nil
}

// ErrRolledBack says that the server lost writes, by a failover or a restart,
// while the lease survived: the state is older than what was done since.
var ErrRolledBack = errors.New("the server lost writes: the state is not the one last written")

// ErrGroupGone says that a consumer group is not there any more: somebody removed
// it, and with it the checkpoint.
var ErrGroupGone = errors.New("the consumer group of the target is gone")

func (c *Claim) run(ctx context.Context, s *redis.Script, partition int, w *writer) error {
	answer, err := s.Run(ctx, c.s.rdb, w.keys, w.args...).Text()
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
