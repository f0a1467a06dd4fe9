package mapping

import (
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/sinks"
)

// row holds the columns of one change while it is mapped, and the values made of them.
type row struct {
	m       *Mapping
	cols    *expr.Row
	left    int                          // how many columns are still to be found
	buf     []byte                       // the values, key first
	ends    []int                        // where each ends; one that is left out is empty
	parents []sinks.Parent               // what the values refer to
	take    func(string, cdc.Value) bool // made once, to spare a closure for each row
}

func (m *Mapping) newRow() *row {
	r := &row{m: m, cols: m.scope.NewRow(), ends: make([]int, 0, len(m.fields)+1)}
	r.take = func(name string, v cdc.Value) bool {
		if i, ok := m.slots[name]; ok {
			r.cols.Values[i] = v
			r.left--
		}
		return r.left > 0
	}
	return r
}

// maxKept bounds the buffer that a row in the pool keeps.
const maxKept = 64 << 10

// release forgets the row's texts, so that the pool does not keep them.
func (m *Mapping) release(r *row) {
	r.cols.Reset()
	if r.parents = nil; cap(r.buf) > maxKept {
		r.buf = nil
	}
	m.rows.Put(r)
}

func (r *row) read(after string) error {
	r.left = len(r.m.names)
	return cdc.EachColumn(after, r.take)
}

// append appends the value of a field to the buffer.
func (r *row) append(f *field) (_ []byte, null bool, err error) {
	switch {
	case f.constant != nil:
		return append(r.buf, f.constant...), false, nil
	case f.ref == nil:
		return f.program.Append(r.buf, r.cols)
	}
	start := len(r.buf)
	b, source, null, err := f.ref.resolve(r.buf, r.cols)
	if err == nil && !null {
		r.parents = append(r.parents, sinks.Parent{Field: f.name, Mapping: f.ref.mapping, Source: source,
			Key: sinks.Field{Name: f.ref.key, Value: slices.Clone(b[start:])}})
	}
	return b, null, err
}

// missingOf adds the absent inputs of a field to a list, each once.
func (r *row) missingOf(f *field, list []string) []string {
	for _, i := range f.inputs {
		if name := r.m.names[i]; r.cols.Values[i].IsAbsent() && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// allAbsent tells that there are inputs and none of them was sent.
func (r *row) allAbsent(inputs []int) bool {
	for _, i := range inputs {
		if !r.cols.Values[i].IsAbsent() {
			return false
		}
	}
	return len(inputs) > 0
}
