package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// takes are the words of what expressions give that a field takes as it is. A reference
// is the key of another record, of whatever type that is. Fields of other types take
// anything, as far as we know.
var takes = map[sinks.FieldType][]string{
	sinks.FieldText:     {"text", "date", "timestamptz", "timestamp", "reference"},
	sinks.FieldNumber:   {"integer", "decimal", "reference"},
	sinks.FieldInteger:  {"integer", "reference"},
	sinks.FieldBoolean:  {"boolean"},
	sinks.FieldDate:     {"date"},
	sinks.FieldDateTime: {"timestamptz"},
	sinks.FieldList:     {"list"},
	sinks.FieldRef:      {"reference", "text", "integer"},
}

// makes is how a value of another type is made into one that the field takes.
var makes = map[sinks.FieldType]map[string]string{
	sinks.FieldText:     {"integer": "string(%s)", "decimal": "string(%s)", "boolean": "string(%s)", "json": "string(%s)", "list": "join(%s, ';')"},
	sinks.FieldNumber:   {"text": "decimal(%s)", "json": "decimal(%s)"},
	sinks.FieldInteger:  {"decimal": "int(round(%s))", "text": "int(%s)", "boolean": "int(%s)", "json": "int(%s)"},
	sinks.FieldBoolean:  {"text": "bool(%s)", "integer": "%s != 0", "json": "bool(%s)"},
	sinks.FieldDate:     {"text": "date(%s)", "timestamptz": "date(%s, 'Europe/Berlin')", "timestamp": "date(%s)"},
	sinks.FieldDateTime: {"text": "timestamp(%s)", "timestamp": "in_zone(%s, 'Europe/Berlin')"},
	sinks.FieldList:     {"text": "split(%s, ',')", "json": "items(%s)"},
	sinks.FieldRef:      {"decimal": "string(%s)", "json": "string(%s)"},
}

// example shows how a constant is written.
var example = map[sinks.FieldType]string{
	sinks.FieldDate:     "2026-01-31",
	sinks.FieldDateTime: "2026-01-31T09:30:00Z",
}

// plainText tells whether a text is one that people write: other types are text in JSON
// too, and no function makes a date of an interval.
func plainText(o *mapping.Output) bool {
	name, _, _ := strings.Cut(o.SQLType, "(")
	return o.Type != "text" || slices.Contains([]string{"", "text", "character varying", "character", "citext", "name"}, name)
}

// misfit tells what of an output's type the field does not take.
func misfit(o *mapping.Output, f *sinks.SchemaField) (what, fix string, bad bool) {
	list, known := takes[f.Type]
	if !known || o.Type == "null" || o.Type == "any" || slices.Contains(list, o.Type) {
		return "", "", false
	}
	what = fmt.Sprintf("takes a value of type %s, and is given one of type %s", called(f.Type), o.Type)
	if o.Source == "" {
		return what, "write the constant as the target wants it", true
	}
	if how := makes[f.Type][o.Type]; how != "" && plainText(o) {
		return what, "write " + fmt.Sprintf(how, source(o)), true
	}
	return what, "give it an expression of that type", true
}

func called(t sinks.FieldType) string { return strings.ReplaceAll(string(t), "_", " and ") }

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func isInstant(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}
