package wire

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/state"
)

// WorkerReport is of a process that delivers to a target, or waits to.
type WorkerReport struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since,omitzero"`
	// Address is where its console listens; empty if it does not.
	Address string `json:"address,omitempty"`
	// Partitions are those that it owns.
	Partitions []int `json:"partitions"`
	// Silent tells that it was not heard of for as long as a lease lasts: it was killed, or
	// cannot reach Redis, and others take its partitions when the leases have run out.
	Silent bool `json:"silent,omitempty"`
	// QuietSeconds is how long ago it was heard of, if that is longer than usual.
	QuietSeconds float64 `json:"quiet_seconds,omitempty"`
	// Lacks are mappings that others know and it does not: it has no part as long as they
	// are there.
	Lacks []string `json:"lacks_mappings,omitempty"`
	// State is how the target is to it, where that is not running; Until the end of a pause,
	// and Why what for.
	State string    `json:"state,omitempty"`
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why,omitempty"`
}

// Condition says in words how the target is to a worker; empty where that is running.
func (w *WorkerReport) Condition(now time.Time) string { return inWords(w.State, w.Until, w.Why, now) }

// quietAfter is when a worker should have been heard of again: it tells every second that
// it is there.
const quietAfter = 2 * time.Second

// among says of how many workers a condition is, where that is not all of them.
func (t *TargetReport) among() string {
	n, same := 0, false
	for _, w := range t.Workers {
		if w.State != "" {
			n, same = n+1, same || w.Why == t.Why // else it is the account's, which all share
		}
	}
	if !same || n == len(t.Workers) {
		return ""
	}
	return fmt.Sprintf(" (only at %d of %d workers)", n, len(t.Workers))
}

// workers adds who delivers to a target.
func (r *Report) workers(ctx context.Context, l *redislog.Log, t *TargetReport) error {
	m, err := state.Look(ctx, l.Client(), l.Keys(), t.Name, l.Partitions())
	if err != nil {
		return err
	}
	t.Workers, t.Unowned, t.Partitions = workersOf(&m)
	var owners []string
	for i := range t.Workers {
		w := &t.Workers[i]
		if len(w.Partitions) > 0 {
			owners = append(owners, w.Name)
		}
		if len(w.Lacks) > 0 {
			r.problem(fmt.Sprintf("worker %s of target %s does not know mapping %s, which others do: it delivers nothing as long as they are there; start it with the same mapping files",
				w.Name, t.Name, strings.Join(w.Lacks, ", ")))
		}
	}
	t.Owner = strings.Join(owners, "; ")
	return nil
}

// workersOf says of a meeting who is there and owns what, and what nobody does.
func workersOf(m *state.Meeting) (list []WorkerReport, unowned []int, partitions int) {
	var all []string
	for _, w := range m.Workers {
		all = append(all, w.Mappings...)
	}
	slices.Sort(all)
	list, unowned = []WorkerReport{}, []int{}
	for _, w := range m.Workers {
		of := WorkerReport{Name: w.Name, Since: w.Since, Address: w.Address, Partitions: m.Of(w.Name)}
		for _, name := range slices.Compact(slices.Clone(all)) {
			if !slices.Contains(w.Mappings, name) {
				of.Lacks = append(of.Lacks, name)
			}
		}
		if w.Quiet > quietAfter {
			of.QuietSeconds = w.Quiet.Seconds()
		}
		list = append(list, of)
	}
	for p, o := range m.Owners {
		switch {
		case o == "":
			unowned = append(unowned, p)
		case !slices.ContainsFunc(list, func(w WorkerReport) bool { return w.Name == o }):
			list = append(list, WorkerReport{Name: o, Partitions: m.Of(o), Silent: true})
		}
	}
	for i := range list {
		if list[i].Partitions == nil {
			list[i].Partitions = []int{}
		}
	}
	return list, unowned, len(m.Owners)
}

// Ranges writes numbers in order for people, as 0-3, 7.
func Ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if parts = append(parts, fmt.Sprint(list[i])); j > i {
			parts[len(parts)-1] += fmt.Sprintf("-%d", list[j])
		}
		i = j + 1
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
