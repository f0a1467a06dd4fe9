package state

import (
	"errors"
	"fmt"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// What holds back nothing any more is taken away; what the target has, may have, or what
// was written meanwhile, is seen higher or waits aside stays.
func TestCollect(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		key := func(name string) Key { return Key{"deals", fmt.Sprintf("{\"id\":%q}", name)} }
		live, doubt, old := whole, Known{Seen: at(5, 0), Doubt: true, Key: whole.Key}, Known{Seen: at(5, 0)}
		live.Seen, live.Doubt = at(5, 0), false
		old.Old = append(old.Old, whole.Key)
		b.must(c.Commit(b.Context(), 0, Commit{ID: 1, Writes: []Write{
			{Key: key("gone"), Known: Known{Seen: at(5, 0)}}, {Key: key("parked"), Known: Known{Seen: at(6, 0), Lacking: true}},
			{Key: key("aside"), Known: Known{Seen: at(5, 0)}}, {Key: key("later"), Known: Known{Seen: at(10, 0)}},
			{Key: key("live"), Known: live}, {Key: key("doubt"), Known: doubt}, {Key: key("old"), Known: old},
		}, Deferred: []Deferred{{Key: key("aside"), Position: at(4, 0), Entry: []byte("{}")}}}))
		out, err := c.Collect(b.Context(), 0, 0, 1000, at(10, 0))
		b.must(err)
		if out != (Collected{Kept: 5, Gone: 2}) {
			b.Errorf("collected %+v", out)
		}
		for name, want := range map[string]bool{"gone": false, "parked": false, "aside": true, "later": true, "live": true, "doubt": true, "old": true} {
			got, err := c.Load(b.Context(), []Place{{key(name), 0}})
			b.must(err)
			if got[0].Text != "" != want {
				b.Errorf("%s is there: %v", name, !want)
			}
		}
		// Written after it was found: the text is another one.
		bucket := b.keys.StateBucket("crm", 0, 1)
		b.must(b.rdb.HSet(b.Context(), bucket, "f", "new").Err())
		n, err := collectScript.Run(b.Context(), b.rdb, []string{b.keys.Lease("crm", 0), b.keys.Deferred("crm", 0), bucket}, c.leases[0], 3, "f", "old", "x").Int()
		if err != nil || n != 0 {
			b.Errorf("%d were taken away, %v", n, err)
		}
		b.must(b.rdb.Del(b.Context(), bucket, b.keys.Lease("crm", 0)).Err())
		var lost *LostError
		if _, err := c.Collect(b.Context(), 0, 0, 1000, cdc.Position{LSN: 1 << 50}); !errors.As(err, &lost) {
			b.Errorf("without the lease: %v", err)
		}
	})
}
