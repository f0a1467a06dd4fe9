package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// TestKills kills the capture again and again, each time when entries have come in,
// or before, while it still finds its feet.
func TestKills(t *testing.T) {
	t.Parallel()
	kills, seed := choose(*killsFlag, 15, 200), seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 7))
	b := newBridge(t, options{aof: "always", captures: 1}) // where little time lies between append and confirm
	stopWatch := b.watchSlot()
	w := b.writer(seed, 15*time.Millisecond)
	w.goesOn(20, time.Minute)
	began := time.Now()
	early := 0
	for range kills {
		k := b.captures[0]
		if rng.IntN(10) == 0 { // it may not have the slot yet
			early++
			b.deeds.begin("kill -9 at the start", "")()
			k.killNext(time.Duration(rng.Int64N(int64(150 * time.Millisecond))))
			continue
		}
		if rng.IntN(5) == 0 { // a status update has gone out
			b.confirms()
		}
		b.appends(rng.IntN(12))
		b.deeds.begin("kill -9 of a capture", "")()
		k.kill()
	}
	took := time.Since(began)
	recovery := b.catchUp(time.Minute)
	w.stop()
	stopWatch()
	b.judge()
	t.Logf("seed %d: %d kills in %s (%s each), %d of them at the start; it caught up in %s; %d commits",
		seed, kills, took.Round(time.Millisecond), (took / time.Duration(kills)).Round(time.Millisecond), early, recovery.Round(time.Millisecond), w.commits.Load())
}

// killNext waits for the next start and kills that after a while.
func (k *keeper) killNext(after time.Duration) {
	k.mu.Lock()
	next := k.started
	k.mu.Unlock()
	k.kill()
	select {
	case <-next:
	case <-k.done:
		return
	}
	t := time.NewTimer(after)
	defer t.Stop()
	<-t.C
	k.kill()
}

// confirms waits until the slot is confirmed further than it was.
func (b *bridge) confirms() {
	b.t.Helper()
	confirmed := func() (cdc.LSN, error) {
		return b.lsn(context.Background(), "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", slot)
	}
	was, err := confirmed()
	if err != nil {
		b.t.Fatalf("read the slot: %v", err)
	}
	b.until(time.Minute, func() string {
		if now, err := confirmed(); err != nil || now <= was {
			return fmt.Sprintf("the slot is still confirmed up to %v, %v", now, err)
		}
		return ""
	})
}

// appends waits until entries have come into the log, and then for so many times
// more.
func (b *bridge) appends(more int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var keys, at []string
	for _, lane := range cdc.Lanes() {
		for p := range partitions {
			key := fmt.Sprintf("walbridge:{%s:%d}:log:%s", name, p, lane)
			keys = append(keys, key)
			last := "0"
			if tail, err := b.rdb.XRevRangeN(ctx, key, "+", "-", 1).Result(); err != nil {
				b.t.Fatalf("read the end of %s: %v", key, err)
			} else if len(tail) > 0 {
				last = tail[0].ID
			}
			at = append(at, last)
		}
	}
	for range 1 + more {
		b.mustBeSound()
		list, err := b.rdb.XRead(ctx, &redis.XReadArgs{Streams: append(keys[:len(keys):len(keys)], at...), Block: time.Minute}).Result()
		if err != nil {
			b.t.Fatalf("wait for entries: %v", err)
		}
		for _, s := range list {
			for i, key := range keys {
				if key == s.Stream {
					at[i] = s.Messages[len(s.Messages)-1].ID
				}
			}
		}
	}
}
