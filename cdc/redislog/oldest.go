package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Oldest gives a Position below which no entry of a partition can be read any more, in
// any lane: entries below it were trimmed, and those that come lie above. Of a lane
// without entries that is up to where the log is complete, as the capture notes it.
func (l *Log) Oldest(ctx context.Context, partition int) (oldest cdc.Position, err error) {
	// First, so that everything below it is in the streams that are looked at.
	mark, _, err := l.DurableMark(ctx)
	if err != nil {
		return oldest, err
	}
	for i, lane := range cdc.Lanes() {
		at, err := l.oldestOf(ctx, cdc.Stream{Lane: lane, Partition: partition}, mark)
		if err != nil {
			return cdc.Position{}, fmt.Errorf("look for the oldest entry of partition %d: %w", partition, err)
		}
		if i == 0 || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest, nil
}

func (l *Log) oldestOf(ctx context.Context, s cdc.Stream, mark cdc.LSN) (cdc.Position, error) {
	key := l.keys.Stream(s)
	first, err := l.client.XRangeN(ctx, key, "-", "+", 1).Result()
	if err != nil {
		return cdc.Position{}, err
	}
	if len(first) > 0 {
		return cdc.ParsePosition(first[0].ID)
	}
	info, err := l.client.XInfoStream(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil), err != nil && strings.Contains(err.Error(), "no such key"):
		return cdc.Position{LSN: mark}, nil
	case err != nil:
		return cdc.Position{}, err
	}
	last, err := cdc.ParsePosition(info.LastGeneratedID)
	if complete := (cdc.Position{LSN: mark}); err == nil && last.Before(complete) {
		last = complete
	}
	return last, err
}
