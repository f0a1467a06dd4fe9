package salesforce

import "time"

// usage counts the calls of the last 24 hours, by the hour, since the limit rolls. It is
// pure: time is an argument.
type usage struct {
	hours [24]int
	last  time.Time
}

// roll forgets what is older than a day.
func (u *usage) roll(now time.Time) {
	hour := now.Truncate(time.Hour)
	if u.last.IsZero() {
		u.last = hour
	}
	for steps := 0; u.last.Before(hour); steps++ {
		if steps == len(u.hours) {
			u.last = hour
			return
		}
		u.last = u.last.Add(time.Hour)
		u.hours[u.slot()] = 0
	}
}

func (u *usage) slot() int { return int(u.last.Unix()/3600) % len(u.hours) }

// used gives the number of calls.
func (u *usage) used(now time.Time) int {
	u.roll(now)
	n := 0
	for _, h := range u.hours {
		n += h
	}
	return n
}

// add counts n calls.
func (u *usage) add(now time.Time, n int) {
	u.roll(now)
	u.hours[u.slot()] += n
}
