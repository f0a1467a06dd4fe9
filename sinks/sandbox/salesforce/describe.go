package salesforce

import (
	"net/http"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// describedAt is when the objects were last changed: they never are.
var describedAt = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// fieldDescription is what describe tells of a field, as far as clients need it.
type fieldDescription struct {
	Name         string          `json:"name"`
	Label        string          `json:"label"`
	Type         string          `json:"type"`
	Length       int             `json:"length"`
	Digits       int             `json:"digits"`
	Precision    int             `json:"precision"`
	Scale        int             `json:"scale"`
	Nillable     bool            `json:"nillable"`
	Createable   bool            `json:"createable"`
	Updateable   bool            `json:"updateable"`
	ExternalID   bool            `json:"externalId"`
	Unique       bool            `json:"unique"`
	Sensitive    bool            `json:"caseSensitive"`
	IDLookup     bool            `json:"idLookup"`
	Defaulted    bool            `json:"defaultedOnCreate"`
	Calculated   bool            `json:"calculated"`
	Custom       bool            `json:"custom"`
	Restricted   bool            `json:"restrictedPicklist"`
	Values       []picklistValue `json:"picklistValues"`
	ReferenceTo  []string        `json:"referenceTo"`
	Relationship *string         `json:"relationshipName"`
	Polymorphic  bool            `json:"polymorphicForeignKey"`
	Cascade      bool            `json:"cascadeDelete"`
}

type picklistValue struct {
	Active  bool   `json:"active"`
	Default bool   `json:"defaultValue"`
	Label   string `json:"label"`
	Value   string `json:"value"`
}

// describeField tells of a field.
func describeField(f *Field) fieldDescription {
	d := fieldDescription{
		Name: f.Name, Label: f.label(), Type: f.kind(), Length: f.Length, Scale: f.Scale,
		Nillable: !f.Required && !f.NotNull && f.Name != idField, Createable: !f.ReadOnly, Updateable: !f.ReadOnly && !f.CreateOnly,
		ExternalID: f.ExternalID, Unique: f.Unique, Sensitive: f.CaseSensitive, IDLookup: f.keyed(),
		Defaulted:  f.Default != "" || f.ReadOnly,
		Custom:     len(f.Name) > 3 && f.Name[len(f.Name)-3:] == "__c",
		Restricted: f.Values != nil && !f.Open,
		Values:     []picklistValue{}, ReferenceTo: []string{}, Cascade: f.Cascade,
	}
	switch d.Type {
	case "int":
		d.Digits = f.Precision
	case "double", "currency", "percent":
		d.Precision = f.Precision
	case "reference", "id":
		d.Length = 18
	}
	for _, v := range f.Values {
		d.Values = append(d.Values, picklistValue{Active: true, Label: v, Value: v})
	}
	if f.Type == sinks.FieldRef {
		d.ReferenceTo = append(d.ReferenceTo, f.ReferenceTo...)
		d.Polymorphic = len(f.ReferenceTo) > 1
		if f.Relationship != "" {
			d.Relationship = &f.Relationship
		}
	}
	return d
}

// summary is what describe tells of an object without its fields.
func (c *call) summary(t *table) map[string]any {
	address := "/services/data/" + c.version + "/sobjects/" + t.Name
	return map[string]any{
		"name": t.Name, "label": t.Label, "labelPlural": t.Label + "s", "keyPrefix": t.Prefix,
		"createable": true, "updateable": true, "deletable": true, "queryable": true, "retrieveable": true, "undeletable": false,
		"custom": false, "customSetting": false, "triggerable": true, "layoutable": true, "searchable": true, "mergeable": false,
		"urls": map[string]string{
			"sobject": address, "describe": address + "/describe", "rowTemplate": address + "/{ID}",
		},
	}
}

// describe answers GET /sobjects/{object}/describe; a client that has it is told so.
func (c *call) describe(t *table) reply {
	header := map[string]string{"Last-Modified": describedAt.Format(http.TimeFormat)}
	if since, err := http.ParseTime(c.header.Get("If-Modified-Since")); err == nil && !describedAt.After(since) {
		return reply{status: http.StatusNotModified, header: header}
	}
	fields := make([]fieldDescription, len(t.Fields))
	for i := range t.Fields {
		fields[i] = describeField(&t.Fields[i])
	}
	out := c.summary(t)
	out["fields"] = fields
	out["childRelationships"], out["recordTypeInfos"] = []any{}, []any{}
	a := ok(out)
	a.header = header
	return a
}

// describeAll answers GET /sobjects.
func (c *call) describeAll() reply {
	var list []any
	for _, name := range c.s.store.names() {
		list = append(list, c.summary(c.s.store.table(name)))
	}
	return ok(map[string]any{"encoding": "UTF-8", "maxBatchSize": maxCollection, "sobjects": list})
}
