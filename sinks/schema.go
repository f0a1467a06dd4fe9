package sinks

import (
	"context"
	"errors"
	"fmt"
)

// Schema is what a target says of one kind of object, as far as records can be held
// against it before any is sent. What a target does not tell is left at its zero value,
// and is not checked.
type Schema struct {
	Fields []SchemaField `json:"fields"`
	// Open tells that the object takes fields that are not listed.
	Open bool `json:"open,omitempty"`
}

// SchemaField is a field of a target's object.
type SchemaField struct {
	Name string    `json:"name"`
	Type FieldType `json:"type"`
	// Length is the most characters of a text, zero if there is no bound.
	Length int `json:"length,omitempty"`
	// Precision and Scale are the digits of a number, all and those behind the point; no
	// Precision is no bound.
	Precision int `json:"precision,omitempty"`
	Scale     int `json:"scale,omitempty"`
	// Required tells that a record cannot be made without a value for it.
	Required bool `json:"required,omitempty"`
	// NotNull tells that it cannot be cleared.
	NotNull bool `json:"not_null,omitempty"`
	// ReadOnly tells that it cannot be written, CreateOnly that it cannot be changed.
	ReadOnly   bool `json:"read_only,omitempty"`
	CreateOnly bool `json:"create_only,omitempty"`
	// Key tells that it identifies a record, so that one can be upserted by it.
	Key bool `json:"key,omitempty"`
	// Values are those of a picklist that takes no other; nil if it is none.
	Values []string `json:"values,omitempty"`
}

// FieldType is the kind of value that a field takes.
type FieldType string

// The kinds of values. A field of another one is not checked.
const (
	FieldText     FieldType = "text"
	FieldNumber   FieldType = "number"
	FieldInteger  FieldType = "integer"
	FieldBoolean  FieldType = "boolean"
	FieldDate     FieldType = "date"      // 2026-01-31
	FieldDateTime FieldType = "date_time" // an instant, with its offset
	FieldList     FieldType = "list"
	FieldJSON     FieldType = "json"
	FieldRef      FieldType = "reference" // the key of another object
)

// FieldTypes are the kinds of values that there are.
func FieldTypes() []FieldType {
	return []FieldType{FieldText, FieldNumber, FieldInteger, FieldBoolean, FieldDate, FieldDateTime, FieldList, FieldJSON, FieldRef}
}

// Validate says what makes it no schema, with the place of it, such as fields[2].
func (s *Schema) Validate() error {
	if s.Fields == nil && !s.Open {
		return errors.New("there are no fields")
	}
	seen := make(map[string]bool, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		var problem string
		switch {
		case f.Name == "":
			problem = "it has no name"
		case seen[f.Name]:
			problem = fmt.Sprintf("the field %s is there twice", f.Name)
		case f.Length < 0 || f.Precision < 0 || f.Scale < 0:
			problem = "a bound below zero"
		case f.Precision > 0 && f.Scale > f.Precision:
			problem = fmt.Sprintf("%d digits behind the point, of %d in all", f.Scale, f.Precision)
		}
		if problem != "" {
			return fmt.Errorf("fields[%d]: %s", i, problem)
		}
		seen[f.Name] = true
	}
	return nil
}

// Field gives a field by its name; nil if the object has none.
func (s *Schema) Field(name string) *SchemaField {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

// Describer is the ability of a target to tell its schema.
type Describer interface {
	// Describe gives the schema of an object. The error is *UnknownObject if the target
	// has no such object.
	Describe(ctx context.Context, object string) (*Schema, error)
}

// UnknownObject says that a target has no object of a name.
type UnknownObject struct {
	Object string
	Known  []string // as far as the target tells
}

func (e *UnknownObject) Error() string { return fmt.Sprintf("the target has no object %q", e.Object) }
