package salesforce

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/walbridge/walbridge/sinks"
)

// emailForm is about what Salesforce takes for an address.
var emailForm = regexp.MustCompile(`^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$`)

// merged gives the values that a record would have: those held, with the draft's over them.
// For a new one these are the defaults.
func merged(t *table, held map[string]json.RawMessage, values map[string]json.RawMessage) map[string]json.RawMessage {
	out := maps.Clone(held)
	if held == nil {
		out = make(map[string]json.RawMessage, len(values)+4)
		for i := range t.Fields {
			if f := &t.Fields[i]; f.Default != "" {
				out[f.Name] = json.RawMessage(f.Default)
			}
		}
	}
	for name, v := range values {
		if string(v) == null {
			delete(out, name)
			continue
		}
		out[name] = v
	}
	return out
}

// check says what keeps a draft, whose links are resolved, from being saved over a record;
// r is nil if one would be made. Duplicates are looked for by whoever saves.
func (s *store) check(d *draft, r *record) *fault {
	if bad := s.checkWritable(d, r); bad != nil {
		return bad
	}
	for i := range d.table.Fields {
		f := &d.table.Fields[i]
		v, sent := d.values[f.Name]
		if !sent {
			continue
		}
		if bad := s.checkValue(f, v); bad != nil {
			return bad
		}
	}
	if bad := checkRequired(d, r); bad != nil {
		return bad
	}
	return s.checkOwner(d)
}

// checkWritable looks for fields that cannot be written.
func (s *store) checkWritable(d *draft, r *record) *fault {
	var closed []string
	for i := range d.table.Fields {
		f := &d.table.Fields[i]
		v, sent := d.values[f.Name]
		if sent && (f.ReadOnly || f.CreateOnly && r != nil && folded(f, v) != folded(f, r.fields[f.Name])) {
			closed = append(closed, f.Name)
		}
	}
	if closed != nil {
		return refuse("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: "+strings.Join(closed, ", ")+
			". Please check the security settings of this field and verify that it is read/write for your profile or permission set.", closed...)
	}
	if r != nil && string(r.fields["IsConverted"]) == "true" {
		return refuse("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
	}
	return nil
}

func checkRequired(d *draft, r *record) *fault {
	var missing []string
	for i := range d.table.Fields {
		f := &d.table.Fields[i]
		v, sent := d.values[f.Name]
		cleared := sent && string(v) == null
		switch {
		case f.Type == sinks.FieldBoolean && cleared:
			return refuse("INVALID_TYPE_ON_FIELD_IN_RECORD", f.label()+": value not of required type: ", f.Name)
		case f.ReadOnly || !f.Required && !f.NotNull:
		case cleared, f.Required && r == nil && !sent && f.Default == "":
			missing = append(missing, f.Name)
		}
	}
	if missing != nil {
		return refuse("REQUIRED_FIELD_MISSING", "Required fields are missing: ["+strings.Join(missing, ", ")+"]", missing...)
	}
	return nil
}

// checkValue looks at a value that is of the right type.
func (s *store) checkValue(f *Field, v json.RawMessage) *fault {
	if string(v) == null {
		return nil
	}
	text := plain(v)
	switch {
	case f.Type == sinks.FieldRef:
		return s.checkReference(f, text)
	case f.Type == sinks.FieldNumber || f.Type == sinks.FieldInteger:
		return checkNumber(f, text)
	case f.Length > 0 && utf8.RuneCountInString(text) > f.Length:
		return refuse("STRING_TOO_LONG", fmt.Sprintf("%s: data value too large: %s (max length=%d)", f.label(), text, f.Length), f.Name)
	case f.kind() == "email" && !emailForm.MatchString(text):
		return refuse("INVALID_EMAIL_ADDRESS", f.label()+": invalid email address: "+text, f.Name)
	case f.Values != nil && !f.Open:
		parts := []string{text}
		if f.Type == sinks.FieldList {
			parts = strings.Split(text, ";")
		}
		for _, part := range parts {
			if !slices.Contains(f.Values, part) {
				return refuse("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f.label()+": bad value for restricted picklist field: "+part, f.Name)
			}
		}
	}
	return nil
}

func checkNumber(f *Field, text string) *fault {
	n, ok := readNumber(text)
	if ok && f.Precision > 0 {
		ok = n.NumDigits()+int64(n.Exponent) <= int64(f.Precision-f.Scale)
	}
	if !ok {
		return refuse("NUMBER_OUTSIDE_VALID_RANGE", f.label()+": value outside of valid range on numeric field: "+text, f.Name)
	}
	return nil
}

// checkReference looks at the id of a parent. A field that is to nothing in particular
// takes any.
func (s *store) checkReference(f *Field, text string) *fault {
	if len(f.ReferenceTo) == 0 {
		return nil
	}
	id, ok := readID(text)
	if !ok {
		return refuse("MALFORMED_ID", f.label()+": id value of incorrect type: "+text, f.Name)
	}
	known := false
	for _, name := range f.ReferenceTo {
		t := s.table(name)
		if t == nil || !strings.HasPrefix(id, t.Prefix) {
			continue
		}
		known = true
		if t.gone[id] {
			return refuse("ENTITY_IS_DELETED", "entity is deleted")
		}
		if t.records[id] != nil {
			return nil
		}
	}
	if !known {
		return refuse("FIELD_INTEGRITY_EXCEPTION", f.label()+": id value of incorrect type: "+text, f.Name)
	}
	return refuse("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", f.Name)
}

func (s *store) checkOwner(d *draft) *fault {
	f := d.table.field(ownerField)
	if f == nil {
		return nil
	}
	id := plain(d.values[ownerField])
	if _, owner := s.parent(f, id); owner != nil && string(owner.fields["IsActive"]) == "false" {
		return refuse("INACTIVE_OWNER_OR_USER", "operation performed with inactive user ["+id+"] as owner of "+strings.ToLower(d.table.Name))
	}
	return nil
}

// collide looks for other records that stand against values being saved: of unique fields,
// then of the duplicate rule, which a header can allow, then the validation rules.
func collide(t *table, values map[string]json.RawMessage, r *record, allowDuplicates bool) *fault {
	for _, x := range t.indexes {
		if !x.unique {
			continue
		}
		if found := x.find(values, r); len(found) > 0 {
			names := make([]string, len(x.fields))
			for i, f := range x.fields {
				names[i] = f.Name
			}
			return refuse("DUPLICATE_VALUE", fmt.Sprintf("duplicate value found: %s duplicates value on record with id: %s",
				strings.Join(names, ", "), found[0].id), names...)
		}
	}
	for _, rule := range t.Validations {
		if rule.Refuses(texts(t, values)) {
			bad := refuse("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.Message)
			if rule.Field != "" {
				bad.Fields = []string{rule.Field}
			}
			return bad
		}
	}
	for _, x := range t.indexes {
		if x.rule == nil || allowDuplicates && !x.rule.Block {
			continue
		}
		if found := x.find(values, r); len(found) > 0 && newly(x, values, r) {
			bad := refuse("DUPLICATES_DETECTED", "Use one of these records?")
			bad.rule = x.rule.Name
			for _, other := range found {
				bad.matches = append(bad.matches, other.id)
			}
			return bad
		}
	}
	return nil
}

// newly tells whether a record comes to a place in an index where it was not before: one
// that was saved as a duplicate can be changed in other fields.
func newly(x *index, values map[string]json.RawMessage, r *record) bool {
	if r == nil {
		return true
	}
	before, had := x.key(r.fields)
	now, _ := x.key(values)
	return !had || before != now
}

// texts are the values of all fields as texts, for rules.
func texts(t *table, values map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(t.Fields))
	for i := range t.Fields {
		out[t.Fields[i].Name] = plain(values[t.Fields[i].Name])
	}
	return out
}
