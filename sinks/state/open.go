package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// Start is where a partition goes on, by lane.
type Start struct {
	// Checkpoint is the Position after which to read.
	Checkpoint map[string]cdc.Position
	// Sent is the highest Position that may have been handed to the target.
	Sent map[string]cdc.Position
	// Swept is the Position of the last sweep of which rows may have been.
	Swept cdc.Position
	// Hold is until when a request of a session before may still be carried out, by the clock of
	// this process; zero if none may.
	Hold time.Time
	// Unclean tells that the owner before did not end in order: the server may even have
	// lost what it noted.
	Unclean bool
	// Dead is what became of the dead letters until now.
	Dead deadletter.Totals
}

// holdField holds Start.Hold in microseconds since 1970, by the clock of the server.
const holdField = "\x00hold"

// openField is there while an owner is at work.
const openField = "\x00open"

// commitField holds the last commit of a partition: lease and number.
const commitField = "\x00commit"

// sweptField holds Start.Swept.
const sweptField = "\x00swept"

func sentField(lane string) string { return "\x00sent\x00" + lane }

// Open tells where a partition goes on. A target seen for the first time gets
// consumer groups that begin before the first entry.
func (c *Claim) Open(ctx context.Context, partition int) (Start, error) {
	start := Start{Checkpoint: map[string]cdc.Position{}, Sent: map[string]cdc.Position{}}
	// Before the checkpoints: what is lost in between shows at the first commit.
	marks, left, err := c.marks(ctx, partition)
	if start.Unclean = c.unclean[partition]; err != nil {
		return start, fmt.Errorf("open partition %d: %w", partition, err)
	}
	c.last[partition] = marks[commitField]
	if left > 0 {
		start.Hold = time.Now().Add(left)
	}
	if text, ok := marks[sweptField]; ok {
		if start.Swept, err = cdc.ParsePosition(text); err != nil {
			return start, fmt.Errorf("read sweep mark of partition %d: %w", partition, err)
		}
	}
	k := c.s.o.Keys
	if start.Dead, err = deadletter.ReadTotals(ctx, c.s.rdb, k.DeadLetters(c.s.o.Target, partition), k.Parked(c.s.o.Target, partition)); err != nil {
		return start, fmt.Errorf("open partition %d: %w", partition, err)
	}
	for _, lane := range cdc.Lanes() {
		s := cdc.Stream{Lane: lane, Partition: partition}
		at, err := c.checkpoint(ctx, s)
		if err != nil {
			return start, fmt.Errorf("read checkpoint of stream %v: %w", s, err)
		}
		start.Checkpoint[lane] = at
		text, ok := marks[sentField(lane)]
		if !ok {
			continue
		}
		if start.Sent[lane], err = cdc.ParsePosition(text); err != nil {
			return start, fmt.Errorf("read sent mark of stream %v: %w", s, err)
		}
	}
	return start, nil
}

// LayoutError says that the state of a target lies in another way than this version
// knows, and what to do.
type LayoutError struct {
	Target string
	What   string
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("the state of target %s %s; stop what delivers to it, run walbridge target forget --force %s, and start again: "+
		"the target is then loaded anew, and its records are written over", e.Target, e.What, e.Target)
}

// marks reads all that is kept of a partition as a whole, with the names in it. held is for how
// long a request of a session before may still be carried out.
func (c *Claim) marks(ctx context.Context, partition int) (marks map[string]string, held time.Duration, err error) {
	k, target := c.s.o.Keys, c.s.o.Target
	key := k.State(target, partition)
	answer, err := openScript.Run(ctx, c.s.rdb, []string{k.Lease(target, partition), key}, c.lease(partition), layout).StringSlice()
	if err != nil || len(answer) != 3 {
		return nil, 0, fmt.Errorf("look how the state lies: %w", cmp.Or(err, errors.New("the server answers something else")))
	}
	switch have := answer[0]; have {
	case "lost":
		return nil, 0, &LostError{Partition: partition}
	case "":
		return nil, 0, &LayoutError{target, "was written by an older version"}
	case redislog.StateForgetting:
		return nil, 0, &LayoutError{target, "was being forgotten, but not to the end"}
	case layout:
	default:
		return nil, 0, &LayoutError{target, fmt.Sprintf("lies in %q, where this version has %q", have, layout)}
	}
	left, err := strconv.ParseInt(answer[2], 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("read hold: %w", err)
	}
	if marks, err = c.s.rdb.HGetAll(ctx, key).Result(); err != nil {
		return nil, 0, fmt.Errorf("read marks: %w", err)
	}
	n, err := readNames(marks)
	c.setNames(partition, n)
	c.unclean[partition] = c.unclean[partition] || answer[1] != ""
	return marks, time.Duration(left) * time.Microsecond, err
}

func (c *Claim) checkpoint(ctx context.Context, s cdc.Stream) (cdc.Position, error) {
	key, group := c.s.o.Keys.Stream(s), c.s.o.Target
	// Looked for first: to make one that is there is refused when memory is full.
	groups, err := c.s.rdb.XInfoGroups(ctx, key).Result()
	if err != nil && !strings.Contains(err.Error(), "no such key") {
		return cdc.Position{}, fmt.Errorf("read groups: %w", err)
	}
	for _, g := range groups {
		if g.Name == group {
			return cdc.ParsePosition(g.LastDeliveredID)
		}
	}
	if err := c.s.rdb.XGroupCreateMkStream(ctx, key, group, "0-0").Err(); err != nil {
		return cdc.Position{}, fmt.Errorf("create group: %w", err)
	}
	return cdc.Position{}, nil
}
