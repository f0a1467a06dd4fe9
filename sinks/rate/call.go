package rate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
)

// callLocked starts a call in the background, at most one at a time: it tells what there
// is to tell, and asks for what is wanted.
func (k *Keeper) callLocked() {
	if k.calling || k.closed {
		return
	}
	k.calling = true
	k.work.Add(1)
	go func() {
		defer k.work.Done()
		ctx, cancel := context.WithTimeout(k.ctx, answerTimeout)
		q, r, err := k.call(ctx)
		cancel()
		k.called(q, r, err)
	}()
}

// prepareLocked takes what is to be told and asked.
func (k *Keeper) prepareLocked() ask {
	k.expireLocked(time.Now())
	q := k.next
	if !q.throttled {
		q.generation = k.current.Generation
	}
	for l := range queue.Lane(laneCount) {
		if k.wants[l] && !k.closed {
			q.lane, q.want = l, max(1, min(k.size, k.mostLocked()))
			break
		}
	}
	k.next, k.wants = ask{}, [laneCount]bool{}
	k.told = time.Now()
	return q
}

// counts tells whether requests were made that were not asked for.
func (q *ask) counts() bool { return q.made > 0 || q.more != [laneCount]int{} }

// tells tells whether that, or what was not used, is to be told.
func (q *ask) tells() bool { return q.counts() || q.back > 0 }

// errBusy says that others changed the account again and again.
var errBusy = errors.New("ask for requests: the account changed meanwhile, again and again")

// triesAtOnce is how often a call begins anew because another worker was faster.
const triesAtOnce = 20

// call makes a step of the account in the store. What is given back is told once only,
// since the answer may be lost.
func (k *Keeper) call(ctx context.Context) (ask, reply, error) {
	k.mu.Lock()
	q := k.prepareLocked()
	former, offset := k.text, k.offset
	k.calls++
	by := fmt.Sprintf("%s-%d", k.id, k.calls)
	first := !k.known
	k.mu.Unlock()
	for try := range triesAtOnce {
		var (
			r    reply
			text string
			next *account
			err  error
		)
		at := time.Now().Add(offset)
		if try > 0 || !first {
			if next, err = parse(former); err != nil { // of another version: begin anew
				next = &account{}
			}
			r = next.step(at, k.settings, q)
			next.By = by
			text = next.String()
		}
		asked := time.Now()
		have, now, put, err := k.store.Swap(ctx, former, text, at)
		if err != nil {
			q.back = 0
			return q, reply{}, err
		}
		if have == text && text != "" { // the client repeated a call that was carried out
			put = true
		}
		offset = now.Sub(asked.Add(time.Since(asked) / 2))
		k.mu.Lock()
		if k.offset = offset; put {
			until := k.current.Until
			k.current, k.text, k.known = *next, text, true
			k.current.Until = max(until, next.Until)
		}
		k.mu.Unlock()
		if put {
			return q, r, nil
		}
		former = have
		if try > 1 { // others are at it too: not all at once
			if err := cdc.Sleep(ctx, rand.N(time.Duration(try)*time.Millisecond)); err != nil {
				return q, reply{}, err
			}
		}
	}
	return q, reply{}, errBusy
}

// called takes in what a call came to.
func (k *Keeper) called(q ask, r reply, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.calling = false
	if err != nil {
		k.failedLocked(q, err)
		return
	}
	if k.failures > 0 {
		k.failures = 0
		k.logger.Info("the account can be asked again")
	}
	k.free = r.free
	k.sayLocked(now)
	if q.want > 0 || r.free {
		for l := range k.notBefore {
			if r.free || l <= int(q.lane) {
				k.notBefore[l] = time.Time{}
			}
		}
	}
	if r.granted > 0 {
		if len(k.pool) == 0 {
			k.expires = now.Add(life)
		}
		for range r.granted {
			k.pool = append(k.pool, Permit{Lowest: r.lowest, lane: q.lane, generation: r.generation, hour: r.hour})
		}
	} else if q.want > 0 && !r.free {
		wait := min(max(r.again, askEvery), lookEvery)
		wait += rand.N(wait/4 + 1)            // so that workers do not come together
		for l := q.lane; l < laneCount; l++ { // less urgent ones get nothing either
			k.notBefore[l] = now.Add(wait)
		}
		k.wakeLocked(wait)
	}
	if k.next.throttled {
		k.callLocked()
	}
	if k.next.tells() || len(k.pool) > 0 {
		k.tellCountLocked(now, 0)
	}
	k.tellLocked()
}

// sayLocked logs when the day's requests are used up, and when they are not any more.
func (k *Keeper) sayLocked(now time.Time) {
	v := k.current.view(now.Add(k.offset), k.settings)
	switch spent := !v.SpentUntil.IsZero(); {
	case spent == k.spent:
		return
	case spent:
		k.logger.Warn("the requests of the day are used up: changes wait and fold", "goes_on", v.SpentUntil.Add(-k.offset).Round(time.Second), "daily", v.Daily, "kept_for_people", v.Kept)
	default:
		k.logger.Info("there are requests of the day again", "left", v.Left)
	}
	k.spent = !k.spent
}

// failedLocked keeps what could not be told, but for what must be told once only.
func (k *Keeper) failedLocked(q ask, err error) {
	if k.ctx.Err() != nil {
		return
	}
	if k.failures == 0 {
		k.logger.Warn("the account cannot be asked for requests", "error", err)
	}
	n := &k.next
	if q.throttled {
		n.generation = max(n.generation, q.generation)
	}
	n.made += q.made
	for l := range n.more {
		n.more[l] += q.more[l]
	}
	k.backLocked(q.back, q.backOf)
	n.ok, n.throttled, n.after = n.ok || q.ok, n.throttled || q.throttled, max(n.after, q.after)
	if !n.quota.Daily.Known {
		n.quota.Daily = q.quota.Daily
	}
	if !n.quota.Window.Known {
		n.quota.Window = q.quota.Window
	}
	wait := retryIn(k.failures)
	k.failures++
	for l := range k.notBefore {
		k.notBefore[l] = time.Now().Add(wait)
	}
	k.wakeLocked(wait)
	if n.tells() {
		k.tellCountLocked(time.Now(), wait)
	}
}
