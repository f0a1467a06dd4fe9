package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// rig drives a queue by hand.
type rig struct {
	*testing.T
	q    *Queue
	now  time.Time
	next int
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func newRig(t *testing.T, limits Limits, policy sinks.Coalesce) *rig {
	r := &rig{T: t, q: New(limits), now: epoch}
	r.q.Group("deals", policy)
	r.q.Group("leads", policy)
	return r
}

var roomy = Limits{Entries: 1000, Bytes: 1 << 20}

func (r *rig) after(d time.Duration) { r.now = r.now.Add(d) }

func (r *rig) add(key, columns string, lane Lane) {
	r.next++
	ch := row(r.next, columns)
	if columns == "gone" {
		ch = gone(r.next)
	}
	ch.Time = r.now
	r.put("deals", key, ch, lane)
}

func (r *rig) put(mapping, key string, ch cdc.Change, lane Lane) {
	r.q.Add(r.now, Arrival{Key: Key{mapping, key}, Change: ch, Lane: lane, Token: Token{Lane: lane, Size: 10}})
}

// take gives the batch and wants it to be of these keys, in order.
func (r *rig) take(keys ...string) []*Entry {
	r.Helper()
	b, ok := r.q.Take(r.now, Bulk)
	if ok != (len(keys) > 0) {
		r.Fatalf("take gives %v, want keys %v", b.Entries, keys)
	}
	var got []string
	for _, e := range b.Entries {
		got = append(got, e.Key.Source)
	}
	if fmt.Sprint(got) != fmt.Sprint(keys) {
		r.Fatalf("took %v, want %v", got, keys)
	}
	return b.Entries
}

func (r *rig) done(e *Entry) int {
	return len(r.q.Done(r.now, []Outcome{{Entry: e}}))
}

func (r *rig) retry(e *Entry, wait time.Duration) {
	r.Helper()
	if got := r.q.Done(r.now, []Outcome{{Entry: e, Again: true, Counted: true, Until: r.now.Add(wait)}}); len(got) != 0 {
		r.Fatalf("a retry released %d tokens", len(got))
	}
}

func (r *rig) wants(e *Entry, want string) {
	r.Helper()
	if got := show(r, e.Row.Change()); got != want {
		r.Fatalf("entry is %s, want %s", got, want)
	}
}

func TestTenUpdatesMakeOneRecord(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 50})
	for i := range 10 {
		r.add("a", fmt.Sprintf("n=%d", i), Normal)
		r.after(100 * time.Millisecond)
		r.take()
	}
	r.after(900 * time.Millisecond)
	e := r.take("a")[0]
	r.wants(e, "10 n=9")
	if e.Changes != 10 || e.Oldest != epoch || r.done(e) != 10 {
		t.Errorf("changes %d, oldest %v", e.Changes, e.Oldest)
	}
	if _, ok := r.q.Next(r.now, Bulk); ok {
		t.Error("something is left")
	}
}

func TestMaxDelayAndFullBatch(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: 2 * time.Second, MaxDelay: 5 * time.Second, MaxBatch: 3})
	for range 5 { // never quiet
		r.add("a", "n=1", Normal)
		r.take()
		r.after(time.Second)
	}
	r.done(r.take("a")[0])
	r.add("b", "n=1", Normal)
	r.add("c", "n=1", Normal)
	r.take()
	r.add("d", "n=1", Normal)
	r.take("b", "c", "d")
}

func TestAddInFlight(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	e := r.take("a")[0]
	r.add("a", "x=2 y=?", Normal)
	r.take() // never twice at once
	r.wants(e, "1 x=1 y=1")
	if r.done(e) != 1 {
		t.Error("released tokens of the newer change too")
	}
	r.wants(r.take("a")[0], "2 x=2 y=?")
}

func TestFailedGoesBeneath(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	e := r.take("a")[0]
	r.add("a", "x=2 y=?", Normal)
	r.retry(e, time.Minute)
	r.take()
	r.after(59 * time.Second)
	r.add("a", "x=3 y=?", Normal) // new data does not shorten the wait
	r.take()
	if at, ok := r.q.Next(r.now, Bulk); !ok || at != r.now.Add(time.Second) {
		t.Errorf("next at %v", at)
	}
	r.after(time.Second)
	e = r.take("a")[0]
	r.wants(e, "3 x=3 y=1")
	if e.Attempts != 1 || e.Changes != 3 || r.done(e) != 3 {
		t.Errorf("attempts %d, changes %d", e.Attempts, e.Changes)
	}
}

func TestHotKeyStarvesNobody(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 1})
	for _, k := range []string{"hot", "b", "c"} {
		r.add(k, "n=1", Normal)
	}
	for _, want := range []string{"hot", "b", "c", "hot"} {
		e := r.take(want)[0]
		r.add("hot", "n=2", Normal)
		r.done(e)
	}
}

func TestPartialFailure(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 3})
	r.add("a", "n=1", Normal)
	r.add("b", "n=1", Normal)
	r.add("c", "n=1", Normal)
	es := r.take("a", "b", "c")
	got := r.q.Done(r.now, []Outcome{{Entry: es[0]}, {Entry: es[1], Again: true, Until: r.now.Add(time.Second)}, {Entry: es[2]}})
	if len(got) != 2 {
		t.Fatalf("released %d tokens", len(got))
	}
	if got := r.q.Done(r.now, []Outcome{{Entry: es[0]}}); len(got) != 0 {
		t.Fatal("released a token twice")
	}
	r.add("c", "n=2", Normal)
	r.take("c")
	r.after(time.Second)
	if e := r.take("b")[0]; e.Attempts != 0 {
		t.Errorf("a try that does not count was counted")
	}
}

func TestDeleteThenRecreate(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 10})
	r.add("a", "x=1 y=1", Normal)
	r.add("a", "gone", Normal)
	r.add("a", "x=2 y=?", Normal)
	r.after(time.Second)
	e := r.take("a")[0]
	r.wants(e, "3 x=2 y=?")
	if !e.Row.Bare() {
		t.Error("the target's own value would be kept for y")
	}
}

func TestFullAndResume(t *testing.T) {
	r := newRig(t, Limits{Entries: 4, Bytes: 1000}, sinks.Coalesce{MaxBatch: 1})
	for range 4 { // one key, four entries
		r.add("a", "n=1", Normal)
	}
	if r.q.Readable(Normal) || !r.q.Readable(Urgent) {
		t.Fatal("full is not by lane and by entries")
	}
	r.add("b", "n=1", Normal)
	r.done(r.take("a")[0])
	if !r.q.Readable(Normal) {
		t.Error("still full with one entry left of four")
	}
	r.done(r.take("b")[0])
	for range 4 {
		r.add("c", "n=1", Normal)
		r.add("d", "n=1", Normal)
		if c := r.q.Counts(); c.Entries[Normal] == 4 {
			break
		}
	}
	e := r.take("c")[0]
	r.add("e", "n=1", Normal)
	r.done(e) // three left: above the low mark
	if r.q.Readable(Normal) {
		t.Error("has room above the low mark")
	}
	r.q = New(Limits{Entries: 100, Bytes: 20})
	r.q.Group("deals", sinks.Coalesce{MaxBatch: 1})
	r.add("a", "n=1", Bulk)
	r.add("a", "n=1", Bulk)
	if r.q.Readable(Bulk) {
		t.Error("bytes do not count")
	}
}

func TestUrgentOverBulk(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 2})
	for _, k := range []string{"a", "b", "c"} {
		r.add(k, "n=1", Bulk)
	}
	r.put("leads", "n1", row(50, "n=1"), Normal)
	r.put("leads", "u1", row(51, "n=1"), Urgent)
	r.add("c", "n=2", Urgent) // moves up while ready
	r.take("u1", "n1")
	r.add("c", "n=3", Bulk)                    // does not move down
	if e := r.take("c")[0]; e.Lane != Urgent { // alone: bulk would make its request long
		t.Errorf("lane %v", e.Lane)
	}
	r.add("d", "n=1", Normal)
	r.take("d", "a") // but normal is filled up
	r.take("b")
}

func TestPauseGoesOnFolding(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 2})
	r.add("a", "n=1", Normal)
	r.q.Pause(r.now.Add(time.Minute))
	r.q.Pause(r.now.Add(time.Second)) // does not shorten
	r.after(30 * time.Second)
	r.add("a", "n=2", Normal)
	r.take()
	if at, ok := r.q.Next(r.now, Bulk); !ok || at != epoch.Add(time.Minute) {
		t.Errorf("next at %v", at)
	}
	r.after(30 * time.Second)
	r.wants(r.take("a")[0], "2 n=2")
}
