package hubspot

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is one record of an account.
type record struct {
	id         string
	props      map[string]string // those that were ever set; an empty one is cleared
	archived   bool
	created    time.Time
	changed    time.Time
	archivedAt time.Time
	seq        int64 // of the last change, for the newest first
}

// table holds the records of one type.
type table struct {
	*ObjectType
	byName  map[string]*Property
	records map[string]*record
	order   []string                     // ids, oldest first
	unique  map[string]map[string]string // the id by property and value
}

// portal is an account: what HubSpot holds, without anything of HTTP. It is pure: it has no
// clock and no lock, and its changes can be undone until the call that makes them is over.
type portal struct {
	id           int64
	freeArchived bool // a unique value of an archived record may be taken
	tables       map[string]*table
	links        map[link][]linkType
	labels       []Label
	nextID       int64
	seq          int64
	refuse       refuser // nil refuses nothing
}

// undo takes back what was done.
type undo func()

func newPortal(o *Options) *portal {
	p := &portal{id: o.PortalID, freeArchived: o.FreeArchived, tables: make(map[string]*table, len(o.Types)),
		links: make(map[link][]linkType), labels: append(defaultLabels(), o.Labels...), nextID: 101}
	for i := range o.Types {
		t := o.Types[i]
		if t.modified == "" {
			t.modified = "hs_lastmodifieddate"
		}
		p.tables[t.Name] = newTable(t)
	}
	return p
}

func newTable(t ObjectType) *table {
	t.Properties = append(slices.Clone(t.Properties), t.system()...)
	tab := &table{ObjectType: &t, byName: make(map[string]*Property, len(t.Properties)),
		records: make(map[string]*record), unique: make(map[string]map[string]string)}
	for i := range t.Properties {
		p := &t.Properties[i]
		tab.byName[p.Name] = p
		if p.Unique {
			tab.unique[p.Name] = make(map[string]string)
		}
	}
	return tab
}

// table finds the records of a type by any of its names.
func (p *portal) table(name string) (*table, *fault) {
	for _, t := range p.tables {
		if strings.EqualFold(name, t.Name) || strings.EqualFold(name, t.Singular) || name == t.ID {
			return t, nil
		}
	}
	return nil, noSuchType(name)
}

// nameOf gives the name of a type by any of its names; one that there is not is its own.
func (p *portal) nameOf(name string) string {
	if t, f := p.table(name); f == nil {
		return t.Name
	}
	return name
}

// find gives the record with an id, or with a value of a unique property. The archived are
// not found unless they are asked for.
func (t *table) find(id, idProperty string, archived bool) (*record, *fault) {
	r, f := t.lookUp(id, idProperty)
	if f != nil {
		return nil, f
	}
	if r == nil || r.archived != archived {
		return nil, missing(t.ObjectType, id)
	}
	return r, nil
}

// lookUp gives the record that an id or a unique value belongs to, archived or not; nil if
// there is none.
func (t *table) lookUp(id, idProperty string) (*record, *fault) {
	if idProperty == "" || idProperty == "hs_object_id" {
		return t.records[id], nil
	}
	value, f := t.uniqueValue(id, idProperty, "get")
	if f != nil {
		return nil, f
	}
	return t.records[t.unique[idProperty][value]], nil
}

// uniqueValue gives a value of a unique property as it is kept.
func (t *table) uniqueValue(value, property, doing string) (string, *fault) {
	p := t.byName[property]
	if p == nil {
		return "", wrongValues([]wrongValue{t.wrong(property, unknownProperty(property), 0)})
	}
	if !p.Unique {
		return "", badRequest("Unable to perform %s by non-unique %s property %s", doing, t.ID, property)
	}
	kept, bad := p.normalize(value)
	if bad != nil {
		return "", wrongValues([]wrongValue{t.wrong(property, bad, 0)})
	}
	return kept, nil
}

func unknownProperty(name string) *invalid {
	return &invalid{"PROPERTY_DOESNT_EXIST", fmt.Sprintf("Property %q does not exist", name)}
}

func (t *table) wrong(name string, bad *invalid, portal int64) wrongValue {
	return wrongValue{Message: bad.message, Localized: bad.message, Error: bad.code, Name: name, Portal: portal}
}

// values gives the properties of a record to be written as they are kept, or says all that
// is wrong with them.
func (p *portal) values(t *table, props map[string]string) (map[string]string, *fault) {
	out := make(map[string]string, len(props))
	var wrong []wrongValue
	for _, name := range sortedKeys(props) {
		def := t.byName[name]
		if def == nil {
			wrong = append(wrong, t.wrong(name, unknownProperty(name), p.id))
			continue
		}
		kept, bad := def.normalize(props[name])
		if bad != nil {
			wrong = append(wrong, t.wrong(name, bad, p.id))
			continue
		}
		out[name] = kept
	}
	if wrong != nil {
		return nil, wrongValues(wrong)
	}
	return out, nil
}

// create makes a record.
func (p *portal) create(t *table, props map[string]string, now time.Time) (*record, undo, *fault) {
	values, f := p.values(t, props)
	if f != nil {
		return nil, nil, f
	}
	var absent []string
	for i := range t.Properties {
		if def := &t.Properties[i]; def.Required && values[def.Name] == "" {
			absent = append(absent, def.Name)
		}
	}
	if absent != nil {
		return nil, nil, &fault{status: http.StatusBadRequest, category: validationError,
			message: fmt.Sprintf("Error creating %s. Some required properties were not set.", strings.ToUpper(t.Singular)),
			context: map[string][]string{"properties": absent}}
	}
	r := &record{id: strconv.FormatInt(p.nextID, 10), props: make(map[string]string), created: now}
	if f := p.free(t, r, values); f != nil {
		return nil, nil, f
	}
	p.nextID++
	t.records[r.id] = r
	t.order = append(t.order, r.id)
	unset := p.set(t, r, values, now)
	return r, func() {
		unset()
		delete(t.records, r.id)
		t.order = t.order[:len(t.order)-1]
	}, nil
}

// update changes a record.
func (p *portal) update(t *table, r *record, props map[string]string, now time.Time) (undo, *fault) {
	values, f := p.values(t, props)
	if f != nil {
		return nil, f
	}
	if f := p.free(t, r, values); f != nil {
		return nil, f
	}
	return p.set(t, r, values, now), nil
}

// free tells that no other record has the unique values among some. An archived record has
// its own still.
func (p *portal) free(t *table, r *record, values map[string]string) *fault {
	for _, name := range sortedKeys(t.unique) {
		value := values[name]
		if value == "" {
			continue
		}
		other := t.records[t.unique[name][value]]
		if other == nil || other == r || other.archived && p.freeArchived {
			continue
		}
		return collision{t, t.byName[name], value, r.id, other.id}.fault(p.id)
	}
	return nil
}

// set writes values that were looked at before.
func (p *portal) set(t *table, r *record, values map[string]string, now time.Time) undo {
	before := *r
	before.props = make(map[string]string, len(r.props))
	for k, v := range r.props {
		before.props[k] = v
	}
	var back []undo
	for name, value := range values {
		if index := t.unique[name]; index != nil {
			back = append(back, reindex(index, r, r.props[name], value))
		}
		r.props[name] = value
	}
	r.changed = now
	p.seq++
	r.seq = p.seq
	return func() {
		*r = before
		for _, b := range slices.Backward(back) {
			b()
		}
	}
}

// reindex moves a record from one value of a unique property to another.
func reindex(index map[string]string, r *record, from, to string) undo {
	had, newHad := index[from], index[to]
	if from != "" && had == r.id {
		delete(index, from)
	}
	if to != "" {
		index[to] = r.id
	}
	return func() {
		restore(index, to, newHad)
		restore(index, from, had)
	}
}

func restore(index map[string]string, value, id string) {
	if id == "" {
		delete(index, value)
		return
	}
	index[value] = id
}

// archive puts a record into the recycling bin, from which people can restore it. One that
// is not there, or is there already, is no error.
func (p *portal) archive(t *table, id string, now time.Time) {
	r := t.records[id]
	if r == nil || r.archived {
		return
	}
	r.archived, r.archivedAt, r.changed = true, now, now
	p.seq++
	r.seq = p.seq
}

// restore takes a record out of the recycling bin. It is not, where another record has got
// one of its unique values since.
func (p *portal) restore(t *table, id string, now time.Time) bool {
	r := t.records[id]
	if r == nil || !r.archived {
		return false
	}
	for name, index := range t.unique {
		if other := index[r.props[name]]; other != "" && other != r.id {
			return false
		}
	}
	for name, index := range t.unique {
		if value := r.props[name]; value != "" {
			index[value] = r.id
		}
	}
	r.archived, r.archivedAt, r.changed = false, time.Time{}, now
	p.seq++
	r.seq = p.seq
	return true
}

// value gives a property of a record, also of those that HubSpot sets.
func (t *table) value(r *record, name string) (string, bool) {
	switch name {
	case "hs_object_id":
		return r.id, true
	case "createdate":
		return stamp(r.created), true
	case t.modified:
		return stamp(r.changed), true
	}
	v, ok := r.props[name]
	return v, ok && v != ""
}
