package expr

import (
	"fmt"
	"strings"
	"time"
)

// datePart is a piece of a pattern for dates.
type datePart struct {
	text  string // as it is, where write is nil
	write func(t time.Time) string
	clock bool // it shows the time of day, which a date has not
}

// dateLetters are the patterns of PostgreSQL's to_char that are known, those first that
// begin with another.
var dateLetters = []struct {
	letters string
	clock   bool
	write   func(t time.Time) string
}{
	{"YYYY", false, func(t time.Time) string { return fmt.Sprintf("%04d", t.Year()) }},
	{"YY", false, func(t time.Time) string { return fmt.Sprintf("%02d", t.Year()%100) }},
	{"IYYY", false, func(t time.Time) string { y, _ := t.ISOWeek(); return fmt.Sprintf("%04d", y) }},
	{"IW", false, func(t time.Time) string { _, w := t.ISOWeek(); return fmt.Sprintf("%02d", w) }},
	{"MM", false, func(t time.Time) string { return t.Format("01") }},
	{"Month", false, func(t time.Time) string { return t.Format("January") }},
	{"Mon", false, func(t time.Time) string { return t.Format("Jan") }},
	{"MI", true, func(t time.Time) string { return t.Format("04") }},
	{"MS", true, func(t time.Time) string { return fmt.Sprintf("%03d", t.Nanosecond()/1_000_000) }},
	{"US", true, func(t time.Time) string { return fmt.Sprintf("%06d", t.Nanosecond()/1000) }},
	{"DDD", false, func(t time.Time) string { return fmt.Sprintf("%03d", t.YearDay()) }},
	{"DD", false, func(t time.Time) string { return t.Format("02") }},
	{"Day", false, func(t time.Time) string { return t.Format("Monday") }},
	{"Dy", false, func(t time.Time) string { return t.Format("Mon") }},
	{"D", false, func(t time.Time) string { return fmt.Sprint(int(t.Weekday()) + 1) }},
	{"Q", false, func(t time.Time) string { return fmt.Sprint(quarterOf(t, 1)) }},
	{"HH24", true, func(t time.Time) string { return t.Format("15") }},
	{"HH12", true, func(t time.Time) string { return t.Format("03") }},
	{"SS", true, func(t time.Time) string { return t.Format("05") }},
	{"AM", true, func(t time.Time) string { return t.Format("PM") }},
	{"PM", true, func(t time.Time) string { return t.Format("PM") }},
}

// datePattern reads a pattern. bad is the piece that is not understood.
func datePattern(s string) (parts []datePart, bad string) {
	for s != "" {
		if s[0] == '"' {
			text, rest, closed := strings.Cut(s[1:], `"`)
			if !closed {
				return nil, s
			}
			parts, s = append(parts, datePart{text: text}), rest
			continue
		}
		if c := s[0]; c|0x20 < 'a' || c|0x20 > 'z' {
			parts, s = append(parts, datePart{text: s[:1]}), s[1:]
			continue
		}
		found := false
		for i := range dateLetters {
			if l := &dateLetters[i]; strings.HasPrefix(s, l.letters) {
				parts, s, found = append(parts, datePart{write: l.write, clock: l.clock}), s[len(l.letters):], true
				break
			}
		}
		if !found {
			end := strings.IndexFunc(s, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' })
			if end < 0 {
				end = len(s)
			}
			return nil, s[:end]
		}
	}
	return parts, ""
}

func formatDate(c *compiler, k *call) (typed, error) {
	pattern, err := k.text(c, 1, "")
	if err != nil {
		return typed{}, err
	}
	parts, bad := datePattern(pattern)
	if bad != "" {
		return typed{}, c.fail(k.args[1].at, bad, "write YYYY-MM-DD, HH24:MI and their like; put other words in double quotes", "unknown in a pattern for dates:")
	}
	zone, err := k.zone(c, 2)
	if err != nil {
		return typed{}, err
	}
	t := k.args[0].typ
	if len(k.args) > 2 && t != Timestamp && t != Nil {
		return typed{}, c.fail(k.args[2].at, k.f.Name, "leave it out", "only an instant has other times in other zones, not %s:", t)
	}
	for _, p := range parts {
		if p.clock && t == Date {
			return typed{}, c.fail(k.args[1].at, pattern, "take the letters for hours, minutes and seconds out", "a date has no time of day:")
		}
	}
	return k.one(Text, func(v value) (value, failed) {
		if !finite(v.int) {
			return value{}, isInfinite
		}
		at := timeOf(t, v.int).In(zone)
		var b strings.Builder
		for _, p := range parts {
			if p.write == nil {
				b.WriteString(p.text)
			} else {
				b.WriteString(p.write(at))
			}
		}
		return textOf(b.String()), ""
	}), nil
}
