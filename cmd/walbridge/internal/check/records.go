package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping"
)

// identity tells of keys by which two rows could be one record, or none.
func (r *Report) identity(m *mapping.Mapping, t *Table) {
	key := m.Outputs()[0]
	say := func(what, fix string) {
		r.at(Warn, m.Name(), mapping.Place{File: key.File, Line: key.Line, Column: key.Column}, [2]string{what, fix})
	}
	if !key.NotNull {
		say(fmt.Sprintf("the key %s may be null: such rows are parked, not sent", key.Name), "leave them out by when:, or make the key of columns that are NOT NULL")
	}
	if t == nil || len(t.Unique) == 0 || slices.ContainsFunc(t.Unique, func(columns []string) bool {
		return !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(key.Columns, c) })
	}) {
		return
	}
	say(fmt.Sprintf("the key %s is made of %s, which two rows may share: they would be one record, and the deletion of one would take it from the other", key.Name, strings.Join(key.Columns, ", ")),
		"make it of "+strings.Join(t.Unique[0], ", ")+", or have a unique index on what it is made of")
}

// marks tells of fields that a record is given when its row goes, and that no row takes
// back when it returns.
func (r *Report) marks(m *mapping.Mapping) {
	outputs := m.Outputs()
	for _, s := range m.Sets() {
		if slices.ContainsFunc(outputs, func(o mapping.Output) bool { return o.Name == s.Name && o.Write != mapping.WriteOnCreate }) {
			continue
		}
		r.at(Warn, m.Name(), mapping.Place{File: s.File, Line: s.Line, Column: s.Column}, [2]string{
			fmt.Sprintf("field %s is set when a row goes, and stays so when the row comes back", s.Name),
			fmt.Sprintf("give it its other value in fields:, such as %s: {const: false}", s.Name)})
	}
}
