package hubspot

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// The most inputs of a batch of associations.
const (
	maxAssociate = 2000
	maxReadLinks = 1000
)

// The categories of association types.
const (
	hubspotDefined = "HUBSPOT_DEFINED"
	userDefined    = "USER_DEFINED"
)

// Label is a type of association in one direction; the other has an ID of its own.
type Label struct {
	From, To string // names of object types, such as contacts
	ID       int
	Inverse  int // the ID in the other direction
	Name     string
	// UserDefined tells that the account made it.
	UserDefined bool
	// Default tells that it is the one without a name, that batch/associate/default makes.
	Default bool
}

func (l *Label) category() string {
	if l.UserDefined {
		return userDefined
	}
	return hubspotDefined
}

// defaultLabels are HubSpot's own between the default types.
func defaultLabels() []Label {
	pair := func(from, to string, id, inverse int, name string) []Label {
		list := []Label{{From: from, To: to, ID: id, Inverse: inverse, Name: name, Default: name == ""}}
		if id != inverse {
			list = append(list, Label{From: to, To: from, ID: inverse, Inverse: id, Name: name, Default: name == ""})
		}
		return list
	}
	return slices.Concat(
		pair("contacts", "companies", 279, 280, ""),
		pair("contacts", "companies", 1, 2, "Primary"),
		pair("deals", "contacts", 3, 4, ""),
		pair("deals", "companies", 341, 342, ""),
		pair("deals", "companies", 5, 6, "Primary"),
		pair("contacts", "contacts", 449, 449, ""),
		pair("companies", "companies", 450, 450, ""),
		pair("deals", "deals", 451, 451, ""),
	)
}

// linkType is the type of one association.
type linkType struct {
	Category string `json:"associationCategory"`
	ID       int    `json:"associationTypeId"`
}

// ref names a record on the wire.
type ref struct {
	ID string `json:"id"`
}

// associate is an association that is made along with a record.
type associate struct {
	To    ref        `json:"to"`
	Types []linkType `json:"types"`
}

// link is the two ends of associations, in one direction.
type link struct{ from, fromID, to, toID string }

func (l link) turned() link { return link{l.to, l.toID, l.from, l.fromID} }

// label finds a type of association between two types of objects; nil if there is none.
func (p *portal) label(from, to string, t linkType) *Label {
	for i := range p.labels {
		l := &p.labels[i]
		if l.From == from && l.To == to && l.ID == t.ID && (t.Category == "" || t.Category == l.category()) {
			return l
		}
	}
	return nil
}

// defaultLabel finds the one without a name.
func (p *portal) defaultLabel(from, to string) *Label {
	for i := range p.labels {
		if l := &p.labels[i]; l.From == from && l.To == to && l.Default {
			return l
		}
	}
	return nil
}

func noSuchLabel(from, to *table, id int) *fault {
	return badRequest("One or more association types are invalid: type %d does not associate %s with %s", id, from.Name, to.Name)
}

// linkLabels gives the types by which two records are to be associated, by default the one
// without a name.
func (p *portal) linkLabels(from, to *table, types []linkType) ([]*Label, *fault) {
	if len(types) == 0 {
		return nil, badRequest("Invalid input JSON: types must not be empty")
	}
	labels := make([]*Label, len(types))
	for i, t := range types {
		if labels[i] = p.label(from.Name, to.Name, t); labels[i] == nil {
			return nil, noSuchLabel(from, to, t.ID)
		}
	}
	return labels, nil
}

// connect associates two records, in both directions. A labelled association comes with the
// one without a name.
func (p *portal) connect(from, to *table, fromID, toID string, labels []*Label) (undo, *fault) {
	for _, end := range []struct {
		t  *table
		id string
	}{{from, fromID}, {to, toID}} {
		if _, f := end.t.find(end.id, "", false); f != nil {
			f.context = map[string][]string{"fromObjectId": {fromID}, "toObjectId": {toID}}
			return nil, f
		}
	}
	at := link{from.Name, fromID, to.Name, toID}
	before, beforeTurned := slices.Clone(p.links[at]), slices.Clone(p.links[at.turned()])
	if plain := p.defaultLabel(from.Name, to.Name); plain != nil {
		labels = append([]*Label{plain}, labels...)
	}
	for _, l := range labels {
		p.add(at, linkType{l.category(), l.ID})
		p.add(at.turned(), linkType{l.category(), l.Inverse})
	}
	return func() { p.put(at, before); p.put(at.turned(), beforeTurned) }, nil
}

func (p *portal) add(at link, t linkType) {
	if !slices.Contains(p.links[at], t) {
		p.links[at] = append(p.links[at], t)
	}
}

func (p *portal) put(at link, types []linkType) {
	if len(types) == 0 {
		delete(p.links, at)
		return
	}
	p.links[at] = types
}

// associateNew associates a record that was just made. What type the other is follows from
// the type of the association.
func (p *portal) associateNew(from *table, r *record, a associate) (undo, *fault) {
	if len(a.Types) == 0 {
		return nil, badRequest("Invalid input JSON: types must not be empty")
	}
	for i := range p.labels {
		l := &p.labels[i]
		if l.From != from.Name || l.ID != a.Types[0].ID {
			continue
		}
		to, f := p.table(l.To)
		if f != nil {
			return nil, f
		}
		labels, f := p.linkLabels(from, to, a.Types)
		if f != nil {
			return nil, f
		}
		return p.connect(from, to, r.id, a.To.ID, labels)
	}
	return nil, badRequest("One or more association types are invalid: no type %d of %s", a.Types[0].ID, from.Name)
}

// disconnect takes associations away: those of some types, or all between two records. That
// there are none is no error.
func (p *portal) disconnect(from, to *table, fromID, toID string, types []linkType) *fault {
	at := link{from.Name, fromID, to.Name, toID}
	if types == nil {
		delete(p.links, at)
		delete(p.links, at.turned())
		return nil
	}
	labels, f := p.linkLabels(from, to, types)
	if f != nil {
		return f
	}
	for _, l := range labels {
		p.remove(at, linkType{l.category(), l.ID})
		p.remove(at.turned(), linkType{l.category(), l.Inverse})
	}
	return nil
}

func (p *portal) remove(at link, t linkType) {
	p.put(at, slices.DeleteFunc(slices.Clone(p.links[at]), func(have linkType) bool { return have == t }))
}

// linked is another end of associations, as batch/read tells of it.
type linked struct {
	ID    int64        `json:"toObjectId"`
	Types []linkedType `json:"associationTypes"`
}

type linkedType struct {
	Category string  `json:"category"`
	TypeID   int     `json:"typeId"`
	Label    *string `json:"label"`
}

// linksOf gives what a record is associated with, of one type. An archived record shows in
// no association.
func (p *portal) linksOf(from *table, id string, to *table) []linked {
	var out []linked
	if r := from.records[id]; r == nil || r.archived {
		return nil
	}
	for at, types := range p.links {
		if at.from != from.Name || at.fromID != id || at.to != to.Name {
			continue
		}
		if r := to.records[at.toID]; r == nil || r.archived {
			continue
		}
		n, err := strconv.ParseInt(at.toID, 10, 64)
		if err != nil {
			continue // ids are made as numbers
		}
		l := linked{ID: n}
		for _, t := range types {
			lt := linkedType{Category: t.Category, TypeID: t.ID}
			if label := p.label(from.Name, to.Name, t); label != nil && label.Name != "" {
				lt.Label = &label.Name
			}
			l.Types = append(l.Types, lt)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b linked) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// noLinks is the fault of a record without associations.
func noLinks(from, to *table, id string) *fault {
	return &fault{status: http.StatusNotFound, category: objectNotFound, subCategory: "crm.associations.NO_ASSOCIATIONS_FOUND",
		message: "No " + to.Singular + " is associated with " + from.Singular + " " + id + ".",
		context: map[string][]string{"fromObjectId": {id}, "fromObjectType": {from.Singular}, "toObjectType": {to.Singular}}}
}
