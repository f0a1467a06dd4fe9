package state

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Collected is what Collect did with some keys.
type Collected struct {
	// Kept is how many keys stay, Gone how many were taken away.
	Kept, Gone int
	// Next is the cursor of the next keys; 0 if there are none.
	Next uint64
}

// Collect takes away what is known of keys of which the target has no record, and that
// were seen below a Position only: their states do no more than hold back what is
// older, of which nothing can come. It looks at about count keys from a cursor on, the
// first of which is 0. A key that was written meanwhile stays, and so does one that waits
// aside: what is older there is cut by what was seen. It may be repeated, and is
// *LostError if the lease is lost.
func (c *Claim) Collect(ctx context.Context, partition int, cursor uint64, count int64, below cdc.Position) (out Collected, err error) {
	found, next, err := c.Scan(ctx, partition, cursor, count)
	if err != nil {
		return out, err
	}
	k, target := c.s.o.Keys, c.s.o.Target
	keys := []string{k.Lease(target, partition), k.Deferred(target, partition)}
	args, numbers := []any{c.lease(partition)}, map[int]int{}
	for _, f := range found {
		if f.Err != nil || f.Known.Live || f.Known.Doubt || len(f.Known.Old) > 0 || !f.Known.Seen.Before(below) {
			continue
		}
		if numbers[f.bucket] == 0 {
			keys = append(keys, k.StateBucket(target, partition, f.bucket))
			numbers[f.bucket] = len(keys)
		}
		args = append(args, numbers[f.bucket], f.field, f.text, f.Key.field())
	}
	out = Collected{Kept: len(found), Next: next}
	if len(args) == 1 {
		return out, nil
	}
	gone, err := collectScript.Run(ctx, c.s.rdb, keys, args...).Int()
	switch {
	case err != nil:
		return out, fmt.Errorf("collect state of partition %d: %w", partition, err)
	case gone < 0:
		return out, &LostError{Partition: partition}
	}
	out.Kept, out.Gone = out.Kept-gone, gone
	return out, nil
}

// collectScript takes keys away that are as they were found, and do not wait aside.
// KEYS: lease, retry set, then buckets. ARGV: lease, then of each key the number of its
// bucket among KEYS, field, text, and field in the retry set. Output: how many, or -1 if
// the lease is lost.
var collectScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
local gone = 0
for i = 2, #ARGV, 4 do
	local bucket = KEYS[tonumber(ARGV[i])]
	if redis.call('HGET', bucket, ARGV[i + 1]) == ARGV[i + 2] and redis.call('HEXISTS', KEYS[2], ARGV[i + 3]) == 0 then
		gone = gone + redis.call('HDEL', bucket, ARGV[i + 1])
	end
end
return gone
`)
