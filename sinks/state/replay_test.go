package state

import (
	"errors"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
)

// The place of a replay is written under the lease, and no replay that was ended comes back.
func TestSetReplay(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		group := redislog.ReplayPrefix + "r1"
		streams := map[string]cdc.Position{}
		for i, lane := range cdc.Lanes() {
			b.must(b.rdb.XGroupCreateMkStream(b.Context(), b.keys.Stream(cdc.Stream{Lane: lane, Partition: 1}), group, "0-0").Err())
			streams[lane] = at(uint64(5+i), 2)
		}
		b.must(c.SetReplay(b.Context(), 1, "r1", streams, cdc.ReplayProgress{Changes: 7}))
		place := func() (out string) {
			for _, lane := range cdc.Lanes() {
				groups, err := b.rdb.XInfoGroups(b.Context(), b.keys.Stream(cdc.Stream{Lane: lane, Partition: 1})).Result()
				b.must(err)
				for _, g := range groups {
					if g.Name == group {
						out += g.LastDeliveredID + " "
					}
				}
			}
			return out
		}
		if got := place(); got != "5-2 6-2 7-2 " {
			b.Errorf("the replay is at %s", got)
		}
		if text, err := b.rdb.Get(b.Context(), b.keys.Replay("r1", 1)).Result(); err != nil || text == "" {
			b.Errorf("its progress is %q (%v)", text, err)
		}
		b.must(b.rdb.Del(b.Context(), b.keys.Replay("r1", 1)).Err())
		b.must(b.rdb.XGroupDestroy(b.Context(), b.keys.Stream(cdc.Stream{Lane: cdc.LaneBulk, Partition: 1}), group).Err())
		b.must(c.SetReplay(b.Context(), 1, "r1", map[string]cdc.Position{cdc.LaneUrgent: at(9, 0), cdc.LaneBulk: at(9, 0)}, cdc.ReplayProgress{Done: true}))
		if n := b.rdb.Exists(b.Context(), b.keys.Replay("r1", 1)).Val(); n != 0 || place() != "5-2 6-2 " {
			b.Errorf("a replay that was ended is written: %s", place())
		}
		b.expire(b.keys.Lease("crm", 1))
		var lost *LostError
		if err := c.SetReplay(b.Context(), 1, "r1", streams, cdc.ReplayProgress{}); !errors.As(err, &lost) {
			b.Errorf("without the lease: %v", err)
		}
	})
}
