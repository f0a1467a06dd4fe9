package salesforce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// description is what Salesforce tells of an object (sObject Describe).
type description struct {
	Name       string     `json:"name"`
	Updateable bool       `json:"updateable"`
	Createable bool       `json:"createable"`
	Fields     []describe `json:"fields"`
}

// describe is a field of an object.
type describe struct {
	Name             string   `json:"name"`
	Type             string   `json:"type"`
	Length           int      `json:"length"`
	Digits           int      `json:"digits"`
	Precision        int      `json:"precision"`
	Scale            int      `json:"scale"`
	Nillable         bool     `json:"nillable"`
	Createable       bool     `json:"createable"`
	Updateable       bool     `json:"updateable"`
	DefaultedOnWrite bool     `json:"defaultedOnCreate"`
	ExternalID       bool     `json:"externalId"`
	IDLookup         bool     `json:"idLookup"`
	Restricted       bool     `json:"restrictedPicklist"`
	ReferenceTo      []string `json:"referenceTo"`
	Relationship     string   `json:"relationshipName"`
	Values           []struct {
		Value  string `json:"value"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
}

func (d *description) field(name string) *describe {
	for i := range d.Fields {
		if strings.EqualFold(d.Fields[i].Name, name) {
			return &d.Fields[i]
		}
	}
	return nil
}

// key tells whether records can be found by a field.
func (d *description) key(name string) bool {
	f := d.field(name)
	return f != nil && f.identifies()
}

func (f *describe) identifies() bool { return (f.ExternalID || f.IDLookup) && f.Name != "Id" }

func (f *describe) numeric() bool {
	switch f.Type {
	case "int", "long", "double", "currency", "percent":
		return true
	}
	return false
}

// Describes tells that objects can be described.
func (c *Client) Describes() bool { return true }

// Describe gives the schema of an object. A field that refers to another object is there by
// its own name, for ref(), and as RELATIONSHIP.FIELD for each external id that the other has.
// It makes a request for the object, and one for each object that it refers to, once in the
// life of the client. The error is *sinks.UnknownObject, or one of those of Deliver.
func (c *Client) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	about, err := c.describe(ctx, object)
	if err != nil {
		return nil, err
	}
	s := &sinks.Schema{Fields: make([]sinks.SchemaField, 0, len(about.Fields))}
	for i := range about.Fields {
		s.Fields = append(s.Fields, about.Fields[i].schema())
	}
	for i := range about.Fields {
		f := &about.Fields[i]
		if f.Relationship == "" || !f.Createable && !f.Updateable || len(f.ReferenceTo) > mostParents {
			continue
		}
		for _, parent := range f.ReferenceTo {
			keys, err := c.parentKeys(ctx, f, parent)
			if err != nil {
				return nil, err
			}
			s.Fields = append(s.Fields, keys...)
		}
	}
	return s, nil
}

// mostParents is how many kinds of objects a field may lead to whose external ids are listed:
// more are the fields for about anything, such as WhatId.
const mostParents = 4

// parentKeys are the names by which a field can refer to one kind of parent.
func (c *Client) parentKeys(ctx context.Context, f *describe, parent string) (out []sinks.SchemaField, err error) {
	about, err := c.describe(ctx, parent)
	var unknown *sinks.UnknownObject
	if errors.As(err, &unknown) {
		return nil, nil // the user may not see it, and so cannot refer to it
	}
	if err != nil {
		return nil, err
	}
	for i := range about.Fields {
		k := &about.Fields[i]
		if !k.identifies() {
			continue
		}
		rel := relation{name: f.Relationship, by: k.Name}
		if len(f.ReferenceTo) > 1 {
			rel.kind = parent
		}
		s := k.schema()
		out = append(out, sinks.SchemaField{Name: rel.column(), Type: s.Type, Length: s.Length, Precision: s.Precision, Scale: s.Scale,
			ReadOnly: !f.Createable && !f.Updateable, CreateOnly: f.Createable && !f.Updateable, NotNull: !f.Nillable})
	}
	return out, nil
}

// schema says what a field takes, as far as records can be held against it.
func (f *describe) schema() sinks.SchemaField {
	s := sinks.SchemaField{
		Name: f.Name, Type: f.kind(),
		Required: !f.Nillable && !f.DefaultedOnWrite && f.Createable, NotNull: !f.Nillable,
		ReadOnly: !f.Createable && !f.Updateable, CreateOnly: f.Createable && !f.Updateable,
		Key: f.identifies(),
	}
	switch s.Type {
	case sinks.FieldText:
		s.Length = f.Length
	case sinks.FieldInteger:
		s.Precision = cmp.Or(f.Digits, f.Precision)
	case sinks.FieldNumber:
		s.Precision, s.Scale = f.Precision, f.Scale
	}
	if f.Type == "picklist" && f.Restricted {
		s.Values = make([]string, 0, len(f.Values))
		for _, v := range f.Values {
			if v.Active {
				s.Values = append(s.Values, v.Value)
			}
		}
	}
	return s
}

func (f *describe) kind() sinks.FieldType {
	switch f.Type {
	case "string", "textarea", "phone", "url", "email", "picklist", "multipicklist", "combobox", "encryptedstring", "id":
		return sinks.FieldText
	case "boolean":
		return sinks.FieldBoolean
	case "int", "long":
		return sinks.FieldInteger
	case "double", "currency", "percent":
		return sinks.FieldNumber
	case "date":
		return sinks.FieldDate
	case "datetime":
		return sinks.FieldDateTime
	case "reference":
		return sinks.FieldRef
	}
	return "" // such as time, address and location: not checked
}

// describe asks for what an object is, once.
func (c *Client) describe(ctx context.Context, object string) (*description, error) {
	c.mu.Lock()
	about := c.described[object]
	c.mu.Unlock()
	if about != nil {
		return about, nil
	}
	a, err := c.send(ctx, call{method: http.MethodGet, path: "/sobjects/" + url.PathEscape(object) + "/describe"})
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusNotFound {
		return nil, c.unknownObject(ctx, object)
	}
	if !a.OK() {
		return nil, lookError(statusError(a, c.now()))
	}
	about = &description{}
	if err := json.Unmarshal(a.Body, about); err != nil || len(about.Fields) == 0 {
		return nil, transport.ReadError(a.Host, errors.New("it is not the JSON that was expected"))
	}
	c.mu.Lock()
	c.described[object] = about
	c.mu.Unlock()
	return about, nil
}

// lookError is of a request that is about no record: what would be the fault of one is that of
// a setting.
func lookError(err error) error {
	var rej *sinks.Rejected
	if errors.As(err, &rej) {
		return &sinks.Misconfigured{Err: fmt.Errorf("describe the object: %w", rej.Err), Hint: hints["INVALID_TYPE"]}
	}
	return err
}

// unknownObject tells which objects there are instead, if that can be had.
func (c *Client) unknownObject(ctx context.Context, object string) error {
	unknown := &sinks.UnknownObject{Object: object}
	a, err := c.ask(ctx, call{method: http.MethodGet, path: "/sobjects"})
	if err != nil {
		return unknown
	}
	var all struct {
		Objects []struct {
			Name       string `json:"name"`
			Createable bool   `json:"createable"`
		} `json:"sobjects"`
	}
	if json.Unmarshal(a.Body, &all) == nil {
		for _, o := range all.Objects {
			if o.Createable {
				unknown.Known = append(unknown.Known, o.Name)
			}
		}
		slices.Sort(unknown.Known)
	}
	return unknown
}
