package docs

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/trial"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/sandbox"
)

// packs are the examples to start from, with the app that each leads to.
var packs = map[string]string{"salesforce-crm": "crm", "forecast-table": "forecast", "commission-api": "commission"}

// What the mappings of each pack make of the rows in their tests is taken by a target with
// the pack's schemas, which it answers for.
func TestPacksFitTheirTargets(t *testing.T) {
	for name, app := range packs {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("docs/examples", name)
			schemas, err := sandbox.ReadSchemas([]byte(read(t, filepath.Join(dir, "targets.json"))), sandbox.New(sandbox.Options{}).Apps())
			if err != nil || len(schemas) != 1 || len(schemas[app]) == 0 {
				t.Fatalf("targets.json: %d apps, %d objects of %s, %v", len(schemas), len(schemas[app]), app, err)
			}
			client := sandboxOf(t, app, schemas)
			used := map[string]bool{}
			for _, s := range suitesOf(t, dir) {
				used[s.mapping.Object()] = true
				schema := schemas[app][s.mapping.Object()]
				if got, err := client.Describe(t.Context(), s.mapping.Object()); err != nil || !reflect.DeepEqual(got, schema) {
					t.Errorf("%s is described as %v, %v", s.mapping.Object(), got, err)
				}
				s.deliver(t, client)
			}
			if len(used) != len(schemas[app]) {
				t.Errorf("targets.json has %d objects, and mappings lead to %v", len(schemas[app]), used)
			}
		})
	}
}

func sandboxOf(t *testing.T, app string, schemas map[string]map[string]*sinks.Schema) *httpapi.Client {
	t.Helper()
	server := httptest.NewServer(sandbox.New(sandbox.Options{Schemas: schemas}))
	t.Cleanup(server.Close)
	client, err := httpapi.New(httpapi.Options{URL: server.URL + "/" + app + "/batch", Describe: server.URL + "/" + app + "/describe/{object}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// suite is a mapping of a pack with its tests.
type suite struct {
	mapping *mapping.Mapping
	tests   *trial.Suite
}

func suitesOf(t *testing.T, dir string) (list []suite) {
	t.Helper()
	cat, err := mapping.LoadCatalog(filepath.Join(root, dir, mapping.CatalogName))
	if err != nil {
		t.Fatal(err)
	}
	files, err := mapping.LoadGlob([]string{"mappings/*.yaml"}, filepath.Join(root, dir))
	if err != nil {
		t.Fatal(err)
	}
	all, err := mapping.CompileAll(files, cat)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		text := read(t, filepath.Join(dir, "mappings", filepath.Base(f.Path)))
		s, err := trial.Parse(f.Path, []byte(text), trial.Subject{Table: f.From, Columns: cat.TableColumns[f.From], Key: f.Key.Field})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, suite{all[i], s})
	}
	return list
}

// deliver runs the tests in their order, so that what they change is there, and sends what
// comes out of them.
func (s suite) deliver(t *testing.T, client sinks.Target) {
	t.Helper()
	ops := map[string]sinks.Op{sinks.Upsert.String(): sinks.Upsert, sinks.Delete.String(): sinks.Delete, sinks.Archive.String(): sinks.Archive}
	sent := 0
	for _, c := range s.tests.Cases {
		r := s.tests.Run(s.mapping, c)
		if !r.Passed {
			t.Errorf("%s: %s: %s %v", s.mapping.Name(), c.Name, r.Problem, r.Diff())
			continue
		}
		if r.Got.Kind != trial.Sent {
			continue
		}
		rec := sinks.Record{Mapping: s.mapping.Name(), Object: s.mapping.Object(), Op: ops[r.Got.Op], Key: fieldsOf(t, r.Got.Key)[0], Fields: fieldsOf(t, r.Got.Fields)}
		for _, f := range rec.Fields { // a test does not tell what ref() refers to
			if (f.Name == "ParentId" || f.Name == "AccountId") && string(f.Value) != "null" {
				rec.Parents = append(rec.Parents, sinks.Parent{Field: f.Name, Mapping: "accounts", Source: string(f.Value), Key: sinks.Field{Name: "External_Id__c", Value: f.Value}})
			}
		}
		results, err := client.Deliver(t.Context(), sinks.Batch{Object: rec.Object, Records: []sinks.Record{rec}})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			t.Errorf("%s: %s: %v", s.mapping.Name(), c.Name, err)
		}
		sent++
	}
	if sent == 0 {
		t.Errorf("%s: no test makes a record", s.mapping.Name())
	}
}

func fieldsOf(t *testing.T, n *yamldoc.Node) (list []sinks.Field) {
	t.Helper()
	for i, k := range n.Keys {
		list = append(list, sinks.Field{Name: k.Text, Value: jsonOf(t, n.Values[i])})
	}
	return list
}

// jsonOf gives a value as the record had it.
func jsonOf(t *testing.T, n *yamldoc.Node) json.RawMessage {
	t.Helper()
	switch n.Kind {
	case yamldoc.Null:
		return json.RawMessage("null")
	case yamldoc.Bool, yamldoc.Number:
		return json.RawMessage(n.Text)
	case yamldoc.String:
		text, err := json.Marshal(n.Text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	t.Fatalf("no record of a pack holds %s", n.Kind)
	return nil
}
