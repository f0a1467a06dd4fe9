package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// trimmedAbove tells whether entries of a stream above a Position may have been taken out
// of the log. The trimmer notes up to where it may have taken any ("="), or below which
// Position ("<"); what was taken before it did so counts up to the first entry that is there.
func (l *Log) trimmedAbove(ctx context.Context, s cdc.Stream, at cdc.Position) (bool, error) {
	text, err := l.client.HGet(ctx, l.keys.Trimmed(s.Partition), s.Lane).Result()
	if err == nil {
		bound, err := cdc.ParsePosition(strings.TrimLeft(text, "<="))
		if err != nil {
			return false, fmt.Errorf("read how far stream %v is trimmed: %w", s, err)
		}
		if strings.HasPrefix(text, "<") {
			bound = bound.Prev()
		}
		return at.Before(bound), nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("read how far stream %v is trimmed: %w", s, err)
	}
	info, err := l.client.XInfoStream(ctx, l.keys.Stream(s)).Result()
	switch {
	case isNoSuchKey(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at stream %v: %w", s, err)
	case info.EntriesAdded <= info.Length: // nothing was ever taken
		return false, nil
	}
	first := info.LastGeneratedID // of an empty one
	if info.Length > 0 {
		first = info.FirstEntry.ID
	}
	begins, err := cdc.ParsePosition(first)
	if err != nil {
		return false, err
	}
	if info.Length > 0 {
		begins = begins.Prev()
	}
	return at.Before(begins), nil
}

// TrimmedAbove tells whether entries above a Position may have been taken out of any stream.
func (l *Log) TrimmedAbove(ctx context.Context, at cdc.Position) (bool, error) {
	for _, s := range l.streams {
		if gone, err := l.trimmedAbove(ctx, s, at); err != nil || gone {
			return gone, err
		}
	}
	return false, nil
}
