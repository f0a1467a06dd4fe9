package hubspot

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// A company that somebody deleted and that is made again has another id, and none of the
// associations. That is found, and a record that mends is associated again; so is one whose
// association somebody took away, and one whose company another record became.
func TestAssociationsThatAreGone(t *testing.T) {
	const field = "association.companies"
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := serve(t, Options{}, s)
	withNotes(c)
	must := func(records ...sinks.Record) []string {
		t.Helper()
		rs, err := deliver(t, c, records...)
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]string, len(rs))
		for i, r := range rs {
			if ids[i] = r.RemoteID; r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		return ids
	}
	company := sinks.Record{Object: "companies", Op: sinks.Upsert, Key: sinks.Field{Name: "wb_key", Value: quoted("acme")}}
	do := func(path string, body any) {
		t.Helper()
		if _, err := c.post(t.Context(), path, body); err != nil {
			t.Fatal(err)
		}
	}
	children := []sinks.Record{child("a", field, "acme"), child("b", field, "acme"), child("c", field, "")}
	first := must(company)[0]
	ids := must(children...)
	lacking := func(want string) {
		t.Helper()
		got, err := c.Unreferred(t.Context(), "contacts", children, ids)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("what is gone: %v, %v, want %s", got, err, want)
		}
	}
	mend := func() {
		t.Helper()
		some := make([]sinks.Record, len(children))
		for i, r := range children {
			some[i], some[i].Mends = r, true
		}
		must(some...)
		lacking("[[] [] []]")
	}
	const all = "[[association.companies] [association.companies] []]"
	lacking("[[] [] []]")

	do(c.paths.objects("companies", "batch/archive"), inputs[ref]{refs([]string{first})})
	lacking(all)
	second := must(company)[0]
	if second == first {
		t.Fatal("the company has the same id again")
	}
	lacking(all)
	must(children...) // their associations are made: what is noted is another id
	lacking("[[] [] []]")

	do(c.paths.associations("contacts", "companies", "batch/archive"), inputs[endsOfAll]{[]endsOfAll{{ref{ids[1]}, []ref{{second}}}}})
	lacking("[[] [association.companies] []]")
	must(children...) // what is noted says that all is well
	lacking("[[] [association.companies] []]")
	mend()

	// A person has another record have the key.
	third := must(sinks.Record{Object: "companies", Op: sinks.Upsert, Key: sinks.Field{Name: "wb_key", Value: quoted("other")}})[0]
	rename := func(id, key string) input {
		return input{ID: id, Properties: properties{{"wb_key", key}}}
	}
	do(c.paths.objects("companies", "batch/update"), inputs[input]{[]input{rename(second, "before")}})
	do(c.paths.objects("companies", "batch/update"), inputs[input]{[]input{rename(third, "acme")}})
	lacking(all)
	mend()
	if calls := s.Calls(); calls["unauthorized"] != 0 {
		t.Errorf("calls %v", calls)
	}
}

// The associations of a record may be told in pages; one with a type is looked for by that.
func TestAssociationsThatAreRead(t *testing.T) {
	const path = "/crm/v4/associations/contacts/companies/batch/read"
	label := Association{From: "contacts", To: "companies", Name: "partner", Category: "USER_DEFINED", Type: 36}
	read := func(t *testing.T, o Options, field string, steps ...step) string {
		t.Helper()
		c := scripted(t, o, append([]step{{path: companyRead, answer: `{"status":"COMPLETE","results":[{"id":"50","properties":{"wb_key":"acme"}}]}`}}, steps...)...)
		got, err := c.Unreferred(t.Context(), "contacts", []sinks.Record{child("a", field, "acme"), child("b", field, "acme")}, []string{"1", "2"})
		if err != nil {
			return outcome(err)
		}
		return fmt.Sprint(got)
	}
	asked := `{"inputs":[{"id":"1"},{"id":"2"}]}`
	paged := step{path: path, body: asked, status: 207, answer: `{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[{"toObjectId":49,"associationTypes":[]}],"paging":{"next":{"after":"7"}}}],
		"errors":[{"category":"OBJECT_NOT_FOUND","subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND","context":{"fromObjectId":["2"]}}]}`}
	next := step{path: path, body: `{"inputs":[{"id":"1","after":"7"}]}`, answer: `{"status":"COMPLETE","results":[{"from":{"id":1},"to":[{"toObjectId":"50","associationTypes":[{"category":"USER_DEFINED","typeId":36},{"category":"HUBSPOT_DEFINED","typeId":279}]}]}]}`}
	other := step{path: path, body: asked, answer: `{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[{"toObjectId":50,"associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":36}]}]},{"from":{"id":"2"},"to":[{"toObjectId":50,"associationTypes":[{"category":"USER_DEFINED","typeId":36}]}]}]}`}
	for name, k := range map[string]struct {
		field string
		steps []step
		want  string
	}{
		"in pages":     {"association.companies", []step{paged, next}, "[[] [association.companies]]"},
		"with a label": {"association.partner", []step{other}, "[[association.partner] []]"},
		"refused":      {"association.companies", []step{{path: path, status: 207, answer: `{"status":"COMPLETE","errors":[{"category":"VALIDATION_ERROR"}]}`}}, "rejected VALIDATION_ERROR"},
		"not complete": {"association.companies", []step{{path: path, answer: `{"status":"PENDING"}`}}, "retry 0s"},
		"throttled":    {"association.companies", []step{{path: path, status: 429}}, "throttled 0s"},
	} {
		if got := read(t, Options{Associations: []Association{label}}, k.field, k.steps...); got != k.want {
			t.Errorf("%s: %s, want %s", name, got, k.want)
		}
	}
}

// What HubSpot has under another id than before is told of, before that is noted: as it is made
// anew by its own record, and as it is found by one that refers to it. What nobody had is not,
// nor what is there as before; and verifying takes nothing of that away.
func TestRemadeIsTold(t *testing.T) {
	const field, ids = "association.companies", "id:companies:wb_key"
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := serve(t, Options{}, s)
	n := withNotes(c)
	var told []string
	var refuse error
	c.TellRemade(func(_ context.Context, records []sinks.Record) error {
		for _, r := range records {
			told = append(told, r.Mapping+" "+r.Source)
		}
		return refuse
	})
	company := func(key string) sinks.Record {
		return sinks.Record{Mapping: "accounts", Source: key, Object: "companies", Op: sinks.Upsert, Key: sinks.Field{Name: "wb_key", Value: quoted(key)}}
	}
	must := func(want string, records ...sinks.Record) {
		t.Helper()
		rs, err := deliver(t, c, records...)
		for _, r := range rs {
			if err == nil && outcome(r.Err) != want {
				t.Errorf("got %v, want %s", r.Err, want)
			}
		}
		if err != nil && outcome(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	deleted := func(key string) {
		t.Helper()
		id, _ := goneFrom(n.spaces[ids][key])
		if _, err := c.post(t.Context(), c.paths.objects("companies", "batch/archive"), inputs[ref]{refs([]string{id})}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, records ...string) {
		t.Helper()
		if fmt.Sprint(told) != fmt.Sprint(records) {
			t.Errorf("%s: told of %q, want %q", what, told, records)
		}
		told = nil
	}
	must("ok", company("acme"), company("other"))
	must("ok", company("acme"), company("other"))
	want("as before")

	deleted("acme")
	before := n.spaces[ids]["acme"]
	refuse = errors.New("the log is away")
	must("retry 0s unknown", company("acme"), company("other"))
	want("made anew", "accounts acme")
	if n.spaces[ids]["acme"] != before {
		t.Error("it is noted before somebody was told")
	}
	refuse = nil
	must("ok", company("acme"), company("other"))
	want("and tried again", "accounts acme")
	must("ok", company("acme"))
	want("as before")

	// A child finds out first; then the company's own record makes it anew.
	must("ok", child("a", field, "acme"))
	deleted("acme")
	must("retry 0s unknown", child("b", field, "acme"))
	must("waiting_for_parent", child("b", field, "acme"))
	want("not there")
	must("ok", company("acme"))
	want("made anew after a child", "accounts acme")

	// Somebody makes it anew by hand, and a child finds it.
	for _, verified := range []bool{false, true} {
		deleted("acme")
		made := inputs[input]{[]input{{Properties: properties{{"wb_key", "acme"}}}}}
		if _, err := c.post(t.Context(), c.paths.objects("companies", "batch/create"), made); err != nil {
			t.Fatal(err)
		}
		if verified {
			if _, err := c.Unreferred(t.Context(), "contacts", []sinks.Record{child("a", field, "acme")}, []string{"1"}); err != nil {
				t.Fatal(err)
			}
			want("verified")
		} else {
			must("retry 0s unknown", child("b", field, "acme"), child("c", field, "acme"))
		}
		must("ok", child("b", field, "acme"), child("c", field, "acme"))
		want("made by hand", "accounts acme")
		must("ok", child("d", field, "acme"))
		must("ok", company("acme"))
		want("as before")
	}
}
