package mapping

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
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
