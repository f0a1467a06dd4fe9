package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
)

// replayScript writes how far a replay is in a partition, unless it was ended: then its
// groups are gone, and are not made anew.
//
// KEYS: lease, state, progress, then the streams. ARGV: lease, the group, the progress, and
// the position in each of the streams. Output: ok, lost, or ended.
var replayScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
local group = ARGV[2]
for i = 4, #KEYS do
	local there = false
	local groups = redis.pcall('XINFO', 'GROUPS', KEYS[i])
	if groups.err then return 'ended' end
	for _, g in ipairs(groups) do
		for j = 1, #g, 2 do
			if g[j] == 'name' and g[j + 1] == group then there = true end
		end
	end
	if not there then return 'ended' end
end
for i = 4, #KEYS do
	local r = redis.pcall('XGROUP', 'SETID', KEYS[i], group, ARGV[i])
	if type(r) == 'table' and r.err then
		if not string.find(r.err, 'not supported', 1, true) then return r end
		redis.call('XGROUP', 'DESTROY', KEYS[i], group)
		redis.call('XGROUP', 'CREATE', KEYS[i], group, ARGV[i])
	end
end
redis.call('SET', KEYS[3], ARGV[3])
return 'ok'
`)

// SetReplay writes how far a replay is in a partition: up to where in each lane everything
// is dealt with, and its counts. A replay that was ended is left alone. It is *LostError if the lease is lost.
func (c *Claim) SetReplay(ctx context.Context, partition int, id string, at map[string]cdc.Position, p cdc.ReplayProgress) error {
	text, err := json.Marshal(&p)
	if err != nil {
		return fmt.Errorf("encode progress of a replay: %w", err)
	}
	k, target := c.s.o.Keys, c.s.o.Target
	keys := []string{k.Lease(target, partition), k.State(target, partition), k.Replay(id, partition)}
	args := []any{c.lease(partition), redislog.ReplayPrefix + id, text}
	for _, lane := range cdc.Lanes() {
		if pos, ok := at[lane]; ok {
			keys, args = append(keys, k.Stream(cdc.Stream{Lane: lane, Partition: partition})), append(args, pos.String())
		}
	}
	answer, err := replayScript.Run(ctx, c.s.rdb, keys, args...).Text()
	switch {
	case err != nil:
		return fmt.Errorf("write progress of replay %s: %w", id, err)
	case answer == "lost":
		return &LostError{Partition: partition}
	case answer != "ok" && answer != "ended":
		return fmt.Errorf("write progress of replay %s: %w", id, errors.New("the server answers something else"))
	}
	return nil
}
