package state

import (
	"context"
	"fmt"
	"time"

	"github.com/walbridge/walbridge/sinks/deadletter"
)

// tendPage is how many dead letters are dropped at once.
const tendPage = 100

// Tend keeps the bounds of the dead letters of a partition, and tells what became of
// them; told has how many dropped ones were logged. more tells that it is to be called again at once. It may be repeated, and is
// *LostError if the lease is lost.
func (c *Claim) Tend(ctx context.Context, partition int, now time.Time, told deadletter.Totals) (t deadletter.Totals, more bool, err error) {
	k, target := c.s.o.Keys, c.s.o.Target
	stream, index := k.DeadLetters(target, partition), k.Parked(target, partition)
	count, old := c.s.o.DeadLetters.Of(c.s.o.Partitions, now)
	answer, err := tendScript.Run(ctx, c.s.rdb, []string{k.Lease(target, partition), k.State(target, partition), stream, index},
		c.lease(partition), count, old, tendPage, told.ToldFull, told.ToldOld).Text()
	switch {
	case err != nil:
		return t, false, fmt.Errorf("tend dead letters of partition %d: %w", partition, err)
	case answer == "lost":
		return t, false, &LostError{Partition: partition}
	}
	t, err = deadletter.ReadTotals(ctx, c.s.rdb, stream, index)
	return t, answer == "more", err
}
