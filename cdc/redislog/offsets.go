package redislog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Offset is where a reader of the log is in one stream.
type Offset struct {
	Stream cdc.Stream
	// Began tells that the reader has a consumer group there.
	Began bool
	// At is the last Position that it has dealt with, zero for none, and Time when that
	// was committed; zero where the entry is in the log no more.
	At   cdc.Position
	Time time.Time
	// Behind counts what lies above it, at most OffsetsMost, More that there is more than
	// that. Next is the first of it, committed at NextTime.
	Behind   int64
	More     bool
	Next     cdc.Position
	NextTime time.Time
	// Tail is the Position of the last entry that was ever appended.
	Tail cdc.Position
}

// OffsetsMost is how many entries of a stream are counted.
const OffsetsMost = 10_000

// offsetScript looks at a reader's place in a stream.
//
// KEYS: the stream. ARGV: the position, and how many to count at most.
// Output: the commit time of the entry at the position, empty if it is not there; how many
// lie above, the id and the commit time of the first of them, empty if there are none.
var offsetScript = redis.NewScript(`
local function ts(e)
  for i = 1, #e[2], 2 do
    if e[2][i] == 'ts' then return e[2][i + 1] end
  end
  return ''
end
local at = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
local out = {#at > 0 and ts(at[1]) or '', '0', '', ''}
local n, most, from = 0, tonumber(ARGV[2]), '(' .. ARGV[1]
while n < most do
  local e = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', math.min(500, most - n))
  if #e == 0 then break end
  if n == 0 then out[3], out[4] = e[1][1], ts(e[1]) end
  n = n + #e
  from = '(' .. e[#e][1]
end
out[2] = tostring(n)
return out`)

// Offsets tells where a reader is in every stream, lane by lane.
func (l *Log) Offsets(ctx context.Context, reader string) ([]Offset, error) {
	out := make([]Offset, len(l.streams))
	for i, s := range l.streams {
		var err error
		if out[i], err = l.offset(ctx, s, reader); err != nil {
			return nil, fmt.Errorf("look for %s in stream %v: %w", reader, s, err)
		}
	}
	return out, nil
}

func (l *Log) offset(ctx context.Context, s cdc.Stream, reader string) (o Offset, err error) {
	o.Stream = s
	groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
	if err != nil && !isNoSuchKey(err) {
		return o, err
	}
	for _, g := range groups {
		if g.Name == reader {
			o.Began = true
		}
	}
	if o.At, err = l.Checkpoint(ctx, s, reader); err != nil {
		return o, err
	}
	if o.Tail, err = l.TailOf(ctx, s); err != nil {
		return o, err
	}
	return o, l.ahead(ctx, &o)
}

// ahead counts what lies above the place of an offset.
func (l *Log) ahead(ctx context.Context, o *Offset) error {
	answer, err := offsetScript.Run(ctx, l.client, []string{l.keys.Stream(o.Stream)}, o.At.String(), OffsetsMost+1).StringSlice()
	if err != nil {
		return err
	}
	if o.Time, err = micros(answer[0]); err != nil {
		return err
	}
	if o.Behind, err = strconv.ParseInt(answer[1], 10, 64); err != nil {
		return err
	}
	if o.More = o.Behind > OffsetsMost; o.More {
		o.Behind = OffsetsMost
	}
	if answer[2] == "" {
		return nil
	}
	if o.Next, err = cdc.ParsePosition(answer[2]); err != nil {
		return err
	}
	o.NextTime, err = micros(answer[3])
	return err
}

func micros(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read commit time: %w", err)
	}
	return time.UnixMicro(n).UTC(), nil
}

// betweenScript counts the entries above one position up to another.
//
// KEYS: the stream. ARGV: the positions, and how many to count at most.
// Output: how many.
var betweenScript = redis.NewScript(`
local n, most, from = 0, tonumber(ARGV[3]), '(' .. ARGV[1]
while n < most do
  local e = redis.call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', math.min(500, most - n))
  if #e == 0 then break end
  n = n + #e
  from = '(' .. e[#e][1]
end
return n`)

// Between counts the entries of a stream between two Positions, of which the lower one does
// not belong to it, at most OffsetsMost; more tells that there are more. gone tells that
// the log began above the lower one, so that there may have been others.
func (l *Log) Between(ctx context.Context, s cdc.Stream, a, b cdc.Position) (n int64, more, gone bool, err error) {
	if b.Before(a) {
		a, b = b, a
	}
	if n, err = betweenScript.Run(ctx, l.client, []string{l.keys.Stream(s)}, a.String(), b.String(), OffsetsMost+1).Int64(); err != nil {
		return 0, false, false, fmt.Errorf("count entries of stream %v: %w", s, err)
	}
	gone, err = l.trimmedAbove(ctx, s, a)
	return min(n, OffsetsMost), n > OffsetsMost, gone, err
}
