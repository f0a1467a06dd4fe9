package state

import (
	"errors"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// Checkpoints are set up and down by who has the lease, and by nobody else; the next
// owner begins there, and goes on committing.
func TestSetOffsets(t *testing.T) {
	onBoth(t, func(b *bench) {
		first := b.claim("one")
		b.must(first.Commit(b.Context(), 0, Commit{ID: 1, Writes: []Write{{Key: Key{"m", "k"}, Known: Known{Seen: at(9, 0)}}},
			Checkpoints: map[string]cdc.Position{cdc.LaneNormal: at(9, 0), cdc.LaneBulk: at(5, 2)}}))
		b.expire(b.keys.Lease("crm", 0))
		b.expire(b.keys.Lease("crm", 1))
		// The operator does not open the partitions: what the owner left stays.
		operator, err := b.store("operator").Claim(b.Context())
		b.must(err)
		to := map[string]cdc.Position{cdc.LaneNormal: at(3, 1), cdc.LaneUrgent: at(7, 0)}
		b.must(operator.SetOffsets(b.Context(), 0, to))
		var lost *LostError
		if err := first.SetOffsets(b.Context(), 0, to); !errors.As(err, &lost) {
			b.Errorf("an owner without its lease set offsets: %v", err)
		}
		b.must(operator.Release(b.Context(), false))
		next, err := b.store("two").Claim(b.Context())
		b.must(err)
		start, err := next.Open(b.Context(), 0)
		b.must(err)
		want := map[string]cdc.Position{cdc.LaneNormal: at(3, 1), cdc.LaneUrgent: at(7, 0), cdc.LaneBulk: at(5, 2)}
		for lane, p := range want {
			if start.Checkpoint[lane] != p {
				b.Errorf("%s goes on at %v, want %v", lane, start.Checkpoint[lane], p)
			}
		}
		if !start.Unclean {
			b.Error("that the owner before did not end in order is forgotten")
		}
		if got, err := next.Load(b.Context(), []Place{{Key{"m", "k"}, 0}}); err != nil || got[0].Seen != at(9, 0) {
			b.Errorf("the state is %+v (%v)", got, err)
		}
		b.must(next.Commit(b.Context(), 0, Commit{ID: 1, Checkpoints: map[string]cdc.Position{cdc.LaneNormal: at(4, 0)}}))
	})
}
