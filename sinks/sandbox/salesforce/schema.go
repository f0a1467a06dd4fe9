package salesforce

import (
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// Object is a kind of record of the org.
type Object struct {
	Name, Label string
	// Prefix is how ids of its records begin, three characters.
	Prefix string
	Fields []Field
	// Unique are sets of fields of which no two records may have the same values, beyond
	// fields that are unique by themselves.
	Unique [][]string
	// Duplicates is the duplicate rule, if there is one.
	Duplicates *DuplicateRule
	// Validations are the validation rules.
	Validations []Validation
	// AssignTo is the id of the user to whom the active assignment rule gives a record that
	// is made, unless the header Sforce-Auto-Assign forbids it; empty if there is no rule.
	AssignTo string
	// Trigger and Flow name what an admin has put behind its writes: a row that is locked
	// is then told of in the words of that, with its code.
	Trigger, Flow string
}

// Field is a field of an Object.
type Field struct {
	sinks.SchemaField
	// Label is what people call it; its name if empty.
	Label string
	// Kind is Salesforce's type, such as email or currency; that of SchemaField.Type if
	// empty.
	Kind string
	// ExternalID tells that records can be upserted by it and parents found by it. Unique
	// ones have no two records, so that there is never more than one match.
	ExternalID, Unique bool
	// CaseSensitive tells that ABC and abc are two values; it is off unless asked for, as
	// with Salesforce.
	CaseSensitive bool
	// IDLookup tells that records can be upserted by it although it is no external id.
	IDLookup bool
	// Open tells that a picklist takes other values than its own.
	Open bool
	// ReferenceTo are the objects that a reference may be to, and Relationship the name
	// under which a parent is given by its external id. Cascade tells that a record goes
	// when that which it refers to is deleted.
	ReferenceTo  []string
	Relationship string
	Cascade      bool
	// Default is the value of a record that is made without one, as JSON.
	Default string
}

// DuplicateRule finds records that are alike.
type DuplicateRule struct {
	Name string
	// Fields are those that must be equal, whatever the case of letters.
	Fields []string
	// Block tells that no header lets a duplicate be saved.
	Block bool
}

// Validation is a validation rule.
type Validation struct {
	// Message is what a record is refused with.
	Message string
	// Field is the field that the message stands beside, if any.
	Field string
	// Refuses decides about the values that a record would have; an absent one is null.
	Refuses func(values map[string]string) bool
}

// keyed tells whether records can be upserted by the field.
func (f *Field) keyed() bool { return f.ExternalID || f.IDLookup || f.Name == idField }

func (f *Field) label() string {
	if f.Label != "" {
		return f.Label
	}
	return f.Name
}

// kind is Salesforce's name for the type.
func (f *Field) kind() string {
	switch {
	case f.Kind != "":
		return f.Kind
	case f.Name == idField:
		return "id"
	case f.Type == sinks.FieldList:
		return "multipicklist"
	case f.Values != nil:
		return "picklist"
	}
	switch f.Type {
	case sinks.FieldNumber:
		return "double"
	case sinks.FieldInteger:
		if f.ExternalID || f.Precision > 8 {
			return "double" // a custom number field; int is of standard fields only
		}
		return "int"
	case sinks.FieldBoolean:
		return "boolean"
	case sinks.FieldDate:
		return "date"
	case sinks.FieldDateTime:
		return "datetime"
	case sinks.FieldRef:
		return "reference"
	default:
		if f.Length > 255 {
			return "textarea"
		}
		return "string"
	}
}

// The fields that every object has.
const (
	idField       = "Id"
	createdField  = "CreatedDate"
	modifiedField = "LastModifiedDate"
	stampField    = "SystemModstamp"
	ownerField    = "OwnerId"
)

// table is an object with what it holds, and its fields by their names in small letters:
// to Salesforce the case of names means nothing.
type table struct {
	Object
	fields        map[string]*Field
	relationships map[string]*Field
	indexes       []*index
	records       map[string]*record
	gone          map[string]bool // ids of deleted records
	made          int64           // ids given
}

// newTable gives an object its system fields and indexes.
func newTable(o Object) *table {
	t := &table{Object: o, fields: make(map[string]*Field), relationships: make(map[string]*Field)}
	t.Fields = slices.Clone(o.Fields)
	for _, f := range []Field{
		{SchemaField: sinks.SchemaField{Name: idField, Type: sinks.FieldText, Length: 18, ReadOnly: true}, Label: "Record ID"},
		{SchemaField: sinks.SchemaField{Name: createdField, Type: sinks.FieldDateTime, ReadOnly: true}},
		{SchemaField: sinks.SchemaField{Name: modifiedField, Type: sinks.FieldDateTime, ReadOnly: true}},
		{SchemaField: sinks.SchemaField{Name: stampField, Type: sinks.FieldDateTime, ReadOnly: true}},
	} {
		if !slices.ContainsFunc(t.Fields, func(have Field) bool { return have.Name == f.Name }) {
			t.Fields = append(t.Fields, f)
		}
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		t.fields[strings.ToLower(f.Name)] = f
		if f.Relationship != "" {
			t.relationships[strings.ToLower(f.Relationship)] = f
		}
		if f.ExternalID || f.Unique || f.IDLookup {
			t.indexes = append(t.indexes, &index{fields: []*Field{f}, unique: f.Unique})
		}
	}
	for _, names := range o.Unique {
		t.indexes = append(t.indexes, &index{fields: t.named(names), unique: true, nulls: true})
	}
	if o.Duplicates != nil {
		t.indexes = append(t.indexes, &index{fields: t.named(o.Duplicates.Fields), rule: o.Duplicates})
	}
	t.empty()
	return t
}

// empty forgets all records.
func (t *table) empty() {
	t.records, t.gone, t.made = make(map[string]*record), make(map[string]bool), 0
	for _, x := range t.indexes {
		x.held = make(map[string]map[*record]struct{})
	}
}

func (t *table) field(name string) *Field { return t.fields[strings.ToLower(name)] }

// named gives fields by their names; one that there is not is a mistake of the schema, and
// left out.
func (t *table) named(names []string) (out []*Field) {
	for _, name := range names {
		if f := t.field(name); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// indexOf gives the index of one field alone.
func (t *table) indexOf(f *Field) *index {
	for _, x := range t.indexes {
		if len(x.fields) == 1 && x.fields[0] == f && x.rule == nil {
			return x
		}
	}
	return nil
}
