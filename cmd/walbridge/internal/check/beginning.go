package check

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

// contrary says why a mapping cannot begin as its file says at a target that begins from
// somewhere; ok is false if it can.
func contrary(m *mapping.Mapping, from string) (what, fix string, ok bool) {
	if m.Start() != mapping.StartBackfill || from == "" || from == config.FromBackfill {
		return "", "", false
	}
	return fmt.Sprintf("start: backfill reads the table, and targets.%s.from: %s does not", m.Target(), from),
		fmt.Sprintf("take start out, and run walbridge backfill %s --for %s/%s once the target has begun; or take from out of targets.%s, where it has no effect once the target has begun",
			m.Table(), m.Target(), m.Name(), m.Target()), true
}

// Contrary says why a mapping cannot begin as its file says at a target that begins from
// somewhere; nil if it can. The error is a *cdc.SetupError.
func Contrary(m *mapping.Mapping, from string) error {
	what, fix, ok := contrary(m, from)
	if !ok {
		return nil
	}
	at := m.StartAt()
	return &cdc.SetupError{What: fmt.Sprintf("%s:%d:%d: mapping %s: %s", at.File, at.Line, at.Column, m.Name(), what), Hint: fix}
}

// beginnings tells how targets begin, and where a setting of that has no effect.
func (r *Report) beginnings(f *Facts) {
	for i := range f.Targets {
		t := &f.Targets[i]
		for _, m := range f.Mappings {
			if m.Target() != t.Name {
				continue
			}
			if what, fix, ok := contrary(m, t.From); ok {
				r.at(Fail, m.Name(), m.StartAt(), [2]string{what, fix})
			}
		}
		if f.Redis == nil || f.Redis.Err != nil || len(Objects(f.Files, t.Name)) == 0 {
			continue
		}
		about := "target " + t.Name
		switch began, is := f.Redis.Began[t.Name]; {
		case !is:
			r.ok(about, "it has taken nothing yet: "+beginning(t, f.Files))
		case t.From != "" && t.From != began:
			r.warn(about, fmt.Sprintf("from: %s has no effect, as the target began before, from: %s", t.From, cmp.Or(began, "not known")),
				fmt.Sprintf("take it out of targets.%s; walbridge target forget --force %s, while nothing delivers to it, lets the target begin anew", t.Name, t.Name))
		}
	}
}

// beginning tells what a target begins with.
func beginning(t *Target, files []*mapping.File) string {
	switch t.From {
	case config.FromBeginning:
		return "it begins with the oldest change that the log holds; no table is read for it"
	case config.FromNow:
		return "it begins with what changes from its first start on; no table is read for it"
	}
	var read, not []string
	for _, f := range files {
		switch {
		case f.Target != t.Name:
		case f.Start == mapping.StartNow:
			not = append(not, f.Name)
		default:
			read = append(read, f.Name)
		}
	}
	out := "it begins with what the log holds"
	if len(read) > 0 {
		out += ", and the rows of the tables are read for " + strings.Join(read, ", ")
	}
	if len(not) > 0 {
		out += "; not for " + strings.Join(not, ", ")
	}
	return out
}
