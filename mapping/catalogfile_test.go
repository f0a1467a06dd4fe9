package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestLoadCatalog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"version":1,"tables":{"public.deals":{"columns":[{"name":"id","type":"bigint","not_null":true,"key":true},{"name":"a","type":"text"}]}},"targets":{"crm":{}}}`)
	cat, err := LoadCatalog(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Column{{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "a", Type: "text"}}
	if got, _ := cat.Columns(cdc.Table{Schema: "public", Name: "deals"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for text, want := range map[string]string{"{": path, `{"version":2}`: "version 2", `{"version":1,"tables":{"a.b.c":{}}}`: "a.b.c"} {
		write(text)
		if _, err := LoadCatalog(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := LoadCatalog(path + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// What is saved is loaded as it was, and saved again the same.
func TestSaveCatalog(t *testing.T) {
	cat := testCatalog()
	cat.TargetNames, cat.Others = nil, nil
	cat.Schemas = map[string]map[string]*sinks.Schema{"crm": {"Account": {Fields: []sinks.SchemaField{{Name: "Name", Type: sinks.FieldText, Length: 255, Required: true}}}}}
	path := filepath.Join(t.TempDir(), CatalogName)
	if err := cat.Save(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadCatalog(path)
	if err != nil || !reflect.DeepEqual(got, cat) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got.Schema("crm", "Account").Field("Name").Length != 255 || got.Schema("crm", "Lead") != nil || got.Schema("x", "y") != nil {
		t.Error("the schemas are not found")
	}
	if err := got.Save(path); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(first) {
		t.Errorf("saved again it is\n%s\nnot\n%s (%v)", again, first, err)
	}
	if err := cat.Save(filepath.Join(path, "x")); err == nil {
		t.Error("a path below a file was written to")
	}
}

func TestOutputs(t *testing.T) {
	cat := testCatalog()
	cat.TableColumns[opportunities][1] = Column{Name: "name", Type: "character varying(80)", NotNull: true}
	f, err := Parse("m.yml", []byte(header+"fields:\n  N: name\n  T: truncate(notes, 20)\n  A: amount * 2\n  C: {const: abc, write: on_create}\n  D: col(\"Close Date\")\n  X: \"'ab'\"\n  R: ref('opps', id)\n  Z: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(f, cat)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range m.Outputs() {
		got = append(got, fmt.Sprintf("%s %t %s %v %s %d %t %s %d", o.Name, o.Key, o.Type, o.Columns, o.Constant, o.MaxLen, o.NotNull, o.Write, o.Line))
	}
	want := []string{
		"Ext__c true integer [id]  0 true always 4", "N false text [name]  80 true always 6", "T false text [notes]  20 false always 7",
		"A false decimal [amount]  0 false always 8", `C false text [] "abc" 3 true on_create 9`, "D false date [Close Date]  0 false always 10",
		`X false text [] "ab" 2 true always 11`, "R false reference [id]  0 true always 12", "Z false null [] null 0 false always 13",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m.From() != (Place{"m.yml", 2, 7}) || m.To() != (Place{"m.yml", 3, 5}) || !slices.Contains(m.Columns(), "notes") {
		t.Errorf("%v %v %v", m.From(), m.To(), m.Columns())
	}
}
