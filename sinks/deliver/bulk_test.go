package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// bulk appends rows to the bulk lane.
func (w *world) bulk(ids int) {
	for id := range ids {
		w.put(cdc.LaneBulk, id, "a=1 b=1 note=1")
	}
}

// What there is of bulk goes in one job, which lasts for many leases. What is urgent goes out
// meanwhile; a change of a row in the job goes after it.
func TestJob(t *testing.T) {
	run(t, func(w *world) {
		target := w.runsJobs(20, 3*time.Minute)
		w.bulk(300)
		w.start(target.with)
		rest(10 * time.Second)
		if got := target.hasRun(); !slices.Equal(got, []int{300}) || w.requests() != 0 {
			t.Fatalf("jobs %v, %d requests", got, w.requests())
		}
		w.put(cdc.LaneUrgent, 1000, "a=2 b=2 note=2")
		w.put(cdc.LaneUrgent, 7, "a=7 b=7 note=7")
		for id := range 10 {
			w.put(cdc.LaneBulk, 500+id, "a=1 b=1 note=1") // too few for another one
		}
		rest(time.Millisecond)
		w.wantHas(1000, "Note=2 Sum=2+2")
		rest(2 * time.Second)
		w.wantHas(509, "Note=1 Sum=1+1")
		w.wantHas(7, "nothing")
		if w.caughtUp() {
			t.Error("the checkpoint passed what is in the job")
		}
		rest(3 * time.Minute)
		w.wantHas(299, "Note=1 Sum=1+1")
		w.wantHas(7, "Note=7 Sum=7+7")
		if s := w.engine.Stats(); len(target.hasRun()) != 1 || s.Jobs != 1 || s.Delivered != 312 || !w.caughtUp() || w.lines.count("starts over") > 0 {
			t.Errorf("jobs %v, caught up %v, %+v", target.hasRun(), w.caughtUp(), s)
		}
	})
}

// A job that is cut off, by a crash, a stop or its own bound, may be carried out all the same:
// its records wait until that is known, and nothing else does. Nobody is to blame.
func TestJobCutOff(t *testing.T) {
	for name, cut := range map[string]func(w *world, target *jobTarget){
		"crash": func(w *world, target *jobTarget) {
			w.crash()
			w.start(target.with)
		},
		"stop": func(w *world, target *jobTarget) {
			began := time.Now()
			w.end()
			if took := time.Since(began); took > 11*time.Second {
				w.Errorf("the stop took %v", took)
			}
			if !w.store.open[0] || !w.store.open[1] {
				w.Error("the stop counts as clean")
			}
			w.start(target.with)
		},
		"bound": func(w *world, _ *jobTarget) { rest(w.target.limits.Bulk.Timeout - time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				target := w.runsJobs(20, 25*time.Minute)
				w.bulk(100)
				w.start(target.with)
				rest(time.Minute)
				cut(w, target)
				rest(30 * time.Second)
				w.put(cdc.LaneNormal, 7, "a=7 b=7 note=7")
				w.put(cdc.LaneUrgent, 1000, "a=2 b=2 note=2")
				rest(10 * time.Second)
				w.wantHas(1000, "Note=2 Sum=2+2")
				rest(time.Minute)
				w.wantHas(7, "nothing")
				rest(30 * time.Minute)
				w.wantHas(7, "Note=7 Sum=7+7")
				w.wantHas(99, "Note=1 Sum=1+1")
				if s := w.engine.Stats(); s.Parked > 0 || !w.caughtUp() {
					t.Errorf("caught up %v, %+v", w.caughtUp(), s)
				}
			})
		})
	}
}

// A job that fails is not halved, nor tried again: its records go by ordinary requests, where
// it is found out what is to blame.
func TestJobFails(t *testing.T) {
	later := func(n int) []sinks.Result {
		rs := make([]sinks.Result, n)
		for i := range rs {
			rs[i].Err = errBusy
		}
		return rs
	}
	for name, say := range map[string]func(n int) ([]sinks.Result, error){
		"refused": func(int) ([]sinks.Result, error) {
			return nil, &sinks.Rejected{Code: "NO_JOBS", Err: errors.New("400")}
		},
		"forbidden": func(int) ([]sinks.Result, error) {
			return nil, &sinks.Unauthorized{Forbidden: true, Err: errors.New("403")}
		},
		"unknown":     func(int) ([]sinks.Result, error) { return nil, errTimeout },
		"busy":        func(int) ([]sinks.Result, error) { return nil, errBusy },
		"all later":   func(n int) ([]sinks.Result, error) { return later(n), nil },
		"some later":  func(n int) ([]sinks.Result, error) { return append(make([]sinks.Result, n-5), later(5)...), nil },
		"not told of": func(n int) ([]sinks.Result, error) { return make([]sinks.Result, n-5), nil },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				target := w.runsJobs(20, 10*time.Second)
				target.says(func(b sinks.Batch) ([]bool, []sinks.Result, error) {
					rs, err := say(len(b.Records))
					apply := all(len(b.Records), false)
					for i := range rs {
						apply[i] = rs[i].Err == nil
					}
					return apply, rs, err
				})
				w.bulk(100)
				w.start(target.with)
				rest(5 * time.Minute)
				w.wantHas(0, "Note=1 Sum=1+1")
				w.wantHas(99, "Note=1 Sum=1+1")
				if (name == "refused" || name == "forbidden") && !w.engine.Stats().PausedUntil.IsZero() {
					t.Error("the target was paused")
				}
				if s := w.engine.Stats(); !slices.Equal(target.hasRun(), []int{100}) || w.requests() > 1+10 || s.Parked > 0 || s.Condition.Circuit != Closed {
					t.Errorf("jobs %v, %d requests, %+v", target.hasRun(), w.requests(), s)
				}
				for id := range 50 { // what is new goes in the next
					w.put(cdc.LaneBulk, 500+id, "a=1 b=1 note=1")
				}
				target.says(nil)
				rest(time.Minute)
				if w.wantHas(549, "Note=1 Sum=1+1"); !slices.Equal(target.hasRun(), []int{100, 50}) {
					t.Errorf("jobs %v", target.hasRun())
				}
			})
		})
	}
}

// Where the target asks to wait, or somebody has to mend something, the same job comes again.
func TestJobComesAgain(t *testing.T) {
	for name, err := range map[string]error{
		"throttled":     &sinks.Throttled{Err: errors.New("429"), After: time.Minute},
		"paused":        &sinks.Paused{Err: errors.New("503"), After: time.Minute},
		"misconfigured": &sinks.Misconfigured{Err: errors.New("no such field")},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				target, first := w.runsJobs(20, 10*time.Second), true
				target.says(func(b sinks.Batch) ([]bool, []sinks.Result, error) {
					if first {
						first = false
						return nil, nil, err
					}
					return acceptAll(t.Context(), b)
				})
				w.bulk(100)
				w.start(target.with)
				rest(10 * time.Minute)
				w.wantHas(99, "Note=1 Sum=1+1")
				if got := target.hasRun(); len(got) != 2 || got[1] < 80 { // one batch may have probed
					t.Errorf("jobs %v", got)
				}
			})
		})
	}
}

// What must be read at the source, what moves to another key and what is of few left goes by
// ordinary requests; a record that is refused in a job is a dead letter.
func TestApartFromAJob(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.key = "k"
		target := w.runsJobs(20, 10*time.Second)
		for id := range 50 {
			w.row(cdc.LaneNormal, id, id, 1)
		}
		w.start(target.with)
		rest(time.Second)
		target.says(func(b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			apply[0], rs[0].Err = false, &sinks.Rejected{Code: "TOO_LONG", Err: errors.New("too long")}
			return apply, rs, nil
		})
		w.holds(0, `{"id":0,"k":0,"on":true,"a":1,"b":2,"c":1,"d":1,"note":3}`)
		w.put(cdc.LaneBulk, 0, "k=0 on=true a=1 b=? c=1 d=1 note=3")
		w.row(cdc.LaneBulk, 1, 101, 3)
		for id := range 40 {
			w.row(cdc.LaneBulk, 2+id, 2+id, 3)
		}
		rest(time.Minute)
		if got := target.hasRun(); !slices.Equal(got, []int{40}) {
			t.Errorf("jobs %v", got)
		}
		w.wantNote(0, 3)
		w.wantNote(101, 3)
		w.wantNote(41, 3)
		if s := w.engine.Stats(); s.Parked != 1 || !w.caughtUp() {
			t.Errorf("caught up %v, %+v", w.caughtUp(), s)
		}
		for id := range 25 { // as many as make a job
			w.holds(4+id, fmt.Sprintf(`{"id":%d,"k":%d,"on":true,"a":1,"b":2,"c":1,"d":1,"note":3}`, 4+id, 4+id))
			w.put(cdc.LaneBulk, 4+id, fmt.Sprintf("k=%d on=true a=1 b=? c=1 d=1 note=3", 4+id))
		}
		rest(time.Minute)
		if got := target.hasRun(); len(got) != 1 || !w.caughtUp() {
			t.Errorf("jobs %v, caught up %v", got, w.caughtUp())
		}
		for id := range 30 { // the target has most of it
			w.row(cdc.LaneBulk, 4+id, 4+id, 3)
		}
		w.row(cdc.LaneBulk, 40, 40, 4)
		rest(time.Minute)
		w.wantNote(40, 4)
		if got := target.hasRun(); len(got) != 1 {
			t.Errorf("jobs %v", got)
		}
	})
}

// A record whose parent is in a job waits for that, however long it takes.
func TestParentInAJob(t *testing.T) {
	run(t, func(w *world) {
		target := w.runsJobs(20, 5*time.Minute)
		w.mapper.parent = "deals"
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			for i, r := range b.Records {
				if len(r.Parents) > 0 && !w.target.hasParents(r) {
					apply[i], rs[i].Err = false, errNoParent
				}
			}
			return apply, rs, nil
		})
		w.bulk(50)
		w.start(target.with, func(o *Options) { o.ParentWait = 10 * time.Second })
		rest(10 * time.Second)
		w.put(cdc.LaneNormal, 1000, "a=1 b=1 parent=7")
		rest(6 * time.Minute)
		w.wantHas(1000, "Sum=1+1")
		if s := w.engine.Stats(); s.Parked > 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A target with one sender has no jobs: what is urgent would wait for them. Nor is a target
// probed with one.
func TestNoJob(t *testing.T) {
	run(t, func(w *world) {
		target := w.runsJobs(20, time.Minute)
		w.target.limits.MaxInFlight = 1
		w.bulk(50)
		w.start(target.with)
		rest(time.Millisecond)
		w.wantHas(49, "Note=1 Sum=1+1")
		if len(target.hasRun()) > 0 {
			t.Errorf("jobs %v", target.hasRun())
		}
		w.end()
		w.target.limits.MaxInFlight = 4
		w.next(false, &sinks.Throttled{Err: errors.New("429"), After: time.Minute})
		w.start(target.with)
		for id := range 5 {
			w.put(cdc.LaneBulk, 100+id, "a=1 b=1 note=1")
		}
		rest(2 * time.Second)
		for id := range 30 {
			w.put(cdc.LaneBulk, 200+id, "a=1 b=1 note=1")
		}
		rest(3 * time.Minute)
		w.wantHas(229, "Note=1 Sum=1+1")
		if got := target.hasRun(); !slices.Equal(got, []int{25}) {
			t.Errorf("jobs %v", got)
		}
	})
}
