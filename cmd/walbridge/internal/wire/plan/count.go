package plan

import (
	"maps"
	"slices"
	"strings"
)

// Bounds of what is kept of a mapping.
const (
	examplesMost = 5
	refusalsMost = 20
	// FieldsMost is of how many records it is told which fields differ.
	FieldsMost = 200
)

// Counter counts what is found of the rows of a mapping.
type Counter struct {
	Mapping
	fields map[string]*Field
	// keys are the target keys that rows have, shared by the mappings that lead to one object.
	keys *Keys
}

// NewCounter begins to count. Keys may be nil where no two rows can make the same target key.
func NewCounter(m Mapping, keys *Keys) *Counter {
	return &Counter{Mapping: m, fields: map[string]*Field{}, keys: keys}
}

// codeDuplicate is the code that delivery gives a row that wants the target key of another.
const codeDuplicate = "duplicate_target_key"

// Count counts a row.
func (c *Counter) Count(key string, f Finding) {
	if f.Claims && c.keys != nil && !c.keys.Take(f.Key) {
		f = Finding{Kind: Refused, Code: codeDuplicate, Error: "another row makes the same target key; the one that is first has it", Differs: f.Differs}
	}
	n := map[Kind]*int64{AsIs: &c.Same, Unsure: &c.Unsure, NotMeant: &c.NotMeant, Create: &c.Create, Update: &c.Update, Move: &c.Move, Remove: &c.Remove, Stay: &c.Stay, Refused: &c.Refused}[f.Kind]
	*n++
	if f.Differs {
		c.differs++
	}
	if f.Untouched {
		c.Untouched++
	}
	if f.Unsettled {
		c.Unsettled++
	}
	if f.Orphan {
		c.Orphans++
	}
	if f.Looked && c.Looked < FieldsMost {
		c.tell(&f)
	}
	switch f.Kind {
	case Refused:
		c.refuse(key, &f)
	case Create, Update, Move, Remove, Stay:
		c.example(f.Kind.String(), key)
	}
}

func (c *Counter) example(kind, key string) {
	if c.Examples == nil {
		c.Examples = map[string][]string{}
	}
	if len(c.Examples[kind]) < examplesMost {
		c.Examples[kind] = append(c.Examples[kind], key)
	}
}

// tell notes which fields make a record differ.
func (c *Counter) tell(f *Finding) {
	c.Looked++
	if len(f.Added)+len(f.Changed) > 0 {
		c.Told++
	}
	of := func(name string) *Field {
		if c.fields[name] == nil {
			c.fields[name] = &Field{Name: name}
		}
		return c.fields[name]
	}
	for _, name := range f.Added {
		of(name).Added++
	}
	for _, name := range f.Changed {
		of(name).Changed++
	}
}

// refuse notes why a row is refused. Errors beyond a number are counted together.
func (c *Counter) refuse(key string, f *Finding) {
	i := slices.IndexFunc(c.Refusals, func(r Refusal) bool { return r.Code == f.Code && r.Error == f.Error })
	if i < 0 {
		r := Refusal{Code: f.Code, Error: f.Error}
		if len(c.Refusals) == refusalsMost {
			r = Refusal{Code: "others", Error: "other errors"}
			c.Refusals = append(c.Refusals, r)
		} else if len(c.Refusals) < refusalsMost {
			c.Refusals = append(c.Refusals, r)
		}
		i = len(c.Refusals) - 1
	}
	r := &c.Refusals[i]
	if r.Rows++; len(r.Examples) < examplesMost {
		r.Examples = append(r.Examples, key)
	}
}

// Known notes that something of the mapping is in the state of its target.
func (c *Counter) Known() { c.known = true }

// Finish says what all of it comes to; sample is the share of the rows that was counted.
func (c *Counter) Finish(sample float64) *Mapping {
	m := &c.Mapping
	for _, name := range slices.Sorted(maps.Keys(c.fields)) {
		m.Fields = append(m.Fields, *c.fields[name])
	}
	slices.SortStableFunc(m.Refusals, func(a, b Refusal) int { return strings.Compare(a.Code, b.Code) })
	switch {
	case !m.known:
		m.State = New
	case m.Begins != nil && m.Begins.How != ByReading:
		m.State = Back
	case m.differs > 0:
		m.State = Changed
	default:
		m.State = Same
	}
	all := m.Create + m.Update + m.Move + m.Same + m.Unsure + m.Remove
	m.Replay = m.cost(m.Create+m.Update+m.Move+m.Unsure+m.Remove, m.Move, sample)
	m.Backfill = m.cost(all-m.Orphans, m.Move, sample)
	if b := m.Begins; b != nil {
		switch b.How {
		case ByBackfill:
			m.Sends = m.cost(all, m.Move, sample)
		case ByReading:
			m.Sends = m.cost(m.Create, 0, sample)
		case ByLog:
			m.Sends = m.cost(max(0, min(b.Log, int64(float64(all)/sample))), 0, 1)
		}
	}
	return m
}

// cost is that of some records, of which some leave another key, under which what the target has
// is removed.
func (m *Mapping) cost(records, moved int64, sample float64) Cost {
	up := func(n int64) int64 { return int64(float64(n)/sample + 0.5) }
	if m.Delete == "ignore" {
		moved = 0
	}
	c := Cost{Records: up(records)}
	c.Jobs = m.Jobs > 0 && c.Records >= int64(m.Jobs)
	batch := int64(max(1, m.Batch))
	for _, n := range []int64{c.Records, up(moved)} {
		c.Requests += (n + batch - 1) / batch
	}
	return c
}

// keysMost bounds the target keys that are kept: about 16 bytes for each.
const keysMost = 4_000_000

// Keys are target keys of an object, so far as rows have them.
type Keys struct {
	taken map[uint64]struct{}
	many  bool
	hash  func(string) uint64
}

// NewKeys gives none, told apart by a hash.
func NewKeys(hash func(string) uint64) *Keys { return &Keys{taken: map[uint64]struct{}{}, hash: hash} }

// Take takes a key, and tells whether nobody had it. When there are too many to keep it is
// not known any more, as Many tells.
func (k *Keys) Take(key string) bool {
	h := k.hash(key)
	if _, ok := k.taken[h]; ok {
		return false
	}
	if len(k.taken) >= keysMost {
		k.many = true
		return true
	}
	k.taken[h] = struct{}{}
	return true
}

// Many tells that not all keys could be kept.
func (k *Keys) Many() bool { return k.many }
