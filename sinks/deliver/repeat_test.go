package deliver

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// What a backfill read is sent although it is the same, and the target is told that it mends:
// what it has noted of the record may not be so any more. A change that comes after it is none.
func TestWhatABackfillReadMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var told []bool
		w.target.answer = func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			for _, r := range b.Records {
				told = append(told, r.Mends)
			}
			return make([]bool, len(b.Records)), make([]sinks.Result, len(b.Records)), nil
		}
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Minute)
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Minute)
		w.read(1, `{"id":1,"a":1,"b":1}`)
		rest(time.Minute)
		w.put(cdc.LaneNormal, 1, "a=2 b=1")
		rest(time.Minute)
		if !slices.Equal(told, []bool{false, true, false}) {
			t.Errorf("told %v", told)
		}
	})
}

// touch updates all rows with what they hold already.
func (s *sim) touch() {
	for id := range 6 {
		if d := s.deals[id]; d == nil || !d.on {
			continue
		}
		s.last++
		s.put(id, cdc.Change{Position: at(s.last), Op: cdc.OpUpdate, Table: deals, Key: keyOf(id), Time: time.Now(), XID: uint64(s.last)})
	}
	s.flow(true)
}

// nothingToSay looks whether rows that are as the target has them make no request, once
// nothing is in doubt.
func (s *sim) nothingToSay() {
	again := func() {
		s.touch()
		rest(30 * time.Minute)
	}
	again() // what was sent last may have had columns left out
	s.end()
	if s.store.open != ([partitions]bool{}) {
		s.Fatalf("all is dealt with, and still it did not end in order\n%+v\n%s", s.engine.Stats(), s.lines.text.String())
	}
	s.begin()
	was := len(s.target.batches)
	again()
	again()
	if n := len(s.target.batches) - was; n > 0 {
		s.Fatalf("rows that did not change made %d requests: %q\n%s", n, s.target.batches[was:], s.lines.text.String())
	}
	s.check()
	s.converged()
}

// A row goes to another value and back, and of the request with the other one there is no
// certain answer: the target has it, so the row is sent again although what was delivered
// last is the same (I11). Where the server lost what it noted too, a session that did not
// end in order is enough.
func TestBackToWhatItWas(t *testing.T) {
	const never = -time.Hour // the time of the commit alone makes no doubt
	for name, tc := range map[string]struct {
		slack   time.Duration
		back    string // the lane of the change back
		between func(*world)
	}{
		"goes on":                        {never, cdc.LaneNormal, func(*world) {}},
		"crash":                          {never, cdc.LaneNormal, func(w *world) { w.crash(); w.start() }},
		"crash, another lane":            {never, cdc.LaneUrgent, func(w *world) { w.crash(); w.start() }},
		"crash, the note is lost":        {time.Minute, cdc.LaneNormal, func(w *world) { w.crash(); w.forgetSent(); w.start() }},
		"the note is lost, another lane": {time.Minute, cdc.LaneUrgent, func(w *world) { w.crash(); w.forgetSent(); w.start() }},
		"stopped before the answer":      {never, cdc.LaneNormal, func(w *world) { w.end(); w.start() }},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.slack = tc.slack
				w.put(cdc.LaneNormal, 1, "a=1 b=1")
				w.start()
				rest(time.Minute)
				w.next(true, errTimeout)
				w.put(cdc.LaneNormal, 1, "a=2 b=1")
				rest(time.Millisecond)
				w.wantHas(1, "Sum=2+1")
				w.put(tc.back, 1, "a=1 b=1")
				tc.between(w)
				rest(time.Minute)
				w.wantHas(1, "Sum=1+1")
				if !w.caughtUp() {
					t.Error("not caught up")
				}
			})
		})
	}
}

// forgetSent has the store lose how far entries were handed to the target.
func (w *world) forgetSent() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	clear(w.store.sent)
}

// What did not change makes no request, in whatever lane it comes; but what a backfill
// read is sent, as it may be there to mend something.
func TestUnchangedMakesNoRequest(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Minute)
		for _, lane := range cdc.Lanes() {
			w.put(lane, 1, "a=1 b=1")
			rest(time.Second)
		}
		if s := w.engine.Stats(); s.Requests != 1 || s.Suppressed != 3 || s.Filtered != 3 || !w.caughtUp() {
			t.Errorf("%d requests, %d suppressed, %d filtered", s.Requests, s.Suppressed, s.Filtered)
		}
		w.edit(1, "Sum", "somebody's")
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(time.Second)
		w.wantHas(1, "Sum=somebody's") // nobody looked
		w.read(1, `{"id":1,"a":1,"b":1}`)
		rest(time.Second)
		w.wantHas(1, "Sum=1+1")
	})
}

// A delete overtakes an older change in the bulk lane, and nothing was ever delivered:
// nothing comes into being.
func TestDeleteOvertakesWhatWasNeverSent(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		w.last = 9
		w.put(cdc.LaneUrgent, 1, "gone")
		rest(time.Minute)
		w.last = 4
		w.put(cdc.LaneBulk, 1, "a=1 b=1")
		rest(time.Minute)
		w.wantHas(1, "nothing")
		if s := w.engine.Stats(); s.Requests != 0 || !w.caughtUp() {
			t.Errorf("%d requests", s.Requests)
		}
	})
}
