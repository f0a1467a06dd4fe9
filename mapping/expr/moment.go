package expr

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Dates and timestamps have the form that to_jsonb gives them: 2026-01-31,
// 2026-01-31T10:00:00.5, with +00:00 behind it where it is an instant, and BC behind
// that before the year 1. A date is the number of its day, the others that of their
// microsecond, both from 1970 on; PostgreSQL's infinities are the ends of int64.
const (
	infinity    = math.MaxInt64
	negInfinity = math.MinInt64
)

func finite(moment int64) bool { return moment != infinity && moment != negInfinity }

// microsOfDay is how many microseconds a day has.
const microsOfDay = 24 * 60 * 60 * 1_000_000

// parseMoment reads a date or timestamp of type t.
func parseMoment(t Type, s string) (value, bool) {
	switch s {
	case "infinity":
		return intOf(infinity), true
	case "-infinity":
		return intOf(negInfinity), true
	}
	s, bc := strings.CutSuffix(s, " BC")
	day, clock, hasClock := strings.Cut(s, "T")
	if !hasClock {
		day, clock, hasClock = strings.Cut(s, " ")
	}
	at, ok := parseDay(day, bc)
	if !ok {
		return value{}, false
	}
	if t == Date {
		return intOf(floorDiv(at.Unix(), 24*60*60)), !hasClock
	}
	micros := int64(0)
	if hasClock {
		if micros, ok = parseClock(clock, t == Timestamp); !ok {
			return value{}, false
		}
	} else if t == Timestamp {
		return value{}, false // of which zone?
	}
	if y := at.Year(); y < -290_000 || y > 290_000 { // beyond it microseconds do not fit
		return value{}, false
	}
	return intOf(at.UnixMicro() + micros), true
}

func parseDay(s string, bc bool) (time.Time, bool) {
	ys, rest, ok1 := strings.Cut(s, "-")
	ms, ds, ok2 := strings.Cut(rest, "-")
	if !ok1 || !ok2 || len(ys) < 4 || len(ys) > 6 || len(ms) != 2 || len(ds) != 2 {
		return time.Time{}, false
	}
	y, m, d := digits(ys), digits(ms), digits(ds)
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 31 {
		return time.Time{}, false
	}
	if bc {
		y = 1 - y
	}
	at := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return at, at.Day() == d
}

// parseClock gives the microseconds of hh:mm[:ss[.ffffff]], with an offset behind it
// where it is of an instant.
func parseClock(s string, instant bool) (int64, bool) {
	offset := int64(0)
	if instant {
		at := strings.LastIndexAny(s, "+-Z")
		if at < 0 {
			return 0, false
		}
		var ok bool
		if offset, ok = parseOffset(s[at:]); !ok {
			return 0, false
		}
		s = s[:at]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	parts := strings.Split(whole, ":")
	if len(parts) < 2 || len(parts) > 3 || len(fraction) > 9 || fraction != "" && digits(fraction) < 0 {
		return 0, false
	}
	seconds := int64(0)
	for i, most := range []int{23, 59, 59}[:len(parts)] {
		n := digits(parts[i])
		if len(parts[i]) != 2 || n < 0 || n > most {
			return 0, false
		}
		seconds = seconds*60 + int64(n)
	}
	if len(parts) == 2 {
		seconds *= 60
	}
	micros := int64(0)
	if fraction != "" {
		micros = int64(digits((fraction + "000000")[:6]))
	}
	return (seconds-offset)*1_000_000 + micros, true
}

// parseOffset reads Z, +02, +02:00 and +02:00:30 as seconds.
func parseOffset(s string) (int64, bool) {
	if s == "Z" {
		return 0, true
	}
	parts := strings.Split(s[1:], ":")
	if len(parts) > 3 {
		return 0, false
	}
	seconds, unit := int64(0), int64(3600)
	for _, p := range parts {
		n := digits(p)
		if len(p) != 2 || n < 0 {
			return 0, false
		}
		seconds += int64(n) * unit
		unit /= 60
	}
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

// digits reads a number of nothing but digits; -1 if it is none.
func digits(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || s[0] == '+' || s[0] == '-' {
		return -1
	}
	return n
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// timeOf gives a finite date, timestamp or local time as a time in UTC.
func timeOf(t Type, moment int64) time.Time {
	if t == Date {
		return time.Unix(moment*24*60*60, 0).UTC()
	}
	return time.UnixMicro(moment).UTC()
}

// dayOf gives the date of a time, in its own zone.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return floorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), 24*60*60)
}

func appendMoment(b []byte, t Type, moment int64) []byte {
	switch moment {
	case infinity:
		return append(b, "infinity"...)
	case negInfinity:
		return append(b, "-infinity"...)
	}
	at := timeOf(t, moment)
	y, bc := at.Year(), false
	if y < 1 {
		y, bc = 1-y, true
	}
	for n := 1000; n > y && n > 1; n /= 10 {
		b = append(b, '0')
	}
	b = strconv.AppendInt(b, int64(y), 10)
	b = at.AppendFormat(b, "-01-02")
	if t != Date {
		b = at.AppendFormat(b, "T15:04:05.999999")
	}
	if t == Timestamp {
		b = append(b, "+00:00"...)
	}
	if bc {
		b = append(b, " BC"...)
	}
	return b
}
