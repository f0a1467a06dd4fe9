package mapping

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/sinks"
)

// KeyIsSource tells that the key field is nothing but the key of the row at the source,
// one column, as it is or as text: no two rows make the same, and that of a row never
// changes.
func (m *Mapping) KeyIsSource() bool { return m.keyIsSource }

// keyIsSource looks at the key field for what KeyIsSource tells. Only what is plain to see
// is found; other expressions are taken to make of two rows the same.
func (c *compiler) keyIsSource(key *field, columns []Column) bool {
	i := slices.IndexFunc(columns, func(col Column) bool { return col.Key })
	if i < 0 || key.program == nil || slices.ContainsFunc(columns[i+1:], func(col Column) bool { return col.Key }) {
		return false
	}
	name := columns[i].Name
	if _, ok := key.program.IsColumn(); ok {
		return len(key.inputs) == 1 && c.scope.Used()[key.inputs[0]] == name
	}
	switch expr.TypeOf(columns[i].Type) {
	case expr.Int, expr.Text: // their texts are as different as they are
	default:
		return false
	}
	inner, ok := strings.CutPrefix(strings.ReplaceAll(c.f.Key.Source, " ", ""), "string(")
	return ok && inner == name+")"
}

// TargetKey gives the key that the record of a row has at the target, without
// asking whether the row is meant. The row is a JSON object, as a change has it.
// The error is *sinks.Unresolved where the key's columns are not in the row, and
// *sinks.Rejected where it has no valid key.
func (m *Mapping) TargetKey(object string) (sinks.Field, error) {
	r, ok := m.rows.Get().(*row)
	if !ok { // the pool holds nothing else
		r = m.newRow()
	}
	defer m.release(r)
	if err := r.read(object); err != nil {
		return sinks.Field{}, m.rejected("row", err)
	}
	if missing := r.missingOf(&m.key, nil); len(missing) > 0 {
		return sinks.Field{}, &sinks.Unresolved{Columns: missing}
	}
	r.buf, r.ends = r.buf[:0], r.ends[:0]
	if err := m.appendKey(r); err != nil {
		return sinks.Field{}, err
	}
	return sinks.Field{Name: m.key.name, Value: json.RawMessage(slices.Clone(r.buf))}, nil
}
