package mapping

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/walbridge/walbridge/mapping/schema"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(schema.Mapping())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mapping.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mapping.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a file's text against the schema.
func validate(s *jsonschema.Schema, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return s.Validate(v)
}

// sections are the parts of a file that have keys of their own: where they are in the
// schema, and a text with a place for a key.
// Those of tests are the business of package trial.
var sections = []struct{ at, text string }{
	{"", "%s\n"},
	{"properties/coalesce", "coalesce: {%s}\n"},
	{"properties/delete/anyOf/2", "delete: {%s}\n"},
	{"$defs/field/anyOf/1", "fields: {A: {%s}}\n"},
	{"$defs/constant", "delete: {set: {A: {%s}}}\n"},
	{"properties/key/additionalProperties/anyOf/1", "key: {A: {%s}}\n"},
}

// refuses tells whether the parser says that it does not know a key of a section.
func refuses(text, key string) bool {
	_, err := Parse("m.yml", []byte(strings.Replace(text, "%s", key+": 1", 1)))
	return err != nil && strings.Contains(err.Error(), `unknown key "`+key+`"`)
}

// Each key of the schema is one that the parser knows, and the parser refuses others
// where the schema does.
func TestSchemaKeysAreTheParsers(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(schema.Mapping(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		keys := slices.Sorted(maps.Keys(schemaAt(t, doc, s.at)["properties"].(map[string]any)))
		for _, key := range keys {
			if refuses(s.text, key) {
				t.Errorf("the schema has a key %s at %s, the parser has none", key, s.at)
			}
		}
		if !refuses(s.text, "qqqqqqqq") {
			t.Errorf("the parser takes any key in %q", s.text)
		}
	}
	for at, keys := range map[string][]string{"": keysOfFile, "properties/coalesce": keysOfCoalesce, "$defs/field/anyOf/1": keysOfField} {
		for _, key := range keys {
			if _, ok := schemaAt(t, doc, at)["properties"].(map[string]any)[key]; !ok {
				t.Errorf("the parser has a key %s at %q, the schema has none", key, at)
			}
		}
	}
}

func schemaAt(t *testing.T, doc map[string]any, path string) map[string]any {
	t.Helper()
	var at any = doc
	for part := range strings.SplitSeq(path, "/") {
		switch v := at.(type) {
		case map[string]any:
			if path != "" {
				at = v[part]
			}
		case []any:
			at = v[part[0]-'0']
		}
	}
	out, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("the schema has nothing at %s", path)
	}
	return out
}

// All mapping files that we show are right to the schema.
func TestSchemaTakesGoodFiles(t *testing.T) {
	s := compiledSchema(t)
	seen := 0
	for _, pattern := range []string{"testdata/*.good.yml", "../docs/examples/*/mappings/*.yaml", "../cmd/walbridge/internal/demo/*/mappings/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files are at %s (%v)", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(s, string(text)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			seen++
		}
	}
	t.Logf("%d files", seen)
}

// beyondForm are the bad files whose mistake takes the database, an expression or the
// whole text to be seen.
var beyondForm = []string{
	"absent-environment", "alias", "bad-pattern", "bad-time-zone", "block-expression", "bool-arithmetic", "clock", "const-number", "constant-key",
	"currency", "date-arithmetic", "date-compare", "date-format", "date-needs-no-clock", "delete-set-column", "delete-set-key", "different-types",
	"division-by-zero", "double-from", "empty-field", "environment-in-lane", "fiscal-month", "json-compare", "json-key", "key-in-fields",
	"lane-constant", "lane-early", "lane-rule-type", "list-compare", "map-default", "map-key-type", "map-twice", "no-argument", "no-identity",
	"open-bracket", "open-quote", "other-schema", "phone-country", "quiet-longer", "ref-alone", "ref-unknown", "ref-without-key", "round-mode", "round-scale",
	"slo-quiet", "slo-zero", "sql-and", "sql-is-null", "sql-not-equal", "tag", "text-function", "text-without-quotes", "truncate-literal",
	"two-documents", "type-mismatch", "unknown-column", "unknown-function", "unknown-table", "unknown-target", "use-missing", "view", "when-not-bool",
	"when-syntax", "whole-number",
}

// A mistake of form is one to the schema too.
func TestSchemaRefusesBadForm(t *testing.T) {
	s := compiledSchema(t)
	for name := range badFiles {
		err := validate(s, string(read(t, name+".bad.yml")))
		if err == nil && !slices.Contains(beyondForm, name) {
			t.Errorf("%s.bad.yml is right to the schema; if its mistake is not of form, put it into beyondForm", name)
		}
		if err != nil && slices.Contains(beyondForm, name) {
			t.Errorf("%s.bad.yml: the schema sees the mistake (%v): take it out of beyondForm", name, err)
		}
	}
}

const wholeGrammar = `name: deals-to-crm
description: any text
from: sales."Odd ""Name"
when: stage != 'draft'
to: crm/Opportunity
key: {External_Id__c: id}
use: [shared/audit.yaml]
fields:
  Name: trim(name)
  Amount: {value: "round(amount, 2)", write: if_changed}
  Source: {const: walbridge}
  Empty: {const: null, write: on_create}
  Number: 12.5
delete: {set: {IsDeleted: true, Why: {const: gone}}}
lane:
  - urgent: amount > 100000
  - normal
start: backfill
coalesce: {quiet: 1m30s, max_delay: 2m, max_batch: 200}
slo: 5s
tests:
  - name: a won deal
    given:
      op: update
      before: {id: 7, tags: [a], custom: {a: {b: 1}}}
      after: {id: 7, stage: won, amount: 100.00, notes: null}
      absent: [memo]
      delivered: true
    expect:
      op: upsert
      key: {External_Id__c: 7}
      fields: {Name: Acme, Amount: 100.00}
  - {name: b, given: {after: {id: 8}}, expect: none}
  - {name: c, given: {after: {id: 9}}, expect: {error: "Name"}}
  - name: d
    given: {op: update, after: {id: 9}, absent: [memo]}
    expect: {unresolved: [memo]}
`

// The whole grammar is right to the schema, and one change makes it wrong.
func TestSchemaOfTheWholeGrammar(t *testing.T) {
	s := compiledSchema(t)
	if err := validate(s, wholeGrammar); err != nil {
		t.Error(err)
	}
	const head = "from: deals\nto: crm/Deal\n"
	for _, text := range []string{
		"fields: {Name: name}\n", "description: of all\nfields: {Name: name}\n", // shared by others
		head + "key: {Id: id}\nuse: [a.yaml]\n",
		head + "key: {Id: {value: id}}\nfields: {A: a}\ndelete: {set: {A: {value: true}}}\n",
		head + "key: {Id: id}\nfields: {A: a}\ntests: [{name: recorded later, given: {after: {id: 1}}}]\n",
	} {
		if err := validate(s, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{head + "key: {Id: id}\n", "description: of all\n", head + "fields: {A: a}\n"} {
		if validate(s, text) == nil {
			t.Errorf("%q is right to the schema", text)
		}
	}
	for was, is := range map[string]string{
		"to: crm/Opportunity\n":      "",
		"use: [shared/audit.yaml]":   "use: shared/audit.yaml",
		"write: if_changed":          "write: sometimes",
		`{value: "round(amount, 2)"`: `{valu: "round(amount, 2)"`,
		"{const: walbridge}":         "{const: walbridge, value: name}",
		"{const: null, write":        "{write",
		"Number: 12.5":               "Number: [12.5]",
		"{const: gone}":              "{const: gone, write: always}",
		"- urgent: amount > 100000":  "- urgnt: amount > 100000",
		"- normal":                   "- norml",
		"start: backfill":            "start: later",
		"quiet: 1m30s":               "quiet: 90",
		"max_batch: 200":             "max_batch: 20000",
		"slo: 5s":                    "slo: soon",
		"op: update\n":               "op: change\n",
		"absent: [memo]\n":           "absent: memo\n",
		"delivered: true":            "delivered: perhaps",
		"op: upsert":                 "op: insert",
		"key: {External_Id__c: 7}":   "keys: {External_Id__c: 7}",
		"expect: none":               "expect: nothing",
		`{error: "Name"}`:            `{error: "Name", op: upsert}`,
		"{unresolved: [memo]}":       "{unresolved: []}",
		"{name: b, ":                 "{",
		"key: {External_Id__c: id}":  "key: {External_Id__c: {const: 1}}",
		"fields:\n":                  "filds:\n",
		"- name: a won deal":         "- title: a won deal",
	} {
		text := strings.Replace(wholeGrammar, was, is, 1)
		if text == wholeGrammar {
			t.Errorf("%q is not in the text", was)
		}
		if err := validate(s, text); err == nil {
			t.Errorf("%q instead of %q is right to the schema", is, was)
		}
	}
}
