package salesforce

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// WithSchemas gives DefaultObjects with objects of plain schemas in their place or beside
// them, by name. A key is an external id that is unique. A reference is to the object that
// its name says, as in Salesforce: AccountId to Account, OwnerId to User, ParentId to the
// object itself, Deal__c to Deal__c by the relationship Deal__r. One that says none takes
// any text.
func WithSchemas(schemas map[string]*sinks.Schema) []Object {
	objects := DefaultObjects()
	for i, name := range slices.Sorted(maps.Keys(schemas)) {
		o := Object{Name: name, Label: name, Prefix: fmt.Sprintf("a%02d", i)}
		for _, f := range schemas[name].Fields {
			o.Fields = append(o.Fields, Field{SchemaField: f, ExternalID: f.Key, Unique: f.Key})
		}
		at := slices.IndexFunc(objects, func(have Object) bool { return have.Name == name })
		if at < 0 {
			objects = append(objects, o)
			continue
		}
		o.Label, o.Prefix = objects[at].Label, objects[at].Prefix
		objects[at] = o
	}
	for i := range objects {
		for j := range objects[i].Fields {
			if f := &objects[i].Fields[j]; f.Type == sinks.FieldRef && f.ReferenceTo == nil {
				f.refer(objects[i].Name, objects)
			}
		}
	}
	return objects
}

// refer makes a reference one to the object that its name says, if there is such a one.
func (f *Field) refer(own string, objects []Object) {
	relationship, parent := "", ""
	if base, custom := strings.CutSuffix(f.Name, "__c"); custom {
		relationship, parent = base+"__r", f.Name
	} else if base, is := strings.CutSuffix(f.Name, "Id"); is {
		relationship, parent = base, base
		switch base {
		case "Owner":
			parent = "User"
		case "Parent":
			parent = own
		}
	}
	if slices.ContainsFunc(objects, func(o Object) bool { return o.Name == parent }) {
		f.Relationship, f.ReferenceTo = relationship, []string{parent}
	}
}
