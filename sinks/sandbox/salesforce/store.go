package salesforce

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// record is what is held of one record. Its fields are never written to: a change puts
// another map in their place.
type record struct {
	id      string
	fields  map[string]json.RawMessage // by name; what is null is not there
	changed time.Time
	seq     int64 // of the last change
}

// index finds records by the values of some fields.
type index struct {
	fields []*Field
	unique bool
	nulls  bool           // records are in it also if one of the fields is null
	rule   *DuplicateRule // that it serves, if any
	held   map[string]map[*record]struct{}
}

// key gives the place of a record in an index; false if it has none.
func (x *index) key(fields map[string]json.RawMessage) (string, bool) {
	parts := make([]string, len(x.fields))
	for i, f := range x.fields {
		v, ok := fields[f.Name]
		if !ok && !x.nulls {
			return "", false
		}
		parts[i] = folded(f, v)
	}
	return strings.Join(parts, "\x00"), true
}

// find gives the ids of the records that have the same values, but for one, in order.
func (x *index) find(fields map[string]json.RawMessage, but *record) []*record {
	key, ok := x.key(fields)
	if !ok {
		return nil
	}
	var found []*record
	for r := range x.held[key] {
		if r != but {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *record) int { return strings.Compare(a.id, b.id) })
	return found
}

func (x *index) add(r *record) {
	key, ok := x.key(r.fields)
	if !ok {
		return
	}
	if x.held[key] == nil {
		x.held[key] = make(map[*record]struct{}, 1)
	}
	x.held[key][r] = struct{}{}
}

func (x *index) remove(r *record) {
	if key, ok := x.key(r.fields); ok {
		if delete(x.held[key], r); len(x.held[key]) == 0 {
			delete(x.held, key)
		}
	}
}

// store is the org's data. It is pure: the time of a change is an argument.
type store struct {
	tables map[string]*table // by name in small letters
	seq    int64
	count  int
	// undo takes back what was done since begin, the last first; it is not kept outside of
	// a transaction.
	undo   []func()
	inside bool
}

func newStore(objects []Object) *store {
	s := &store{tables: make(map[string]*table, len(objects))}
	for _, o := range objects {
		s.tables[strings.ToLower(o.Name)] = newTable(o)
	}
	return s
}

func (s *store) table(name string) *table { return s.tables[strings.ToLower(name)] }

// names lists the objects, sorted.
func (s *store) names() []string {
	names := make([]string, 0, len(s.tables))
	for _, t := range s.tables {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// begin starts a transaction, within which a mark can be gone back to.
func (s *store) begin() { s.inside, s.undo = true, nil }

// commit keeps what was done since begin.
func (s *store) commit() { s.inside, s.undo = false, nil }

// rollback takes back what was done since a mark, which is a length of undo.
func (s *store) rollback(mark int) {
	for i := len(s.undo) - 1; i >= mark; i-- {
		s.undo[i]()
	}
	s.undo = s.undo[:mark]
}

func (s *store) done(undo func()) {
	if s.inside {
		s.undo = append(s.undo, undo)
	}
}

// insert makes a record.
func (s *store) insert(t *table, fields map[string]json.RawMessage, now time.Time) *record {
	t.made++
	s.seq++
	r := &record{id: makeID(t.Prefix, t.made), fields: stamped(fields, now), changed: now, seq: s.seq}
	r.fields[idField], r.fields[createdField] = quote(r.id), quote(showTime(now))
	s.link(t, r)
	s.done(func() { s.unlink(t, r) })
	return r
}

// change gives a record other values.
func (s *store) change(t *table, r *record, fields map[string]json.RawMessage, now time.Time) {
	old := *r
	s.unlink(t, r)
	s.seq++
	r.fields, r.changed, r.seq = stamped(fields, now), now, s.seq
	s.link(t, r)
	s.done(func() {
		s.unlink(t, r)
		*r = old
		s.link(t, r)
	})
}

// remove deletes a record, and those that go with it.
func (s *store) remove(t *table, r *record) {
	s.unlink(t, r)
	t.gone[r.id] = true
	s.done(func() {
		delete(t.gone, r.id)
		s.link(t, r)
	})
	for _, child := range s.tables {
		for i := range child.Fields {
			f := &child.Fields[i]
			if !f.Cascade || !slices.Contains(f.ReferenceTo, t.Name) {
				continue
			}
			for _, c := range slices.Collect(maps.Values(child.records)) {
				if plain(c.fields[f.Name]) == r.id {
					s.remove(child, c)
				}
			}
		}
	}
}

func (s *store) link(t *table, r *record) {
	t.records[r.id] = r
	s.count++
	for _, x := range t.indexes {
		x.add(r)
	}
}

func (s *store) unlink(t *table, r *record) {
	delete(t.records, r.id)
	s.count--
	for _, x := range t.indexes {
		x.remove(r)
	}
}

// stamped copies fields without nulls and with the time of the change.
func stamped(fields map[string]json.RawMessage, now time.Time) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(fields)+4)
	for name, v := range fields {
		if string(v) != null {
			out[name] = v
		}
	}
	out[modifiedField] = quote(showTime(now))
	out[stampField] = out[modifiedField]
	return out
}

// match finds records by a field that identifies them.
func (t *table) match(f *Field, value json.RawMessage) []*record {
	if f.Name == idField {
		if id, ok := readID(plain(value)); ok && t.records[id] != nil {
			return []*record{t.records[id]}
		}
		return nil
	}
	x := t.indexOf(f)
	if x == nil || string(value) == null {
		return nil
	}
	return x.find(map[string]json.RawMessage{f.Name: value}, nil)
}

// value gives what a record shows in a field: a reference to a record that is gone is null.
func (s *store) value(f *Field, r *record) json.RawMessage {
	v, ok := r.fields[f.Name]
	if !ok {
		return json.RawMessage(null)
	}
	if len(f.ReferenceTo) > 0 {
		if _, parent := s.parent(f, plain(v)); parent == nil {
			return json.RawMessage(null)
		}
	}
	return v
}

// parent finds the record of an id that a reference may be to.
func (s *store) parent(f *Field, id string) (*table, *record) {
	for _, name := range f.ReferenceTo {
		if t := s.table(name); t != nil && t.records[id] != nil {
			return t, t.records[id]
		}
	}
	return nil, nil
}

// newest gives up to most records, the last changed first; all if most is zero.
func (t *table) newest(most int) []*record {
	byAge := func(a, b *record) int { return int(b.seq - a.seq) }
	if most <= 0 || most >= len(t.records) {
		return slices.SortedFunc(maps.Values(t.records), byAge)
	}
	list := make([]*record, 0, most+1)
	for _, r := range t.records {
		if at, _ := slices.BinarySearchFunc(list, r, byAge); at < most {
			list = slices.Insert(list, at, r)
			list = list[:min(len(list), most)]
		}
	}
	return list
}
