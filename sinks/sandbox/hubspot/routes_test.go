package hubspot

import (
	"strings"
	"testing"
)

// Every path says the same of a type that there is not, and of a body that cannot be read.
func TestEveryPathRefusesWhatItCannotRead(t *testing.T) {
	d := newDesk(t, Options{})
	id, other := d.deal("a"), d.contact("ada@x.org")
	fill := func(path, kind string) string {
		return strings.NewReplacer("{type}", kind, "{from}", kind, "{id}", id, "{to}", "contacts", "{toID}", other, "{name}", "wb_key").Replace(path)
	}
	bodies := 0
	for _, r := range allRoutes() {
		for _, path := range []string{"/crm/" + r.legacy + "/" + r.family + r.rest, "/crm/" + r.family + "/2026-03" + r.rest} {
			if r.kind.from != "" {
				d.wantFault(d.ask(r.method, fill(path, "rockets"), "{}"), 400, "VALIDATION_ERROR", "Unable to infer object type from: rockets")
			}
			if r.method == "GET" || r.method == "DELETE" || strings.Contains(path, "/associations/default/") {
				continue
			}
			bodies++
			d.wantFault(d.ask(r.method, fill(path, "deals"), "nonsense"), 400, "VALIDATION_ERROR", "Invalid input JSON")
		}
	}
	if bodies < 20 {
		t.Errorf("only %d paths were asked to read nonsense", bodies)
	}
	if d.Count("deals") != 1 || len(d.portal.links) != 0 {
		t.Error("something was done")
	}
}

// A value that the key of an input cannot have is the fault of that input alone.
func TestWrongKeyOfOneInput(t *testing.T) {
	d := newDesk(t, Options{})
	g := d.ask("POST", "/crm/v3/objects/contacts/batch/upsert", `{"inputs":[
		{"id":"ada","idProperty":"email","objectWriteTraceId":"1","properties":{}},
		{"id":"ada@x.org","idProperty":"email","objectWriteTraceId":"2","properties":{}}]}`)
	d.want(g, 207)
	if len(g.Results) != 1 || g.Errors[0].Context["objectWriteTraceId"][0] != "1" || g.Errors[0].Errors[0].Code != "INVALID_EMAIL" {
		t.Errorf("answer %s", g.Text)
	}
	d.wantFault(d.ask("GET", "/crm/v3/objects/contacts/ada?idProperty=email", ""), 400, "VALIDATION_ERROR", "INVALID_EMAIL")
}

// What cannot be associated by default, and why.
func TestDefaultAssociationsThatCannotBe(t *testing.T) {
	d := newDesk(t, Options{})
	deal, ada := d.deal("a"), d.contact("ada@x.org")
	const batch = "/batch/associate/default"
	g := d.ask("POST", "/crm/v4/associations/deals/contacts"+batch, `{"inputs":[{"from":{"id":"`+deal+`"},"to":{"id":"999"}},{"from":{"id":"`+deal+`"},"to":{"id":"`+ada+`"}}]}`)
	d.want(g, 207)
	if len(g.Results) != 2 || g.NumErrors != 1 || g.Errors[0].Category != "OBJECT_NOT_FOUND" {
		t.Errorf("answer %s", g.Text)
	}
	d.wantFault(d.ask("PUT", "/crm/v4/objects/deals/"+deal+"/associations/default/contacts/999", ""), 404, "OBJECT_NOT_FOUND", "CONTACT")
	// Goal targets are associated with nothing.
	d.wantFault(d.ask("POST", "/crm/v4/associations/deals/goal_targets"+batch, `{"inputs":[{}]}`), 400, "VALIDATION_ERROR", "does not associate deals with goal_targets")
	d.wantFault(d.ask("PUT", "/crm/v4/objects/deals/"+deal+"/associations/default/goal_targets/1", ""), 400, "VALIDATION_ERROR", "does not associate")
	d.wantFault(d.ask("PUT", "/crm/v4/objects/deals/"+deal+"/associations/goal_targets/1", `[{"associationTypeId":3}]`), 400, "VALIDATION_ERROR", "does not associate")
}
