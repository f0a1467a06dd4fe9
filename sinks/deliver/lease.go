package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/state"
)

var errLeaseExpired = errors.New("the lease could not be renewed in time")

// safe is for how long a lease is relied on, of the time that it lasts at the server.
func (e *Engine) safe() time.Duration { return e.leases.ttl - e.leases.ttl/10 }

// lasts notes up to when everything that is ours is so.
func (s *session) lasts(until time.Time) { s.leased.Store(until.UnixNano()) }

// mayAsk tells whether a request may be started: not without a lease. Who takes the partition
// over when it has run out waits as long as a request may take, so that one which was started
// in time need not end in time. A process that was stopped may find itself here long after.
func (s *session) mayAsk(now time.Time) bool {
	if now.UnixNano() < s.leased.Load() {
		return true
	}
	s.cancel(errLeaseExpired)
	return false
}

// keepLease renews the leases at a third of their time, and ends the session if one
// is lost or was not renewed in time. The watch does not depend on any answer. Leases that are
// taken meanwhile last longer than those that were renewed before.
func (s *session) keepLease(claimed time.Time) {
	const what = "renew lease"
	ttl, safe := s.e.leases.ttl, s.e.safe()
	watch := time.AfterFunc(safe-time.Since(claimed), func() { s.cancel(errLeaseExpired) })
	defer watch.Stop()
	wait := ttl/3 - time.Since(claimed)
	for cdc.Sleep(s.ctx, wait) == nil {
		ctx, cancel := context.WithTimeout(s.ctx, ttl/3)
		began := time.Now()
		err := s.claim.Renew(ctx)
		cancel()
		var lost *state.LostError
		switch {
		case err == nil:
			watch.Reset(safe - time.Since(began))
			s.lasts(began.Add(safe))
			wait = ttl / 3
			s.e.log.works(what)
		case errors.As(err, &lost):
			s.cancel(err)
			return
		case s.ctx.Err() == nil:
			wait = ttl / 20
			s.e.log.fails(what, err)
		}
	}
}
