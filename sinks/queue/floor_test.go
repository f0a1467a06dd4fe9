package queue

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks"
)

// TestNoLaneStarves takes batch after batch while every lane of two mappings has more
// than it can get rid of, or nothing for a while. Every batch goes to the most urgent lane
// that may have it, but for each lower one's floor; and no key waits for ever.
func TestNoLaneStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		floor := rapid.IntRange(3, 12).Draw(t, "floor")
		q := New(Limits{Entries: 1 << 20, Bytes: 1 << 30, Floor: floor})
		m := &model{floor: floor}
		q.Group("m", sinks.Coalesce{MaxBatch: 2})
		q.Group("n", sinks.Coalesce{MaxBatch: 1})
		var waiting [lanes]int
		next := 0
		add := func(l Lane) {
			next++
			name := []string{"m", "n"}[next%2]
			q.Add(epoch, Arrival{Key: Key{name, fmt.Sprint(next)}, Change: row(next, "x=1"), Lane: l, Token: Token{Lane: l}})
			waiting[l]++
		}
		var idle [lanes]bool
		for range 200 {
			for l := range lanes {
				if rapid.IntRange(0, 15).Draw(t, "turn over") == 0 {
					idle[l] = !idle[l]
				}
				for !idle[l] && waiting[l] < 4 {
					add(l)
				}
			}
			least := rapid.SampledFrom([]Lane{Bulk, Bulk, Bulk, Normal, Urgent}).Draw(t, "least")
			var ready [lanes]bool
			for l := range lanes {
				ready[l] = waiting[l] > 0
			}
			b, ok := q.Take(epoch, least)
			if any := ready[Urgent] || least >= Normal && ready[Normal] || least >= Bulk && ready[Bulk]; ok != any {
				t.Fatalf("took %v of lanes up to %v; ready are %v", b.Entries, least, ready)
			}
			if !ok {
				continue
			}
			m.turn(t, b, ready, least)
			var out []Outcome
			for _, e := range b.Entries {
				waiting[e.Lane]--
				out = append(out, Outcome{Entry: e})
			}
			q.Done(epoch, out)
		}
	})
}

// Without a floor a lower lane waits until nothing more urgent is ready.
func TestWithoutFloor(t *testing.T) {
	r := newRig(t, roomy, sinks.Coalesce{MaxBatch: 1})
	r.add("b", "n=1", Bulk)
	for i := range 50 {
		r.add(fmt.Sprint(i), "n=1", Urgent)
	}
	for i := range 50 {
		r.take(fmt.Sprint(i))
	}
	r.take("b")
}
