package wire

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/walbridge/walbridge/sinks/trace"
)

// momentForm is a time for people, to the millisecond, and clockForm one that is near.
const momentForm, clockForm = "2006-01-02T15:04:05.000Z07:00", "15:04:05.000"

// Time is when it was.
func (e *TraceEvent) Time() time.Time {
	if e.Change != nil {
		return e.Change.Time
	}
	return e.Step.Time
}

// Reach says how far the log goes back, for people.
func (r *TraceReport) Reach() (words []string) {
	var lanes, trimmed []string
	for _, l := range r.Log {
		if !l.Oldest.IsZero() {
			lanes = append(lanes, fmt.Sprintf("%s since %s", l.Lane, l.Oldest.UTC().Format(momentForm)))
		}
		if l.Trimmed {
			trimmed = append(trimmed, l.Lane)
		}
	}
	text := "the log of this partition is empty"
	if len(lanes) > 0 {
		text = "the log of this partition has: " + strings.Join(lanes, ", ")
	}
	if len(trimmed) > 0 {
		text += "; older changes were trimmed from " + strings.Join(trimmed, ", ")
	} else {
		text += "; nothing was trimmed from it"
	}
	words = append(words, text)
	if r.Earlier > 0 {
		words = append(words, fmt.Sprintf("%s older than these are left out (--limit)", count(r.Earlier, "change")))
	}
	return words
}

// Reach says how far the history goes back, for people.
func (m *TraceMapping) Reach() (words []string) {
	text := "there is no history of this partition: nothing was delivered since it is kept (delivery.trace)"
	if since := m.History; !since.IsZero() || !m.HistoryBulk.IsZero() {
		var parts []string
		if !since.IsZero() {
			parts = append(parts, "since "+since.Format(momentForm))
		}
		if b := m.HistoryBulk; !b.IsZero() {
			parts = append(parts, "of bulk since "+b.Format(momentForm))
		}
		text = "its history is kept " + strings.Join(parts, ", ")
	}
	words = append(words, text)
	if m.Damaged > 0 {
		words = append(words, fmt.Sprintf("%s of the history cannot be read", count(m.Damaged, "line")))
	}
	if m.Earlier > 0 {
		words = append(words, fmt.Sprintf("%s older than these are left out (--limit)", count(m.Earlier, "step")))
	}
	return words
}

// Words says what a change was, for people.
func (c *TraceChange) Words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", OpWord(c.Op), c.Position)
	if c.LSN != "" {
		fmt.Fprintf(&b, " (LSN %s)", c.LSN)
	}
	fmt.Fprintf(&b, ", %s, transaction %d", c.Lane, c.XID)
	if c.Since != "" {
		fmt.Fprintf(&b, ", of rows that nothing was heard of since %s", c.Since)
	}
	columns := ""
	if c.Compared {
		if columns = "changed: "; len(c.Columns) == 0 {
			b.WriteString("; no value that was sent is another")
		}
	}
	for _, part := range []struct {
		name string
		list []string
	}{{columns, c.Columns}, {"absent: ", c.Absent}, {"for: ", c.For}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "; %s%s", part.name, strings.Join(SomeNames(part.list), ", "))
		}
	}
	return b.String()
}

// fateWords say what a fate means.
var fateWords = map[trace.Fate]string{
	trace.Accepted: "the target took it",
	trace.Refused:  "it is a dead letter",
	trace.Failed:   "it is tried again",
	trace.Later:    "nothing was said of this record: it is tried again",
	trace.Kept:     "something at the target may still write an older state, which it waits for",
	trace.Same:     "not sent: the target has it already",
	trace.Filtered: "not sent: the mapping does not want it",
	trace.Stale:    "dropped: a newer change was dealt with before",
	trace.Parent:   "for a record that it refers to",
	trace.Blocked:  "for its target key, which is another row's",
	trace.Aside:    "put aside, so that it does not hold the others",
}

// Label is the fate as a word at the head of a line.
func (s *TraceStep) Label() string {
	switch s.Fate {
	case trace.Parent, trace.Blocked:
		return "waits"
	}
	return string(s.Fate)
}

// Words says what became of the changes, for people.
func (s *TraceStep) Words() string {
	var b strings.Builder
	switch {
	case s.Changes == 0:
		fmt.Fprintf(&b, "what was there up to %s", s.To)
	case s.Changes == 1:
		fmt.Fprintf(&b, "the change at %s", s.To)
	case s.From.IsZero() || s.From == s.To:
		fmt.Fprintf(&b, "%s up to %s", count(s.Changes, "change"), s.To)
	default:
		fmt.Fprintf(&b, "%s from %s to %s", count(s.Changes, "change"), s.From, s.To)
	}
	if s.Op != "" && s.Request != nil {
		b.WriteString(" as " + s.Op)
	}
	if r := s.Request; r != nil {
		what := "request"
		if r.Job {
			what = "job"
		}
		fmt.Fprintf(&b, ", in %s %s of %s (%s, %s)", what, r.ID, r.Began.UTC().Format(clockForm), count(r.Records, "record"), took(r.Seconds))
		if r.Code != "" {
			fmt.Fprintf(&b, " which failed: %s", spoken(r.Code, r.Error))
		}
	}
	if s.Code != "" {
		fmt.Fprintf(&b, ": %s;", spoken(s.Code, s.Error))
	} else {
		b.WriteByte(':')
	}
	b.WriteString(" " + fateWords[s.Fate])
	if s.WaitsFor != "" {
		b.WriteString(", of mapping " + s.WaitsFor)
	}
	if s.Attempts > 0 {
		fmt.Fprintf(&b, "; it failed %s before", times(s.Attempts))
	}
	if s.RemoteID != "" {
		fmt.Fprintf(&b, "; remote id %s", plain(s.RemoteID))
	}
	if !s.Next.IsZero() {
		form := momentForm
		if s.Next.Sub(s.Time) < 12*time.Hour {
			form = clockForm
		}
		fmt.Fprintf(&b, "; again at %s", s.Next.UTC().Format(form))
	}
	return b.String()
}

// Words says how the record stands, for people.
func (m *TraceMapping) Words(now time.Time) (words []string) {
	n := &m.Now
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if n.Unreadable != "" {
		say("the state cannot be read: %s", n.Unreadable)
	}
	if !n.Known {
		say("nothing of it was dealt with yet")
	} else {
		say("dealt with up to %s; %s", n.Seen, n.holds())
	}
	if len(n.TargetKey) > 0 {
		say("its key at the target is %s", n.TargetKey)
	}
	if n.RemoteID != "" {
		say("its id at the target was %s when it was last accepted", plain(n.RemoteID))
	}
	if n.Moved {
		say("it had another key at the target before, whose record may still have to be removed")
	}
	if o := n.Owner; o != nil && !o.Same {
		text := "its key at the target belongs to another row, by mapping " + o.Mapping
		if len(o.Key) > 0 {
			text += ": " + string(o.Key)
		}
		if o.Leaves {
			text += ", which gives it up"
		}
		words = append(words, text)
	}
	if !n.Newest.IsZero() {
		say("the change at %s is not dealt with: in lane %s the target is at %s; walbridge peek %s tells what waits", n.Newest, n.Lane, n.Read, m.Target)
	}
	if a := n.Aside; a != nil {
		text := fmt.Sprintf("waits aside since %s, %s", a.Since.Format(momentForm), due(a.Due, now))
		if a.Waiting {
			text += ", or when what it waits for is there"
		}
		for _, p := range a.Parents {
			text += fmt.Sprintf("; it refers to a record of mapping %s", p.Mapping)
			if len(p.Key) > 0 {
				text += " " + string(p.Key)
			}
		}
		words = append(words, text)
	}
	if d := n.Dead; d != nil {
		say("a dead letter since %s, for the change at %s, after %s: %s", d.Time.Format(momentForm), d.Position, count(d.Attempts, "try"), spoken(d.Code, d.Error))
		if d.Detail != "" {
			say("the target's words: %s", plain(d.Detail))
		}
		if len(d.Payload) > 0 {
			say("what was refused: %s", d.Payload)
		}
	}
	if n.Condition != "" {
		say("the target: %s", n.Condition)
	}
	return words
}

// holds says what the target has.
func (n *TraceNow) holds() string {
	switch {
	case n.Live && n.Doubt:
		return "the target had its record, and whether it has it is not certain"
	case n.Doubt:
		return "the target may have its record, that is not certain"
	case n.Live && n.Lacking:
		return "the target has its record, but not all that it should"
	case n.Live && n.Hash:
		return "the target has its record; the same is not sent again"
	case n.Live:
		return "the target has its record; it is sent again if it comes to be the same"
	}
	return "the target has no record of it"
}

func due(at, now time.Time) string {
	if at.After(now) {
		return "is tried again at " + at.Format(momentForm)
	}
	return "is due since " + at.Format(momentForm)
}

// spoken is a code with the text of an error, where that says more.
func spoken(code, text string) string {
	switch {
	case text == "" || text == code:
		return plain(code)
	case strings.Contains(text, code):
		return plain(text)
	}
	return plain(code + ": " + text)
}

// plain is a text of others that is not to steer a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// took is a duration for people.
func took(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
