package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// stages are the words for stages in these tests.
var stages = map[Stage]string{InFlight: "in flight", Ready: "ready", Gated: "gated", Gathering: "gathering", Quiet: "quiet", BackOff: "back-off",
	Awaiting: "awaiting", Leaving: "leaving", Returning: "returning", Aside: "aside"}

// sees wants the keys that Peek gives: key, stage, and in how many seconds it ends.
func (r *rig) sees(most int, want ...string) Peek {
	r.Helper()
	p := r.q.Peek(r.now, most, false, func(Key, Lane) bool { return true })
	var got []string
	for _, k := range p.Keys {
		text := k.Key.Source + " " + stages[k.Stage]
		if !k.Until.IsZero() {
			text += fmt.Sprintf(" %v", k.Until.Sub(r.now).Seconds())
		}
		got = append(got, text)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Errorf("sees %q, want %q", got, want)
	}
	return p
}

// Each key is at one stage, and they come in the order in which something becomes of them.
func TestPeek(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{Quiet: 2 * time.Second, MaxDelay: 5 * time.Second, MaxBatch: 4})
	r.add("a", "x=1", Normal)
	r.after(time.Second)
	r.add("a", "x=2", Normal)
	r.sees(9, "a quiet 2")
	r.after(3 * time.Second)
	r.add("b", "x=1", Bulk)
	r.after(2 * time.Second)
	r.add("c", "x=1", Urgent)
	r.add("c", "x=2", Urgent)
	p := r.sees(9, "a ready", "b ready", "c quiet 2")
	if want := [3]PeekLane{{1, 2, 20, r.now}, {1, 2, 20, epoch}, {1, 1, 10, r.now.Add(-2 * time.Second)}}; p.Lanes != want || p.Matching != 3 {
		t.Errorf("lanes %+v, want %+v of %d", p.Lanes, want, p.Matching)
	}
	taken := r.take("a", "b")
	r.add("a", "x=3", Normal)
	p = r.sees(2, "a in flight", "b in flight")
	if p.Matching != 3 || p.Keys[0].More != 1 || p.Keys[0].Changes != 2 || !p.Keys[0].Since.Equal(r.now) {
		t.Errorf("sees %+v", p)
	}
	r.q.Done(r.now, []Outcome{{Entry: taken[0], Again: true, Counted: true, Until: r.now.Add(9 * time.Second), Why: "row is locked"},
		{Entry: taken[1], Again: true, Wait: r.now.Add(time.Minute)}})
	p = r.sees(9, "c quiet 2", "a back-off 9", "b awaiting 60")
	if a := p.Keys[1]; a.Why != "row is locked" || a.Attempts != 1 || a.Changes != 3 || a.Entries != 3 || a.Bytes != 30 || a.More != 0 {
		t.Errorf("sees %+v", a)
	}
	// The word stays until there is another.
	r.after(9 * time.Second)
	again := r.take("c", "a")
	r.q.Done(r.now, []Outcome{{Entry: again[0]}, {Entry: again[1], Again: true, Until: r.now.Add(9 * time.Second)}})
	if p := r.sees(9, "a back-off 9", "b awaiting 51"); p.Keys[0].Why != "row is locked" {
		t.Errorf("sees %+v", p.Keys[0])
	}
	only := r.q.Peek(r.now, 9, true, func(k Key, l Lane) bool { return k.Source == "b" && l == Bulk })
	if only.Matching != 1 || len(only.Keys) != 1 || only.Keys[0].Change.After == "" || only.Lanes[Normal].Keys != 1 {
		t.Errorf("of one it sees %+v", only)
	}
	if none := r.q.Peek(r.now, 0, true, func(Key, Lane) bool { return true }); none.Matching != 2 || len(none.Keys) != 0 {
		t.Errorf("without a limit it sees %+v", none)
	}
}

// What is put aside is known by its key only, until it is back.
func TestPeekAside(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 3})
	r.add("a", "x=1", Normal)
	r.retry(r.take("a")[0], 10*time.Minute)
	r.after(3 * time.Minute)
	over := r.q.Overdue(r.now, Patience{Hold: time.Minute, Entries: 3, Bytes: 1 << 20, Least: time.Second, Most: 9}, func(*Entry) bool { return true })
	if len(over) != 1 {
		t.Fatalf("%d are overdue", len(over))
	}
	text, err := over[0].Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.sees(9, "a leaving")
	r.q.Done(r.now, []Outcome{{Entry: over[0], Away: true}})
	if p := r.sees(9, "a aside 420"); p.Aside != 1 || p.Keys[0].Partition != -1 || p.Lanes[Normal].Keys != 0 {
		t.Errorf("sees %+v", p)
	}
	r.add("a", "x=2", Normal)
	if p := r.sees(9, "a aside 420"); p.Keys[0].More != 1 || p.Keys[0].Changes != 0 || p.Lanes[Normal].Keys != 1 {
		t.Errorf("sees %+v", p)
	}
	r.after(7 * time.Minute)
	r.sees(9, "a returning")
	if got := r.q.Coming(r.now, 9); len(got) != 1 {
		t.Fatalf("due are %v", got)
	}
	r.sees(9, "a returning")
	e, err := Decode(Key{"deals", "a"}, 0, text)
	if err != nil {
		t.Fatal(err)
	}
	r.q.Restore(r.now, e)
	r.sees(9, "a ready")
	r.take("a")
	r.sees(9, "a in flight")
}

// Of many keys the first are those that all of them in order begin with.
func TestPeekGivesTheFirst(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 7})
	for i := range 100 {
		r.add(fmt.Sprintf("k%02d", i*37%100), "x=1", Lane(i%3))
		r.after(time.Millisecond)
	}
	all := r.q.Peek(r.now, 1000, false, func(Key, Lane) bool { return true })
	if len(all.Keys) != 100 {
		t.Fatalf("sees %d", len(all.Keys))
	}
	for _, most := range []int{1, 10, 99} {
		some := r.q.Peek(r.now, most, false, func(Key, Lane) bool { return true })
		if fmt.Sprint(some.Keys) != fmt.Sprint(all.Keys[:most]) {
			t.Errorf("the first %d are others", most)
		}
	}
	b, _ := r.q.Take(r.now, Bulk)
	var first []string
	for _, e := range b.Entries {
		first = append(first, e.Key.Source)
	}
	var seen []string
	for _, k := range all.Keys[:7] {
		seen = append(seen, k.Key.Source)
	}
	if strings.Join(first, " ") != strings.Join(seen, " ") {
		t.Errorf("took %v, saw %v first", first, seen)
	}
}

// What is behind the gate of its partition is not ready, and comes behind what is.
func TestPeekBehindGate(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 3})
	r.add("a", "x=1", Normal)
	r.add("b", "x=1", Urgent)
	r.q.Gate(r.now, 0, Normal)
	r.sees(9, "b ready", "a gated")
	r.q.Gate(r.now, 0, Urgent)
	r.sees(9, "b gated", "a gated")
	r.q.Gate(r.now, 0, All)
	r.sees(9, "b ready", "a ready")
}

func BenchmarkPeek(b *testing.B) {
	q := New(Limits{Entries: 1 << 20, Bytes: 1 << 30})
	q.Group("deals", sinks.Coalesce{MaxBatch: 200})
	for i := range 100_000 {
		q.Add(epoch, Arrival{Key: Key{"deals", fmt.Sprint(i)}, Change: row(i+1, "x=1"), Lane: Bulk, Token: Token{Lane: Bulk, Size: 10}})
	}
	for b.Loop() {
		q.Peek(epoch, 20, false, func(Key, Lane) bool { return true })
	}
}
