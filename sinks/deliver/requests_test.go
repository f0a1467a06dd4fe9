package deliver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
)

// talkative is a target that tells of each request, and makes some for each batch: an
// answer says of how many.
type talkative struct {
	*fakeTarget
	requests func(b sinks.Batch) int
	pause    time.Duration // between two of them
}

func (*talkative) CountsRequests() bool { return true }

func (f *talkative) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	for i := range f.requests(b) {
		if i > 0 {
			time.Sleep(f.pause)
		}
		sinks.CountRequest(ctx)
	}
	return f.fakeTarget.Deliver(ctx, b)
}

// talks has the target make so many requests for each batch.
func (w *world) talks(requests func(b sinks.Batch) int) func(*Options) {
	return func(o *Options) { o.Target = &talkative{fakeTarget: w.target, requests: requests} }
}

func always(n int) func(sinks.Batch) int { return func(sinks.Batch) int { return n } }

// What a batch makes of requests is counted, in the metric and in the budget; of one without
// any nothing is.
func TestRequestsAreCounted(t *testing.T) {
	for requests, want := range map[int]struct {
		batches int
		left    int64
	}{0: {20, 100}, 1: {20, 80}, 3: {20, 40}, 7: {15, 0}} {
		run(t, func(w *world) {
			w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 100}
			w.target.limits.MaxBatch, w.target.limits.MaxInFlight = 1, 1
			for id := range 20 {
				w.put(cdc.LaneNormal, id, "a=1 b=1")
			}
			w.start(w.talks(always(requests)))
			rest(time.Minute)
			s := w.engine.Stats()
			if int(s.Delivered) != want.batches || int(s.Requests) != want.batches*requests || s.Rate.Left != want.left || s.Parked+s.Retries != 0 {
				t.Errorf("%d requests a batch: %d delivered with %d, %d left, want %+v", requests, s.Delivered, s.Requests, s.Rate.Left, want)
			}
		})
	}
}

// A rate is kept on the average, whatever a batch makes; and what takes two batches is still
// done in the end at a low rate, as in TestSlowAccount.
func TestRequestsKeepTheRate(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{PerSecond: 20, Burst: 5}
		w.target.limits.MaxBatch, w.target.limits.MaxInFlight = 1, 8
		for id := range 200 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
		}
		w.start(w.talks(always(4)))
		for i := range 38 {
			rest(time.Second)
			if n := int(w.engine.Stats().Requests); n > 5+20*(i+1)+8*4 {
				t.Fatalf("%d requests after %d s", n, i+1)
			}
		}
		rest(5 * time.Second)
		if s := w.engine.Stats(); !w.caughtUp() || s.Requests != 800 {
			t.Errorf("%d requests, %d delivered", s.Requests, s.Delivered)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		w.account, w.limits = &fakeAccount{}, rate.Settings{PerSecond: 0.1, Burst: 1}
		w.start(w.talks(always(50)))
		defer w.end()
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(10 * time.Minute)
		w.row(cdc.LaneNormal, 1, 20, 6)
		rest(20 * time.Minute)
		w.wantNote(20, 6)
		w.wantHas(10, "nothing")
		if n := w.engine.Stats().Requests; n != 150 {
			t.Errorf("%d requests", n)
		}
	})
}

// What a job makes of requests is counted while it is under way.
func TestRequestsOfAJob(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 1000}
		target := w.runsJobs(20, time.Second)
		w.bulk(300)
		w.start(target.with, func(o *Options) { o.Target = &talkativeJobs{o.Target} })
		rest(90 * time.Second)
		s := w.engine.Stats()
		if left := s.Rate.Left; s.Delivered != 0 || left < 1000-20 || left > 1000-15 {
			t.Errorf("%d delivered, %d left", s.Delivered, left)
		}
		rest(time.Minute)
		if s = w.engine.Stats(); s.Delivered != 300 || s.Jobs != 1 || s.Requests != 21 || s.Rate.Left != 1000-21 {
			t.Errorf("%d delivered by %d jobs with %d requests, %d left", s.Delivered, s.Jobs, s.Requests, s.Rate.Left)
		}
	})
}

// talkativeJobs asks 20 times how a job is.
type talkativeJobs struct{ sinks.Target }

func (*talkativeJobs) CountsRequests() bool   { return true }
func (t *talkativeJobs) Unwrap() sinks.Target { return t.Target }
func (t *talkativeJobs) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	sinks.CountRequest(ctx)
	for range 20 {
		time.Sleep(5 * time.Second)
		sinks.CountRequest(ctx)
	}
	return t.Target.Deliver(ctx, b)
}

// What is refused before anything is sent uses up nothing; where what gives a token wants
// fewer requests, that is kept all the same.
func TestNothingWasSent(t *testing.T) {
	for name, err := range map[string]error{
		"no connection": &sinks.Retryable{Err: errors.New("connect")},
		"throttled":     &sinks.Throttled{Err: errors.New("429 for a token"), After: 10 * time.Second},
		"kept back":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 100, PerSecond: 10}
				w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					rs := make([]sinks.Result, len(b.Records))
					for i := range rs {
						rs[i].Err = &sinks.Retryable{Err: errors.New("in a job"), After: time.Second, KeptBack: true}
					}
					return nil, rs, err
				})
				w.put(cdc.LaneNormal, 1, "a=1 b=1")
				w.start(w.talks(always(0)))
				rest(2 * time.Second)
				lowered, paused := w.keeper.View().Lowered, w.keeper.View().PausedUntil
				if is := lowered > 0 && !paused.IsZero(); is != (name == "throttled") {
					t.Errorf("lowered %d times, paused until %v", lowered, paused)
				}
				rest(2 * time.Hour)
				if s := w.engine.Stats(); s.Requests != 0 || s.Rate.Left < 98 { // a grant may be in hand
					t.Errorf("%d requests, %d left", s.Requests, s.Rate.Left)
				}
			})
		})
	}
}

// Where the target was asked how a job is, and all is kept back after that, it counts.
func TestKeptBackAfterARequest(t *testing.T) {
	run(t, func(w *world) {
		w.account, w.limits = &fakeAccount{}, rate.Settings{Daily: 1000}
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			rs := make([]sinks.Result, len(b.Records))
			for i := range rs {
				rs[i].Err = &sinks.Retryable{Err: errors.New("in a job"), After: 10 * time.Second, KeptBack: true}
			}
			return nil, rs, nil
		})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start(w.talks(always(1)))
		rest(20 * time.Minute)
		w.answers(acceptAll)
		rest(time.Minute)
		s := w.engine.Stats()
		if made := int64(s.Requests); made < 50 || s.Rate.Left != 1000-made {
			t.Errorf("%d requests, %d left", made, s.Rate.Left)
		}
	})
}
