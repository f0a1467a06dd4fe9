package deadletter

import (
	"cmp"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Filter says which letters are meant. What is empty does not count.
type Filter struct {
	Mapping, Code string
	// Key is a JSON object of the key's columns, or the value of its only one.
	Key string
	// Before and After bound the time at which a letter was parked.
	Before, After time.Time
}

// Match tells whether a letter is meant.
func (f *Filter) Match(l *Letter) bool {
	switch {
	case f.Mapping != "" && f.Mapping != l.Mapping, f.Code != "" && f.Code != l.Code:
		return false
	case !f.Before.IsZero() && !l.Time.Before(f.Before), !f.After.IsZero() && !l.Time.After(f.After):
		return false
	}
	return f.Key == "" || cdc.SameKey(f.Key, l.Key)
}

// Group is the letters of one error. It holds no value of a row.
type Group struct {
	Target  string    `json:"target"`
	Mapping string    `json:"mapping"`
	Code    string    `json:"code"`
	Error   string    `json:"error"`
	Count   int64     `json:"count"`
	Oldest  time.Time `json:"oldest"`
	Newest  time.Time `json:"newest"`
}

// Groups collects letters by their error.
type Groups struct {
	of map[Group]*Group
}

// mostGroups bounds what is told apart by the text of the error: a target may give
// each record one of its own.
const mostGroups = 1000

// Add counts an entry.
func (g *Groups) Add(e *Entry) {
	if g.of == nil {
		g.of = map[Group]*Group{}
	}
	name := Group{Target: e.Target, Mapping: e.Mapping, Code: e.Code, Error: e.Error}
	if g.of[name] == nil && len(g.of) >= mostGroups {
		name.Code, name.Error = "others", "other errors, too many to tell apart"
	}
	have := g.of[name]
	if have == nil {
		fresh := name
		fresh.Oldest, fresh.Newest = e.Time, e.Time
		have = &fresh
		g.of[name] = have
	}
	have.Count++
	if e.Time.Before(have.Oldest) {
		have.Oldest = e.Time
	}
	if e.Time.After(have.Newest) {
		have.Newest = e.Time
	}
}

// List gives the groups, the largest first.
func (g *Groups) List() []Group {
	out := make([]Group, 0, len(g.of))
	for _, v := range g.of {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Mapping, b.Mapping),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Error, b.Error))
	})
	return out
}
