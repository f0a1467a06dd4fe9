package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// Begin is where a stream of the log begins.
type Begin struct {
	Stream cdc.Stream
	// Position is that of the first entry, and Time when it was committed; zero if there is
	// none.
	Position cdc.Position
	Time     time.Time
	// Trimmed tells that entries may have been taken out of it before that.
	Trimmed bool
}

// Begins tells where the streams of a partition begin, the most urgent lane first.
func (l *Log) Begins(ctx context.Context, partition int) (out []Begin, err error) {
	for _, lane := range cdc.Lanes() {
		b := Begin{Stream: cdc.Stream{Lane: lane, Partition: partition}}
		if b.Trimmed, err = l.trimmedAbove(ctx, b.Stream, cdc.Position{}); err != nil {
			return nil, err
		}
		first, err := l.client.XRangeN(ctx, l.keys.Stream(b.Stream), "-", "+", 1).Result()
		if err != nil {
			return nil, fmt.Errorf("read stream %v: %w", b.Stream, err)
		}
		if len(first) > 0 {
			if b.Position, err = cdc.ParsePosition(first[0].ID); err != nil {
				return nil, err
			}
			text, _ := first[0].Values["ts"].(string) // micros says what is wrong with it
			if b.Time, err = micros(text); err != nil {
				return nil, fmt.Errorf("read stream %v: %w", b.Stream, err)
			}
		}
		out = append(out, b)
	}
	return out, nil
}
