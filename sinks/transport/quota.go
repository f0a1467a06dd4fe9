package transport

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// QuotaOf reads what an answer's headers say of quotas.
//
//	Sforce-Limit-Info: api-usage=18/5000 (of the last 24 hours)
//	X-HubSpot-RateLimit-Daily, -Daily-Remaining; -Max, -Remaining, -Interval-Milliseconds
//	RateLimit-Limit, -Remaining, -Reset (seconds), also as X-RateLimit-… (seconds, or
//	when, in seconds since 1970)
func QuotaOf(h http.Header, now time.Time) (q sinks.Quota) {
	if usage, ok := strings.CutPrefix(part(h.Get("Sforce-Limit-Info"), "api-usage="), "api-usage="); ok {
		used, limit, _ := strings.Cut(usage, "/")
		u, ok1 := whole(used)
		l, ok2 := whole(limit)
		q.Daily = sinks.Allowance{Known: ok1 && ok2 && l > 0, Limit: l, Left: l - u}
	}
	if left, ok := whole(h.Get("X-HubSpot-RateLimit-Daily-Remaining")); ok {
		limit, _ := whole(h.Get("X-HubSpot-RateLimit-Daily"))
		q.Daily = sinks.Allowance{Known: true, Limit: limit, Left: left}
	}
	if left, ok := whole(h.Get("X-HubSpot-RateLimit-Remaining")); ok {
		limit, _ := whole(h.Get("X-HubSpot-RateLimit-Max"))
		span, _ := whole(h.Get("X-HubSpot-RateLimit-Interval-Milliseconds"))
		q.Window = sinks.Allowance{Known: true, Limit: limit, Left: left, Reset: bounded(span, time.Millisecond)}
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		left, ok := whole(h.Get(prefix + "Remaining"))
		reset, timed := whole(h.Get(prefix + "Reset"))
		if !ok || !timed {
			continue
		}
		const year2001 = 1_000_000_000 // no wait is that long
		if reset > year2001 {
			reset -= now.Unix()
		}
		limit, _ := whole(h.Get(prefix + "Limit"))
		q.Window = sinks.Allowance{Known: true, Limit: limit, Left: left, Reset: bounded(reset, time.Second)}
	}
	return q
}

// part gives the item of a list that begins so.
func part(list, prefix string) string {
	for _, p := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		if strings.HasPrefix(p, prefix) {
			return p
		}
	}
	return ""
}

// whole reads the number that a value begins with, as of "100, 100;w=60".
func whole(s string) (int64, bool) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	return n, err == nil
}

// bounded makes a wait of a number of units, no longer than a target may ask for.
func bounded(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int64(MaxRetryAfter/unit))) * unit
}
