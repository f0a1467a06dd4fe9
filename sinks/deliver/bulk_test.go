package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
)

// Records that a job keeps back at the target wait, however long and however many they are:
// none is parked for it, the target is not paused, and no request is counted.
func TestKeptBack(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{fault: func() (error, error) { return nil, nil }}, rate.Settings{Daily: 100}
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			for i, r := range b.Records {
				if r.Source != keyOf(100) {
					apply[i], rs[i].Err = false, &sinks.Retryable{Err: errors.New("in a job"), After: 20 * time.Second, KeptBack: true}
				}
			}
			return apply, rs, nil
		})
		for id := range 10 {
			w.put(cdc.LaneBulk, id, "a=1 b=1")
		}
		w.start()
		rest(time.Hour)
		w.put(cdc.LaneUrgent, 100, "a=1 b=1")
		rest(time.Millisecond)
		w.wantHas(100, "Sum=1+1")
		if s := w.engine.Stats(); s.Parked != 0 || s.Delivered != 1 || s.Condition.Circuit != Closed {
			t.Errorf("%+v", s)
		}
		rest(time.Minute)
		if v := w.keeper.View(); v.Left < 90 {
			t.Errorf("%d of %d requests are left", v.Left, v.Daily)
		}
		w.answers(acceptAll)
		rest(3 * time.Minute)
		w.wantHas(9, "Sum=1+1")
		if !w.caughtUp() {
			t.Error("not all is delivered")
		}
	})
}
