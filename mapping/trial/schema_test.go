package trial

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/walbridge/walbridge/mapping/schema"
)

// The JSON Schema of mapping files has the keys of tests that the parser has.
func TestSchemaHasTheKeysOfTests(t *testing.T) {
	type object struct {
		Properties map[string]json.RawMessage
		AnyOf      []json.RawMessage
		Enum       []string
	}
	read := func(raw json.RawMessage) (o object) {
		t.Helper()
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	var doc struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(schema.Mapping(), &doc); err != nil {
		t.Fatal(err)
	}
	same := func(where string, got map[string]json.RawMessage, want []string) {
		t.Helper()
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: the schema has the keys %v, the parser %v", where, keys, want)
		}
	}
	test := read(doc.Defs["test"])
	same("a test", test.Properties, keysOfCase)
	same("given", read(test.Properties["given"]).Properties, keysOfGiven)
	expect := map[string]json.RawMessage{}
	for _, raw := range read(test.Properties["expect"]).AnyOf {
		maps.Copy(expect, read(raw).Properties)
	}
	record := read(doc.Defs["record"])
	maps.Copy(expect, record.Properties)
	same("expect", expect, keysOfExpect)
	ops := slices.DeleteFunc(read(record.Properties["op"]).Enum, func(s string) bool { return s == "" }) // null, for nothing
	if !slices.Equal(ops, opsOfRecord) {
		t.Errorf("expect.op: the schema has %v, the parser %v", ops, opsOfRecord)
	}
}
