package queue

import (
	"strconv"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// BenchmarkQueue is the whole life of a change, with half of them folding.
func BenchmarkQueue(b *testing.B) {
	q := New(Limits{Entries: 1 << 30, Bytes: 1 << 40})
	q.Group("deals", sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 200})
	w := NewWatermark(pos(0))
	ch := row(1, "a=1 b=2 c=3")
	keys := make([]string, 5000)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	now := epoch
	b.ReportAllocs()
	for i := range b.N {
		ch.Position = pos(i + 1)
		now = now.Add(10 * time.Microsecond)
		k := Key{"deals", keys[i/2%len(keys)]}
		q.Add(now, Arrival{Key: k, Change: ch, Lane: Normal, Token: Token{Mark: w.Add(ch.Position, ch.Time, 1), Lane: Normal}})
		if batch, ok := q.Take(now, Bulk); ok {
			out := make([]Outcome, len(batch.Entries))
			for j, e := range batch.Entries {
				out[j].Entry = e
			}
			for _, t := range q.Done(now, out) {
				t.Mark.Release()
			}
		}
	}
}
