package salesforce

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks"
)

func TestIDs(t *testing.T) {
	seen := make(map[string]bool)
	last := ""
	for n := int64(1); n < 10_000; n++ {
		id := makeID("001", n)
		short, ok := readID(id[:15])
		if len(id) != 18 || seen[id] || id <= last || !ok || short != id {
			t.Fatalf("%d: %s after %s", n, id, last)
		}
		seen[id], last = true, id
	}
	// The known pair of forms of an id.
	if got := long("00530000003xqAa"); got != "00530000003xqAaAAI" {
		t.Errorf("long form %s", got)
	}
	for _, text := range []string{"", "001", "00530000003xqAaAAJ", "0053000000-xqAa", "00530000003xqAaA"} {
		if _, ok := readID(text); ok {
			t.Errorf("%q is taken for an id", text)
		}
	}
}

func TestNormalise(t *testing.T) {
	two := sinks.SchemaField{Name: "F", Type: sinks.FieldNumber, Precision: 6, Scale: 2}
	for _, c := range []struct {
		field     sinks.SchemaField
		raw, want string // an empty want is one that cannot be read
	}{
		{two, `1.005`, `1.01`}, {two, `-1.005`, `-1.01`}, {two, `1e2`, `100`}, {two, `"12.50"`, `12.5`}, {two, `0.000`, `0`}, {two, `null`, `null`}, {two, `""`, ``}, {two, `"x"`, ``}, {two, `true`, ``}, {two, `12345678901234567890`, `12345678901234567890`}, {two, `1e999`, ``}, {two, `[1]`, ``},
		{sinks.SchemaField{Type: sinks.FieldNumber}, `0.1234567890123456789`, `0.1234567890123456789`},
		{sinks.SchemaField{Type: sinks.FieldInteger}, `7.5`, `8`}, {sinks.SchemaField{Type: sinks.FieldInteger}, `7.0`, `7`},
		{sinks.SchemaField{Type: sinks.FieldBoolean}, `true`, `true`}, {sinks.SchemaField{Type: sinks.FieldBoolean}, `"FALSE"`, `false`}, {sinks.SchemaField{Type: sinks.FieldBoolean}, `1`, ``}, {sinks.SchemaField{Type: sinks.FieldBoolean}, `"yes"`, ``},
		{sinks.SchemaField{Type: sinks.FieldText}, `" <a> "`, `"<a>"`}, {sinks.SchemaField{Type: sinks.FieldText}, `"  "`, `null`}, {sinks.SchemaField{Type: sinks.FieldText}, `5`, ``}, {sinks.SchemaField{Type: sinks.FieldText}, `{"a":1}`, ``},
		{sinks.SchemaField{Type: sinks.FieldDate}, `"2026-02-28"`, `"2026-02-28"`}, {sinks.SchemaField{Type: sinks.FieldDate}, `"2026-02-30"`, ``}, {sinks.SchemaField{Type: sinks.FieldDate}, `"2026-02-28T00:00:00Z"`, ``}, {sinks.SchemaField{Type: sinks.FieldDate}, `20260228`, ``},
		{sinks.SchemaField{Type: sinks.FieldDateTime}, `"2026-02-28T01:00:00.1239+02:00"`, `"2026-02-27T23:00:00.123+0000"`}, {sinks.SchemaField{Type: sinks.FieldDateTime}, `"2026-02-28T01:00:00.000+0000"`, `"2026-02-28T01:00:00.000+0000"`}, {sinks.SchemaField{Type: sinks.FieldDateTime}, `"2026-02-28 01:00:00"`, ``},
		{sinks.SchemaField{Type: sinks.FieldRef}, `"00530000003xqAa"`, `"00530000003xqAaAAI"`},
	} {
		got, bad := normalise(&Field{SchemaField: c.field}, json.RawMessage(c.raw))
		if string(got) != c.want || (bad == nil) != (c.want != "") || bad != nil && (!bad.request || bad.Code != "JSON_PARSER_ERROR") {
			t.Errorf("%s %s: %s %+v, want %q", c.field.Type, c.raw, got, bad, c.want)
		}
	}
}

func TestUsageRolls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u usage
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		type made struct {
			at time.Time
			n  int
		}
		var all []made
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 40*3600).Draw(t, "seconds")) * time.Second)
			n := rapid.IntRange(0, 5).Draw(t, "calls")
			u.add(now, n)
			all = append(all, made{now, n})
			want := 0
			for _, m := range all {
				if m.at.Truncate(time.Hour).After(now.Truncate(time.Hour).Add(-24 * time.Hour)) {
					want += m.n
				}
			}
			if got := u.used(now); got != want {
				t.Fatalf("%d calls are counted, want %d", got, want)
			}
		}
	})
}

func TestWithSchemas(t *testing.T) {
	ref := func(name string) sinks.SchemaField { return sinks.SchemaField{Name: name, Type: sinks.FieldRef} }
	key := sinks.SchemaField{Name: "Key__c", Type: sinks.FieldText, Key: true}
	g := newOrg(t, Options{Objects: WithSchemas(map[string]*sinks.Schema{
		"Account": {Fields: []sinks.SchemaField{key, ref("ParentId"), ref("OwnerId")}},
		"Deal__c": {Fields: []sinks.SchemaField{key, {Name: "Id", Type: sinks.FieldText, ReadOnly: true}, {Name: "Name", Type: sinks.FieldText, Required: true}, ref("AccountId"), ref("Deal__c"), ref("Any")}},
	})})
	g.do("PATCH", "/sobjects/Account/Key__c/p", `{}`).wants(201, `"id":"001`)
	g.do("PATCH", "/sobjects/Account/Key__c/c", `{"Parent":{"Key__c":"P"},"Owner":{"Employee_No__c":"7"}}`).wants(201)
	if got := g.upsertMany("Deal__c", "Key__c", []string{
		`{"Key__c":"a","Name":"N","Any":"anything","Account":{"Key__c":"p"}}`, `{"Key__c":"b"}`, `{"Key__c":"c","Name":"N","AccountId":"anything"}`,
	}); got != "+ REQUIRED_FIELD_MISSING MALFORMED_ID" {
		t.Errorf("got %s", got)
	}
	g.do("PATCH", "/sobjects/Deal__c/Key__c/d", `{"Name":"D","Deal__r":{"Key__c":"a"}}`).wants(201, `"id":"a01`)
	g.do("GET", "/sobjects/Deal__c/describe", "").wants(200, `"relationshipName":"Deal__r"`)
	if g.Count("Contact") != 0 || g.store.table("Contact") == nil {
		t.Error("the default objects are gone")
	}
}

// Whatever is upserted, changed back and deleted, the store holds what a map would.
func TestStoreIsAMap(t *testing.T) {
	objects := []Object{{Name: "Thing", Prefix: "a00", Fields: []Field{text("Key", 9).external(), text("Value", 9), text("Other", 9)}}}
	rapid.Check(t, func(t *rapid.T) {
		s := newStore(objects)
		table := s.table("Thing")
		model := make(map[string]map[string]string) // by folded key
		ids := make(map[string]string)
		keys := rapid.SampledFrom([]string{"a", "A", "b", "B", "ä", "Ä", "c"})
		values := rapid.SampledFrom([]string{"", "x", "y", "much too long"})
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now := time.Unix(int64(step), 0)
			undone := rapid.Bool().Draw(t, "undone")
			before, beforeIDs := cloneModel(model), maps.Clone(ids)
			s.begin()
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				d := &draft{table: table, id: ids[strings.ToLower(keys.Draw(t, "delete"))]}
				out := s.writeAll(&writing{op: opDelete, now: now}, []*draft{d})[0]
				if (out.bad == nil) != (d.id != "") {
					t.Fatalf("delete of %q: %+v", d.id, out.bad)
				}
				for k, id := range ids {
					if id == d.id {
						delete(model, k)
						delete(ids, k)
					}
				}
			} else {
				upsertModel(t, s, table, now, model, ids, rapid.SliceOfN(keys, 1, 4).Draw(t, "keys"), values)
			}
			if undone {
				s.rollback(0)
				model, ids = before, beforeIDs
			}
			s.commit()
			compareModel(t, s, table, model, ids)
		}
	})
}

// upsertModel upserts in the store and in the model.
func upsertModel(t *rapid.T, s *store, table *table, now time.Time, model map[string]map[string]string, ids map[string]string, keys []string, values *rapid.Generator[string]) {
	times := make(map[string]int)
	drafts := make([]*draft, len(keys))
	sent := make([]map[string]string, len(keys))
	for i, key := range keys {
		times[strings.ToLower(key)]++
		sent[i] = map[string]string{"Key": key}
		d := &draft{table: table, values: map[string]json.RawMessage{"Key": quote(key)}}
		for _, name := range []string{"Value", "Other"} {
			if rapid.Bool().Draw(t, "sent") {
				v := values.Draw(t, name)
				sent[i][name] = v
				d.values[name] = quote(v)
				if v == "" {
					d.values[name] = json.RawMessage(null)
				}
			}
		}
		drafts[i] = d
	}
	for i, out := range s.writeAll(&writing{op: opUpsert, key: table.field("Key"), now: now}, drafts) {
		k := strings.ToLower(keys[i])
		long := strings.Contains(sent[i]["Value"]+sent[i]["Other"], "long")
		if (out.bad != nil) != (long || times[k] > 1) {
			t.Fatalf("upsert %v: %+v", sent[i], out.bad)
		}
		if out.bad != nil {
			continue
		}
		if out.created != (ids[k] == "") || !out.created && out.id != ids[k] {
			t.Fatalf("upsert %v: %+v beside %s", sent[i], out, ids[k])
		}
		if out.created {
			model[k], ids[k] = make(map[string]string), out.id
		}
		for name, v := range sent[i] {
			if model[k][name] = v; v == "" {
				delete(model[k], name)
			}
		}
	}
}

func cloneModel(m map[string]map[string]string) map[string]map[string]string {
	out := make(map[string]map[string]string, len(m))
	for k, v := range m {
		out[k] = maps.Clone(v)
	}
	return out
}

func compareModel(t *rapid.T, s *store, table *table, model map[string]map[string]string, ids map[string]string) {
	if len(table.records) != len(model) || s.count != len(model) {
		t.Fatalf("%d records (%d counted), want %d", len(table.records), s.count, len(model))
	}
	for k, want := range model {
		found := table.match(table.field("Key"), quote(strings.ToUpper(k)))
		if len(found) != 1 || found[0].id != ids[k] {
			t.Fatalf("%s: %d found", k, len(found))
		}
		got := make(map[string]string)
		for name, v := range found[0].fields {
			if !slices.Contains([]string{"Id", "CreatedDate", "LastModifiedDate", "SystemModstamp"}, name) {
				got[name] = plain(v)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s holds %v, want %v", k, got, want)
		}
	}
}
