package check

import (
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

// Where the target has statements that make what is missing, they are told.
func TestMend(t *testing.T) {
	t.Parallel()
	f := compiled(t, "from: public.deals\nto: crm/Deal\nkey: {Id: id}\nfields: {F: name}\n")
	for _, c := range []struct {
		object Object
		want   string
	}{
		{Object{Err: &sinks.UnknownObject{Object: "Deal"}, Mend: []string{"CREATE SCHEMA x", "CREATE TABLE y"}}, `has no object "Deal" | check its name at the target; or run at the target CREATE SCHEMA x; CREATE TABLE y`},
		{Object{Schema: &sinks.Schema{Fields: []sinks.SchemaField{{Name: "Id", Key: true}}}, Mend: []string{"ALTER TABLE y"}}, "its fields are Id; or run at the target ALTER TABLE y"},
	} {
		f.Targets = []Target{{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": c.object}}}
		wantFindings(t, Run(f), c.want)
	}
}

// TestFields tries every way in which a field does not fit what the target says of it.
func TestFields(t *testing.T) {
	t.Parallel()
	type field = sinks.SchemaField
	const text, number, integer = sinks.FieldText, sinks.FieldNumber, sinks.FieldInteger
	for name, c := range map[string]struct {
		f    string // what gives F its value
		as   field  // F at the target; none if it has no type
		want string // empty if it fits
	}{
		"fits":              {"name", field{Type: text}, ""},
		"no such field":     {"name", field{}, "fail | mapping m0 | field F is not one of crm/Deal | its fields are Id, Extra"},
		"read only":         {"name", field{Type: text, ReadOnly: true}, "fail | mapping m0 | field F cannot be written | take it out of the mapping"},
		"create only":       {"name", field{Type: text, CreateOnly: true}, "warn | mapping m0 | field F cannot be changed once the record is made | write F: {value: 'name', write: on_create}"},
		"create only const": {"{const: 'it''s'}", field{Type: text, CreateOnly: true}, `write F: {value: "it's", write: on_create}`},
		"created once":      {"{value: name, write: on_create}", field{Type: text, CreateOnly: true}, ""},

		"decimal as integer":      {"amount", field{Type: integer}, "fail | mapping m0 | field F takes a value of type integer, and is given one of type decimal | write int(round(amount))"},
		"integer as number":       {"seats", field{Type: number}, ""},
		"text as number":          {"word", field{Type: number}, "fail | mapping m0 | field F takes a value of type number, and is given one of type text | write decimal(word)"},
		"text as integer":         {"word", field{Type: integer}, "| write int(word)"},
		"text as boolean":         {"word", field{Type: sinks.FieldBoolean}, "| write bool(word)"},
		"integer as boolean":      {"seats", field{Type: sinks.FieldBoolean}, "| write seats != 0"},
		"text as date":            {"word", field{Type: sinks.FieldDate}, "| write date(word)"},
		"instant as date":         {"at", field{Type: sinks.FieldDate}, "| write date(at, 'Europe/Berlin')"},
		"date as date":            {"day", field{Type: sinks.FieldDate}, ""},
		"text as instant":         {"word", field{Type: sinks.FieldDateTime}, "takes a value of type date and time, and is given one of type text | write timestamp(word)"},
		"local as instant":        {"local", field{Type: sinks.FieldDateTime}, "| write in_zone(local, 'Europe/Berlin')"},
		"date as instant":         {"day", field{Type: sinks.FieldDateTime}, "is given one of type date | give it an expression of that type"},
		"instant as instant":      {"at", field{Type: sinks.FieldDateTime}, ""},
		"list as text":            {"tags", field{Type: text}, "fail | mapping m0 | field F takes a value of type text, and is given one of type list | write join(tags, ';')"},
		"number as text":          {"amount", field{Type: text}, "| write string(amount)"},
		"date as text":            {"day", field{Type: text}, ""},
		"json as text":            {"custom", field{Type: text}, "| write string(custom)"},
		"text as list":            {"word", field{Type: sinks.FieldList}, "| write split(word, ',')"},
		"list as list":            {"tags", field{Type: sinks.FieldList}, ""},
		"anything as json":        {"tags", field{Type: sinks.FieldJSON}, ""},
		"boolean as reference":    {"won", field{Type: sinks.FieldRef}, "fail | mapping m0 | field F takes a value of type reference, and is given one of type boolean"},
		"reference":               {"ref('m0', id)", field{Type: sinks.FieldRef}, ""},
		"reference as boolean":    {"ref('m0', id)", field{Type: sinks.FieldBoolean}, "is given one of type reference"},
		"of a type of its own":    {"tags", field{Type: "geometry"}, ""},
		"text constant as date":   {"{const: '2026-01-31'}", field{Type: sinks.FieldDate}, ""},
		"no date":                 {"{const: soon}", field{Type: sinks.FieldDate}, `fail | mapping m0 | field F is a date, and does not take "soon" | write 2026-01-31`},
		"no instant":              {"{const: '2026-01-31'}", field{Type: sinks.FieldDateTime}, `field F is a date and time, and does not take "2026-01-31" | write 2026-01-31T09:30:00Z`},
		"instant constant":        {"{const: '2026-01-31T09:30:00Z'}", field{Type: sinks.FieldDateTime}, ""},
		"text constant as number": {"{const: many}", field{Type: number}, "| write the constant as the target wants it"},

		"too long":            {"code", field{Type: text, Length: 10}, "fail | mapping m0 | field F takes 10 characters, and may be given 20 | write truncate(code, 10)"},
		"long enough":         {"code", field{Type: text, Length: 20}, ""},
		"of unknown length":   {"word", field{Type: text, Length: 80}, "warn | mapping m0 | field F takes 80 characters, and nothing bounds what it is given | write truncate(word, 80)"},
		"cut off":             {"\"truncate(word, 80)\"", field{Type: text, Length: 80}, ""},
		"constant too long":   {"{const: prospecting}", field{Type: text, Length: 3}, "fail | mapping m0 | field F takes 3 characters, and is given 11 | shorten the constant"},
		"may be null":         {"name", field{Type: text, NotNull: true}, "warn | mapping m0 | field F cannot be empty at the target, and may be null | write coalesce(name, …) with a value for then"},
		"may be null, needed": {"name", field{Type: text, Required: true}, "cannot be empty at the target, and may be null"},
		"given a value":       {"name ?? 'none'", field{Type: text, Required: true}, ""},
		"given it, and cut":   {"coalesce(truncate(name, 80), 'none')", field{Type: text, NotNull: true, Length: 80}, ""},
		"no given value":      {"coalesce(name, name)", field{Type: text, NotNull: true}, "may be null"},
		"long given value":    {"coalesce(truncate(name, 3), 'none')", field{Type: text, Length: 3}, "takes 3 characters, and may be given 4"},
		"no reference":        {"ref('m0', parent)", field{Type: sinks.FieldRef, NotNull: true}, "| leave rows without one out: when: parent != nil"},
		"on several lines":    {"|-\n    coalesce(name,\n      name)", field{Type: text, NotNull: true}, "| write coalesce(coalesce(name, name), …)"},
		"never null":          {"word", field{Type: text, Required: true, NotNull: true}, ""},
		"always null":         {"{const: null}", field{Type: text, NotNull: true}, "fail | mapping m0 | field F cannot be empty at the target, and is always null"},
		"null":                {"{const: null}", field{Type: text}, ""},
		"not of the list":     {"{const: Wno}", field{Type: text, Values: []string{"Won", "Lost"}}, `fail | mapping m0 | field F does not take "Wno" | did you mean Won?`},
		"far from the list":   {"{const: Prospecting}", field{Type: text, Values: []string{"Won", "Lost"}}, "| its values are Won, Lost"},
		"of the list":         {"\"'Won'\"", field{Type: text, Values: []string{"Won", "Lost"}}, ""},
		"number of the list":  {"{const: 3}", field{Type: integer, Values: []string{"3"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, "from: public.deals\nto: crm/Deal\nkey: {Id: id}\nfields:\n  F: "+c.f+"\n")
			if f.FileErr != nil {
				t.Fatal(f.FileErr)
			}
			schema := &sinks.Schema{Fields: []field{{Name: "Id", Type: integer, Key: true}, {Name: "Extra", Type: text}}}
			if c.as.Type != "" {
				c.as.Name = "F"
				schema.Fields = append(schema.Fields, c.as)
			}
			f.Targets = []Target{{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Schema: schema}}}}
			r := Run(f)
			if c.want == "" {
				wantFindings(t, r)
				wantOK(t, r, "ok | mapping m0 | public.deals fits crm/Deal in all 2 fields")
				return
			}
			wantFindings(t, r, c.want)
		})
	}
}

// TestObject is about what concerns the record as a whole: its key, what it needs, and
// what it is given when its row is gone.
func TestObject(t *testing.T) {
	t.Parallel()
	type field = sinks.SchemaField
	run := func(open bool, files []string, fields ...field) *Report {
		f := compiled(t, files...)
		if f.FileErr != nil {
			t.Fatal(f.FileErr)
		}
		f.Targets = []Target{{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Schema: &sinks.Schema{Fields: fields, Open: open}}}}}
		return Run(f)
	}
	const head = "from: public.deals\nto: crm/Deal\nkey: {Id: id}\nfields: {Name: word}\n"
	id, name := field{Name: "Id", Type: sinks.FieldInteger}, field{Name: "Name", Type: sinks.FieldText}
	key := field{Name: "Ext", Type: sinks.FieldText, Key: true}

	wantFindings(t, run(true, []string{head}))
	wantFindings(t, run(false, []string{head}, id, name)) // the target tells of no key
	wantFindings(t, run(false, []string{head}, id, name, key), "fail | mapping m0 | field Id does not identify records of the target | use as key: Ext; or have")
	wantFindings(t, run(false, []string{"from: public.deals\nto: crm/Deal\nkey: {Ext: code}\nfields: {Name: word}\n"}, name, field{Name: "Ext", Type: sinks.FieldText, Key: true, Length: 5}),
		"fail | mapping m0 | field Ext takes 5 characters, and may be given 20 | shorten the key")
	wantFindings(t, run(false, []string{head + "delete: {set: {Gone: {const: true}, Name: {const: null}}}\n"}, id, field{Name: "Name", Type: sinks.FieldText, NotNull: true}),
		"field Gone is set when a row goes, and stays so", "fail | mapping m0 | field Gone is not one of crm/Deal | its fields are Id, Name", "fail | mapping m0 | field Name cannot be empty at the target, and is always null")

	stage := field{Name: "Stage", Type: sinks.FieldText, Required: true, Values: []string{"Open", "Won"}}
	wantFindings(t, run(false, []string{head}, id, name, stage, field{Name: "Sys", Required: true, ReadOnly: true}),
		"fail | mapping m0 | crm/Deal cannot be made without a value for Stage, and no field gives one | add Stage: … to fields, one of Open, Won")
	wantFindings(t, run(false, []string{head, head[:len(head)-2] + ", Stage: {const: Open}}\n"}, id, name, stage),
		"warn | mapping m0 | crm/Deal cannot be made without a value for Stage, which only mapping m1 gives: it has to be the first")
}
