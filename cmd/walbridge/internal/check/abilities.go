package check

import (
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// inability is something that a mapping wants of a target that cannot do it.
type inability struct{ what, fix string }

// inabilities lists what a mapping wants of a target with some abilities, and cannot have.
func inabilities(m *mapping.Mapping, a sinks.Abilities) (out []inability) {
	add := func(what, fix string) { out = append(out, inability{what, fix}) }
	where := m.Target() + "/" + m.Object()
	switch m.Delete() {
	case mapping.DeleteRecord:
		if !a.Delete {
			fix := "write delete: ignore, or delete: {set: {…}} with a field that marks the record as gone"
			if a.Archive {
				fix = "write delete: archive"
			}
			add(fmt.Sprintf("%s has no way to delete a record", where), fix)
		}
	case mapping.ArchiveRecord:
		if !a.Archive {
			fix := "write delete: ignore, or delete: {set: {…}} with a field that marks the record as gone"
			if a.Delete {
				fix = "write delete: delete"
			}
			add(fmt.Sprintf("%s has no way to archive a record", where), fix)
		}
	case mapping.SetFields:
		if !a.Partial {
			add(fmt.Sprintf("a record that is sent to %s takes the place of all that was there, so the fields of delete: {set: …} would be all that is left of it", where),
				"write delete: delete or delete: ignore")
		}
	}
	if m.Selective() && !a.Partial {
		add(fmt.Sprintf("a record that is sent to %s takes the place of all that was there, so a field that is only written at times would be lost", where),
			"take write: out of its fields")
	}
	if len(m.Parents()) > 0 && !a.Parents {
		add(fmt.Sprintf("%s has no way to refer to another record", where), "write the key that the other record has there as a value, without ref()")
	}
	return out
}

// Unfit says why a mapping cannot be delivered to a target with some abilities; nil if it
// can. The error is a *cdc.SetupError.
func Unfit(m *mapping.Mapping, a sinks.Abilities) error {
	var all error
	for _, f := range inabilities(m, a) {
		to := m.To()
		all = errors.Join(all, &cdc.SetupError{What: fmt.Sprintf("%s:%d:%d: mapping %s: %s", to.File, to.Line, to.Column, m.Name(), f.what), Hint: f.fix})
	}
	return all
}

// abilities holds a mapping against what its target can do, where that is known.
func (r *Report) abilities(m *mapping.Mapping, f *Facts) {
	for _, t := range f.Targets {
		if t.Name != m.Target() || t.Abilities == nil {
			continue
		}
		for _, x := range inabilities(m, t.Abilities(m.Object())) {
			r.at(Fail, m.Name(), m.To(), [2]string{x.what, x.fix})
		}
	}
}
