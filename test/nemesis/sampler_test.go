package nemesis

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// watchSlot looks again and again whether the slot is confirmed above what the log
// says it holds durably (I1), until the function it gives is called.
func (b *bridge) watchSlot() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wrong []string
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if what := b.lookAtSlot(ctx); what != "" {
				wrong = append(wrong, time.Now().UTC().Format("15:04:05.000 ")+what)
			}
		}
	})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			done.Wait()
			for _, w := range wrong[:min(3, len(wrong))] {
				b.t.Errorf("the slot against the log (I1), %d findings: %s", len(wrong), w)
			}
		})
	}
	b.t.Cleanup(stop)
	return stop
}

// lookAtSlot takes one sample. The slot is read first: the mark only rises. A server
// that is down gives none.
func (b *bridge) lookAtSlot(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	confirmed, err := b.lsn(ctx, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", slot)
	if err != nil {
		return ""
	}
	durable, err := b.durable()
	if err != nil {
		return ""
	}
	b.slotSamples++
	if confirmed > durable {
		return fmt.Sprintf("the slot is confirmed up to %v, the log holds up to %v", confirmed, durable)
	}
	return ""
}
