package initial

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

func deals(columns ...Column) Table {
	all := []Column{{Column: mapping.Column{Name: "id", Type: "bigint", NotNull: true, Key: true}}}
	return Table{Name: cdc.Table{Schema: "public", Name: "deals"}, Columns: append(all, columns...)}
}

func column(name, kind string) Column {
	return Column{Column: mapping.Column{Name: name, Type: kind}}
}

// Addresses with something that may be a secret are taken from the environment, and the
// files have nothing of them.
func TestSecretsAreNotWritten(t *testing.T) {
	for _, o := range []Options{
		{Database: "postgres://app:s3cret@db/sales", Redis: "redis://:s3cret@r:6379", Targets: []Target{{"crm", "http", "https://u:s3cret@crm/x"}}},
		{Database: "host=db password=s3cret dbname=sales", Redis: "redis://r:6379?password=s3cret", Targets: []Target{{"crm", "http", "https://crm/x?key=s3cret"}}},
		{Database: "postgres://db/sales?password=s3cret", Redis: "redis://:s3cret@r:6379/%zz", Targets: []Target{{"crm", "http", "https://crm/s3cret}"}}},
	} {
		files, err := Files(o, []Table{deals(column("name", "text"))})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.Contains(string(f.Text), "s3cret") {
				t.Errorf("%s has a secret:\n%s", f.Path, f.Text)
			}
		}
		if got := fmt.Sprint(Variables(o)); !strings.Contains(got, "DATABASE_URL") || !strings.Contains(got, "REDIS_URL") || !strings.Contains(got, "CRM_URL") {
			t.Errorf("variables %s", got)
		}
	}
	o := Options{Database: "postgres://app@db/sales?sslmode=require", Redis: "redis://r:6379/0", Targets: []Target{{"9-crm", "http", "https://crm/x"}}}
	files, err := Files(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name: sales\n", "url: ${DATABASE_URL:-postgres://app@db/sales?sslmode=require}\n", "url: ${REDIS_URL:-redis://r:6379/0}\n", "url: ${TARGET_9_CRM_URL:-https://crm/x}\n"} {
		if !strings.Contains(string(files[0].Text), want) {
			t.Errorf("%q is not in\n%s", want, files[0].Text)
		}
	}
	if left := Variables(o); len(left) > 0 {
		t.Errorf("variables %v", left)
	}
}

func TestBridgeName(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://db/sales": "sales", "postgres://db/Sales-EU?sslmode=require": "sales_eu", "postgres://db": "walbridge", "host=db": "walbridge",
		"postgres://db/" + strings.Repeat("x", 60): strings.Repeat("x", 40), "postgres://db/%20": "walbridge",
	} {
		if got := bridgeName(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestMappingNames(t *testing.T) {
	taken := map[string]bool{}
	for _, c := range []struct{ schema, table, want string }{
		{"public", "deals", "deals-to-crm"}, {"public", "Deals", "deals-to-crm-2"}, {"public", "DEALS", "deals-to-crm-3"},
		{"sales", "deals", "sales-deals-to-crm"}, {"public", "名前", "table-to-crm"}, {"public", "../x", "x-to-crm"},
	} {
		if got := mappingName(cdc.Table{Schema: c.schema, Name: c.table}, "crm", taken); got != c.want {
			t.Errorf("%s.%s: %s, want %s", c.schema, c.table, got, c.want)
		}
	}
}

// The key's field is not called as another field, and there is always a field to send.
func TestKeyFields(t *testing.T) {
	big := column("scan", "bytea")
	second := Column{Column: mapping.Column{Name: "line", Type: "int", NotNull: true, Key: true}}
	for want, table := range map[string]Table{
		"key: {id: id}\nfields:\n  name: name  # text\n":                                                                               deals(column("name", "text")),
		"key: {external_id: id}\nfields:\n  id: id  # bigint, not null\n":                                                              deals(),
		"key: {external_id: id}\nfields:\n  id: id  # bigint, not null\n  # scan: scan  # bytea: bytes":                                deals(big),
		"key: {external_id_2: 'string(id) + \"-\" + string(line)'}\nfields:\n  id: id                    # bigint, not null\n  line: ": deals(second, column("external_id", "int")),
	} {
		files, err := Files(Options{Database: "x", Targets: []Target{{"crm", "http", Sandbox}}}, []Table{table})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(files[3].Text); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"crm=http": {"crm", "http", Sandbox}, "crm=http@https://u@crm.example.com/a": {"crm", "http", "https://u@crm.example.com/a"},
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// The configuration of each type of target is right once the variables are set that the user
// is told of.
func TestTargetTypes(t *testing.T) {
	for kind, url := range map[string]string{
		"http": "https://crm.example.com/x", "salesforce": "https://acme.my.salesforce.com", "hubspot": "https://api.hubapi.com",
		"postgres": "postgres://app@db/forecast",
	} {
		t.Run(kind, func(t *testing.T) {
			o := Options{Database: "postgres://app@db/sales", Redis: "redis://r:6379/0", Targets: []Target{{"crm", kind, url}}}
			files, err := Files(o, nil)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), files[0].Path)
			if err := os.WriteFile(file, files[0].Text, 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{}
			for _, v := range Variables(o) {
				env[v.Name] = "x"
			}
			if _, err := config.Load(file, func(name string) (string, bool) { v, ok := env[name]; return v, ok }); err != nil {
				t.Errorf("%v\n%s", err, files[0].Text)
			}
		})
	}
}
