package salesforce

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// draft is a record as a client has sent it, read and not yet looked at.
type draft struct {
	table *table
	id    string // as sent; empty if there is none
	// values are those of the fields, by their names.
	values map[string]json.RawMessage
	links  []link
	bad    *fault // why it is refused at once
}

// link is a reference to a parent by an external id of it.
type link struct {
	field  *Field
	parent *table
	by     *Field
	value  json.RawMessage // null clears the reference
}

// typeOf gives the object that a record of a collection is of.
func (s *store) typeOf(record map[string]json.RawMessage) (*table, *fault) {
	var attributes struct {
		Type string `json:"type"`
	}
	if raw, ok := record["attributes"]; !ok || json.Unmarshal(raw, &attributes) != nil || attributes.Type == "" {
		return nil, refuse("INVALID_TYPE", "sObject type is required: attributes.type is missing")
	}
	t := s.table(attributes.Type)
	if t == nil {
		return nil, refuse("INVALID_TYPE", "sObject type '"+attributes.Type+"' is not supported.")
	}
	return t, nil
}

// readDraft reads a JSON record. The fault is one of the whole request.
func (s *store) readDraft(t *table, record map[string]json.RawMessage) (*draft, *fault) {
	d := &draft{table: t, values: make(map[string]json.RawMessage, len(record))}
	for _, name := range slices.Sorted(maps.Keys(record)) {
		raw := record[name]
		if name == "attributes" {
			continue
		}
		f := t.field(name)
		if f == nil {
			if rel := t.relationships[strings.ToLower(name)]; rel != nil {
				if bad := s.readLink(d, rel, raw); bad != nil {
					return nil, bad
				}
				continue
			}
			return nil, unreadable("INVALID_FIELD", "No such column '%s' on sobject of type %s", name, t.Name)
		}
		v, bad := normalise(f, raw)
		if bad != nil {
			return nil, bad
		}
		if f.Name == idField {
			d.id = plain(v)
			continue
		}
		d.values[f.Name] = v
	}
	return d, nil
}

// readLink reads {"External_Id__c": value}, with the parent's type where it may be of more
// than one.
func (s *store) readLink(d *draft, f *Field, raw json.RawMessage) *fault {
	if string(raw) == null {
		d.links = append(d.links, link{field: f, value: raw})
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return unreadable("JSON_PARSER_ERROR", "Cannot deserialize instance of %s from %s: an object with one external id is wanted", f.Relationship, f.Name)
	}
	parent := s.table(f.ReferenceTo[0])
	if _, ok := fields["attributes"]; ok {
		var bad *fault
		if parent, bad = s.typeOf(fields); bad != nil {
			bad.request = true
			return bad
		}
		delete(fields, "attributes")
	} else if len(f.ReferenceTo) > 1 {
		return unreadable("INVALID_FIELD", "The relationship %s is polymorphic: attributes.type is needed", f.Relationship)
	}
	if parent == nil || !slices.Contains(f.ReferenceTo, parent.Name) {
		return unreadable("INVALID_FIELD", "The relationship %s is not to such an object", f.Relationship)
	}
	if len(fields) != 1 {
		return unreadable("INVALID_FIELD", "More than 1 field provided in an external foreign key reference in entity: %s", parent.Name)
	}
	for name, value := range fields {
		by := parent.field(name)
		if by == nil {
			return unreadable("INVALID_FIELD", "No such column '%s' on sobject of type %s", name, parent.Name)
		}
		v, bad := normalise(by, value)
		if bad != nil {
			return bad
		}
		return d.addLink(link{field: f, parent: parent, by: by, value: v})
	}
	return nil
}

func (d *draft) addLink(l link) *fault {
	if !l.by.keyed() {
		return unreadable("INVALID_FIELD", "Field name provided, %s is not an External ID or indexed field for %s", l.by.Name, l.parent.Name)
	}
	d.links = append(d.links, l)
	return nil
}

// resolve puts the ids of the parents in the place of links.
func (s *store) resolve(d *draft) *fault {
	for _, l := range d.links {
		if string(l.value) == null {
			d.values[l.field.Name] = l.value
			continue
		}
		switch found := l.parent.match(l.by, l.value); len(found) {
		case 0:
			return refuse("INVALID_FIELD", fmt.Sprintf("Foreign key external ID: %s not found for field %s in entity %s",
				strings.ToLower(plain(l.value)), l.by.Name, l.parent.Name))
		case 1:
			d.values[l.field.Name] = quote(found[0].id)
		default:
			return tooMany(l.by, found)
		}
	}
	return nil
}

// tooMany is of a key that more than one record has.
func tooMany(f *Field, found []*record) *fault {
	ids := make([]string, len(found))
	for i, r := range found {
		ids[i] = r.id
	}
	return refuse("DUPLICATE_EXTERNAL_ID", fmt.Sprintf("%s: more than one record found for external id field: [%s]", f.label(), strings.Join(ids, ", ")))
}

// keyOf takes the key of an upsert out of the values: it finds the record, and is a value of
// one that is made.
func (d *draft) keyOf(f *Field) (json.RawMessage, *fault) {
	if f.Name == idField {
		if d.id == "" {
			return json.RawMessage(null), nil
		}
		return quote(d.id), nil
	}
	v, ok := d.values[f.Name]
	if !ok || string(v) == null {
		return nil, refuse("MISSING_ARGUMENT", f.Name+" not specified")
	}
	if d.id != "" {
		return nil, refuse("INVALID_FIELD", "cannot specify Id with external id "+f.Name, idField)
	}
	return v, nil
}
