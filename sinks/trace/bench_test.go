package trace

import (
	"fmt"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

func BenchmarkRecord(b *testing.B) {
	w := newWriter(Options{Partitions: 8, Target: "crm"})
	steps := make([]Step, 200)
	r := &Request{ID: "abc-1", Began: time.Now(), Took: time.Millisecond, Records: 200}
	for i := range steps {
		at := cdc.Position{LSN: cdc.LSN(100000000 + i)}
		steps[i] = Step{Partition: i % 8, Key: fmt.Sprintf(`{"id":%d}`, i), Fate: Accepted, Op: "upsert", From: at, To: at, Changes: 1, Request: r}
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Record(Head{Mapping: "deals-to-crm", Time: time.Now()}, steps)
		if w.size > flushFrom {
			w.giveBack(w.take())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200, "ns/step")
}
