package expr

import (
	"time"
	// Zones are those of the machine, which its owner keeps up to date; a machine that has
	// none takes these.
	_ "time/tzdata"
)

// dateFunctions are those of dates and timestamps.
func dateFunctions() []*function {
	const g = "dates"
	part := func(name, about, example, gives string, f func(time.Time) int) *function {
		return &function{Function: Function{name, g, name + "(x)", about, example, gives}, params: []Type{aMoment}, least: 1, make: partOf(f, len(gives))}
	}
	return []*function{
		{Function: Function{"date", g, "date(x), date(x, 'Europe/Berlin')", "the date of a text or timestamp; of an instant the one in that zone (UTC if none is given)", "date(updated_at, 'Asia/Tokyo')", `"2026-02-04"`}, params: []Type{anyScalar, Text}, least: 1, mayBeNull: true, make: toDate},
		{Function: Function{"timestamp", g, "timestamp(x)", "the instant of an ISO text with its offset", "timestamp('2026-02-03T10:00:00+02:00')", `"2026-02-03T08:00:00+00:00"`}, params: []Type{anyScalar}, least: 1, mayBeNull: true, make: toTimestamp},
		{Function: Function{"in_zone", g, "in_zone(x, 'Europe/Berlin')", "what calendar and clock showed there at an instant; of a timestamp without zone, the instant at which they did", "in_zone(updated_at, 'Europe/Berlin')", `"2026-02-03T18:30:00.25"`}, params: []Type{aMoment, Text}, least: 2, make: inZone},
		{Function: Function{"format_date", g, "format_date(x, 'DD.MM.YYYY'), format_date(x, 'HH24:MI', 'Europe/Berlin')", "as text, by PostgreSQL's letters: YYYY YY MM Mon Month DD Dy Day D DDD Q IYYY IW HH24 HH12 MI SS MS US AM; others in double quotes", `format_date(close_date, 'DD Mon YYYY')`, `"03 Feb 2026"`}, params: []Type{aMoment, Text, Text}, least: 2, make: formatDate},
		part("year", "the year", "year(close_date)", "2026", yearOf),
		part("month", "the month, from 1", "month(date('2026-11-30'))", "11", func(t time.Time) int { return int(t.Month()) }),
		part("day", "the day of the month", "day(date('2026-11-30'))", "30", time.Time.Day),
		part("weekday", "the day of the week, from 1 for Monday", "weekday(close_date)", "2", isoWeekday),
		part("quarter", "the quarter of the calendar year", "quarter(close_date)", "1", func(t time.Time) int { return quarterOf(t, 1) }),
		{Function: Function{"fiscal_quarter", g, "fiscal_quarter(x, 2)", "the quarter of a fiscal year that starts with that month", "fiscal_quarter(date('2026-01-31'), 2)", "4"}, params: []Type{aMoment, Int}, least: 2, make: fiscal(quarterOf, 1)},
		{Function: Function{"fiscal_year", g, "fiscal_year(x, 2)", "the calendar year in which that fiscal year ends", "fiscal_year(close_date, 2)", "2027"}, params: []Type{aMoment, Int}, least: 2, make: fiscal(fiscalYear, 4)},
		{Function: Function{"days_between", g, "days_between(from, to)", "how many days from one date to another", "days_between(date('2026-01-31'), close_date)", "3"}, params: []Type{Date, Date}, least: 2, make: daysBetween},
		{Function: Function{"add_days", g, "add_days(x, 30)", "so many days later", "add_days(close_date, 30)", `"2026-03-05"`}, params: []Type{aMoment, Int}, least: 2, make: addDays},
		{Function: Function{"add_months", g, "add_months(x, 1)", "so many months later, at the month's end at the latest", "add_months(date('2026-01-31'), 1)", `"2026-02-28"`}, params: []Type{aMoment, Int}, least: 2, make: addMonths},
		{Function: Function{"start_of", g, "start_of(x, 'quarter')", "the first day of the week (Monday), month, quarter or year", "start_of(close_date, 'quarter')", `"2026-01-01"`}, params: []Type{Date, Text}, least: 2, make: edge(false)},
		{Function: Function{"end_of", g, "end_of(x, 'month')", "the last day of it", "end_of(close_date, 'month')", `"2026-02-28"`}, params: []Type{Date, Text}, least: 2, make: edge(true)},
		{Function: Function{"epoch", g, "epoch(x)", "seconds since 1970 in UTC", "epoch(close_date)", "1770076800"}, params: []Type{aMoment}, least: 1, make: epoch(1_000_000)},
		{Function: Function{"epoch_ms", g, "epoch_ms(x)", "milliseconds since 1970 in UTC, as HubSpot wants dates", "epoch_ms(updated_at)", "1770139800250"}, params: []Type{aMoment}, least: 1, make: epoch(1000)},
	}
}

const isInfinite failed = "the date is infinite"

// zone gives the time zone of an argument that is written out; UTC where there is none.
func (k *call) zone(c *compiler, i int) (*time.Location, error) {
	name, err := k.text(c, i, "UTC")
	if err != nil {
		return nil, err
	}
	if name != "UTC" && c.scope.lasting {
		return nil, c.fail(k.args[i].at, name, lastingHint, "a time zone cannot be named here:")
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, c.fail(k.args[i].at, name, "write a name of the tz database, such as 'Europe/Berlin'", "unknown time zone")
	}
	return zone, nil
}

func toDate(c *compiler, k *call) (typed, error) {
	zone, err := k.zone(c, 1)
	if err != nil {
		return typed{}, err
	}
	t := k.args[0].typ
	if len(k.args) > 1 && t != Timestamp && t != Nil {
		return typed{}, c.fail(k.args[1].at, k.f.Name, "leave it out", "only an instant has other dates in other zones, not %s:", t)
	}
	switch t {
	case Date, Local, Timestamp, Nil:
		return k.one(Date, func(v value) (value, failed) {
			if t == Date || !finite(v.int) {
				return v, ""
			}
			return intOf(dayOf(timeOf(t, v.int).In(zone))), ""
		}), nil
	case Text:
		return k.one(Date, scalarText(t, func(s string) (value, failed) {
			v, ok := parseMoment(Date, s)
			if !ok {
				return value{}, "not a date such as 2026-01-31"
			}
			return v, ""
		})), nil
	}
	return typed{}, c.fail(k.args[0].at, k.f.Name, "", "the function cannot make a date of %s:", t)
}

func toTimestamp(c *compiler, k *call) (typed, error) {
	switch t := k.args[0].typ; t {
	case Timestamp, Nil:
		return k.one(Timestamp, func(v value) (value, failed) { return v, "" }), nil
	case Text:
		return k.one(Timestamp, scalarText(t, func(s string) (value, failed) {
			v, ok := parseMoment(Timestamp, s)
			if !ok {
				return value{}, "not an instant such as 2026-01-31T09:00:00+01:00"
			}
			return v, ""
		})), nil
	case Date, Local:
		return typed{}, c.fail(k.args[0].at, k.f.Name, "say in which zone: in_zone(x, 'Europe/Berlin')", "%s is no instant yet, for", t)
	default:
		return typed{}, c.fail(k.args[0].at, k.f.Name, "", "the function cannot make a timestamp of %s:", t)
	}
}

func inZone(c *compiler, k *call) (typed, error) {
	zone, err := k.zone(c, 1)
	if err != nil {
		return typed{}, err
	}
	t := k.args[0].typ
	result := Local
	if t == Local || t == Date {
		result = Timestamp
	}
	return k.one(result, func(v value) (value, failed) {
		if !finite(v.int) {
			return v, ""
		}
		at := timeOf(t, v.int)
		if y := at.Year(); y < -290_000 || y > 290_000 {
			return value{}, "that is too far away"
		}
		if result == Timestamp {
			return intOf(instantOf(at, zone).UnixMicro()), ""
		}
		return intOf(wallMicros(at.In(zone))), ""
	}), nil
}

// instantOf gives the instant at which calendar and clock in a zone show a wall time, which
// is given in UTC. As in PostgreSQL, a time that is shown twice is the later one, of
// standard time, and one that is skipped is counted with the offset before.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	first, second := wall.Add(-time.Duration(before)*time.Second), wall.Add(-time.Duration(after)*time.Second)
	if _, offset := second.In(zone).Zone(); offset == after {
		return second
	}
	return first
}

// yearOf gives the year; that before the year 1 is -1, as in PostgreSQL.
func yearOf(t time.Time) int {
	if y := t.Year(); y > 0 {
		return y
	}
	return t.Year() - 1
}

// wallMicros gives what calendar and clock show as a local time.
func wallMicros(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).UnixMicro()
}

func isoWeekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

// quarterOf gives the quarter of a year that starts with a month.
func quarterOf(t time.Time, start int) int { return (int(t.Month())-start+12)%12/3 + 1 }

func fiscalYear(t time.Time, start int) int {
	if start > 1 && int(t.Month()) >= start {
		return yearOf(t.AddDate(1, 0, 0))
	}
	return yearOf(t)
}

// partOf makes a function that takes a number of a date, of so many digits at most (up to
// the year 9999).
func partOf(f func(time.Time) int, digits int) func(*compiler, *call) (typed, error) {
	return func(_ *compiler, k *call) (typed, error) {
		t := k.args[0].typ
		out := k.one(Int, func(v value) (value, failed) {
			if !finite(v.int) {
				return value{}, isInfinite
			}
			return intOf(int64(f(timeOf(t, v.int)))), ""
		})
		out.maxLen = digits
		return out, nil
	}
}

func fiscal(f func(t time.Time, start int) int, digits int) func(*compiler, *call) (typed, error) {
	return func(c *compiler, k *call) (typed, error) {
		start, err := k.whole(c, 1, 1, 12)
		if err != nil {
			return typed{}, err
		}
		return partOf(func(t time.Time) int { return f(t, start) }, digits)(c, k)
	}
}

func daysBetween(_ *compiler, k *call) (typed, error) {
	return k.two(Int, func(a, b value) (value, failed) {
		if !finite(a.int) || !finite(b.int) {
			return value{}, isInfinite
		}
		return intOf(b.int - a.int), ""
	}), nil
}

// shifted makes a function that moves a date or timestamp.
func shifted(k *call, f func(t time.Time, n int) time.Time) typed {
	t := k.args[0].typ
	return k.two(t, func(v, n value) (value, failed) {
		if !finite(v.int) {
			return v, ""
		}
		if n.int > maxDays || n.int < -maxDays {
			return value{}, "that is too far away"
		}
		at := f(timeOf(t, v.int), int(n.int))
		if y := at.Year(); y < -4713 || y > 290_000 {
			return value{}, "that is too far away"
		}
		if t == Date {
			return intOf(dayOf(at)), ""
		}
		return intOf(at.UnixMicro()), ""
	})
}

func addDays(_ *compiler, k *call) (typed, error) {
	return shifted(k, func(t time.Time, n int) time.Time { return t.AddDate(0, 0, n) }), nil
}

func addMonths(_ *compiler, k *call) (typed, error) {
	return shifted(k, func(t time.Time, n int) time.Time {
		first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		return first.AddDate(0, 0, min(t.Day(), lastDay(first))-1)
	}), nil
}

// lastDay gives the number of the last day of a time's month.
func lastDay(t time.Time) int { return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }

// edge makes start_of and end_of.
func edge(end bool) func(*compiler, *call) (typed, error) {
	return func(c *compiler, k *call) (typed, error) {
		unit, err := k.choice(c, 1, "", []string{"week", "month", "quarter", "year"})
		if err != nil {
			return typed{}, err
		}
		return k.one(Date, func(v value) (value, failed) {
			if !finite(v.int) {
				return v, ""
			}
			t := timeOf(Date, v.int)
			first, days, months := t, 0, 0
			switch unit {
			case "week":
				first, days = t.AddDate(0, 0, 1-isoWeekday(t)), 7
			case "month":
				first, months = t.AddDate(0, 0, 1-t.Day()), 1
			case "quarter":
				first, months = time.Date(t.Year(), t.Month()-(t.Month()-1)%3, 1, 0, 0, 0, 0, time.UTC), 3
			default:
				first, months = time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC), 12
			}
			if end {
				first = first.AddDate(0, months, days-1)
			}
			return intOf(dayOf(first)), ""
		}), nil
	}
}

func epoch(micros int64) func(*compiler, *call) (typed, error) {
	return func(_ *compiler, k *call) (typed, error) {
		t := k.args[0].typ
		return k.one(Int, func(v value) (value, failed) {
			if !finite(v.int) {
				return value{}, isInfinite
			}
			n := v.int
			if t == Date {
				return intOf(n * (microsOfDay / micros)), ""
			}
			return intOf(floorDiv(n, micros)), ""
		}), nil
	}
}
