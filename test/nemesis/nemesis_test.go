package nemesis

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestNemesis hurts everything at once, round after round.
func TestNemesis(t *testing.T) {
	t.Parallel()
	length, seed := lengthOf(t), seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 99))
	long := length >= 2*time.Minute
	aof := "always"
	if rng.IntN(2) == 0 && long { // a backfill of the smallest table then takes seconds to become durable
		aof = "everysec"
	}
	b := newBridge(t, options{aof: aof, captures: 2, archived: archived})
	began := time.Now()
	defer func() { t.Logf("seed %d, faults: %s", seed, b.deeds.summary()) }() // of a failure, too
	stopWatch := b.watchSlot()
	w := b.writer(seed, 25*time.Millisecond)
	var slowest time.Duration
	rounds := 0
	for ; time.Since(began) < length; rounds++ {
		w.goesOn(20, time.Minute)
		// Time-outs take up to a minute: only a long run has the time for it.
		b.round(rng, 4*time.Second+time.Duration(rng.Int64N(int64(8*time.Second))), long)
		slowest = max(slowest, b.catchUp(90*time.Second))
	}
	w.goesOn(20, time.Minute)
	w.stop()
	stopWatch()
	b.judge()
	if b.slotSamples == 0 {
		t.Error("the confirmed LSN was never looked at")
	}
	t.Logf("seed %d, aof %s, %s in %d rounds, the slowest recovery %s; %d commits, %d refused, %d connections of the writers lost; %d looks at the slot",
		seed, aof, time.Since(began).Round(time.Second), rounds, slowest.Round(10*time.Millisecond), w.commits.Load(), w.refused.Load(), w.lost.Load(), b.slotSamples)
	for _, k := range b.captures {
		t.Log(k.summary())
	}
}
