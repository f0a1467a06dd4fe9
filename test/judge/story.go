package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Deed is something that was done to the bridge.
type Deed struct {
	From, To time.Time
	What     string
}

// line is one line of a story.
type line struct {
	at   time.Time
	text string
}

// Story tells the shortest that explains a finding: what the source and the log
// say of its key and its Position, and the deeds in between.
func (v *Verdict) Story(ctx context.Context, l *Log, f Finding, deeds []Deed) (string, error) {
	const around = 4 // entries of the key before and after
	concerns := func(x *Fact) bool {
		return x.At == f.At || x.Table == f.Table && (x.Key == f.Key || toAll(x.Op)) && f.Table != ""
	}
	var facts, inLog []line
	place := 0
	at := f.At
	for i := range v.Witness {
		if w := &v.Witness[i]; concerns(w) {
			if w.At.Before(at) {
				place = len(facts)
			}
			facts = append(facts, line{time.UnixMicro(w.TS), fmt.Sprintf("source %v %s xid %d", w.At, w.Op, w.XID)})
		}
	}
	if at == (cdc.Position{}) {
		place = len(facts) - 1 // it is about the row as it is in the end
	}
	var told Fact // a truncate is in every stream
	err := l.walk(ctx, func(e *Entry) {
		if concerns(&e.Fact) && !(toAll(e.Op) && e.Fact == told) {
			told = e.Fact
			inLog = append(inLog, line{time.UnixMicro(e.TS), fmt.Sprintf("log    %v %s in %v, absent %q", e.At, e.Op, e.Stream, e.Absent)})
		}
	}, func(Finding) {})
	if err != nil {
		return "", err
	}
	var from, to time.Time
	if len(facts) > 0 {
		facts = facts[max(0, place-around):min(len(facts), place+around+1)]
		from, to = facts[0].at, facts[len(facts)-1].at
	}
	lines := facts
	for _, x := range inLog {
		if from.IsZero() || !x.at.Before(from) && !x.at.After(to) {
			lines = append(lines, x)
		}
	}
	for _, d := range deeds {
		if !d.To.Before(from.Add(-time.Second)) && d.From.Before(to.Add(2*time.Second)) {
			lines = append(lines, line{d.From, fmt.Sprintf("deed   %s, for %s", d.What, d.To.Sub(d.From).Round(time.Millisecond))})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	const most = 60
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.What)
	for i, x := range lines {
		if i == most {
			fmt.Fprintf(&b, "    … %d lines more\n", len(lines)-most)
			break
		}
		fmt.Fprintf(&b, "    %s  %s\n", x.at.UTC().Format("15:04:05.000"), x.text)
	}
	return b.String(), nil
}
