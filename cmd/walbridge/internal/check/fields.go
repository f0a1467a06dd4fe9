package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks"
)

// fields holds the records of a mapping against what its target says of the object. It
// tells whether the target does.
func (r *Report) fields(m *mapping.Mapping, f *Facts) bool {
	i := slices.IndexFunc(f.Targets, func(t Target) bool { return t.Name == m.Target() })
	if i < 0 {
		return false
	}
	object, ok := f.Targets[i].Objects[m.Object()]
	var unknown *sinks.UnknownObject
	if errors.As(object.Err, &unknown) {
		fix := "check its name at the target"
		if len(unknown.Known) > 0 {
			fix = "its objects are " + nearest.List(unknown.Known)
		}
		fix = nearest.Hint(m.Object(), unknown.Known, fix)
		if len(object.Mend) > 0 {
			fix += "; or run at the target " + strings.Join(object.Mend, "; ")
		}
		r.at(Fail, m.Name(), m.To(), [2]string{fmt.Sprintf("target %s has no object %q", m.Target(), m.Object()), fix})
		return true
	}
	if !ok || object.Schema == nil {
		return false
	}
	h := &holder{r: r, m: m, schema: object.Schema, mend: object.Mend}
	for _, o := range m.Outputs() {
		h.output(&o, o.Key)
	}
	for _, o := range m.Sets() {
		h.output(&o, false)
	}
	h.required(f.Mappings)
	return true
}

// holder holds one mapping against a schema.
type holder struct {
	r      *Report
	m      *mapping.Mapping
	schema *sinks.Schema
	mend   []string // Object.Mend
}

func (h *holder) say(level Level, o *mapping.Output, what, fix string) {
	h.r.at(level, h.m.Name(), mapping.Place{File: o.File, Line: o.Line, Column: o.Column}, [2]string{fmt.Sprintf("field %s %s", o.Name, what), fix})
}

func (h *holder) output(o *mapping.Output, key bool) {
	f := h.schema.Field(o.Name)
	if f == nil {
		if !h.schema.Open {
			h.unknown(o)
		}
		return
	}
	switch {
	case key:
		h.key(o, f)
	case f.ReadOnly:
		h.say(Fail, o, "cannot be written", "take it out of the mapping")
		return
	case f.CreateOnly && o.Write != mapping.WriteOnCreate:
		h.say(Warn, o, "cannot be changed once the record is made", fmt.Sprintf("write %s: {value: %s, write: on_create}", o.Name, quoted(o)))
	}
	if o.Constant != nil {
		h.constant(o, f)
		return
	}
	if what, fix, bad := misfit(o, f); bad {
		h.say(Fail, o, what, fix)
		return
	}
	for _, w := range o.Words {
		if f.Values != nil && !slices.Contains(f.Values, w) {
			h.say(Fail, o, fmt.Sprintf("does not take %q", w), nearest.Hint(w, f.Values, "its values are "+nearest.List(f.Values)))
		}
	}
	h.length(o, f)
	if f.NotNull && !o.NotNull || f.Required && !o.NotNull {
		fix := fmt.Sprintf("write coalesce(%s, …) with a value for then, or leave such rows out by when:", source(o))
		if o.Type == "reference" {
			fix = fmt.Sprintf("leave rows without one out: when: %s != nil", strings.Join(o.Columns, " != nil && "))
		}
		h.say(Warn, o, "cannot be empty at the target, and may be null", fix)
	}
}

func (h *holder) unknown(o *mapping.Output) {
	var names []string
	for _, f := range h.schema.Fields {
		if !f.ReadOnly {
			names = append(names, f.Name)
		}
	}
	fix := nearest.Hint(o.Name, names, "its fields are "+nearest.List(names))
	if len(h.mend) > 0 {
		fix += "; or run at the target " + strings.Join(h.mend, "; ")
	}
	h.say(Fail, o, fmt.Sprintf("is not one of %s/%s", h.m.Target(), h.m.Object()), fix)
}

func (h *holder) key(o *mapping.Output, f *sinks.SchemaField) {
	var keys []string
	for _, k := range h.schema.Fields {
		if k.Key {
			keys = append(keys, k.Name)
		}
	}
	if len(keys) > 0 && !f.Key { // where none is, the target does not tell
		h.say(Fail, o, "does not identify records of the target", "use as key: "+nearest.List(keys)+"; or have the target make the field an external id, unique")
	}
}

// length tells of texts that the field has no room for.
func (h *holder) length(o *mapping.Output, f *sinks.SchemaField) {
	if f.Length == 0 || o.Type != "text" || f.Values != nil {
		return
	}
	fix := fmt.Sprintf("write truncate(%s, %d)", source(o), f.Length)
	if o.Key {
		fix = "shorten the key: one that is cut off could be that of two records"
	}
	level := Warn // an expression may never give what its parts could
	if o.Constant != nil || len(o.Columns) == 1 && o.Source == o.Columns[0] {
		level = Fail
	}
	switch {
	case o.MaxLen > f.Length:
		h.say(level, o, fmt.Sprintf("takes %d characters, and may be given %d", f.Length, o.MaxLen), fix)
	case o.MaxLen == 0:
		h.say(Warn, o, fmt.Sprintf("takes %d characters, and nothing bounds what it is given", f.Length), fix)
	}
}

func (h *holder) constant(o *mapping.Output, f *sinks.SchemaField) {
	raw := string(o.Constant)
	var text string
	isText := json.Unmarshal(o.Constant, &text) == nil && raw != "null"
	switch {
	case raw == "null" && (f.NotNull || f.Required):
		h.say(Fail, o, "cannot be empty at the target, and is always null", "give it a value, or take it out")
	case raw == "null":
	case f.Values != nil && !slices.Contains(f.Values, word(raw, text, isText)):
		h.say(Fail, o, fmt.Sprintf("does not take %s", raw), nearest.Hint(word(raw, text, isText), f.Values, "its values are "+nearest.List(f.Values)))
	case isText && f.Length > 0 && utf8.RuneCountInString(text) > f.Length:
		h.say(Fail, o, fmt.Sprintf("takes %d characters, and is given %d", f.Length, utf8.RuneCountInString(text)), "shorten the constant")
	case isText && f.Type == sinks.FieldDate && !isDate(text), isText && f.Type == sinks.FieldDateTime && !isInstant(text):
		h.say(Fail, o, fmt.Sprintf("is a %s, and does not take %s", called(f.Type), raw), "write "+example[f.Type])
	case isText && (f.Type == sinks.FieldDate || f.Type == sinks.FieldDateTime):
	default:
		if what, fix, bad := misfit(o, f); bad {
			h.say(Fail, o, what, fix)
		}
	}
}

// word is a constant as a picklist has it.
func word(raw, text string, isText bool) string {
	if isText {
		return text
	}
	return raw
}

// required tells of fields that a record cannot be made without and is not given. What
// another mapping of the same records gives may be there before.
func (h *holder) required(all []*mapping.Mapping) {
	given := func(m *mapping.Mapping, name string) bool {
		return slices.ContainsFunc(m.Outputs(), func(o mapping.Output) bool { return o.Name == name })
	}
	for _, f := range h.schema.Fields {
		if !f.Required || f.ReadOnly || given(h.m, f.Name) {
			continue
		}
		level, what := Fail, fmt.Sprintf("%s/%s cannot be made without a value for %s, and no field gives one", h.m.Target(), h.m.Object(), f.Name)
		for _, other := range all {
			if other.Target() == h.m.Target() && other.Object() == h.m.Object() && given(other, f.Name) {
				level, what = Warn, fmt.Sprintf("%s/%s cannot be made without a value for %s, which only mapping %s gives: it has to be the first", h.m.Target(), h.m.Object(), f.Name, other.Name())
			}
		}
		fix := fmt.Sprintf("add %s: … to fields", f.Name)
		if f.Values != nil {
			fix += ", one of " + nearest.List(f.Values)
		}
		h.r.at(level, h.m.Name(), h.m.To(), [2]string{what, fix})
	}
}

// quoted is an output's expression as a value in a YAML section.
func quoted(o *mapping.Output) string {
	if o.Constant != nil && o.Source == "" {
		return string(o.Constant)
	}
	return "'" + strings.ReplaceAll(source(o), "'", "''") + "'"
}

// source is an output's expression on one line.
func source(o *mapping.Output) string {
	if !strings.Contains(o.Source, "\n") {
		return o.Source
	}
	return strings.Join(strings.Fields(o.Source), " ")
}
