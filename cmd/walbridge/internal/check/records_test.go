package check

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// Keys by which two rows could be one record, or none, marks that are never taken back, and
// words that a picklist does not have (found by a user).
func TestRecords(t *testing.T) {
	t.Parallel()
	const head = "from: public.deals\nto: crm/Deal\n"
	unique := func(lists ...[]string) func(*Facts) {
		return func(f *Facts) {
			one := f.Postgres.Tables[deals]
			one.Unique = lists
			f.Postgres.Tables[deals] = one
		}
	}
	picklist := func(f *Facts) {
		f.Targets = []Target{{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Schema: &sinks.Schema{Fields: []sinks.SchemaField{
			{Name: "Id", Type: sinks.FieldInteger, Key: true}, {Name: "Stage", Type: sinks.FieldText, Values: []string{"Open", "Closed Won"}}, {Name: "Day", Type: sinks.FieldDate}}}}}}}
	}
	for name, c := range map[string]struct {
		file   string
		change func(*Facts)
		want   []string
	}{
		"the primary key":     {head + "key: {Id: id}\nfields: {Name: name}\n", unique([]string{"id"}), nil},
		"a unique column":     {head + "key: {Id: code}\nfields: {Name: name}\n", unique([]string{"id"}, []string{"code"}), nil},
		"a column among many": {head + "key: {Id: seats}\nfields: {Name: name}\n", unique([]string{"id"}, []string{"code"}), []string{"warn | mapping m0 | the key Id is made of seats, which two rows may share: they would be one record, and the deletion of one would take it from the other | make it of id, or have a unique index"}},
		"half of a key":       {head + "key: {Id: id}\nfields: {Name: name}\n", unique([]string{"id", "code"}), []string{"which two rows may share"}},
		"may be null":         {head + "key: {Id: parent}\nfields: {Name: name}\n", unique([]string{"parent"}), []string{"warn | mapping m0 | the key Id may be null: such rows are parked, not sent | leave them out by when:"}},
		"a mark that stays":   {head + "key: {Id: id}\nfields: {Name: name}\ndelete: {set: {Gone: {const: true}}}\n", nil, []string{"warn | mapping m0 | field Gone is set when a row goes, and stays so when the row comes back | give it its other value in fields:, such as Gone: {const: false}"}},
		"one at the start":    {head + "key: {Id: id}\nfields: {Name: name, Gone: {const: false, write: on_create}}\ndelete: {set: {Gone: {const: true}}}\n", nil, []string{"stays so when the row comes back"}},
		"one that goes again": {head + "key: {Id: id}\nfields: {Name: name, Gone: {const: false}}\ndelete: {set: {Gone: {const: true}}}\n", nil, nil},
		"words":               {head + "key: {Id: id}\nfields: {Stage: \"map(code, {'o': 'Open', 'w': 'Closed Wno'}, won ? 'Open' : 'Lost')\"}\n", picklist, []string{`fail | mapping m0 | field Stage does not take "Closed Wno" | did you mean Closed Won?`, `fail | mapping m0 | field Stage does not take "Lost" | its values are Open, Closed Won`}},
		"good words":          {head + "key: {Id: id}\nfields: {Stage: \"map(code, {'o': 'Open'}) ?? 'Open'\"}\n", picklist, nil},
		"no date in a text":   {head + "key: {Id: id}\nfields: {Day: name}\n", picklist, []string{"| write date(name)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, c.file)
			f.Postgres = healthy()
			if c.change != nil {
				c.change(f)
			}
			wantFindings(t, Run(f), c.want...)
		})
	}
}

// What is text in JSON is not always a text that people wrote.
func TestNoAdviceForOtherTypes(t *testing.T) {
	t.Parallel()
	o := &mapping.Output{Name: "Day", Type: "text", Source: "span", SQLType: "interval"}
	if _, fix, bad := misfit(o, &sinks.SchemaField{Name: "Day", Type: sinks.FieldDate}); !bad || strings.Contains(fix, "date(") {
		t.Errorf("an interval: %q, %v", fix, bad)
	}
}

// Two tables that write the same records share them.
func TestTablesThatShareRecords(t *testing.T) {
	t.Parallel()
	other := cdc.Table{Schema: "crm", Name: "deals"}
	cat := columns()
	cat.TableColumns[other] = cat.TableColumns[deals]
	run := func(end string) *Report {
		f := &Facts{Config: "walbridge.yaml", Compiled: true}
		for _, from := range []string{"public", "crm"} {
			file, err := mapping.Parse(from+".yaml", []byte("from: "+from+".deals\nto: crm/Deal\nkey: {Id: id}\nfields: {Name: name}\n"+end))
			if err != nil {
				t.Fatal(err)
			}
			f.Files = append(f.Files, file)
		}
		f.Mappings, f.FileErr = mapping.CompileAll(f.Files, cat)
		return Run(f)
	}
	wantFindings(t, run(""), "warn | mapping crm | it writes crm/Deal by the key Id, as mapping public does of another table: rows of both with the same key are one record")
	wantFindings(t, run("delete: ignore\n"))
}
