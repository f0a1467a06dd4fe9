package deliver

import (
	"slices"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// A mapping that says no lane of its own takes each change, of whatever lane, as urgent as
// its stream; one that says one, all but what is bulk.
func TestLaneOfTheStream(t *testing.T) {
	for lane, want := range map[string][]uint64{"": {2, 1, 1}, cdc.LaneUrgent: {3, 0, 1}} {
		run(t, func(w *world) {
			w.mapper.lane = lane
			w.put(cdc.LaneNormal, 1, "a=1 b=1")
			w.put(cdc.LaneUrgent, 2, "a=2 b=1")
			w.put(cdc.LaneBulk, 3, "a=3 b=1")
			w.start()
			rest(time.Second)
			w.put(cdc.LaneUrgent, 1, "a=4 b=1")
			rest(time.Second)
			var got []uint64
			for _, l := range w.engine.Stats().Lanes {
				got = append(got, uint64(l.Delivered))
			}
			if !slices.Equal(got, want) || !w.caughtUp() {
				t.Errorf("mapping lane %q: delivered %v by lane, want %v", lane, got, want)
			}
			w.wantHas(1, "Sum=4+1")
		})
	}
}
