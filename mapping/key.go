package mapping

import (
	"encoding/json"
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

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
