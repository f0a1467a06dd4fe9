package expr

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// datePart is a piece of a pattern for dates.
type datePart struct {
	text  string // as it is, where write is nil
	write func(b []byte, t time.Time) []byte
	width int  // the most characters that write gives, up to the year 9999
	clock bool // it shows the time of day, which a date has not
}

// dateLetters are the patterns of PostgreSQL's to_char that are known, those first that
// begin with another.
var dateLetters = []struct {
	letters string
	clock   bool
	write   func(b []byte, t time.Time) []byte
}{
	{"YYYY", false, func(b []byte, t time.Time) []byte { return padded(b, bcYear(t), 4) }},
	{"YY", false, func(b []byte, t time.Time) []byte { return padded(b, bcYear(t)%100, 2) }},
	{"IYYY", false, func(b []byte, t time.Time) []byte { y, _ := t.ISOWeek(); return padded(b, y, 4) }},
	{"IW", false, func(b []byte, t time.Time) []byte { _, w := t.ISOWeek(); return padded(b, w, 2) }},
	{"MM", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "01") }},
	{"Month", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "January") }},
	{"Mon", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "Jan") }},
	{"MI", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "04") }},
	{"MS", true, func(b []byte, t time.Time) []byte { return padded(b, t.Nanosecond()/1_000_000, 3) }},
	{"US", true, func(b []byte, t time.Time) []byte { return padded(b, t.Nanosecond()/1000, 6) }},
	{"DDD", false, func(b []byte, t time.Time) []byte { return padded(b, t.YearDay(), 3) }},
	{"DD", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "02") }},
	{"Day", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "Monday") }},
	{"Dy", false, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "Mon") }},
	{"D", false, func(b []byte, t time.Time) []byte { return padded(b, int(t.Weekday())+1, 1) }},
	{"Q", false, func(b []byte, t time.Time) []byte { return padded(b, quarterOf(t, 1), 1) }},
	{"HH24", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "15") }},
	{"HH12", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "03") }},
	{"SS", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "05") }},
	{"AM", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "PM") }},
	{"PM", true, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, "PM") }},
}

// widthOf gives how many characters a pattern's letters come to at most.
func widthOf(letters string) int {
	switch letters {
	case "HH24", "HH12":
		return 2
	case "Month", "Day":
		return len("September")
	case "US":
		return 6
	case "MS":
		return 3
	}
	return len(letters)
}

// bcYear gives the year without its era, as to_char does.
func bcYear(t time.Time) int {
	if y := yearOf(t); y > 0 {
		return y
	}
	return -yearOf(t)
}

// padded appends a number with noughts before it, up to a width.
func padded(b []byte, n, width int) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	for least := 10; width > 1; width, least = width-1, least*10 {
		if n < least {
			for range width - 1 {
				b = append(b, '0')
			}
			break
		}
	}
	return strconv.AppendInt(b, int64(n), 10)
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
				parts, s, found = append(parts, datePart{write: l.write, width: widthOf(l.letters), clock: l.clock}), s[len(l.letters):], true
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
	out := k.one(Text, func(v value) (value, failed) {
		if !finite(v.int) {
			return value{}, isInfinite
		}
		at := timeOf(t, v.int).In(zone)
		b := make([]byte, 0, 40)
		for _, p := range parts {
			if p.write == nil {
				b = append(b, p.text...)
			} else {
				b = p.write(b, at)
			}
		}
		return textOf(string(b)), ""
	})
	for _, p := range parts {
		out.maxLen += max(utf8.RuneCountInString(p.text), p.width)
	}
	return out, nil
}
