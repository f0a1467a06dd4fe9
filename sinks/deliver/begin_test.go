package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// What is to be done before a session comes before anything is read. Where it fails
// the session starts over, and a stop does not wait for it.
func TestBeginComesFirst(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		calls := 0
		w.start(func(o *Options) {
			o.Begin = func(ctx context.Context, b Beginning) error {
				if b.Failing {
					t.Error("the target failed without having been asked")
				}
				calls++
				if calls == 1 {
					return errors.New("not yet")
				}
				return cdc.Sleep(ctx, time.Minute)
			}
		})
		rest(30 * time.Second)
		if s := w.engine.Stats(); calls != 2 || s.Read != 0 || w.lines.count("starts over") != 1 {
			t.Errorf("%d calls, %+v, log:\n%s", calls, s, w.lines.text.String())
		}
		rest(time.Minute)
		w.wantHas(1, "Sum=1+1")
	})
}

func TestStopDoesNotWaitForBegin(t *testing.T) {
	run(t, func(w *world) {
		w.start(func(o *Options) {
			o.Begin = func(ctx context.Context, _ Beginning) error { return cdc.Sleep(ctx, time.Hour) }
		})
		rest(time.Second)
		w.stop()
		began := time.Now()
		<-w.ended
		if took := time.Since(began); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// A lease that is lost while it lasts ends it.
func TestLostLeaseEndsBegin(t *testing.T) {
	run(t, func(w *world) {
		calls := 0
		w.start(func(o *Options) {
			o.Begin = func(ctx context.Context, _ Beginning) error {
				if calls++; calls > 1 {
					return nil
				}
				return cdc.Sleep(ctx, time.Hour)
			}
		})
		rest(time.Second)
		w.store.steal()
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(30 * time.Second)
		w.wantHas(1, "Sum=1+1")
	})
}
