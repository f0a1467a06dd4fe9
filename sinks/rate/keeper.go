package rate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

const (
	// tellEvery is how often it is told what was made without having asked.
	tellEvery = time.Second
	// mostGrant bounds a grant.
	mostGrant = 64
	// lookEvery bounds the wait for what others may change: a rate, a budget.
	lookEvery = 15 * time.Second
	// askEvery is how soon it is asked again at the earliest, where there was nothing: at a
	// high rate it is some requests by then, in one call.
	askEvery = 15 * time.Millisecond
)

// Permit is the right to make one request.
type Permit struct {
	// Lowest is the least urgent lane that may lead it.
	Lowest     queue.Lane
	lane       queue.Lane // that it was asked for
	generation int64
	hour       int64 // in which it counts
	free       bool
}

// Keeper is a process's part in an account. It is safe for concurrent use.
type Keeper struct {
	name     string
	settings Settings
	store    Store
	logger   *slog.Logger
	id       string

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu sync.Mutex // covers all below
	// current is the state as last seen, at the server's time of offset after ours.
	current account
	text    string
	offset  time.Duration
	// pool is what is granted and not used, until expires.
	pool    []Permit
	expires time.Time
	size    int // of the next grant
	// free tells that nothing need be asked for; of no meaning before known.
	known, free bool
	wants       [laneCount]bool
	next        ask // what is to be told
	told        time.Time
	calling     bool
	spent       bool // and that was logged
	closed      bool
	calls       int
	failures    int
	// notBefore is until when nothing is asked for, by lane.
	notBefore [laneCount]time.Time
	timer     *time.Timer
	// teller makes the next call of what was made, if telling.
	teller   *time.Timer
	telling  bool
	watchers map[chan struct{}]bool
}

// New gives the keeper of an account by its name. It asks for nothing yet; Close ends it.
func New(name string, s Settings, store Store, logger *slog.Logger) *Keeper {
	k := &Keeper{name: name, settings: s, store: store, logger: logger.With("account", name), id: fmt.Sprintf("%08x", rand.Uint32()), size: 1, watchers: map[chan struct{}]bool{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// Watch gives a channel that gets something whenever it may be worth to ask again, and
// ends that.
func (k *Keeper) Watch() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watchers[ch] = true
	return ch, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.watchers, ch)
	}
}

// Take gives a permit for a request that a lane leads. If there is none it is asked for,
// and who watches is told when to ask again.
func (k *Keeper) Take(lane queue.Lane) (Permit, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.expireLocked(now)
	switch {
	case k.closed, k.pausedLocked(now):
	case k.known && k.free:
		k.next.made++
		k.tellCountLocked(now, 0)
		return Permit{Lowest: queue.Bulk, generation: k.current.Generation, free: true}, true
	case len(k.pool) > 0 && lane <= k.pool[0].Lowest:
		p := k.pool[0]
		if k.pool = k.pool[1:]; len(k.pool) == 0 {
			k.size = min(2*k.size, k.mostLocked())
		}
		return p, true
	default:
		k.wants[lane] = true
		k.soonLocked(now, lane)
	}
	return Permit{}, false
}

// mostLocked is how large a grant may be: what goes in half of its life.
func (k *Keeper) mostLocked() int {
	if r := k.current.Rate; r > 0 {
		return max(1, min(mostGrant, int(r*life.Seconds()/2)))
	}
	return mostGrant
}

// expireLocked takes away what was granted and not used in time: it is given back.
func (k *Keeper) expireLocked(now time.Time) {
	if len(k.pool) == 0 || now.Before(k.expires) {
		return
	}
	k.dropLocked()
	k.size = max(1, k.size/2)
}

// pausedLocked tells whether the target asked to wait; it wakes who watches after that.
func (k *Keeper) pausedLocked(now time.Time) bool {
	until := time.UnixMicro(k.current.Until).Add(-k.offset)
	if k.current.Until == 0 || !now.Before(until) {
		return false
	}
	k.wakeLocked(until.Sub(now))
	return true
}

// soonLocked asks as soon as that is of use.
func (k *Keeper) soonLocked(now time.Time, lane queue.Lane) {
	if at := k.notBefore[lane]; now.Before(at) {
		k.wakeLocked(at.Sub(now))
		return
	}
	k.callLocked()
}

// wakeLocked tells who watches after some time.
func (k *Keeper) wakeLocked(after time.Duration) {
	if k.timer == nil {
		k.timer = time.AfterFunc(after, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.tellLocked()
		})
		return
	}
	k.timer.Reset(after)
}

func (k *Keeper) tellLocked() {
	for ch := range k.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// More tells of a request beyond that of a permit, which a lane has led: it was made, whether
// there was room for it or not. It takes the place of one that was granted to the lane or a
// less urgent one, and that nobody has used yet; or else later ones wait for it.
func (k *Keeper) More(lane queue.Lane) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.expireLocked(now)
	if n := len(k.pool); n > 0 && k.pool[n-1].lane >= lane {
		k.pool = k.pool[:n-1]
		return
	}
	k.next.more[lane]++
	k.tellCountLocked(now, 0)
}

// tellCountLocked sees to it that what was made is told, and what was granted and not used,
// once in a while, and after a wait. A call that is under way sees to it when it has ended.
func (k *Keeper) tellCountLocked(now time.Time, wait time.Duration) {
	wait = max(wait, tellEvery-now.Sub(k.told))
	switch {
	case k.telling, k.closed, k.calling && wait <= 0:
	case wait <= 0:
		k.callLocked()
	default:
		k.telling = true
		k.teller = time.AfterFunc(wait, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			now := time.Now()
			k.expireLocked(now)
			if k.telling = false; k.next.tells() || len(k.pool) > 0 {
				k.tellCountLocked(now, 0)
			}
		})
	}
}

// Back gives back a permit that is not used.
func (k *Keeper) Back(p Permit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.free {
		k.next.made = max(0, k.next.made-1)
		return
	}
	if len(k.pool) > 0 && k.pool[0].Lowest == p.Lowest && time.Now().Before(k.expires) {
		k.pool = append(k.pool, p)
		return
	}
	k.backLocked(1, p.hour)
	k.tellCountLocked(time.Now(), 0)
}

// dropLocked gives back what is granted and not used.
func (k *Keeper) dropLocked() {
	if n := len(k.pool); n > 0 {
		k.backLocked(n, k.pool[0].hour)
	}
	k.pool = nil
}

// backLocked notes what is to be given back: of one hour, as it hardly ever is of two.
func (k *Keeper) backLocked(n int, hour int64) {
	if hour > k.next.backOf {
		k.next.back, k.next.backOf = 0, hour
	}
	if hour == k.next.backOf {
		k.next.back += n
	}
}

// Done tells what came of the request of a permit. Where it was refused before it was made,
// as by what gives a token, the permit is given back as well.
func (k *Keeper) Done(p Permit, err error) {
	var thr *sinks.Throttled
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.next.ok = true
	case errors.As(err, &thr):
		k.next.throttled, k.next.after = true, max(k.next.after, thr.After)
		k.next.generation = max(k.next.generation, p.generation)
		k.free = false
		// Nothing more by this process, whatever becomes of the call.
		k.current.Until = max(k.current.Until, time.Now().Add(k.offset+thr.After).UnixMicro())
		k.dropLocked()
		k.callLocked()
	}
}

// Observe takes in what the target says of its quotas.
func (k *Keeper) Observe(q sinks.Quota) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if q.Daily.Known {
		k.next.quota.Daily = q.Daily
	}
	if q.Window.Known {
		k.next.quota.Window = q.Window
		if q.Window.Left <= 0 {
			k.callLocked()
		}
	}
	if k.free && time.Since(k.told) >= tellEvery {
		k.callLocked()
	}
}

// Wait waits for a permit. Its only error is that ctx has ended.
func (k *Keeper) Wait(ctx context.Context, lane queue.Lane) (Permit, error) {
	ch, end := k.Watch()
	defer end()
	for {
		if err := ctx.Err(); err != nil {
			return Permit{}, err
		}
		if p, ok := k.Take(lane); ok {
			return p, nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return Permit{}, ctx.Err()
		}
	}
}

// View tells what the account allows, as last seen.
func (k *Keeper) View() View {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.current.view(time.Now().Add(k.offset), k.settings)
	v.Account = k.name
	for _, t := range []*time.Time{&v.PausedUntil, &v.SpentUntil, &v.BulkSpentUntil} {
		if !t.IsZero() {
			*t = t.Add(-k.offset)
		}
	}
	return v
}

// Close ends the keeper: nothing is granted any more, and what was not used is given back.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.closed = true
	k.dropLocked()
	for _, t := range []*time.Timer{k.timer, k.teller} {
		if t != nil {
			t.Stop()
		}
	}
	last := k.next.tells() && k.failures == 0
	k.mu.Unlock()
	if !last {
		k.cancel()
	}
	k.work.Wait()
	if last {
		ctx, cancel := context.WithTimeout(k.ctx, answerTimeout)
		defer cancel()
		// What is not given back counts as used: no harm.
		if q, _, err := k.call(ctx); err != nil && q.counts() {
			k.logger.Warn("the last requests are not counted: the account cannot be told", "error", err)
		}
		k.cancel()
	}
}

var retryWaits = struct{ initial, max time.Duration }{100 * time.Millisecond, 5 * time.Second}

// retryIn gives a wait after so many failures.
func retryIn(failures int) time.Duration {
	bound := retryWaits.max
	if failures < 10 {
		bound = min(bound, retryWaits.initial<<failures)
	}
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(bound), backoff.WithMaxInterval(retryWaits.max), backoff.WithMaxElapsedTime(0)).NextBackOff()
}
