package rate

import (
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

const (
	hour  = int64(time.Hour / time.Microsecond)
	hours = 24
	// bulkPart is what of our part of the budget the bulk lane leaves to the others.
	bulkPart = 10 // a tenth
	// trusted is how long what the target said of its count holds, where it did not say
	// when it begins anew.
	trusted = int64(15 * time.Minute / time.Microsecond)
	// asked is how long it is waited for a new word, after one request was let through
	// for it.
	asked = int64(time.Minute / time.Microsecond)
)

// budget is what is used of the requests of a day.
type budget struct {
	// Hours counts requests by the hour in which they were granted.
	Hours map[int64]int64 `json:"hours,omitempty"`
	// Said is what the target said of the day.
	Said *said `json:"said,omitempty"`
}

// said is the target's own count.
type said struct {
	Limit int64 `json:"limit,omitempty"`
	Left  int64 `json:"left"` // less what was granted since
	// Until is how long it holds; Ends tells that the target begins anew then.
	Until int64 `json:"until"`
	Ends  bool  `json:"ends,omitempty"`
}

// take counts requests.
func (b *budget) take(now int64, s Settings, n int) {
	if n <= 0 {
		return
	}
	if b.Said != nil {
		b.Said.Left -= int64(n)
	}
	if s.Daily == 0 {
		b.Hours = nil
		return
	}
	if b.Hours == nil {
		b.Hours = map[int64]int64{}
	}
	b.Hours[now/hour] += int64(n)
	for h := range b.Hours {
		if h < now/hour-hours {
			delete(b.Hours, h)
		}
	}
}

// untake gives back requests that were granted in an hour and not made.
func (b *budget) untake(n int, of int64) {
	if n <= 0 {
		return
	}
	if b.Said != nil {
		b.Said.Left += int64(n)
	}
	if used, ok := b.Hours[of]; ok {
		b.Hours[of] = max(0, used-int64(n))
	}
}

// heed takes in what the target said.
func (a *account) heed(now int64, q sinks.Quota) {
	if w := q.Window; w.Known && w.Left <= 0 && w.Reset > 0 {
		a.Until = max(a.Until, now+micros(w.Reset))
	}
	if d := q.Daily; d.Known {
		a.Said = &said{Limit: d.Limit, Left: d.Left, Until: now + trusted}
		if d.Reset > 0 {
			a.Said.Until, a.Said.Ends = now+micros(d.Reset), true
		}
	}
}

// limits are how many requests the day has, as far as that is known, and how many of them
// are kept for people.
func (b *budget) limits(s Settings) (daily, kept int64, known bool) {
	switch {
	case s.Daily > 0:
		daily = s.Daily
	case b.Said != nil && b.Said.Limit > 0:
		daily = b.Said.Limit
	case b.Said == nil:
		return 0, 0, false
	}
	return daily, max(s.Keep, int64(float64(daily)*s.KeepShare)), true
}

// left is how many requests the day still has, kept ones included; known is false if
// nobody knows.
func (b *budget) left(now int64, s Settings) (n int64, known bool) {
	if f := b.Said; f != nil && (f.Until > now || !f.Ends) {
		n = f.Left
		if s.Daily > 0 && f.Limit > 0 { // the target's count, of our limit
			n = s.Daily - (f.Limit - f.Left)
		}
		if f.Until > now || s.Daily == 0 {
			return n, true
		}
	}
	if s.Daily == 0 {
		return 0, false
	}
	n = s.Daily
	for h, used := range b.Hours {
		if h >= now/hour-hours {
			n -= used
		}
	}
	return n, true
}

// bounded tells whether requests must be asked for, for the sake of the day. What only
// the target limits, and is far from used up, need not be.
func (b *budget) bounded(now int64, s Settings) bool {
	left, known := b.left(now, s)
	if !known {
		return false
	}
	daily, kept, _ := b.limits(s)
	return s.Daily > 0 || left-kept <= max(daily/bulkPart, 100)
}

// room is how many more requests of the day a lane may have; where it has none, until is
// when that is worth another look.
func (b *budget) room(now int64, s Settings, lane queue.Lane) (n, until int64) {
	left, known := b.left(now, s)
	if !known {
		return 1 << 40, 0
	}
	daily, kept, _ := b.limits(s)
	n = left - kept
	if lane == queue.Bulk {
		n -= (daily - kept) / bulkPart
	}
	if n > 0 {
		return n, 0
	}
	f := b.Said
	switch {
	case f != nil && f.Until > now:
		return 0, f.Until
	case f != nil && s.Daily == 0 && !f.Ends: // one request brings a new word
		f.Until = now + asked
		return 1, 0
	}
	return 0, b.frees(now, 1-n)
}

// frees is when so many more requests have left the last 24 hours.
func (b *budget) frees(now, n int64) int64 {
	for h := now/hour - hours; h < now/hour; h++ {
		if n -= b.Hours[h]; n <= 0 {
			return (h + hours + 1) * hour
		}
	}
	return (now/hour + hours + 1) * hour
}
