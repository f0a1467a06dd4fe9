package formfile

import (
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// fields reads what is known of objects: a list of fields for each.
func (r reader) fields(n *yamldoc.Node, f *form.Form) {
	if n == nil || !r.isMap(n, "write {Deal: [{name: Amount, type: number}]}") {
		return
	}
	if f.Schema == nil {
		f.Schema = map[string]*sinks.Schema{}
	}
	for i, k := range n.Keys {
		v := n.Values[i]
		if v.Kind == yamldoc.Null {
			delete(f.Schema, k.Text)
			continue
		}
		if v.Kind != yamldoc.List {
			r.doc.Fail(v, "want a list of fields, not "+v.Kind.String(), "", "write [{name: Amount, type: number}]")
			continue
		}
		s := &sinks.Schema{Fields: []sinks.SchemaField{}}
		for _, field := range v.Values {
			s.Fields = append(s.Fields, r.field(field))
		}
		if err := s.Validate(); err != nil {
			r.doc.Fail(v, err.Error(), "", "")
		}
		f.Schema[k.Text] = s
	}
}

func (r reader) field(n *yamldoc.Node) (f sinks.SchemaField) {
	s := r.doc.Section(n, FieldKeys...)
	s.Require("name", "Amount")
	s.Text("name", &f.Name)
	var of string
	s.Text("type", &of)
	f.Type = sinks.FieldType(of)
	known := make([]string, 0, len(sinks.FieldTypes()))
	for _, t := range sinks.FieldTypes() {
		known = append(known, string(t))
	}
	if v := s.Node("type"); v != nil && !contains(known, of) {
		r.doc.Fail(v, "unknown value", of, nearest.Hint(of, known, "write one of "+nearest.List(known)))
	}
	s.Int("length", &f.Length)
	s.Int("precision", &f.Precision)
	s.Int("scale", &f.Scale)
	s.Bool("required", &f.Required)
	s.Bool("not_null", &f.NotNull)
	s.Bool("read_only", &f.ReadOnly)
	s.Bool("create_only", &f.CreateOnly)
	s.Bool("key", &f.Key)
	s.Texts("values", &f.Values)
	return f
}
