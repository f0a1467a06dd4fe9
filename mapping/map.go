package mapping

import (
	"bytes"
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
	rules                             *laneRules // nil if there are none

	when      field // without a program if there is no condition
	key       field
	fields    []field
	selective bool // there are fields that are not always written
	signed    bool // there are fields with write: if_changed
	// keyIsSource tells that two rows never have the same key.
	keyIsSource bool
	set         []constant

	outputs               []Output
	sets                  []Output
	fromAt, toAt, startAt Place

	scope *expr.Scope
	names []string       // the columns that are read, by slot
	slots map[string]int // the same by name
	rows  *sync.Pool     // of *row
}

// field is a field of the target with what gives its value.
type field struct {
	name     string
	write    Write
	token    string          // what its tokens begin with, where write is WriteChanged
	constant json.RawMessage // instead of a program
	program  *expr.Program
	ref      *reference // instead of the program's value
	slot     int        // where the column is that is only passed on; else -1
	inputs   []int      // the slots of all columns the program reads
}

// constant is a field with a value that is known before any row.
type constant struct{ name, json string }

// codeUnmapped is the code of rows that cannot be mapped, but for those with a null key.
const codeUnmapped = "unmapped"

// Name gives the mapping's name.
func (m *Mapping) Name() string { return m.name }

// Table gives the table that the mapping reads.
func (m *Mapping) Table() cdc.Table { return m.table }

// Parents gives the names of the mappings that fields refer to.
func (m *Mapping) Parents() (out []string) {
	for i := range m.fields {
		if r := m.fields[i].ref; r != nil && !slices.Contains(out, r.mapping) {
			out = append(out, r.mapping)
		}
	}
	return out
}

// Target gives the name of the configured target.
func (m *Mapping) Target() string { return m.target }

// Object gives the target's name of the kind of thing.
func (m *Mapping) Object() string { return m.object }

// Lane gives how urgent the mapping's changes are; empty where that is told by rules over
// the row, which the capture follows.
func (m *Mapping) Lane() string {
	if m.rules != nil {
		return ""
	}
	return m.lane
}

// SLO is how long after its commit a change should be at the target; zero if nothing is
// said.
func (m *Mapping) SLO() time.Duration { return m.slo }

// Start says what the mapping begins with when it is new: StartBackfill or StartNow; empty
// if its file does not say, and the target decides.
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
	missing := r.missingOf(&m.when, nil)
	if len(missing) == 0 && m.when.program != nil {
		holds, err := m.when.program.IsTrue(r.cols)
		if err != nil {
			return sinks.Record{}, false, m.rejected("when", err)
		}
		if !holds {
			rec, send = m.leave(ch, prior)
			return rec, send, nil
		}
	}
	return m.upsert(ch, r, missing, prior)
}

// upsert makes the record of a row that is to be at the target. The missing
// columns are those of the condition. A record that the target does not hold yet
// is made whole: a field left out of it would never come (I5).
func (m *Mapping) upsert(ch *cdc.Change, r *row, missing []string, prior sinks.Prior) (sinks.Record, bool, error) {
	r.buf, r.ends, r.parents = r.buf[:0], r.ends[:0], nil
	keyMissing := r.missingOf(&m.key, nil)
	if len(keyMissing) == 0 && len(missing) == 0 { // else it is not known whether the row is meant
		if err := m.appendKey(r); err != nil {
			return sinks.Record{}, false, err
		}
		if prior.Key.Name != "" && (prior.Key.Name != m.key.name || !bytes.Equal(r.buf, prior.Key.Value)) {
			prior = sinks.Prior{} // the record with this key is another one
		}
	}
	missing = r.missingOf(&m.key, missing)
	for i := range m.fields {
		f := &m.fields[i]
		if m.omits(f, prior) {
			continue
		}
		if !prior.Live || f.ref != nil || !r.allAbsent(f.inputs) {
			missing = r.missingOf(f, missing)
		}
	}
	if len(missing) > 0 {
		return sinks.Record{}, false, &sinks.Unresolved{Columns: missing}
	}
	signs := m.newSigns(prior.Sent)
	sent := 0
	for i := range m.fields {
		n := len(r.buf)
		if err := m.appendField(r, &m.fields[i], prior, signs); err != nil {
			return sinks.Record{}, false, err
		}
		if r.ends = append(r.ends, len(r.buf)); len(r.buf) > n {
			sent++
		}
	}
	rec := m.made(ch, r, sent, signs.text())
	// Where all that is left has not changed, the target has it already.
	return rec, sent > 0 || !m.signed || !prior.Live || prior.Doubt, nil
}

// appendKey appends the key to the row's buffer.
func (m *Mapping) appendKey(r *row) error {
	b, null, err := r.append(&m.key)
	if err != nil {
		return m.rejected(m.key.name, err)
	}
	if null {
		return &sinks.Rejected{Code: sinks.CodeNullKey, Err: fmt.Errorf("map %s: the key field %s is null", m.name, m.key.name)}
	}
	r.buf, r.ends = b, append(r.ends, len(b))
	return nil
}

// appendField appends the value of a field to the row's buffer, or nothing where it is
// left out.
func (m *Mapping) appendField(r *row, f *field, prior sinks.Prior, signs *signs) error {
	switch {
	case m.omits(f, prior):
		return nil
	case len(f.inputs) > 0 && r.allAbsent(f.inputs):
		if f.write == WriteChanged {
			signs.keep(f)
		}
		return nil
	}
	start, parents := len(r.buf), len(r.parents)
	b, _, err := r.append(f)
	if err != nil {
		return m.rejected(f.name, err)
	}
	if f.write == WriteChanged && signs.same(f, b[start:]) {
		b, r.parents = b[:start], r.parents[:parents]
	}
	r.buf = b
	return nil
}

// Selective tells that some fields are not written always, but when they change or when a
// record comes into being.
func (m *Mapping) Selective() bool { return m.selective }

// omits tells whether a field is left out because of how it is written. Where the first
// request has had no answer the record may still be new.
func (m *Mapping) omits(f *field, prior sinks.Prior) bool {
	return f.write == WriteOnCreate && prior.Live && !prior.Doubt
}

// made gives the record of which the row has the values: one buffer holds them all, and
// no value has room behind it that is another's.
func (m *Mapping) made(ch *cdc.Change, r *row, sent int, signs string) sinks.Record {
	rec := m.record(ch, sinks.Upsert)
	buf := slices.Clone(r.buf)
	rec.Key = sinks.Field{Name: m.key.name, Value: buf[:r.ends[0]:r.ends[0]]}
	rec.Fields = make([]sinks.Field, 0, sent)
	for i := range m.fields {
		if start, end := r.ends[i], r.ends[i+1]; end > start {
			rec.Fields = append(rec.Fields, sinks.Field{Name: m.fields[i].name, Value: buf[start:end:end]})
		}
	}
	rec.Parents, rec.Sent = r.parents, signs
	return rec
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
