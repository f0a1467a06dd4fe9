package pgsource

import (
	"runtime"
	"testing"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Pitfall 19 and I8: a large transaction is not held in memory. Not parallel: it looks
// at the memory of the whole process.
func TestPitfall19ALargeTransactionIsNotHeld(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (0)`)
	b.wait(c)
	const rows, width, most = 200_000, 400, 40 << 20
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	runtime.GC()
	before, peak := inUse(), uint64(0)
	b.exec(`INSERT INTO deals SELECT g, repeat('x', $2::int) FROM generate_series(1, $1::int) g`, rows, width)
	end := b.end()
	until(t, "the transaction to be in the log", func() bool {
		peak = max(peak, inUse())
		return c.Stats().Appended >= end
	})
	if peak > before+most {
		t.Errorf("%d MB of heap in use at most, %d MB before; the rows have %d MB", peak>>20, before>>20, rows*width>>20)
	}
	n := int64(0)
	for _, s := range b.log.Streams() {
		length, err := b.log.Client().XLen(t.Context(), b.log.Keys().Stream(s)).Result()
		if err != nil {
			t.Fatal(err)
		}
		n += length
	}
	if n != rows+1 {
		t.Errorf("%d entries, want %d", n, rows+1)
	}
}
