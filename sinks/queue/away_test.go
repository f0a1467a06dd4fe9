package queue

import (
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// aside writes what is overdue away, and gives it as it is stored.
func (r *rig) aside(hold time.Duration, keys ...string) map[string][]byte {
	r.Helper()
	out := map[string][]byte{}
	for _, e := range r.q.Overdue(r.now, Patience{Hold: hold, Entries: 3, Bytes: 1 << 20, Least: time.Second, Most: 10}, func(*Entry) bool { return true }) {
		text, err := e.Encode()
		if err != nil {
			r.Fatal(err)
		}
		out[e.Key.Source] = text
		r.q.Done(r.now, []Outcome{{Entry: e, Away: true}})
	}
	if len(out) != len(keys) {
		r.Fatalf("%d went aside, want %v", len(out), keys)
	}
	for _, k := range keys {
		if out[k] == nil {
			r.Fatalf("%s did not go aside", k)
		}
	}
	return out
}

// back restores what is due.
func (r *rig) back(stored map[string][]byte, keys ...string) {
	r.Helper()
	got := r.q.Coming(r.now, 10)
	if len(got) != len(keys) {
		r.Fatalf("due are %v, want %v", got, keys)
	}
	for _, k := range got {
		e, err := Decode(k, 0, stored[k.Source])
		if err != nil {
			r.Fatal(err)
		}
		r.q.Restore(r.now, e)
	}
}

// A key in long back-off lets go of the log, keeps its back-off and its tries, and takes
// along what came meanwhile.
func TestAway(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	r.retry(r.take("a")[0], 10*time.Minute)
	r.aside(2 * time.Minute)
	r.after(3 * time.Minute)
	stored := r.aside(2*time.Minute, "a")
	if c := r.q.Counts(); c.Entries != [3]int{} || c.Pending != 0 {
		t.Fatalf("what is away counts as %+v", c)
	}
	r.add("a", "x=? y=2", Urgent)
	r.after(time.Minute)
	r.take()
	r.back(stored)
	r.after(6 * time.Minute)
	r.take() // it is due, but only whole
	r.back(stored, "a")
	e := r.take("a")[0]
	r.wants(e, "2 x=1 y=2")
	if e.Attempts != 1 || e.Changes != 2 || e.Lane != Urgent || !e.Deferred || r.done(e) != 1 {
		t.Errorf("came back as %+v", e)
	}
	r.take()
	if len(r.q.nodes) != 0 {
		t.Error("something is left")
	}
}

// What comes while a key is away is written too after a while, together with the rest.
func TestAwayAgain(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	r.retry(r.take("a")[0], time.Hour)
	r.after(3 * time.Minute)
	stored := r.aside(2*time.Minute, "a")
	for range 3 { // as many as it may hold
		r.add("a", "x=? y=2", Normal)
	}
	r.aside(2 * time.Minute)
	r.back(stored, "a")
	stored = r.aside(2*time.Minute, "a")
	r.after(time.Hour)
	r.back(stored, "a")
	r.wants(r.take("a")[0], "4 x=1 y=2")
}

// A pause is not the key's: nothing goes aside, and nothing comes back into it.
func TestAwayInPause(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	r.add("b", "x=1 y=1", Normal)
	es := r.take("a", "b")
	r.retry(es[0], 5*time.Minute)
	r.retry(es[1], 10*time.Minute)
	r.after(3 * time.Minute)
	r.q.PauseGroup("deals", r.now.Add(time.Minute))
	r.aside(2 * time.Minute)
	r.after(time.Minute)
	stored := r.aside(2*time.Minute, "a", "b")
	r.q.Pause(r.now.Add(3 * time.Minute))
	r.after(2 * time.Minute)
	r.back(stored)
	r.after(time.Minute)
	r.back(stored, "a")
}

// A wait for something else ends with a word, or soon after a new change; a back-off does
// not.
func TestWake(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	wait := func(e *Entry, until time.Duration) {
		r.q.Done(r.now, []Outcome{{Entry: e, Again: true, Until: r.now.Add(2 * time.Second), Wait: r.now.Add(time.Hour), Looked: r.now}})
		r.after(until)
	}
	wait(r.take("a")[0], time.Second)
	r.q.Wake(r.now, Key{"deals", "a"})
	r.take()
	r.after(time.Second)
	e := r.take("a")[0]
	if !e.Looked.Equal(epoch) {
		t.Errorf("looked at %v", e.Looked)
	}
	wait(e, 10*time.Second)
	r.add("a", "x=1 y=2", Normal)
	r.take()
	r.after(lookAgain)
	r.take("a")
}

// What a key waits for may come while it is on its way into the retry set.
func TestWakeInFlight(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	e := r.take("a")[0]
	stored, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.q.Wake(r.now, e.Key)
	r.q.Done(r.now, []Outcome{{Entry: e, Away: true, Wait: r.now.Add(time.Hour)}})
	r.back(map[string][]byte{"a": stored}, "a")
	e = r.take("a")[0]
	r.q.Done(r.now, []Outcome{{Entry: e, Away: true, Wait: r.now.Add(time.Hour)}}) // that was for one wait
	r.after(time.Minute)
	r.back(nil)
}
