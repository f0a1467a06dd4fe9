package hubspot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// link is what a field associates a record with.
type link struct {
	kind     Association
	property string // by which the other record is known
	key      key
	parent   *sinks.Parent // nil where the value is an id
	none     bool          // it is to be associated with nothing
	id       string        // HubSpot's, once known
}

// pair is the two ends of an association.
type pair struct{ from, to string }

// association is a pair that is to be, or not to be any more.
type association struct {
	pair
	it   *item
	link *link // nil where one is taken away
}

// linkSpace is where it is noted what the records of a type are associated with, by their ids:
// NAME=ID;NAME=ID. Where that is being changed it is one of several, ID,ID, of which an empty
// one stands for none.
func linkSpace(object string) string { return "link:" + canonical(object) }

func readLinks(note string) map[string][]string {
	out := map[string][]string{}
	for part := range strings.SplitSeq(note, ";") {
		if name, ids, ok := strings.Cut(part, "="); ok {
			out[name] = strings.Split(ids, ",")
		}
	}
	return out
}

func writeLinks(links map[string][]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(links)) {
		parts = append(parts, name+"="+strings.Join(links[name], ","))
	}
	return strings.Join(parts, ";")
}

// linkOf makes a link of a field. A ref(…) gives the other record's key; any other value is
// HubSpot's own id of it.
func (d *delivery) linkOf(rec *sinks.Record, field, name, value string) link {
	l := link{kind: d.association(d.object, name), property: recordID, key: key{value, value}, none: value == ""}
	for i := range rec.Parents {
		if p := &rec.Parents[i]; p.Field == field {
			l.property, l.key, l.parent = p.Key.Name, d.keyOf(l.kind.To, p.Key), p
		}
	}
	return l
}

// parents finds the records that others are to be associated with, before anything is sent:
// a record whose parent is missing is left alone.
func (d *delivery) parents(ctx context.Context) error {
	type where struct{ object, property string }
	wanted := map[where][]*link{}
	for _, it := range d.of(sinks.Upsert) {
		for i := range it.links {
			if l := &it.links[i]; !l.none {
				at := where{canonical(l.kind.To), l.property}
				wanted[at] = append(wanted[at], l)
			}
		}
	}
	for at, links := range wanted {
		keys := make([]key, len(links))
		for i, l := range links {
			keys[i] = l.key
		}
		ids, err := d.ids(ctx, links[0].kind.To, at.property, keys, func(folds map[string]bool) error {
			var anew []sinks.Record
			for _, l := range links {
				if l.parent != nil && folds[l.key.fold] {
					folds[l.key.fold] = false // once
					anew = append(anew, sinks.Record{Mapping: l.parent.Mapping, Source: l.parent.Source, Object: l.kind.To, Key: l.parent.Key})
				}
			}
			return d.tellRemade(ctx, anew)
		})
		if err != nil {
			return err
		}
		for _, l := range links {
			l.id = ids[l.key.fold]
		}
	}
	for _, it := range d.of(sinks.Upsert) {
		if slices.ContainsFunc(it.links, func(l link) bool { return !l.none && l.id == "" }) {
			it.err = &sinks.WaitForParent{Err: errors.New("the record that it is to be associated with is not at HubSpot")}
		}
	}
	return nil
}

// associate brings the associations of upserted records to what their fields say. What is
// noted of a record is what its fields said before: that is taken away first, as HubSpot may
// allow only one; other people's associations are let be. What is noted may be there no more,
// where somebody took it away: a record that mends is associated all the same.
func (d *delivery) associate(ctx context.Context) error {
	items := slices.DeleteFunc(d.of(sinks.Upsert), func(it *item) bool { return !it.done || len(it.links) == 0 })
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.id
	}
	notes, err := d.noted(ctx, linkSpace(d.object), ids)
	if err != nil {
		return err
	}
	var plan changes
	begun := map[string]string{}
	for _, it := range items {
		plan.of(d, it, readLinks(notes[it.id]))
		if text := writeLinks(plan.during[it]); text != notes[it.id] {
			begun[it.id], notes[it.id] = text, text
		}
	}
	// Whatever ends between two of these requests, the next try takes away all that may be there.
	if err := d.note(ctx, linkSpace(d.object), begun); err != nil {
		return err
	}
	for _, kind := range slices.SortedFunc(maps.Keys(plan.gone), byTo) {
		if err := d.dissociate(ctx, kind, plan.gone[kind]); err != nil {
			return err
		}
	}
	for _, kind := range slices.SortedFunc(maps.Keys(plan.made), byTo) {
		if err := d.connect(ctx, kind, plan.made[kind]); err != nil {
			return err
		}
	}
	fresh := map[string]string{}
	for it, links := range plan.after {
		if text := writeLinks(links); it.err == nil && text != notes[it.id] {
			fresh[it.id] = text
		}
	}
	return d.note(ctx, linkSpace(d.object), fresh)
}

// kind is one sort of association, as far as a request is about one.
type kind struct {
	to, category string
	id           int // zero is the default, or, of those taken away, all between two records
}

func byTo(a, b kind) int {
	if c := strings.Compare(a.to, b.to); c != 0 {
		return c
	}
	return a.id - b.id
}

// changes are what associations are to be taken away and made, and what is noted then.
type changes struct {
	gone, made map[kind][]association
	// during is what is noted while they are under way, after what is noted then.
	during, after map[*item]map[string][]string
}

func (c *changes) of(d *delivery, it *item, before map[string][]string) {
	if c.after == nil {
		c.gone, c.made = map[kind][]association{}, map[kind][]association{}
		c.during, c.after = map[*item]map[string][]string{}, map[*item]map[string][]string{}
	}
	during, after := maps.Clone(before), maps.Clone(before)
	for i := range it.links {
		if l := &it.links[i]; l.none {
			delete(after, l.kind.name())
		} else {
			after[l.kind.name()] = []string{l.id}
		}
	}
	c.during[it], c.after[it] = during, after
	for i := range it.links {
		l := &it.links[i]
		old := before[l.kind.name()]
		if old == nil {
			old = []string{""}
		}
		if len(old) == 1 && old[0] == l.id && (l.none || !it.rec.Mends) { // none of both, or the same
			continue
		}
		if during[l.kind.name()] = old; !slices.Contains(old, l.id) {
			during[l.kind.name()] = append(slices.Clone(old), l.id)
		}
		for _, id := range old {
			if k, ok := goneBy(d, &l.kind, id, after); ok && id != "" && id != l.id {
				c.gone[k] = append(c.gone[k], association{pair{it.id, id}, it, nil})
			}
		}
		if !l.none {
			k := kind{l.kind.To, l.kind.Category, l.kind.Type}
			c.made[k] = append(c.made[k], association{pair{it.id, l.id}, it, l})
		}
	}
}

// goneBy says how an association is taken away: as a rule with all that the two records have
// between them, since with one that has a label HubSpot makes one that has none. Where another
// field associates the same two, only the label goes.
func goneBy(d *delivery, a *Association, id string, after map[string][]string) (kind, bool) {
	for name, other := range after {
		b := d.association(d.object, name)
		if slices.Contains(other, id) && name != a.name() && canonical(b.To) == canonical(a.To) {
			return kind{a.To, a.Category, a.Type}, a.Type != 0
		}
	}
	return kind{to: a.To}, true
}

// spec is a type of association on the wire.
type spec struct {
	Category string `json:"associationCategory"`
	Type     int    `json:"associationTypeId"`
}

func (k kind) specs() []spec {
	category := k.category
	if category == "" {
		category = hubspotDefined
	}
	return []spec{{category, k.id}}
}

// ends are the two ends of an association on the wire; types is left out of a default one.
type ends struct {
	From  ref    `json:"from"`
	To    ref    `json:"to"`
	Types []spec `json:"types,omitempty"`
}

// endsOfAll is a record and those that it is not to be associated with any more.
type endsOfAll struct {
	From ref   `json:"from"`
	To   []ref `json:"to"`
}

func (d *delivery) dissociate(ctx context.Context, k kind, list []association) error {
	url, body := d.paths.associations(d.object, k.to, "batch/archive"), any(nil)
	if k.id == 0 {
		all := inputs[endsOfAll]{}
		for _, a := range list {
			all.Inputs = append(all.Inputs, endsOfAll{ref{a.from}, []ref{{a.to}}})
		}
		body = all
	} else {
		url = d.paths.associations(d.object, k.to, "batch/labels/archive")
		body = inputs[ends]{endsOf(list, k.specs())}
	}
	a, err := d.post(ctx, url, body)
	if err == nil {
		return archived(a)
	}
	var rej *sinks.Rejected
	if !errors.As(err, &rej) || rej.Code != notFound || slices.ContainsFunc(list, func(a association) bool { return a.it != list[0].it }) {
		return err
	}
	if len(list) == 1 {
		return nil // the other record is gone, and all associations with it
	}
	for i := range list { // of one record: nobody else makes the request smaller
		if err := d.dissociate(ctx, k, list[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func endsOf(list []association, types []spec) []ends {
	out := make([]ends, len(list))
	for i, a := range list {
		out[i] = ends{ref{a.from}, ref{a.to}, types}
	}
	return out
}

// connect associates pairs of records.
func (d *delivery) connect(ctx context.Context, k kind, list []association) error {
	url, types := d.paths.associations(d.object, k.to, "batch/associate/default"), []spec(nil)
	if k.id != 0 {
		url, types = d.paths.associations(d.object, k.to, "batch/create"), k.specs()
	}
	a, err := d.post(ctx, url, inputs[ends]{endsOf(list, types)})
	if err != nil {
		return err
	}
	said, err := readAnswer(a)
	if err != nil {
		return err
	}
	return d.connected(ctx, list, said)
}

// connected gives records what was said of their associations. An error that names neither end
// of any refuses the whole batch, to be sent in parts.
func (d *delivery) connected(ctx context.Context, list []association, said *answer) error {
	made := map[pair]bool{}
	for i := range said.Results {
		made[said.Results[i].ends()] = true
	}
	silent := slices.DeleteFunc(slices.Clone(list), func(a association) bool { return made[a.pair] })
	for i := range said.Errors {
		r := &said.Errors[i]
		of := slices.DeleteFunc(slices.Clone(silent), func(a association) bool { return !r.names(a.from) })
		if len(of) == 0 {
			of = slices.DeleteFunc(slices.Clone(silent), func(a association) bool { return !r.names(a.to) })
		}
		if len(of) == 0 && len(silent) == 1 {
			of = silent
		}
		if len(of) == 0 && len(silent) > 1 {
			return r.one()
		}
		for _, a := range of {
			if err := d.refuse(ctx, a, r); err != nil {
				return err
			}
		}
	}
	for _, a := range silent {
		if a.it.err == nil && (len(said.Errors) > 0 || said.Status != complete) {
			a.it.err = &sinks.Retryable{Unknown: true, Err: errors.New("HubSpot's answer says nothing of the record's association")}
		}
	}
	return nil
}

// refuse notes that a record was not associated. Where HubSpot has not the other one any
// more, what is noted of that is wrong, and it is looked for the next time. That it was there
// stays noted, so that others that refer to it are delivered again when it is there once more.
func (d *delivery) refuse(ctx context.Context, a association, r *refusal) error {
	a.it.err = partly(r.one())
	if r.Category != notFound {
		return nil
	}
	a.it.err = &sinks.Retryable{Unknown: true, Err: errors.New("a record that it is to be associated with is gone from HubSpot")}
	return d.note(ctx, idSpace(a.link.kind.To, a.link.property), map[string]string{a.link.key.fold: gone + a.link.id})
}
