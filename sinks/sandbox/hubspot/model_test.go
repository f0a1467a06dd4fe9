package hubspot

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// state is what a portal holds of deals, in a form that can be compared.
func (p *portal) state() map[string]string {
	t := p.tables["deals"]
	out := map[string]string{"order": fmt.Sprint(t.order), "unique": fmt.Sprint(t.unique), "links": fmt.Sprint(p.links)}
	for id, r := range t.records {
		out[id] = fmt.Sprint(r.archived, r.created, r.changed, r.props)
	}
	return out
}

// checkUnique holds the index of unique values against the records.
func checkUnique(t *rapid.T, p *portal) {
	tab := p.tables["deals"]
	owners := map[string]string{}
	for id, r := range tab.records {
		key := r.props["wb_key"]
		if key == "" {
			continue
		}
		if other := owners[key]; other != "" && !(p.freeArchived && (r.archived || tab.records[other].archived)) {
			t.Fatalf("records %s and %s both have %s", id, other, key)
		}
		if owners[key] == "" || !r.archived {
			owners[key] = id
		}
	}
	for key, id := range tab.unique["wb_key"] {
		r := tab.records[id]
		if r == nil || r.props["wb_key"] != key {
			t.Fatalf("the index has %s for %s, which is not there or has another", id, key)
		}
		if !r.archived && owners[key] != id {
			t.Fatalf("the index has %s for %s, %s has it", id, key, owners[key])
		}
	}
	for key, id := range owners {
		if tab.unique["wb_key"][key] == "" && !(p.freeArchived && tab.records[id].archived) {
			t.Fatalf("the index lacks %s", key)
		}
	}
}

// Whatever batches come: no two records share a unique value, a batch that is refused leaves
// nothing behind, and each input of one that is not is either written or says why not.
func TestPortalHoldsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{FreeArchived: rapid.Bool().Draw(t, "free")}.withDefaults()
		p := newPortal(&o)
		tab := p.tables["deals"]
		now := start
		id := rapid.Map(rapid.IntRange(99, 112), func(n int) string { return fmt.Sprint(n) })
		key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		values := rapid.Custom(func(t *rapid.T) map[string]string {
			props := map[string]string{}
			if rapid.IntRange(0, 3).Draw(t, "named") > 0 {
				props["dealname"] = rapid.SampledFrom([]string{"n", "m", ""}).Draw(t, "name")
			}
			if rapid.Bool().Draw(t, "keyed") {
				props["wb_key"] = rapid.SampledFrom([]string{"a", "b", "c", "d", ""}).Draw(t, "key")
			}
			if rapid.IntRange(0, 5).Draw(t, "wrong") == 0 {
				props["amount"] = "much"
			}
			return props
		})
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkUnique(t, p) },
			"write": func(t *rapid.T) {
				now = now.Add(time.Second)
				op := rapid.SampledFrom([]string{opCreate, opUpdate, opUpsert}).Draw(t, "op")
				traced := rapid.Bool().Draw(t, "traced")
				inputs := make([]input, rapid.IntRange(1, 4).Draw(t, "inputs"))
				for i := range inputs {
					inputs[i].Properties = values.Draw(t, "values")
					switch {
					case op == opUpsert || op == opUpdate && rapid.Bool().Draw(t, "by key"):
						inputs[i].ID, inputs[i].IDProperty = key.Draw(t, "id"), "wb_key"
					case op == opUpdate:
						inputs[i].ID = id.Draw(t, "id")
					}
					if traced {
						inputs[i].Trace = fmt.Sprint(i)
					}
				}
				before := p.state()
				out, f := p.write(tab, op, inputs, now)
				if f != nil {
					if after := p.state(); !maps.Equal(before, after) {
						t.Fatalf("refused (%s), but\n%v\nbecame\n%v", f.message, before, after)
					}
					return
				}
				for i, w := range out.results {
					if (w.fault == nil) == (w.record == nil || tab.records[w.record.id] != w.record) {
						t.Fatalf("input %d: fault %v, record %v", i, w.fault, w.record)
					}
				}
				if out.failed > 0 && !traced {
					t.Fatal("some failed, and the batch was not refused")
				}
			},
			"archive": func(t *rapid.T) { p.archive(tab, id.Draw(t, "id"), now) },
			"restore": func(t *rapid.T) { p.restore(tab, id.Draw(t, "id"), now) },
		})
	})
}
