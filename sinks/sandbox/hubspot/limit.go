package hubspot

import (
	"net/http"
	"strconv"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// limiter counts the calls of an account. It is pure: time is an argument.
type limiter struct {
	limits      Limits
	zone        *time.Location
	tenSecondly sim.Window
	secondly    sim.Window
	search      sim.Window
	day         string // the day that the count is of
	today       int
}

func newLimiter(limits Limits, zone *time.Location) *limiter {
	return &limiter{limits: limits, zone: zone,
		tenSecondly: sim.Window{Max: limits.TenSecondly, Per: 10 * time.Second},
		secondly:    sim.Window{Max: limits.Secondly, Per: time.Second},
		search:      sim.Window{Max: limits.Search, Per: time.Second}}
}

// throttle is a call above a limit.
type throttle struct{ policy, message string }

// take counts a call, or says which limit it is above.
func (l *limiter) take(now time.Time, search bool) *throttle {
	l.spend(now, 0)
	if l.limits.Daily > 0 && l.today >= l.limits.Daily {
		return &throttle{"DAILY", "You have reached your daily limit."}
	}
	if search {
		// Recorded answers to searches hold neither a policy nor headers.
		if _, ok := l.search.Take(now); !ok {
			return &throttle{"", "You have reached your secondly limit."}
		}
		l.today++
		return nil
	}
	if _, ok := l.secondly.Take(now); !ok {
		return &throttle{"SECONDLY", "You have reached your secondly limit."}
	}
	if _, ok := l.tenSecondly.Take(now); !ok {
		return &throttle{"TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit."}
	}
	l.today++
	return nil
}

// spend counts calls for the day that it is.
func (l *limiter) spend(now time.Time, calls int) {
	if day := now.In(l.zone).Format(time.DateOnly); day != l.day {
		l.day, l.today = day, 0
	}
	l.today += calls
}

// headers tell of the limits as they are; those of a day are not told to a public app.
func (l *limiter) headers(h http.Header, now time.Time, public bool) {
	set := func(name string, n int) { h.Set("X-HubSpot-RateLimit-"+name, strconv.Itoa(n)) }
	if l.limits.Daily > 0 && !public {
		set("Daily", l.limits.Daily)
		set("Daily-Remaining", max(0, l.limits.Daily-l.today))
	}
	if l.limits.TenSecondly > 0 {
		set("Interval-Milliseconds", 10_000)
		set("Max", l.limits.TenSecondly)
		set("Remaining", l.tenSecondly.Left(now))
	}
	if l.limits.Secondly > 0 {
		set("Secondly", l.limits.Secondly)
		set("Secondly-Remaining", l.secondly.Left(now))
	}
}

// lockedFor is how long a lock of heavy writes lasts.
const lockedFor = 2 * time.Second

// locks are those of the types of objects. They are pure.
type locks struct {
	rule  LockRule
	wrote map[string][]burst
	until map[string]time.Time
	next  int // calls that a switch locks yet
}

type burst struct {
	at      time.Time
	records int
}

func newLocks(rule LockRule) *locks {
	return &locks{rule: rule, wrote: make(map[string][]burst), until: make(map[string]time.Time)}
}

// locked tells whether a write to a type meets a lock.
func (l *locks) locked(object string, now time.Time) bool {
	if l.next > 0 {
		l.next--
		return true
	}
	return now.Before(l.until[object])
}

// count tells of records written.
func (l *locks) count(object string, records int, now time.Time) {
	if l.rule.Records <= 0 {
		return
	}
	kept, sum := l.wrote[object][:0], records
	for _, b := range l.wrote[object] {
		if b.at.Add(l.rule.Within).After(now) {
			kept, sum = append(kept, b), sum+b.records
		}
	}
	l.wrote[object] = append(kept, burst{now, records})
	if sum > l.rule.Records {
		l.until[object] = now.Add(lockedFor)
		delete(l.wrote, object)
	}
}
