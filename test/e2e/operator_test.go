package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// operator is somebody who replays and repairs, whatever else goes on. While servers are
// away a command of his may fail; what it may not do is to do harm.
type operator struct {
	b    *bridge
	quit context.CancelFunc
	done sync.WaitGroup
	// calm tells that he needs the servers for a while: only processes may be hurt.
	calm   atomic.Bool
	broken int // repairs in a row; of the goroutine that repairs

	mu     sync.Mutex     // covers what follows
	counts map[string]int // of what came to its end, and of what did not
}

const (
	aReplay = "replay"
	aForced = "forced replay"
	aRepair = "verify with repair"
)

// operate starts one.
func (b *bridge) operate(seed uint64) *operator {
	ctx, quit := context.WithCancel(context.Background())
	o := &operator{b: b, quit: quit, counts: map[string]int{}}
	for i, list := range [][]string{{aReplay, aForced}, {aRepair}} { // replays and repairs are at the same time
		rng := rand.New(rand.NewPCG(seed, uint64(97+i)))
		o.done.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				o.does(ctx, list[i%len(list)], rng)
			}
		})
	}
	b.t.Cleanup(o.stop)
	return o
}

// stop ends the operator, and what he is at.
func (o *operator) stop() {
	o.quit()
	o.done.Wait()
}

// does does something, and counts what came of it. A repair that servers have broken off
// twice in a row has a calm.
func (o *operator) does(ctx context.Context, what string, rng *rand.Rand) {
	if what == aRepair && o.broken >= 2 {
		o.calm.Store(true)
		defer o.calm.Store(false)
	}
	said, ok := o.command(ctx, what, rng)
	if what == aRepair {
		if o.broken++; ok {
			o.broken = 0
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case ok:
		o.counts[what]++
	case ctx.Err() == nil:
		o.counts["failed "+what]++
		o.b.t.Logf("%s: %s", what, said)
	}
}

// command runs a command to its end. It is false if it could not do its work, and gives what
// it said of that.
func (o *operator) command(ctx context.Context, what string, rng *rand.Rand) (said string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	target := targets[rng.IntN(len(targets))]
	from := fmt.Sprintf("%ds", 2+rng.IntN(20))
	if rng.IntN(4) == 0 {
		from = "beginning"
	}
	args := []string{"verify", "--target", target, "--repair", "--json"}
	switch what {
	case aReplay:
		args = []string{"replay", "--target", target, "--from", from}
	case aForced:
		args = []string{"replay", "--target", target, "--from", from, "--force", "--detach"}
	}
	cmd := exec.CommandContext(ctx, program, append(args, "-c", "walbridge.yaml")...)
	cmd.Dir = o.b.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if what == aRepair { // its status tells what it found
		var told struct{ Mappings []verified }
		return stderr.String(), json.Unmarshal(out, &told) == nil && len(told.Mappings) > 0
	}
	return stderr.String(), err == nil
}

// tidies takes away what servers that were away have left of replays half made, as the command
// that failed said to.
func (o *operator) tidies() {
	o.b.t.Helper()
	r, _ := o.b.status()
	for _, s := range r.Replays {
		if s.State == "stopped" {
			o.b.prints(0, "has ended", "replay", "cancel", s.ID, "-c=walbridge.yaml")
			o.counts["half made replay"]++
		}
	}
}

// settled waits until no replay and no backfill is under way.
func (b *bridge) settled(within time.Duration) {
	b.t.Helper()
	until(b.t, within, func() string {
		r, _ := b.status()
		return unless(len(r.Log.Appended) > 0 && len(r.Replays)+len(r.Backfills) == 0, fmt.Sprint(r.Replays, r.Backfills))
	})
}
