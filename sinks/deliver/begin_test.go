package deliver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// What is to be done before a session comes before anything is read. Where it fails
// it is tried again, and a stop does not wait for it.
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
		if s := w.engine.Stats(); calls != 2 || s.Read != 0 || w.lines.count("by=begin") != 1 || w.lines.count("starts over") > 0 {
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
		if took := time.Since(began); took > time.Second || w.lines.count("held up") > 0 {
			t.Errorf("the stop took %v\n%s", took, w.lines.text.String())
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

// A partition that cannot be opened holds up itself alone, until it can. It is ours meanwhile,
// and like any other then.
func TestOnePartitionDoesNotOpen(t *testing.T) {
	run(t, func(w *world) {
		opens, takes, begun, start := 0, 0, 0, time.Now()
		w.store.fault = func(call string) (before, after error) {
			switch call {
			case "take":
				takes++
			case "open":
				if opens++; opens > 1 && time.Since(start) < 20*time.Second {
					return errors.New("not now"), nil
				}
			}
			return nil, nil
		}
		w.put(cdc.LaneNormal, keyIn(0, 0), "a=1 b=1")
		w.put(cdc.LaneNormal, keyIn(1, 0), "a=1 b=1")
		w.start(func(o *Options) {
			o.Begin = func(context.Context, Beginning) error {
				begun++
				return nil
			}
		})
		rest(19 * time.Second)
		w.wantOwned(1)
		w.wantHas(keyIn(0, 0), "Sum=1+1")
		rest(10 * time.Second)
		w.wantOwned(partitions)
		w.wantHas(keyIn(1, 0), "Sum=1+1")
		if opens < 5 || takes != 1 || begun != 1 || w.lines.count("starts over") > 0 || w.lines.count(`held up" target=crm by="open partition 1"`) != 1 || w.lines.count(`after="open partition 1"`) != 1 {
			t.Errorf("opened %d times, taken %d, begun %d\n%s", opens, takes, begun, w.lines.text.String())
		}
		second := w.join() // who comes has the last one
		rest(3 * time.Second)
		w.wantOwned(1, 1)
		w.put(cdc.LaneNormal, keyIn(1, 1), "a=1 b=1")
		rest(time.Second)
		if n := second.engine.Stats().Delivered; n != 1 {
			t.Errorf("it delivers %d of its partition's records", n)
		}
	})
}

// A session that ends while a partition cannot be opened leaves it to the next one.
func TestNextSessionOpens(t *testing.T) {
	run(t, func(w *world) {
		w.store.fault = func(call string) (before, after error) {
			if call == "open" && w.lines.count("starts over") == 0 {
				return errors.New("not now"), nil
			}
			return nil, nil
		}
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Minute)
		w.store.steal()
		rest(time.Minute)
		w.wantHas(1, "Sum=1+1")
		if w.lines.count("goes on") != w.lines.count("held up") {
			t.Error(w.lines.text.String())
		}
	})
}

// A partition that cannot be opened does not keep the process from its end, and is another
// worker's then.
func TestStopDoesNotWaitForOpen(t *testing.T) {
	run(t, func(w *world) {
		w.store.fault = func(call string) (before, after error) {
			if call == "open" {
				return errors.New("not now"), nil
			}
			return nil, nil
		}
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Minute)
		w.wantOwned(0)
		w.stop()
		began := time.Now()
		<-w.ended
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the stop took %v", took)
		}
		w.store.fault = func(string) (error, error) { return nil, nil }
		w.start()
		rest(3 * time.Second)
		w.wantHas(1, "Sum=1+1")
	})
}
