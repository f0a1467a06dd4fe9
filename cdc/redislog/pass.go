package redislog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// passFor is for how long a pass is good.
const passFor = time.Minute

// passScript writes a pass, also where memory is full.
//
// KEYS: the pass. ARGV: for how many milliseconds it is good.
// Output: 1.
var passScript = redis.NewScript(`
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1`)

// NewPass makes a secret by which a process of the bridge knows who asks it: somebody who
// may use this log, which holds the rows. It is good for a minute.
func (l *Log) NewPass(ctx context.Context) (string, error) {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	pass := hex.EncodeToString(b[:])
	if err := passScript.Run(ctx, l.client, []string{l.keys.Pass(pass)}, passFor.Milliseconds()).Err(); err != nil {
		return "", fmt.Errorf("write a pass: %w", err)
	}
	return pass, nil
}

// GoodPass tells whether a text is a pass that NewPass made, of late.
func (l *Log) GoodPass(ctx context.Context, pass string) (bool, error) {
	if b, err := hex.DecodeString(pass); err != nil || len(b) != 16 {
		return false, nil
	}
	n, err := l.client.Exists(ctx, l.keys.Pass(pass)).Result()
	if err != nil {
		return false, fmt.Errorf("look for a pass: %w", err)
	}
	return n == 1, nil
}
