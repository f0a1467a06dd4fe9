package deliver

import (
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

// Additions find out which fields of records were not in those that were delivered before,
// of which only hashes are known: without them they are the same. A mapping has one; the zero
// value is ready.
type Additions struct {
	found  []string // what the last record had in addition
	failed int
}

const (
	// additionsMost is how many fields are taken for new at once.
	additionsMost = 2
	// additionsTries is after how many records in vain it is not tried any more.
	additionsTries = 50
)

// Of gives the fields that were added to a record; nil where it differs in another way, such as
// by the value of a field. At most two are found.
func (a *Additions) Of(rec *sinks.Record, payload uint64) []string {
	if payload != 0 && a.found != nil && leavesOut(rec, payload, a.found) {
		return a.found
	}
	if payload == 0 || a.failed >= additionsTries {
		return nil
	}
	if names := added(rec, payload, additionsMost, 0, nil); names != nil {
		a.found = names
		return names
	}
	a.failed++
	return nil
}

// added tries all sets of at most so many more fields, from a field on.
func added(rec *sinks.Record, payload uint64, more, from int, names []string) []string {
	for i := from; i < len(rec.Fields) && more > 0; i++ {
		next := append(slices.Clone(names), rec.Fields[i].Name)
		if leavesOut(rec, payload, next) {
			return next
		}
		if found := added(rec, payload, more-1, i+1, next); found != nil {
			return found
		}
	}
	return nil
}

// leavesOut tells whether a record has a hash once some of its fields are left out.
func leavesOut(rec *sinks.Record, payload uint64, names []string) bool {
	some := *rec
	some.Fields = slices.DeleteFunc(slices.Clone(rec.Fields), func(f sinks.Field) bool { return slices.Contains(names, f.Name) })
	return hashOf(&some) == payload
}
