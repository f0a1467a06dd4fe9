package rate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// Store is where the state of an account lies. Its methods may be called from several
// goroutines.
type Store interface {
	// Swap puts text in the place of former, as of a time of the store's clock that must
	// be about now; with an empty text it only looks. It tells what is there then, what
	// the clock is, and whether it did put it.
	Swap(ctx context.Context, former, text string, at time.Time) (current string, now time.Time, swapped bool, err error)
}

const (
	// answerTimeout bounds the wait for an answer.
	answerTimeout = 3 * time.Second
	// drift is by how much a worker's idea of the server's clock may be wrong.
	drift = 250 * time.Millisecond
	// kept is how long an account is remembered that nobody uses: longer than a day, and
	// than any wait that a target asks for.
	kept = 72 * time.Hour
)

// swapScript is a compare and swap. It begins with a write that Redis never refuses, so
// that a full server does not stop it.
// ARGV: former, text or nothing, the time of the text in microseconds, how far that may be
// from now, for how long it is kept in milliseconds. Output: 1 if it was put, what is
// there, the time in microseconds.
var swapScript = redis.NewScript(`
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local have = redis.call('GET', KEYS[1]) or ''
local put = 0
if ARGV[2] ~= '' and have == ARGV[1] and math.abs(now - tonumber(ARGV[3])) <= tonumber(ARGV[4]) then
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[5])
	have = ARGV[2]
	put = 1
end
return {put, have, string.format('%.0f', now)}
`)

// Redis is a Store in Redis.
type Redis struct {
	rdb redis.UniversalClient
	key string
}

// NewRedis gives the store of the account with a key. It makes connections of its own, to
// where the client's are.
func NewRedis(c redis.UniversalClient, key string) *Redis {
	return &Redis{rdb: redislog.Sibling(c, redislog.Tuning{Timeout: answerTimeout, Deadlines: true, Connections: 2}), key: key}
}

// Close ends the connections.
func (r *Redis) Close() error { return r.rdb.Close() }

// Swap puts a state in the place of another.
func (r *Redis) Swap(ctx context.Context, former, text string, at time.Time) (string, time.Time, bool, error) {
	out, err := swapScript.Run(ctx, r.rdb, []string{r.key}, former, text, at.UnixMicro(), drift.Microseconds(), kept.Milliseconds()).Slice()
	if err != nil {
		return "", time.Time{}, false, fmt.Errorf("ask for requests: %w", err)
	}
	if len(out) == 3 {
		put, ok1 := out[0].(int64)
		have, ok2 := out[1].(string)
		text, ok3 := out[2].(string)
		if now, err := strconv.ParseInt(text, 10, 64); ok1 && ok2 && ok3 && err == nil {
			return have, time.UnixMicro(now), put == 1, nil
		}
	}
	return "", time.Time{}, false, fmt.Errorf("ask for requests: the server answered %v", out)
}
