package redislog

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// DurableMark reads what the barrier wrote last; ok is false if it never did,
// or if the server lost it. Of a cluster it is the lowest of all servers': one that
// lost writes has an older mark than the others.
func (l *Log) DurableMark(ctx context.Context) (lsn cdc.LSN, ok bool, err error) {
	marks, err := l.readMarks(ctx)
	if err != nil {
		return 0, false, err
	}
	for i, text := range marks {
		if text == "" {
			return 0, false, nil
		}
		one, err := cdc.ParseLSN(text)
		if err != nil {
			return 0, false, fmt.Errorf("read durable mark of the log: %w", err)
		}
		if i == 0 || one < lsn {
			lsn = one
		}
	}
	return lsn, true, nil
}

// readMarks reads the mark of each part; empty where there is none.
func (l *Log) readMarks(ctx context.Context) ([]string, error) {
	pipe := l.client.Pipeline()
	answers := make([]*redis.StringCmd, len(l.parts))
	for i := range l.parts {
		answers[i] = pipe.Get(ctx, l.parts[i].mark)
	}
	// Each answer is looked at below.
	_, _ = pipe.Exec(ctx)
	marks := make([]string, len(l.parts))
	for i, a := range answers {
		text, err := a.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read durable mark of the log: %w", err)
		}
		marks[i] = text
	}
	return marks, nil
}

// SetDurableMark writes the mark of a log that holds everything up to lsn.
func (l *Log) SetDurableMark(ctx context.Context, lsn cdc.LSN) error {
	pipe := l.client.Pipeline()
	for i := range l.parts {
		pipe.Set(ctx, l.parts[i].mark, lsn.String(), 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("write durable mark of the log: %w", err)
	}
	return nil
}

// markText moves the mark on, unless it is not where it was left, or the server
// does not have the last append that it vouches for: the two are the proof that the
// server lost something, and are not overwritten.
//
// KEYS: the mark, the number of the last append, and the description of the log where
// it lies in the same part. ARGV: what was written last, what to write now, up to when
// the log is complete then; the session of the appends and the number of the last.
// Output: an empty text, or what the mark is instead.
const markText = `
local have = redis.call('GET', KEYS[2]) or ''
local s, n = string.match(have, '^(%S+) (%d+)$')
if s ~= ARGV[4] or tonumber(n) < tonumber(ARGV[5]) then return 'append ' .. have end
local old = redis.call('GET', KEYS[1])
if old == ARGV[1] or old == ARGV[2] then
  redis.call('PERSIST', KEYS[1]) -- never refused, and so nothing after it
  redis.call('SET', KEYS[1], ARGV[2])
  if KEYS[3] then redis.call('HSET', KEYS[3], 'complete_until', ARGV[3]) end
  return ''
end
return old or 'nothing'`
