package deliver

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// A mapping that says no lane of its own takes each change, of whatever lane, as urgent as
// its stream; one that says one, all but what is bulk.
func TestLaneOfTheStream(t *testing.T) {
	for lane, want := range map[string][]uint64{"": {2, 1, 1}, cdc.LaneUrgent: {3, 0, 1}} {
		run(t, func(w *world) {
			w.mapper.lane = lane
			w.put(cdc.LaneNormal, 1, "a=1 b=1")
			w.put(cdc.LaneUrgent, 2, "a=2 b=1")
			w.put(cdc.LaneBulk, 3, "a=3 b=1")
			w.start()
			rest(time.Second)
			w.put(cdc.LaneUrgent, 1, "a=4 b=1")
			rest(time.Second)
			var got []uint64
			for _, l := range w.engine.Stats().Lanes {
				got = append(got, uint64(l.Delivered))
			}
			if !slices.Equal(got, want) || !w.caughtUp() {
				t.Errorf("mapping lane %q: delivered %v by lane, want %v", lane, got, want)
			}
			w.wantHas(1, "Sum=4+1")
		})
	}
}

// While a backlog goes out in requests that take long, an urgent record has a sender.
func TestUrgentDoesNotWaitForBulk(t *testing.T) {
	run(t, func(w *world) {
		w.target.limits = sinks.Limits{MaxBatch: 2, MaxInFlight: 3, Timeout: time.Minute}
		var mu sync.Mutex
		under, most := 0, 0
		took := map[string]time.Duration{}
		began := time.Now()
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			if len(b.Records) == 2 {
				time.Sleep(20 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			under--
			for _, r := range b.Records {
				took[r.Source] = time.Since(began)
			}
			return acceptAll(ctx, b)
		})
		for id := range 20 {
			w.put(cdc.LaneBulk, id, "a=1 b=1")
		}
		w.start()
		rest(5 * time.Second)
		began = time.Now()
		w.put(cdc.LaneUrgent, 100, "a=1 b=1")
		rest(time.Hour)
		if d := took[keyOf(100)]; d > time.Millisecond || most != 2+1 {
			t.Errorf("the urgent record took %v, with %d requests side by side", d, most)
		}
		if !w.caughtUp() {
			t.Error("not all of bulk is delivered")
		}
	})
}

// Bulk goes on while there is always something urgent, and the engine rests while bulk
// may have no sender.
func TestBulkHasAFloor(t *testing.T) {
	run(t, func(w *world) {
		w.target.limits = sinks.Limits{MaxBatch: 1, MaxInFlight: 1, Timeout: time.Minute}
		var lanes []string
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(time.Second)
			lanes = append(lanes, b.Records[0].Source)
			return acceptAll(ctx, b)
		})
		w.put(cdc.LaneBulk, 1000, "a=1 b=1")
		for id := range 100 {
			w.put(cdc.LaneUrgent, id, "a=1 b=1")
		}
		w.start(func(o *Options) { o.Limits.Floor = 5 })
		rest(time.Hour)
		if i := slices.Index(lanes, keyOf(1000)); i < 3 || i > 5 {
			t.Errorf("the bulk record was sent as number %d of %d, with a floor of one in five", i+1, len(lanes))
		}
	})
}

// mostReader notes the most entries that a read of each stream gave.
type mostReader struct {
	Reader
	mu   sync.Mutex
	most map[string]int
}

func (r *mostReader) Read(ctx context.Context, partition int, from map[string]cdc.Position, limit int) ([]cdc.Message, error) {
	out, err := r.Reader.Read(ctx, partition, from, limit)
	count := map[string]int{}
	for i := range out {
		count[out[i].Stream.Lane]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, n := range count {
		if r.most[lane] < n {
			r.most[lane] = n
		}
	}
	return out, err
}

// A backlog is read in small parts: an urgent record waits for as long as one takes.
func TestBacklogIsReadInSmallParts(t *testing.T) {
	run(t, func(w *world) {
		r := &mostReader{Reader: w.log, most: map[string]int{}}
		w.put(cdc.LaneBulk, 1, "a=1 b=1") // from then on there is a backlog
		w.answers(func(ctx context.Context, _ sinks.Batch) ([]bool, []sinks.Result, error) {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		})
		w.start(func(o *Options) { o.Reader = r })
		rest(time.Second)
		for id := range 2000 {
			w.put(cdc.LaneBulk, 2+id, "a=1 b=1")
		}
		w.answers(acceptAll)
		rest(5 * time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := r.most[cdc.LaneBulk]; n == 0 || n > readMaxBulk {
			t.Errorf("%d entries of bulk were read at once", n)
		}
		if !w.caughtUp() {
			t.Error("not all is delivered")
		}
	})
}
