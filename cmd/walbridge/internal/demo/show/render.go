package show

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// column is a column of the table. All of them and the spaces between make 79
// characters, so that the table fits a terminal of 80.
type column struct {
	title string
	width int
	left  bool
	cell  func(r Row, width int) string
}

var columns = []column{
	{"target", 10, true, func(r Row, _ int) string { return r.Target }},
	{"lane", 6, true, func(r Row, _ int) string { return r.Lane }},
	{"chg/s", 5, false, func(r Row, w int) string { return rate(r.ChangesPerSecond, w) }},
	{"lag", 5, false, func(r Row, w int) string { return number(r.LagEntries, w) }},
	{"age", 4, false, func(r Row, _ int) string { return age(r.LagTime) }},
	{"fold", 4, false, func(r Row, w int) string { return ratio(r.Folded(), w) }},
	{"rec/s", 5, false, func(r Row, w int) string { return rate(r.RecordsPerSecond, w) }},
	{"reqs", 5, false, func(r Row, w int) string { return number(r.Requests, w) }},
	{"rtry", 4, false, func(r Row, w int) string { return number(r.Retries, w) }},
	{"park", 4, false, func(r Row, w int) string { return number(r.Parked, w) }},
	{"p50", 5, false, func(r Row, _ int) string { return latency(r.P50) }},
	{"p95", 5, false, func(r Row, _ int) string { return latency(r.P95) }},
	{"p99", 5, false, func(r Row, _ int) string { return latency(r.P99) }},
}

// Render draws a snapshot as lines of at most width characters (at least 20),
// each ended by a newline. What does not fit is cut off.
func Render(s Snapshot, width int) string {
	width = max(width, 20)
	var b strings.Builder
	line := func(text string) {
		b.WriteString(strings.TrimRight(clip(text, width), " "))
		b.WriteByte('\n')
	}
	for _, l := range wrap(header(s), width) {
		line(l)
	}
	for _, l := range wrap(life(s.Life), width) {
		line(l)
	}
	line("")
	line(tableLine(func(c column) string { return c.title }))
	for _, r := range s.Rows {
		line(tableLine(func(c column) string { return c.cell(r, c.width) }))
	}
	if s.Note != "" {
		line("")
		line(s.Note)
	}
	return b.String()
}

func header(s Snapshot) []string {
	lag := "slot lag unknown"
	if s.SlotLag >= 0 {
		lag = "slot lag " + size(s.SlotLag)
	}
	return []string{
		"elapsed " + clock(s.Elapsed),
		fmt.Sprintf("source %s rows/s, %s in all", rate(s.SourceRowsPerSecond, 7), number(s.SourceRows, 7)),
		lag,
		"log " + number(s.LogEntries, 7) + " entries",
	}
}

func life(counts []Count) []string {
	var parts []string
	for _, c := range counts {
		if c.N != 0 {
			parts = append(parts, c.Name+" "+number(c.N, 7))
		}
	}
	return parts
}

// wrap joins parts into lines without cutting a part in two.
func wrap(parts []string, width int) []string {
	const between = " · "
	var lines []string
	for _, p := range parts {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last]+between+p) <= width {
			lines[last] += between + p
			continue
		}
		lines = append(lines, p)
	}
	return lines
}

func tableLine(text func(column) string) string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		t := clip(text(c), c.width)
		pad := strings.Repeat(" ", c.width-utf8.RuneCountInString(t))
		if c.left {
			cells[i] = t + pad
		} else {
			cells[i] = pad + t
		}
	}
	return strings.Join(cells, " ")
}

// clip cuts text to a width and replaces what would move the cursor: names come
// from a configuration file.
func clip(text string, width int) string {
	n := 0
	var b strings.Builder
	for _, r := range text {
		if n++; n > width {
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// number writes a count in at most width characters, at least 4 being given.
func number(n int64, width int) string {
	if plain := fmt.Sprint(n); len(plain) <= width {
		return plain
	}
	f, sign := float64(n), ""
	if n < 0 {
		f, sign, width = -f, "-", width-1
	}
	for _, unit := range []string{"k", "M", "G", "T", "P", "E"} {
		f /= 1000
		for _, format := range []string{"%.1f", "%.0f"} {
			if text := fmt.Sprintf(format, f) + unit; len(text) <= width && f < 999.5 {
				return sign + text
			}
		}
	}
	return "many"
}

// rate writes a figure per second, with a digit after the point where small.
func rate(f float64, width int) string {
	switch {
	case f == 0:
		return "0"
	case f > -9.95 && f < 9.95:
		return fmt.Sprintf("%.1f", f)
	}
	return number(int64(f+0.5), width)
}

// ratio writes how many changes made a record.
func ratio(f float64, width int) string {
	if f == 0 {
		return "-"
	}
	if text := fmt.Sprintf("%.2f", f); len(text) <= width {
		return text
	}
	if text := fmt.Sprintf("%.1f", f); len(text) <= width {
		return text
	}
	return number(int64(f+0.5), width)
}

// latency writes a duration in at most five characters; zero is none.
func latency(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "-"
	case ms < 9.95:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0fms", ms)
	}
	return age(d)
}

// age writes a duration in at most four characters, from tenths of seconds on.
func age(d time.Duration) string {
	s := max(0, d.Seconds())
	switch {
	case s < 0.05:
		return "0s"
	case s < 9.95:
		return fmt.Sprintf("%.1fs", s)
	case s < 99.5:
		return fmt.Sprintf("%.0fs", s)
	case s < 99.5*60:
		return fmt.Sprintf("%.0fm", s/60)
	case s < 99.5*3600:
		return fmt.Sprintf("%.0fh", s/3600)
	case s < 999.5*86400:
		return fmt.Sprintf("%.0fd", s/86400)
	}
	return "long"
}

// size writes bytes.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		if f /= 1000; f < 999.5 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return fmt.Sprintf("%.0f PB", f/1000)
}

// clock writes minutes and seconds, and hours where there are any.
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
