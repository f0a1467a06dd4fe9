package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/sinks"
)

// Mapping is a compiled mapping file. It is safe for concurrent use.
type Mapping struct {
	name, target, object, lane, start string
	table                             cdc.Table
	coalesce                          sinks.Coalesce
	slo                               time.Duration
	action                            Action

	when   field // without a program if there is no condition
	key    field
	fields []field
	set    []constant

	slots map[string]int // the columns that are read, and where in a row
	names []string       // the same by place
	rows  *sync.Pool     // of *row
}

// field is a field of the target with what gives its value.
type field struct {
	name    string
	program *expr.Program
	slot    int   // where the column is that is only passed on; else -1
	inputs  []int // the places of all columns the program reads
}

// constant is a field with a value that is known before any row.
type constant struct{ name, json string }

// The codes of rows that cannot be mapped.
const (
	codeUnmapped = "unmapped"
	codeNullKey  = "null_key"
)

// Name gives the mapping's name.
func (m *Mapping) Name() string { return m.name }

// Table gives the table that the mapping reads.
func (m *Mapping) Table() cdc.Table { return m.table }

// Target gives the name of the configured target.
func (m *Mapping) Target() string { return m.target }

// Object gives the target's name of the kind of thing.
func (m *Mapping) Object() string { return m.object }

// Lane gives the lane that the table's changes are to travel in.
func (m *Mapping) Lane() string { return m.lane }

// Start says what the mapping begins with when it is new: StartBackfill or StartNow.
func (m *Mapping) Start() string { return m.start }

// Coalesce says how long changes of a key are folded.
func (m *Mapping) Coalesce() sinks.Coalesce { return m.coalesce }

// Map makes the record of a merged source row, given what was last delivered of
// its key. It says send = false where the target need not hear of the row. The
// error is *sinks.Unresolved where columns have to be read from the source
// first, and *sinks.Rejected with the code unmapped or null_key where the row
// has no valid record.
func (m *Mapping) Map(ch *cdc.Change, prior sinks.Prior) (rec sinks.Record, send bool, err error) {
	if !ch.Op.Keyed() {
		return sinks.Record{}, false, fmt.Errorf("map %s: a change of kind %s is not about a row", m.name, ch.Op)
	}
	if ch.Op == cdc.OpDelete {
		rec, send = m.leave(ch, prior)
		return rec, send, nil
	}
	r, ok := m.rows.Get().(*row)
	if !ok { // the pool holds nothing else
		r = m.newRow()
	}
	defer m.release(r)
	if err := r.read(ch.After); err != nil {
		return sinks.Record{}, false, m.rejected("row", err)
	}
	missing := r.missingOf(m.when, nil)
	if len(missing) == 0 && m.when.program != nil {
		v, err := m.when.program.Eval(r.get)
		if err != nil {
			return sinks.Record{}, false, m.rejected("when", err)
		}
		if v.JSON() != "true" {
			rec, send = m.leave(ch, prior)
			return rec, send, nil
		}
	}
	return m.upsert(ch, r, missing, !prior.Live)
}

// upsert makes the record of a row that is to be at the target. The missing
// columns are those of the condition. A record that the target does not hold yet
// is made whole: a field left out of it would never come (I5).
func (m *Mapping) upsert(ch *cdc.Change, r *row, missing []string, whole bool) (sinks.Record, bool, error) {
	missing = r.missingOf(m.key, missing)
	for i := range m.fields {
		if f := &m.fields[i]; whole || !r.allAbsent(f.inputs) {
			missing = r.missingOf(*f, missing)
		}
	}
	if len(missing) > 0 {
		return sinks.Record{}, false, &sinks.Unresolved{Columns: missing}
	}
	key, err := r.eval(&m.key)
	if err != nil {
		return sinks.Record{}, false, m.rejected(m.key.name, err)
	}
	if key.IsNull() {
		return sinks.Record{}, false, &sinks.Rejected{Code: codeNullKey, Err: fmt.Errorf("map %s: the key field %s is null", m.name, m.key.name)}
	}
	size, sent := len(key.JSON()), 0
	r.out = r.out[:0]
	for i := range m.fields {
		f := &m.fields[i]
		var v cdc.Value // absent: left out
		if len(f.inputs) == 0 || !r.allAbsent(f.inputs) {
			if v, err = r.eval(f); err != nil {
				return sinks.Record{}, false, m.rejected(f.name, err)
			}
			sent++
		}
		size += len(v.JSON())
		r.out = append(r.out, v)
	}
	rec := m.record(ch, sinks.Upsert)
	buf := make([]byte, 0, size) // one for all values of the record
	rec.Key.Name = m.key.name
	buf, rec.Key.Value = appendValue(buf, key)
	rec.Fields = make([]sinks.Field, 0, sent)
	for i, v := range r.out {
		if v.IsAbsent() {
			continue
		}
		f := sinks.Field{Name: m.fields[i].name}
		buf, f.Value = appendValue(buf, v)
		rec.Fields = append(rec.Fields, f)
	}
	return rec, true, nil
}

func appendValue(buf []byte, v cdc.Value) ([]byte, json.RawMessage) {
	start := len(buf)
	buf = append(buf, v.JSON()...)
	return buf, json.RawMessage(buf[start:len(buf):len(buf)])
}

// leave is what becomes of a record whose row is gone or no longer meant.
func (m *Mapping) leave(ch *cdc.Change, prior sinks.Prior) (sinks.Record, bool) {
	if !prior.Live || m.action == IgnoreDelete {
		return sinks.Record{}, false
	}
	op := sinks.Delete
	switch m.action {
	case ArchiveRecord:
		op = sinks.Archive
	case SetFields:
		op = sinks.Upsert
	}
	rec := m.record(ch, op)
	rec.Key = prior.Key
	if op == sinks.Upsert {
		rec.Left = true
		rec.Fields = make([]sinks.Field, len(m.set))
		for i, f := range m.set {
			rec.Fields[i] = sinks.Field{Name: f.name, Value: json.RawMessage(f.json)}
		}
	}
	return rec, true
}

func (m *Mapping) record(ch *cdc.Change, op sinks.Op) sinks.Record {
	return sinks.Record{Mapping: m.name, Source: ch.Key, Object: m.object, Op: op, Position: ch.Position}
}

// rejected names the field, never a value of the row (I14).
func (m *Mapping) rejected(field string, err error) error {
	var ee *expr.Error
	if errors.As(err, &ee) {
		return &sinks.Rejected{Code: codeUnmapped, Err: fmt.Errorf("map %s: field %s: %w", m.name, field, ee)}
	}
	return &sinks.Rejected{Code: codeUnmapped, Err: fmt.Errorf("map %s: %s: %w", m.name, field, err)}
}

// row holds the columns of one change while it is mapped.
type row struct {
	m      *Mapping
	values []cdc.Value // by slot; absent where the change does not have it
	left   int         // how many slots are still to be found
	out    []cdc.Value
	get    func(string) cdc.Value       // made once, to spare a closure for each row
	take   func(string, cdc.Value) bool // likewise
}

func (m *Mapping) newRow() *row {
	r := &row{m: m, values: make([]cdc.Value, len(m.names)), out: make([]cdc.Value, 0, len(m.fields))}
	r.get = func(name string) cdc.Value { return r.values[m.slots[name]] }
	r.take = func(name string, v cdc.Value) bool {
		if i, ok := m.slots[name]; ok {
			r.values[i] = v
			r.left--
		}
		return r.left > 0
	}
	return r
}

// release forgets the row's texts, so that the pool does not keep them.
func (m *Mapping) release(r *row) {
	clear(r.values)
	clear(r.out)
	m.rows.Put(r)
}

func (r *row) read(after string) error {
	r.left = len(r.values)
	return cdc.EachColumn(after, r.take)
}

func (r *row) eval(f *field) (cdc.Value, error) {
	if f.slot >= 0 {
		return r.values[f.slot], nil
	}
	return f.program.Eval(r.get)
}

// missingOf adds the absent inputs of a field to a list, each once.
func (r *row) missingOf(f field, list []string) []string {
	for _, i := range f.inputs {
		if name := r.m.names[i]; r.values[i].IsAbsent() && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// allAbsent tells that there are inputs and none of them was sent.
func (r *row) allAbsent(inputs []int) bool {
	for _, i := range inputs {
		if !r.values[i].IsAbsent() {
			return false
		}
	}
	return len(inputs) > 0
}
