package queue

import (
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// putAside has a key fail, and puts it away until a time.
func (r *rig) putAside(key string, until time.Time) {
	r.Helper()
	r.add(key, "x=1", Normal)
	r.q.Done(r.now, []Outcome{{Entry: r.take(key)[0], Away: true, Until: until}})
}

func (r *rig) wantComing(keys ...string) {
	r.Helper()
	got := r.q.Coming(r.now, 10)
	if len(got) != len(keys) {
		r.Fatalf("%v come, want %v", got, keys)
	}
	for i, k := range got {
		if k.Source != keys[i] {
			r.Fatalf("%v come, want %v", got, keys)
		}
	}
}

// What is away rests as well, whether it is due already or not.
func TestRestOfWhatIsAway(t *testing.T) {
	for _, due := range []time.Duration{0, 5 * time.Second} {
		r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
		r.putAside("a", r.now.Add(due))
		r.putAside("b", r.now.Add(7*time.Second))
		r.take() // so that it is seen to be due
		r.q.Rest(r.now, Key{"deals", "a"}, r.now.Add(8*time.Second))
		r.q.Rest(r.now, Key{"deals", "a"}, r.now.Add(10*time.Second))
		if at, ok := r.q.Next(r.now, Bulk); !ok || at.Sub(r.now) > 7*time.Second {
			t.Errorf("due in %v: next is %v (%v), with another due before", due, at, ok)
		}
		r.after(7 * time.Second)
		r.wantComing("b")
		r.after(2 * time.Second)
		r.wantComing()
		if at, ok := r.q.Next(r.now, Bulk); !ok || at.Sub(r.now) != time.Second {
			t.Errorf("due in %v: next is %v (%v)", due, at, ok)
		}
		r.after(time.Second)
		r.wantComing("a")
		r.wantComing() // once
		r.q.Drop(0)
		r.wantComing()
	}
}

// A key that has nothing to be taken goes on resting when it is told to.
func TestRestOfWhatRests(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1", Normal)
	r.q.Done(r.now, []Outcome{{Entry: r.take("a")[0], Until: r.now.Add(time.Second)}})
	r.q.Rest(r.now, Key{"deals", "a"}, r.now.Add(10*time.Second))
	r.after(5 * time.Second)
	r.take()
	r.add("a", "x=2", Normal)
	r.take()
	r.after(5 * time.Second)
	r.take("a")
}

// What is in flight is left alone, and rests when it comes back.
func TestRestOfWhatIsInFlight(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1", Normal)
	e := r.take("a")[0]
	r.q.Rest(r.now, Key{"deals", "a"}, r.now.Add(10*time.Second))
	r.q.Done(r.now, []Outcome{{Entry: e, Again: true, Until: r.now.Add(time.Second)}})
	r.after(9 * time.Second)
	r.take()
	r.after(time.Second)
	r.take("a")
}

// A wait for something else that is over does not end a rest.
func TestWakeEndsNoRest(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1", Normal)
	r.q.Rest(r.now, Key{"deals", "a"}, r.now.Add(10*time.Second))
	r.q.Wake(r.now, Key{"deals", "a"})
	r.add("a", "x=2", Urgent)
	r.after(9 * time.Second)
	r.take()
	r.after(time.Second)
	r.take("a")
}

// What is dropped while it is due, asked for, or restored does not come back, and takes up
// none of the room of those that do.
func TestDropOfWhatIsAway(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.putAside("due", r.now)
	r.putAside("asked", r.now)
	r.putAside("restored", r.now)
	r.putAside("taken", r.now)
	if got := r.q.Coming(r.now, 0); len(got) != 0 {
		t.Fatalf("%v come where none may", got)
	}
	r.wantComing("due", "asked", "restored", "taken")
	e := func(key string) *Entry {
		return &Entry{Key: Key{"deals", key}, Row: Fold(row(1, "x=1")), Changes: 1}
	}
	r.q.Later(Key{"deals", "due"}, r.now)
	r.q.Restore(r.now, e("taken"))
	taken := r.take("taken")
	r.q.Restore(r.now, e("restored"))
	if n := r.q.Drop(0); n != 1 {
		t.Errorf("%d were pending, want the restored one", n)
	}
	if back := r.q.groups[0].back; back != 0 || r.q.away != 0 || len(r.q.timers) != 0 {
		t.Errorf("%d are back, %d away, %d wait", back, r.q.away, len(r.q.timers))
	}
	if got := r.q.Counts(); got != (Counts{}) {
		t.Errorf("counted are %+v", got)
	}
	r.wantComing()
	// What is heard of them afterwards is not about those that came since.
	r.add("asked", "x=2", Normal)
	r.q.Restore(r.now, e("asked"))
	r.q.Later(Key{"deals", "asked"}, r.now.Add(time.Hour))
	r.q.Done(r.now, []Outcome{{Entry: taken[0], Again: true}})
	if got := r.take("asked"); got[0].Deferred || got[0].Changes != 1 {
		t.Errorf("what was asked for before came back: %+v", got[0])
	}
	if back, waits := r.q.groups[0].back, len(r.q.timers); back != 0 || waits != 0 {
		t.Errorf("%d are back, %d wait", back, waits)
	}
}

// A key that is due to be read, but was not asked for, is forgotten too.
func TestDropOfWhatIsDue(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.putAside("a", r.now)
	r.take()
	r.q.Drop(0)
	r.wantComing()
}

// A lane has room again when what filled it is dropped.
func TestDropMakesRoom(t *testing.T) {
	r := newRig(t, Limits{Entries: 4, Bytes: 1 << 20}, sinks.Coalesce{MaxBatch: 2})
	for _, k := range []string{"a", "b", "c"} {
		r.add(k, "x=1", Normal)
	}
	r.take("a", "b")
	r.add("a", "x=2", Normal) // pending and in flight
	if r.q.Readable(Normal) {
		t.Fatal("it is not full")
	}
	r.q.Drop(1)
	if r.q.Readable(Normal) {
		t.Fatal("another partition's was dropped")
	}
	r.q.Gate(r.now, 0, Urgent)
	r.q.Drop(0)
	if !r.q.Readable(Normal) || r.q.Counts() != (Counts{}) {
		t.Errorf("it holds %+v", r.q.Counts())
	}
	r.add("a", "x=3", Normal)
	r.take("a") // the gate is open
}

// A key that a more urgent change brings before the gate may be what fills a batch.
func TestMoreUrgentBeforeTheGateFillsABatch(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: time.Minute, MaxDelay: time.Minute, MaxBatch: 2})
	r.add("a", "x=1", Bulk)
	r.after(time.Minute)
	r.q.Gate(r.now, 0, Bulk)
	r.take()
	r.add("b", "x=1", Normal)
	r.take()
	r.add("a", "x=2", Normal)
	r.take("a", "b")
}

// What is behind a gate fills a batch when the gate opens.
func TestOpenGateFillsABatch(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: time.Minute, MaxDelay: time.Minute, MaxBatch: 2})
	r.add("a", "x=1", Bulk)
	r.after(time.Minute)
	r.q.Gate(r.now, 0, Bulk)
	r.take()
	r.add("b", "x=1", Normal)
	r.take()
	r.q.Gate(r.now, 0, All)
	r.take("b", "a")
}

// What waits to go in a job is not given while a gate is shut.
func TestGateShutsAJob(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 2})
	r.q.SetJobs(Jobs{From: 3, Most: 10, Quiet: time.Second, Gather: 5 * time.Second})
	for _, k := range []string{"a", "b", "c"} {
		r.add(k, "x=1", Bulk)
	}
	r.after(time.Second)
	r.q.Gate(r.now, 0, Normal)
	if b, ok := r.q.TakeJob(r.now); ok {
		t.Fatalf("%d entries go in a job", len(b.Entries))
	}
	r.q.Gate(r.now, 0, All)
	r.after(time.Second)
	if b, ok := r.q.TakeJob(r.now); !ok || len(b.Entries) != 3 {
		t.Errorf("a job has %d entries", len(b.Entries))
	}
}
