package rate

import (
	"math"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// laneCount is how many lanes there are.
const laneCount = 3

const (
	// life is how long a grant may be used.
	life = 100 * time.Millisecond
	// settle is for how long after it was lowered a rate is neither lowered nor raised.
	settle = time.Second
	// steps is in how many seconds a rate comes from nothing to its limit.
	steps = 20
	// least is the lowest rate that throttling leads to, in requests a second.
	least = 0.1
	// ahead is how long a lane counts as waiting, beyond the time it was told to wait.
	ahead = 300 * time.Millisecond
)

// Settings are the limits of an account.
type Settings struct {
	// PerSecond is the most requests a second, zero for no fixed limit; Burst how many may
	// go at once, PerSecond (at least one) if zero.
	PerSecond, Burst float64
	// BulkFloor is the part of the requests, from 0 to 0.5, that a lane gets that more
	// urgent ones would keep from any.
	BulkFloor float64
	// Daily is how many requests the account has in a day, zero if nobody knows but the
	// target.
	Daily int64
	// KeepShare and Keep are what of it is left to people: a part of it from 0 to 1, and a
	// number; the greater holds.
	KeepShare float64
	Keep      int64
}

// ask is what a worker wants and tells.
type ask struct {
	lane queue.Lane
	want int // requests; zero where it only tells
	// back is what was granted to it in an hour, backOf, and not used. It goes back to the
	// budget only: in the rate it would come too late.
	back   int
	backOf int64
	made   int // without having asked
	// more is what was made beyond what was granted, by the lane that led it.
	more [laneCount]int
	// ok: some were taken since it last told. throttled: one was, of this generation,
	// and after is how long the target asked to wait.
	ok, throttled bool
	generation    int64
	after         time.Duration
	quota         sinks.Quota
}

// reply is what it gets.
type reply struct {
	granted int
	// lowest is the least urgent lane that they may be used for.
	lowest queue.Lane
	// free: nothing need be asked for.
	free       bool
	generation int64
	hour       int64 // in which they count
	// again is when it is worth to ask again, where less was granted than wanted.
	again time.Duration
}

// account is the state that all workers of an account share. Times are in microseconds of
// the server's clock.
type account struct {
	By string `json:"by,omitempty"` // the last call that changed it

	// Rate is how many requests a second go now, zero for any number. Lift is where a
	// rate is given up that no setting limits.
	Rate float64 `json:"rate,omitempty"`
	Lift float64 `json:"lift,omitempty"`
	// Tokens are how many requests may go; below zero is what was made beyond them.
	Tokens float64 `json:"tokens,omitempty"`
	Filled int64   `json:"filled,omitempty"`
	Raised int64   `json:"raised,omitempty"`
	Cut    int64   `json:"cut,omitempty"`
	// Generation counts how often the rate was lowered.
	Generation int64 `json:"gen,omitempty"`
	// Until is the end of the pause that the target asked for.
	Until int64 `json:"until,omitempty"`

	// Waits are until when a lane counts as waiting, Passed how many requests others got
	// since it began to. Passed is below zero for what the lane has made beyond its turn.
	Waits  [laneCount]int64   `json:"waits"`
	Passed [laneCount]float64 `json:"passed"`

	// What is made without a limit of the rate, of this second and of the one before.
	Second int64   `json:"second,omitempty"`
	Now    float64 `json:"now,omitempty"`
	Before float64 `json:"before,omitempty"`

	budget
}

func micros(d time.Duration) int64 { return d.Microseconds() }

// step takes in what a worker tells and gives it what it may have.
func (a *account) step(at time.Time, s Settings, q ask) reply {
	now := at.UnixMicro()
	a.fill(now, s)
	a.untake(q.back, q.backOf)
	made := q.made + a.owe(now, s, q.more)
	a.measure(now, made)
	a.take(now, s, made)
	a.heed(now, q.quota)
	if q.throttled {
		a.lower(now, s, q)
	} else if q.ok {
		a.raise(now, s)
	}
	r := reply{generation: a.Generation, hour: now / hour, lowest: queue.Bulk, free: a.Rate == 0 && a.Until <= now && !a.bounded(now, s)}
	if q.want > 0 && !r.free {
		a.grant(now, s, q, &r)
	}
	return r
}

// capacity is how many requests may go at once. What is granted may be used a moment
// later, which must not make more of them (1).
func (a *account) capacity(s Settings) float64 {
	burst := max(s.Burst, 1)
	switch {
	case s.PerSecond == 0:
		burst = a.Rate
	case s.Burst == 0:
		burst = a.Rate
	default:
		burst *= a.Rate / s.PerSecond
	}
	return max(1, burst-a.Rate*life.Seconds())
}

// fill lets requests accrue, after the settings were looked at: others may have been in
// force before.
func (a *account) fill(now int64, s Settings) {
	switch {
	case s.PerSecond == 0 && a.Lift == 0: // no limit any more
		a.Rate = 0
	case s.PerSecond > 0 && (a.Rate == 0 || a.Rate > s.PerSecond):
		a.Rate, a.Lift = s.PerSecond, 0
		if a.Filled == 0 {
			a.Tokens = a.capacity(s)
		}
	case s.PerSecond > 0:
		a.Lift = 0
	}
	if a.Rate > 0 {
		if d := now - a.Filled; d > 0 && a.Filled > 0 {
			a.Tokens += a.Rate * float64(d) / 1e6
		}
		a.Tokens = min(a.Tokens, a.capacity(s))
	}
	a.Filled = max(a.Filled, now)
}

// owe takes what was made beyond what was granted from what comes, and gives how much that
// is. Others wait for it as if it had been granted; and a less urgent lane that had its turn
// has it again only after as many more of theirs, or where none of them waits.
func (a *account) owe(now int64, s Settings, more [laneCount]int) (n int) {
	for lane, m := range more {
		n += m
		if m == 0 || a.Rate == 0 {
			continue
		}
		a.Tokens -= float64(m)
		a.leave(now, queue.Lane(lane), float64(m))
		if t := turns(s); lane > 0 && !math.IsInf(t, 1) {
			a.Passed[lane] -= float64(m) * t
		}
	}
	return n
}

// measure counts what is made without a limit of the rate, where it was not asked for; what
// was, as for the sake of a budget, is counted when it is granted.
func (a *account) measure(now int64, made int) {
	if d := now - a.Second; d >= 1e6 {
		a.Before = a.Now * 1e6 / float64(d)
		a.Second, a.Now = now, 0
	}
	a.Now += float64(made)
}

// lower halves the rate, once for all requests that were granted before, and keeps the
// wait that the target asked for.
func (a *account) lower(now int64, s Settings, q ask) {
	a.Until = max(a.Until, now+micros(q.after))
	if q.generation != a.Generation || now-a.Cut < micros(settle) && a.Cut > 0 {
		return
	}
	had := a.Rate
	if had == 0 {
		had = max(a.Now, a.Before, 1)
	}
	a.Rate = max(had/2, least)
	if s.PerSecond == 0 {
		a.Lift = 2 * had
	}
	a.Generation++
	a.Cut, a.Raised, a.Tokens = now, now, min(a.Tokens, 0)
}

// raise lets the rate grow for the time in which requests were taken.
func (a *account) raise(now int64, s Settings) {
	d := min(now-a.Raised, micros(settle))
	a.Raised = max(a.Raised, now)
	if a.Rate == 0 || d <= 0 || now-a.Cut < micros(settle) {
		return
	}
	full := s.PerSecond
	if full == 0 {
		full = a.Lift / 2
	}
	a.Rate += full / steps * float64(d) / 1e6
	switch {
	case s.PerSecond > 0:
		a.Rate = min(a.Rate, s.PerSecond)
	case a.Rate >= a.Lift:
		a.Rate, a.Lift, a.Tokens = 0, 0, 0
	}
}

// grant gives what is wanted, as far as there is something, or says when to ask again.
func (a *account) grant(now int64, s Settings, q ask, r *reply) {
	if a.Until > now {
		r.again = time.Duration(a.Until-now) * time.Microsecond
		return
	}
	room, until := a.room(now, s, q.lane)
	if room <= 0 {
		r.again = time.Duration(until-now) * time.Microsecond
		return
	}
	n := min(int64(q.want), room)
	if a.Rate > 0 {
		n = min(n, int64(math.Floor(a.open(now, s, q.lane)+1e-9)))
	}
	if n <= 0 {
		one := time.Duration(max(1-a.Tokens, 0.2) / a.Rate * float64(time.Second))
		r.again = max(one, time.Millisecond)
		a.Waits[q.lane] = now + micros(r.again+ahead)
		return
	}
	if a.Rate > 0 {
		a.Tokens -= float64(n)
	} else {
		a.Now += float64(n)
	}
	a.take(now, s, int(n))
	a.pass(now, q.lane, float64(n))
	r.granted = int(n)
	for l := q.lane; l < laneCount; l++ {
		if left, _ := a.room(now, s, l); left > 0 || l == q.lane {
			r.lowest = l
		}
	}
}

// turns is after how many requests of more urgent lanes a lane that waits has its own.
func turns(s Settings) float64 {
	if s.BulkFloor <= 0 {
		return math.Inf(1)
	}
	return 1/s.BulkFloor - 1
}

// open is how many requests a lane may take of those that there are.
func (a *account) open(now int64, s Settings, lane queue.Lane) float64 {
	if a.Passed[lane] >= turns(s) {
		return min(a.Tokens, 1)
	}
	free := a.Tokens
	for l := range queue.Lane(laneCount) {
		switch {
		case l == lane || a.Waits[l] <= now:
		case l < lane: // it goes first
			return 0
		case a.Passed[l] >= turns(s): // its turn is kept
			free--
		}
	}
	return free
}

// pass notes that a lane got some.
func (a *account) pass(now int64, lane queue.Lane, n float64) {
	a.Waits[lane], a.Passed[lane] = 0, 0
	a.leave(now, lane, n)
}

// leave notes that the less urgent lanes that wait did not get some. What one of them has
// made beyond its turn is made up for with it too while it does not wait.
func (a *account) leave(now int64, lane queue.Lane, n float64) {
	for l := lane + 1; l < laneCount; l++ {
		if a.Waits[l] > now {
			a.Passed[l] += n
		} else {
			a.Passed[l] = min(a.Passed[l]+n, 0)
		}
	}
}
