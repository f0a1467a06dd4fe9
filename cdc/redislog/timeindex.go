package redislog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// timeIndex notes now and then which Position the log had reached when. A point says:
// what lies up to this Position was committed by this time, at the latest. The times
// are a running maximum, so that this holds whatever the clock of the source does: as
// long as a clock that went back has not come up again, there is no new point.
type timeIndex struct {
	log  *Log
	base cdc.LSN // of the epoch, for as long as the session lasts
	last time.Time
	most int // points
}

const (
	// timeEvery is how far points lie apart at the least, if the options do not say.
	timeEvery = time.Minute
	// timeMost is how many points there may be: then every other one goes. What is left
	// is as true as before.
	timeMost = 20_000
)

func (l *Log) newTimeIndex(ctx context.Context) (*timeIndex, error) {
	e, _, err := l.Epoch(ctx)
	return &timeIndex{log: l, base: e.Base, most: timeMost}, err
}

// timeScript adds a point.
//
// KEYS: the index. ARGV: its time in microseconds, how far it must lie from the last,
// its Position, how many points there may be.
var timeScript = redis.NewScript(`
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] and tonumber(ARGV[1]) - tonumber(last[2]) < tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1)
  for i = 1, #all - 1, 2 do redis.call('ZREM', KEYS[1], all[i]) end
end
return 1`)

// note adds a point, if it is time: the log holds everything before the source LSN
// end, and none of that was committed after a time.
func (x *timeIndex) note(ctx context.Context, end cdc.LSN, latest time.Time) error {
	every := x.log.timeEvery
	if latest.Sub(x.last) < every {
		return nil
	}
	// The next transaction may have its commit at end itself.
	at := cdc.Position{LSN: x.base + end}.Prev()
	err := timeScript.Run(ctx, x.log.client, []string{x.log.keys.Times()},
		latest.UnixMicro(), every.Microseconds(), at.String(), x.most).Err()
	if err != nil {
		return fmt.Errorf("write time index of the log: %w", err)
	}
	x.last = latest
	return nil
}

// PositionAt gives a Position such that everything that was committed at or after a
// time, by the source's clock, lies above it: a reader that begins there misses
// nothing of it. ok is false if the log does not know one; then a reader begins with
// the first entry.
func (l *Log) PositionAt(ctx context.Context, t time.Time) (at cdc.Position, ok bool, err error) {
	points, err := l.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: l.keys.Times(), ByScore: true, Rev: true,
		Start: "(" + strconv.FormatInt(t.UnixMicro(), 10), Stop: "-inf", Count: 1}).Result()
	if err != nil {
		return at, false, fmt.Errorf("read time index of the log: %w", err)
	}
	if len(points) == 0 {
		return at, false, nil
	}
	at, err = cdc.ParsePosition(points[0])
	return at, err == nil, err
}

// trimTimes takes the points from the index that lie before the first entry of the
// log, but for the last of them.
func (l *Log) trimTimes(ctx context.Context, s *Survey) error {
	first := maxPosition
	for i := range s.Streams {
		if st := &s.Streams[i]; st.Entries > 0 && st.First.Before(first) {
			first = st.First
		}
	}
	const most = 1000 // in one go
	points, err := l.client.ZRange(ctx, l.keys.Times(), 0, most).Result()
	if err != nil {
		return fmt.Errorf("read time index of the log: %w", err)
	}
	n := 0
	for n+1 < len(points) {
		next, err := cdc.ParsePosition(points[n+1])
		if err != nil {
			return fmt.Errorf("read time index of the log: %w", err)
		}
		if !next.Before(first) {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	if err := l.client.ZRem(ctx, l.keys.Times(), anys(points[:n])...).Err(); err != nil {
		return fmt.Errorf("trim time index of the log: %w", err)
	}
	return nil
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// TimeEvery is how far the points of the time index may lie apart for an age to be
// held: a ten-thousandth of it, but a second at the least and a minute at the most.
func TimeEvery(age time.Duration) time.Duration {
	return min(max(age/10_000, time.Second), time.Minute)
}
