package state

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// For how long a request of an owner may still be carried out, the next owner is told by
// what has passed on the clock of the server: that of the owner before may be another one.
func TestHoldByTheClockOfTheServer(t *testing.T) {
	m := miniredis.RunT(t)
	b := newBench(t, &redis.Options{Addr: m.Addr()})
	server := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	m.SetTime(server)
	b.holds(20*time.Second, func() {
		m.SetTime(server.Add(40 * time.Second))
		m.FastForward(ttl) // of the leases
	})
}

func TestHold(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.holds(time.Minute, func() {
			for p := range 2 {
				b.expire(b.keys.Lease("crm", p))
			}
		})
	})
}

// holds notes a hold of a minute in the partitions, one way each, lets leases and time pass, and
// looks whether the next owner is told what is left.
func (b *bench) holds(left time.Duration, pass func()) {
	b.Helper()
	from := time.Now()
	until := from.Add(time.Minute)
	c := b.claim("one")
	for p := range 2 {
		start, err := c.Open(b.Context(), p)
		if b.must(err); !start.Hold.IsZero() {
			b.Errorf("partition %d is held from the beginning: %v", p, start.Hold)
		}
	}
	b.must(c.Prepare(b.Context(), 0, Intent{Hold: until}))
	b.must(c.Prepare(b.Context(), 0, Intent{Hold: until.Add(-30 * time.Second)})) // it never becomes less
	b.must(c.Commit(b.Context(), 1, Commit{ID: 1, Hold: until}))
	pass()
	next := b.claim("two")
	for p := range 2 {
		start, err := next.Open(b.Context(), p)
		b.must(err)
		if got := time.Until(start.Hold); got > left || got < left-time.Since(from) {
			b.Errorf("partition %d is held for %v more, want %v", p, got, left)
		}
	}
}
