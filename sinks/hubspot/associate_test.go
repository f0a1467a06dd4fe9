package hubspot

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// child is a contact that refers to a company by its key; none where company is empty.
func child(key, field, company string) sinks.Record {
	r := upsert(key, field, "null")
	if company != "" {
		r.Fields[0].Value = quoted(company)
		r.Parents = []sinks.Parent{{Field: field, Mapping: "accounts", Source: company, Key: sinks.Field{Name: "wb_key", Value: quoted(company)}}}
	}
	return r
}

const (
	companyRead = "/crm/objects/2026-03/companies/batch/read"
	linkPath    = "/crm/v4/associations/contacts/companies/batch/associate/default"
	unlinkPath  = "/crm/v4/associations/contacts/companies/batch/archive"
)

var upsertedAB = step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"},{"id":"2","objectWriteTraceId":"1"}]}`}

// Of a batch there is one request for the parents that are not known, one for the records, and
// one for what is associated.
func TestAssociate(t *testing.T) {
	c := scripted(t, Options{},
		step{path: companyRead, body: `{"idProperty":"wb_key","properties":["wb_key"],"propertiesWithHistory":[],"inputs":[{"id":"acme"}]}`,
			answer: `{"status":"COMPLETE","results":[{"id":"50","properties":{"wb_key":"acme"}}]}`},
		step{path: upsertPath, body: `{"inputs":[{"id":"a","idProperty":"wb_key","objectWriteTraceId":"0","properties":{"wb_key":"a"}},{"id":"b","idProperty":"wb_key","objectWriteTraceId":"1","properties":{"wb_key":"b"}}]}`, answer: upsertedAB.answer},
		step{path: linkPath, body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"50"}},{"from":{"id":"2"},"to":{"id":"50"}}]}`,
			answer: `{"status":"COMPLETE","results":[{"from":{"id":"50"},"to":{"id":"1"}},{"from":{"id":"1"},"to":{"id":"50"}},{"from":{"id":2},"to":{"id":50}}]}`},
		upsertedAB, // again: nothing is to be changed
		upsertedAB, step{path: unlinkPath, body: `{"inputs":[{"from":{"id":"1"},"to":[{"id":"50"}]},{"from":{"id":"2"},"to":[{"id":"50"}]}]}`, status: 204},
		step{path: linkPath, body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"60"}}]}`, answer: `{"status":"COMPLETE","results":[]}`},
	)
	n := withNotes(c)
	two := []sinks.Record{child("a", "association.companies", "acme"), child("b", "association.companies", "acme")}
	for range 2 {
		if got := outcomes(deliver(t, c, two...)); got != "1, 2" {
			t.Errorf("got %s", got)
		}
	}
	if got := n.String(); got != "map[id:companies:wb_key:map[acme:50] id:contacts:wb_key:map[a:1 b:2] link:contacts:map[1:companies=50 2:companies=50]]" {
		t.Errorf("notes %s", got)
	}
	n.spaces["id:companies:wb_key"]["other"] = "60"
	if got := outcomes(deliver(t, c, child("a", "association.companies", "other"), child("b", "association.companies", ""))); got != "1, 2" {
		t.Errorf("moved and taken away: got %s", got)
	}
	if got := n.String(); !strings.Contains(got, "link:contacts:map[1:companies=60]") {
		t.Errorf("notes %s", got)
	}
}

// A record whose parent is missing is not sent, and the others are. A value that is no
// reference is HubSpot's own id.
func TestOrphan(t *testing.T) {
	c := scripted(t, Options{},
		step{path: companyRead, body: `{"properties":["hs_object_id"],"propertiesWithHistory":[],"inputs":[{"id":"77"},{"id":"78"}]}`, status: 207,
			answer: `{"status":"COMPLETE","results":[{"id":"78"}],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["77"]}}]}`},
		step{path: upsertPath, body: `{"inputs":[{"id":"b","idProperty":"wb_key","objectWriteTraceId":"1","properties":{"wb_key":"b"}}]}`, answer: `{"results":[{"id":"2","objectWriteTraceId":"1"}]}`},
		step{path: linkPath, body: `{"inputs":[{"from":{"id":"2"},"to":{"id":"78"}}]}`, answer: `{"results":[{"from":{"id":"2"},"to":{"id":"78"}}]}`},
	)
	if got := outcomes(deliver(t, c, upsert("a", "association.companies", "77"), upsert("b", "association.companies", `"78"`))); got != "waiting_for_parent, 2" {
		t.Errorf("got %s", got)
	}
}

// Associations with a type are made and taken away by it, where another field associates the
// same two.
func TestAssociationTypes(t *testing.T) {
	o := Options{Associations: []Association{{From: "contact", To: "companies", Name: "partner", Category: "USER_DEFINED", Type: 36}, {From: "contacts", To: "companies", Name: "main", Type: 1}}}
	c := scripted(t, o,
		step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`},
		step{path: "/crm/v4/associations/contacts/companies/batch/labels/archive", body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"50"},"types":[{"associationCategory":"USER_DEFINED","associationTypeId":36}]}]}`, status: 204},
		step{path: "/crm/v4/associations/contacts/companies/batch/create", body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"60"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":1}]}]}`, status: 201,
			answer: `{"status":"COMPLETE","results":[{"fromObjectId":1,"toObjectId":"60"}]}`},
		step{path: "/crm/v4/associations/contacts/companies/batch/create", body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"60"},"types":[{"associationCategory":"USER_DEFINED","associationTypeId":36}]}]}`, status: 201,
			answer: `{"status":"COMPLETE","results":[{"fromObjectId":"1","toObjectId":"60"}]}`},
	)
	n := withNotes(c)
	n.spaces = map[string]map[string]string{"id:companies:wb_key": {"x": "60"}, "link:contacts": {"1": "companies=50;partner=50"}}
	r := child("a", "association.partner", "x")
	main := child("a", "association.main", "x")
	r.Fields, r.Parents = append(r.Fields, main.Fields...), append(r.Parents, main.Parents...)
	if got := outcomes(deliver(t, c, r)); got != "1" || !strings.Contains(n.String(), "link:contacts:map[1:companies=50;main=60;partner=60]") {
		t.Errorf("got %s, notes %s", got, n)
	}
}

func TestAssociateFails(t *testing.T) {
	const both = "1:companies=,50 2:companies=,50" // it may be there
	const gone = `"category":"OBJECT_NOT_FOUND","message":"` + rowValue + `"`
	for name, c := range map[string]struct {
		status             int
		answer, want, note string
	}{
		"refused, by the record":  {207, `{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":{"id":"50"}}],"errors":[{"category":"VALIDATION_ERROR","subCategory":"LIMIT","context":{"fromObjectId":["2"]}}]}`, "1, rejected LIMIT unknown", "1:companies=50 2:companies=,50"},
		"refused, by the parent":  {207, `{"status":"COMPLETE","results":[],"errors":[{` + gone + `,"context":{"toObjectId":["50"]}}]}`, "retry 0s unknown, retry 0s unknown", both},
		"refused, not named, one": {207, `{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":{"id":"50"}}],"errors":[{"category":"VALIDATION_ERROR"}]}`, "1, rejected VALIDATION_ERROR unknown", "1:companies=50 2:companies=,50"},
		"refused, not named":      {207, `{"status":"COMPLETE","results":[],"errors":[{"category":"VALIDATION_ERROR"}]}`, "batch: rejected VALIDATION_ERROR unknown", both},
		"one has no answer":       {207, `{"status":"COMPLETE","results":[],"errors":[{"category":"VALIDATION_ERROR","context":{"fromObjectId":["2"]}}]}`, "retry 0s unknown, rejected VALIDATION_ERROR unknown", both},
		"not complete":            {200, `{"status":"PENDING","results":[{"from":{"id":"1"},"to":{"id":"50"}}]}`, "1, retry 0s unknown", "1:companies=50 2:companies=,50"},
		"nothing":                 {200, `{}`, "retry 0s unknown, retry 0s unknown", both},
		"no JSON":                 {200, `<html>`, "batch: retry 0s unknown", both},
		"throttled":               {429, ``, "batch: throttled 0s unknown", both},
		"type":                    {400, `{"category":"VALIDATION_ERROR","message":"One or more association types are invalid: x"}`, "batch: misconfigured: check the target's associations unknown", both},
	} {
		client := scripted(t, Options{}, upsertedAB, step{path: linkPath, status: c.status, answer: c.answer})
		n := withNotes(client)
		n.spaces = map[string]map[string]string{"id:companies:wb_key": {"acme": "50"}}
		if got := outcomes(deliver(t, client, child("a", "association.companies", "acme"), child("b", "association.companies", "acme"))); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
		if got := fmt.Sprint(n.spaces["link:contacts"]); got != "map["+c.note+"]" {
			t.Errorf("%s: notes %s, want %s", name, got, c.note)
		}
		if note := n.spaces["id:companies:wb_key"]["acme"]; (note == "?50") != strings.Contains(c.answer, gone) {
			t.Errorf("%s: the id of the parent is noted as %s", name, note)
		}
	}
}

// What is to be taken away may be gone with the other record; of several it is not known which.
func TestDissociateFails(t *testing.T) {
	missing := step{path: unlinkPath, status: 404, answer: `{"category":"OBJECT_NOT_FOUND","context":{"ids":["50"]}}`}
	alone := step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`}
	for _, c := range []struct {
		steps   []step
		records []sinks.Record
		want    string
	}{
		{[]step{alone, missing}, []sinks.Record{child("a", "association.companies", "")}, "1"},
		{[]step{upsertedAB, missing}, []sinks.Record{child("a", "association.companies", ""), child("b", "association.companies", "")}, "batch: rejected OBJECT_NOT_FOUND unknown"},
		{[]step{alone, missing, missing, missing, {path: linkPath, answer: `{"status":"COMPLETE","results":[]}`}}, []sinks.Record{child("a", "association.companies", "acme")}, "1"},
		{[]step{alone, {path: unlinkPath, answer: `{}`}}, []sinks.Record{child("a", "association.companies", "")}, "batch: retry 0s unknown"},
	} {
		client := scripted(t, Options{}, c.steps...)
		n := withNotes(client)
		n.spaces = map[string]map[string]string{"link:contacts": {"1": "companies=50", "2": "companies=50"}}
		if c.records[0].Parents != nil { // it is in doubt which one it was associated with
			n.spaces["link:contacts"]["1"], n.spaces["id:companies:wb_key"] = "companies=50,60", map[string]string{"acme": "70"}
		}
		if got := outcomes(deliver(t, client, c.records...)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// In front of the simulation: a contact moves from one company to another, and to none; a
// company that was archived by somebody is found out.
func TestAssociateForReal(t *testing.T) {
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := serve(t, Options{}, s)
	withNotes(c)
	company := func(op sinks.Op, key string) sinks.Record {
		return sinks.Record{Object: "companies", Op: op, Key: sinks.Field{Name: "wb_key", Value: quoted(key)}}
	}
	must := func(want string, records ...sinks.Record) []sinks.Result {
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
		return rs
	}
	linked := func(id string) string {
		t.Helper()
		a, err := c.post(t.Context(), c.paths.associations("contacts", "companies", "batch/read"), inputs[ref]{refs([]string{id})})
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Results []struct {
				To []struct {
					ID json.Number `json:"toObjectId"`
				}
			}
		}
		if err := json.Unmarshal(a.Body, &said); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range said.Results {
			for _, to := range r.To {
				out = append(out, to.ID.String())
			}
		}
		return strings.Join(out, " ")
	}
	const field = "association.companies"
	must("waiting_for_parent", child("a", field, "acme"))
	companies := must("ok", company(sinks.Upsert, "acme"), company(sinks.Upsert, "other"))
	id := must("ok", child("a", field, "acme"))[0].RemoteID
	if got := linked(id); got != companies[0].RemoteID {
		t.Errorf("associated with %s, want %s", got, companies[0].RemoteID)
	}
	must("ok", child("a", field, "other"))
	if got := linked(id); got != companies[1].RemoteID {
		t.Errorf("moved: associated with %s, want %s", got, companies[1].RemoteID)
	}
	must("ok", child("a", field, ""))
	if got := linked(id); got != "" {
		t.Errorf("taken away: associated with %s", got)
	}
	if _, err := c.post(t.Context(), c.paths.objects("companies", "batch/archive"), inputs[ref]{refs([]string{companies[0].RemoteID})}); err != nil {
		t.Fatal(err)
	}
	must("retry 0s unknown", child("a", field, "acme"))
	must("waiting_for_parent", child("a", field, "acme"))
	must("ok", company(sinks.Upsert, "acme"))
	must("ok", child("a", field, "acme"))
}

// Of an association whose request has no certain answer it is noted that it may be there, and that
// the one before may not be: what comes next takes the first away, or makes the other again.
func TestAssociationInDoubt(t *testing.T) {
	alone := step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`}
	unlink := func(ids ...string) step {
		body := `{"inputs":[`
		for i, id := range ids {
			if i > 0 {
				body += ","
			}
			body += `{"from":{"id":"1"},"to":[{"id":"` + id + `"}]}`
		}
		return step{path: unlinkPath, body: body + `]}`, status: 204}
	}
	link := func(id string) step {
		return step{path: linkPath, body: `{"inputs":[{"from":{"id":"1"},"to":{"id":"` + id + `"}}]}`, answer: `{"status":"COMPLETE","results":[]}`}
	}
	lost := func(s step) step {
		s.status, s.answer = 500, ""
		return s
	}
	for name, c := range map[string]struct {
		before string
		lost   []step
		then   string
		steps  []step
		note   string
	}{
		"to a third":      {"companies=50", []step{alone, unlink("50"), lost(link("60"))}, "c", []step{alone, unlink("50", "60"), link("70")}, "companies=70"},
		"back":            {"companies=50", []step{alone, unlink("50"), lost(link("60"))}, "acme", []step{alone, unlink("60"), link("50")}, "companies=50"},
		"again":           {"companies=50", []step{alone, unlink("50"), lost(link("60"))}, "b", []step{alone, unlink("50"), link("60")}, "companies=60"},
		"to none":         {"companies=50", []step{alone, lost(unlink("50"))}, "", []step{alone, unlink("50", "60")}, ""},
		"first":           {"", []step{alone, lost(link("60"))}, "b", []step{alone, link("60")}, "companies=60"},
		"first, and none": {"", []step{alone, lost(link("60"))}, "", []step{alone, unlink("60")}, ""},
	} {
		client := scripted(t, Options{}, append(c.lost, c.steps...)...)
		n := withNotes(client)
		n.spaces = map[string]map[string]string{"id:companies:wb_key": {"acme": "50", "b": "60", "c": "70"}, "link:contacts": {"1": c.before}}
		if got := outcomes(deliver(t, client, child("a", "association.companies", "b"))); got != "batch: retry 0s unknown" {
			t.Errorf("%s: got %s", name, got)
		}
		if got := outcomes(deliver(t, client, child("a", "association.companies", c.then))); got != "1" {
			t.Errorf("%s: then %s", name, got)
		}
		if got := n.spaces["link:contacts"]["1"]; got != c.note {
			t.Errorf("%s: notes %s, want %s", name, got, c.note)
		}
	}
}
