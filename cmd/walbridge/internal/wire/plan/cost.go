package plan

import (
	"time"

	"github.com/walbridge/walbridge/sinks/rate"
)

// bulkPart is what of an account's requests of a day the bulk lane, in which all of this goes,
// leaves to the others: a tenth (package rate).
const bulkPart = 10

// Take says what requests take at an account that allows so much: how long at the least, as they may
// be made at once in no greater number than burst, and how many there are more than are left today.
func (c Cost) Take(now time.Time, v rate.View, burst float64) Cost {
	if c.Requests == 0 || c.Jobs {
		return c
	}
	n := float64(c.Requests)
	if v.Rate > 0 {
		c.Seconds = max(0, n-max(1, burst)) / v.Rate
	}
	if v.Budget {
		share := (v.Daily - v.Kept) / bulkPart
		day := v.Daily - v.Kept - share
		c.Beyond = max(0, c.Requests-max(0, v.Left-share))
		switch {
		case v.Daily == 0: // nobody knows what a day has
		case day <= 0:
			c.Never = true
		default: // in any 24 hours no more than those of a day
			c.Seconds = max(c.Seconds, float64((c.Requests-1)/day)*(24*time.Hour).Seconds())
		}
	}
	for _, until := range []time.Time{v.PausedUntil, v.BulkSpentUntil} {
		if wait := until.Sub(now).Seconds(); !until.IsZero() && wait > 0 {
			c.Seconds = max(c.Seconds, wait)
		}
	}
	return c
}

// Add adds what another takes, but for the time.
func (c Cost) Add(o Cost) Cost {
	return Cost{Records: c.Records + o.Records, Requests: c.Requests + o.Requests, Jobs: c.Jobs || o.Jobs}
}
