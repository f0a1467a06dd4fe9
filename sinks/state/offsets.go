package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// offsetsScript sets checkpoints, up or down. It is for an operator's command alone: what
// delivers only ever raises them (commitScript).
//
// KEYS: lease, state, then the streams. ARGV: lease, the group, and the position in each of
// the streams.
//
// An embedded server that cannot move a group makes it anew in its place.
var offsetsScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
local group = ARGV[2]
for i = 3, #KEYS do
	local r = redis.pcall('XGROUP', 'SETID', KEYS[i], group, ARGV[i])
	if type(r) == 'table' and r.err then
		if string.find(r.err, 'not supported', 1, true) then redis.call('XGROUP', 'DESTROY', KEYS[i], group)
		elseif not string.find(r.err, 'NOGROUP', 1, true) and not string.find(r.err, 'requires the key to exist', 1, true) then return r end
		redis.call('XGROUP', 'CREATE', KEYS[i], group, ARGV[i], 'MKSTREAM')
	end
end
return 'ok'
`)

// SetOffsets sets the checkpoints of a partition, by lane, which may go down: what lies
// above is read again, and what was seen of it dropped. What lies below one that goes up is
// never delivered. It is *LostError if the lease is lost. Nothing else of the state changes.
func (c *Claim) SetOffsets(ctx context.Context, partition int, to map[string]cdc.Position) error {
	k, target := c.s.o.Keys, c.s.o.Target
	keys, args := []string{k.Lease(target, partition), k.State(target, partition)}, []any{c.lease(partition), target}
	for _, lane := range cdc.Lanes() {
		if at, ok := to[lane]; ok {
			keys, args = append(keys, k.Stream(cdc.Stream{Lane: lane, Partition: partition})), append(args, at.String())
		}
	}
	answer, err := offsetsScript.Run(ctx, c.s.rdb, keys, args...).Text()
	switch {
	case err != nil && strings.Contains(err.Error(), "OOM"):
		return fmt.Errorf("set offsets of partition %d: the memory of redis is full: %w", partition, err)
	case err != nil:
		return fmt.Errorf("set offsets of partition %d: %w", partition, err)
	case answer == "lost":
		return &LostError{Partition: partition}
	case answer != "ok":
		return fmt.Errorf("set offsets of partition %d: %w", partition, errors.New("the server answers something else"))
	}
	return nil
}
