package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/rate"
)

// Keeper says when a request may be made: it keeps the limits of the account that the
// target belongs to. *rate.Keeper.
type Keeper interface {
	// Take gives the right for one request that a lane leads, if it may be made now; else
	// who watches is told when to ask again.
	Take(lane queue.Lane) (rate.Permit, bool)
	// Wait waits for one. Its only error is that ctx has ended.
	Wait(ctx context.Context, lane queue.Lane) (rate.Permit, error)
	// Back takes back a permit that was not used, Done tells what came of one that was.
	Back(rate.Permit)
	Done(p rate.Permit, err error)
	// More tells of a request beyond that of a permit, which a lane has led.
	More(lane queue.Lane)
	// Watch gives a channel that gets something when it may be worth to ask again, and
	// ends that.
	Watch() (<-chan struct{}, func())
	View() rate.View
}

// admit asks for the right to send the next batch, led by a lane no less urgent than
// least. It gives the least urgent lane that may lead it.
func (s *session) admit(now time.Time, least queue.Lane, soon func(time.Time)) (*rate.Permit, queue.Lane, bool) {
	k := s.e.o.Rate
	if k == nil {
		return nil, least, true
	}
	lane, ready := s.queue.Lead(now, least)
	if !ready {
		if at, ok := s.queue.Next(now, least); ok {
			soon(at)
		}
		return nil, least, false
	}
	p, ok := k.Take(lane)
	return &p, min(least, p.Lowest), ok // without one, the loop is told when to ask again
}

// giveBack gives back a permit that no request was made with.
func (s *session) giveBack(p *rate.Permit) {
	if p != nil {
		s.e.o.Rate.Back(*p)
	}
}

// patience is for how many requests' time a job waits for one more at a low rate: a lane
// that waits has its turn by then, as the floors of accounts usually are.
const patience = 30

// permitted waits for the right to make one more request. The first one came with the
// batch; for those after it, as when a batch is halved, it waits as long as a request may
// take, and no longer: others may be more urgent. At a low rate it waits for its turn: else
// what takes two requests would begin anew with the first one for ever.
func (j *job) permitted(ctx context.Context) bool {
	k := j.s.e.o.Rate
	if k == nil || j.permit != nil {
		return true
	}
	most := j.s.limits.Timeout
	if r := k.View().Rate; r > 0 { // what it has made beyond its permits is waited for first
		most = max(most, time.Duration(min((patience+float64(j.more))/r, 3600)*float64(time.Second)))
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	p, err := k.Wait(ctx, j.lane)
	if err != nil {
		return false
	}
	j.permit = &p
	return true
}

// counted begins to count the requests that the target makes for one call of it. What is not
// counted by the target is one.
func (j *job) counted(ctx context.Context) (context.Context, func() (made int)) {
	e := j.s.e
	if !e.counts {
		e.stats.requests.Add(1)
		return ctx, func() int { return 1 }
	}
	ctx, count := sinks.CountRequests(ctx, func() {
		e.stats.requests.Add(1)
		if e.o.Rate != nil {
			e.o.Rate.More(j.lane)
		}
	})
	return ctx, func() int {
		made := count.End()
		e.stats.requests.Add(uint64(min(made, 1)))
		j.more += max(made-1, 0)
		return made
	}
}

// told tells the keeper what came of the requests for some records, of which there were so
// many. If none was sent, the permit is left.
func (j *job) told(rs []sinks.Result, err error, n, made int) {
	if j.permit == nil {
		return
	}
	var thr *sinks.Throttled
	for _, r := range rs {
		if err == nil && errors.As(r.Err, &thr) {
			err = r.Err
		}
	}
	if made == 0 || !j.s.e.counts && err == nil && allKeptBack(rs, n) {
		if !errors.As(err, &thr) {
			return
		}
		j.s.e.o.Rate.Back(*j.permit) // what gives a token wants fewer
	}
	if refused(err) { // it was taken, and looked at
		err = nil
	}
	j.s.e.o.Rate.Done(*j.permit, err)
	j.permit = nil
}
