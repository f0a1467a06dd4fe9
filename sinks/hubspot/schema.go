package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Describes tells that the target can be asked for schemas.
func (c *Client) Describes() bool { return true }

// propertyAnswer is a property as HubSpot describes it (developers.hubspot.com, "Properties").
type propertyAnswer struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	FieldType string `json:"fieldType"`
	Options   []struct {
		Value  string `json:"value"`
		Hidden bool   `json:"hidden"`
	} `json:"options"`
	// External options are not listed: those of owners are users.
	External   bool   `json:"externalOptions"`
	Referenced string `json:"referencedObjectType"`
	Unique     bool   `json:"hasUniqueValue"`
	Calculated bool   `json:"calculated"`
	Archived   bool   `json:"archived"`
	Modify     struct {
		ReadOnly bool `json:"readOnlyValue"`
	} `json:"modificationMetadata"`
}

// Describe asks for the properties of an object, and adds the fields that are associations.
func (c *Client) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	a, err := c.call(ctx, transport.Request{Method: http.MethodGet, URL: c.paths.properties(object)})
	if err != nil {
		return nil, describeError(object, err)
	}
	if a.Err != nil {
		return nil, a.Err
	}
	var said struct {
		Results []propertyAnswer `json:"results"`
	}
	if json.Unmarshal(a.Body, &said) != nil || said.Results == nil {
		return nil, transport.ReadError(a.Host, errors.New("it is no list of properties"))
	}
	s := &sinks.Schema{Fields: []sinks.SchemaField{}}
	for i := range said.Results {
		if p := &said.Results[i]; !p.Archived {
			s.Fields = append(s.Fields, p.field(object))
		}
	}
	s.Fields = append(s.Fields, c.associationFields(object)...)
	if err := s.Validate(); err != nil {
		return nil, transport.ReadError(a.Host, err)
	}
	return s, nil
}

// describeError tells an object that there is not from other errors: HubSpot cannot infer its
// type.
func describeError(object string, err error) error {
	var (
		said *sinks.Answer
		rej  *sinks.Rejected
	)
	if errors.As(err, &said) && (said.Status == http.StatusNotFound || said.Status == http.StatusBadRequest && strings.HasPrefix(said.Message, "Unable to infer object type")) {
		e := &sinks.UnknownObject{Object: object}
		for _, s := range standard {
			e.Known = append(e.Known, s.name)
		}
		return e
	}
	if errors.As(err, &rej) { // no record is at stake
		return &sinks.Misconfigured{Err: fmt.Errorf("read properties: %w", rej.Err), Hint: "check the target's url and version, and the mapping's object"}
	}
	return err
}

// typeOptions is of a property that takes one option or several, as a text or as a list.
const typeOptions sinks.FieldType = "options"

func (p *propertyAnswer) field(object string) sinks.SchemaField {
	f := sinks.SchemaField{Name: p.Name, ReadOnly: p.Calculated || p.Modify.ReadOnly,
		Key: p.Unique || p.Name == recordID || p.Name == "email" && canonical(object) == "contacts"}
	switch p.Type {
	case "string", "phone_number":
		f.Type = sinks.FieldText
	case "number":
		f.Type = sinks.FieldNumber
	case "bool":
		f.Type = sinks.FieldBoolean
	case "date":
		f.Type = sinks.FieldDate
	case "datetime":
		f.Type = sinks.FieldDateTime
	case "enumeration":
		p.enumeration(&f)
	default:
		f.Type = sinks.FieldType(p.Type)
	}
	return f
}

func (p *propertyAnswer) enumeration(f *sinks.SchemaField) {
	var values []string
	for _, o := range p.Options {
		values = append(values, o.Value)
	}
	f.Type = sinks.FieldText
	switch {
	case p.FieldType == "booleancheckbox":
		f.Type = sinks.FieldBoolean
		return
	case p.FieldType == "checkbox":
		f.Type = typeOptions
		return // a value may be several of them
	case p.External || p.Referenced != "":
		return // users, or what else has options of its own
	}
	if f.Values = values; len(values) == 0 {
		f.Values = nil
	}
}

// associationFields are those to the types of objects that every account has, and those that
// the target's options have.
func (c *Client) associationFields(object string) (out []sinks.SchemaField) {
	var names []string
	for _, a := range c.associations {
		if canonical(a.From) == canonical(object) {
			names = append(names, a.name())
		}
	}
	for _, s := range standard {
		names = append(names, s.name, s.singular)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		out = append(out, sinks.SchemaField{Name: associationPrefix + name, Type: sinks.FieldRef})
	}
	return out
}
