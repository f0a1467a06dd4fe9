package deliver

import (
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks/queue"
)

// downtime are the stretches of time in which the target was not asked, in their order: a
// wait for another record does not go on meanwhile, since nothing can come of it then. It is
// never changed, so that jobs may keep it.
type downtime []stretch

type stretch struct{ from, to time.Time } // to is zero while it lasts

// stretchesKept bounds how many are known. Of more, the two that have least between them are
// taken for one: in an outage that is the moment of a request that probes.
const stretchesKept = 16

// at notes whether the target is asked now.
func (d downtime) at(now time.Time, down bool) downtime {
	n := len(d)
	lasts := n > 0 && d[n-1].to.IsZero()
	switch {
	case down && !lasts:
		d = append(slices.Clip(d), stretch{from: now})
		if n == stretchesKept {
			d = d.joined()
		}
	case !down && lasts:
		d = slices.Clone(d)
		d[n-1].to = now
	}
	return d
}

// joined takes the two that have least between them for one.
func (d downtime) joined() downtime {
	gap := func(i int) time.Duration { return d[i+1].from.Sub(d[i].to) }
	at := 0
	for i := range len(d) - 1 {
		if gap(i) < gap(at) {
			at = i
		}
	}
	d[at].to = d[at+1].to
	return slices.Delete(d, at+1, at+2)
}

// since is for how long it was not asked since a time.
func (d downtime) since(from, now time.Time) (sum time.Duration) {
	for _, s := range d {
		if s.to.IsZero() || now.Before(s.to) {
			s.to = now
		}
		if s.from.Before(from) {
			s.from = from
		}
		sum += max(0, s.to.Sub(s.from))
	}
	return sum
}

// down tells whether the target is not asked: it is paused, or a request of one that was is
// under way, or its account has no requests left. Where only records that wait are left to
// probe it with, their time goes on, as nothing else would end.
func (s *session) down(now time.Time) bool {
	if s.probe != nil || now.Before(s.queue.PausedUntil()) {
		return true
	}
	if s.e.o.Rate == nil || s.queue.Counts() == (queue.Counts{}) {
		return false
	}
	v := s.e.o.Rate.View()
	return now.Before(v.PausedUntil) || now.Before(v.SpentUntil)
}
