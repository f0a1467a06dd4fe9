package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Keys names the keys of a login. Both have one hash tag.
type Keys struct {
	// Kept is the text that is kept, Turn who has the turn.
	Kept, Turn func(name string) string
}

// Redis is a transport.Vault. It is safe for concurrent use.
type Redis struct {
	client redis.UniversalClient
	keys   Keys
}

var _ transport.Vault = (*Redis)(nil)

// New makes one. It does not connect.
func New(client redis.UniversalClient, keys Keys) *Redis { return &Redis{client: client, keys: keys} }

// kept is how long a text is kept after its login was last used to refresh, which is done every
// few hours where it is used at all.
const kept = 366 * 24 * time.Hour

// Both scripts begin with a write that Redis never refuses, so that a full server does not stop
// them: what a server gave in place of a refresh token must not be lost.
var (
	// takeScript takes the turn. KEYS: the turn, the text. ARGV: who, for how many milliseconds,
	// for how many the text is kept. Output: 1 if he has it.
	takeScript = redis.NewScript(`
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)
	// giveScript gives the turn back. KEYS: the turn, the text. ARGV: who, the text or nothing,
	// for how many milliseconds it is kept. Output: 1 if he had the turn.
	giveScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' then
	redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
return 1
`)
)

// Load gives what is kept under a name.
func (r *Redis) Load(ctx context.Context, name string) (string, error) {
	text, err := r.client.Get(ctx, r.keys.Kept(name)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", failed("read", err)
	}
	return text, nil
}

// Take gives who asks the turn of a name for a while.
func (r *Redis) Take(ctx context.Context, name, who string, while time.Duration) (bool, error) {
	n, err := takeScript.Run(ctx, r.client, []string{r.keys.Turn(name), r.keys.Kept(name)}, who, while.Milliseconds(), kept.Milliseconds()).Int()
	if err != nil {
		return false, failed("take a turn at", err)
	}
	return n == 1, nil
}

// Give gives a turn back, and keeps a text with it.
func (r *Redis) Give(ctx context.Context, name, who, text string) (bool, error) {
	n, err := giveScript.Run(ctx, r.client, []string{r.keys.Turn(name), r.keys.Kept(name)}, who, text, kept.Milliseconds()).Int()
	if err != nil {
		return false, failed("write", err)
	}
	return n == 1, nil
}

// failed is of what cannot be kept now. go-redis does not quote what it sent.
func failed(what string, err error) error {
	return &sinks.Retryable{Err: fmt.Errorf("%s the login in redis: %w", what, err)}
}
