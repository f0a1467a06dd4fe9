package hubspot

import (
	"encoding/json"

	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

func TestLegacyAndDatedPathsAreOne(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	for path, want := range map[string]int{
		"/crm/v3/objects/deals/" + id:                            200,
		"/crm/v3/objects/deal/" + id:                             200,
		"/crm/v3/objects/0-3/" + id:                              200,
		"/crm/objects/2025-09/deals/" + id:                       200,
		"/crm/objects/2026-09-beta/Deals/" + id:                  200,
		"/crm/objects/2026-13/deals/" + id:                       404,
		"/crm/objects/v3/deals/" + id:                            404,
		"/crm/v1/objects/deals/" + id:                            404,
		"/crm/v3/objects/contacts/" + id:                         404,
		"/crm/v3/objects/rockets/" + id:                          400,
		"/crm/v3/properties/deals":                               200,
		"/crm/properties/2026-03/deals":                          200,
		"/crm/v3/owners":                                         200,
		"/crm/v3/owners/":                                        200,
		"/crm/owners/2026-09":                                    200,
		"/crm/pipelines/2026-09/deals":                           200,
		"/crm/v4/associations/deals/contacts/labels":             200,
		"/crm/associations/2026-03/deals/contacts/labels":        200,
		"/crm/v4/objects/deals/" + id + "/associations/contacts": 200,
		"/": 404,
	} {
		if g := d.ask("GET", path, ""); g.Status != want {
			t.Errorf("%s: %d, want %d: %s", path, g.Status, want, g.Text)
		}
	}
	d.wantFault(d.ask("POST", "/crm/objects/2026-03/deals/batch/merge", "{}"), 404, "OBJECT_NOT_FOUND", "resource not found")
}

func TestSingleRecords(t *testing.T) {
	d := newDesk(t, Options{})
	const contacts = "/crm/v3/objects/contacts"
	g := d.ask("POST", contacts, `{"properties":{"email":"Ada@Example.com","firstname":"Ada","wb_key":"1"}}`)
	d.want(g, http.StatusCreated)
	if *g.Properties["email"] != "ada@example.com" || g.Properties["lastmodifieddate"] == nil {
		t.Errorf("answer %s", g.Text)
	}
	d.wantFault(d.ask("POST", contacts, `{"properties":{"email":"ADA@example.com"}}`), 409, "CONFLICT", "Contact already exists. Existing ID: "+g.ID)
	d.now = d.now.Add(time.Minute)
	u := d.ask("PATCH", contacts+"/ADA@example.com?idProperty=email", `{"properties":{"wb_vip":"true"}}`)
	d.want(u, http.StatusOK)
	if u.ID != g.ID || !strings.Contains(u.Text, `"createdAt":"2026-01-30T09:00:00.000Z","updatedAt":"2026-01-30T09:01:00.000Z"`) {
		t.Errorf("answer %s", u.Text)
	}
	d.wantFault(d.ask("PATCH", contacts+"/999", `{"properties":{}}`), 404, "OBJECT_NOT_FOUND", "Could not get some CONTACT")
	d.wantFault(d.ask("PATCH", contacts+"/1?idProperty=firstname", `{"properties":{}}`), 400, "VALIDATION_ERROR", "non-unique 0-1 property firstname")
	w := d.ask("PATCH", contacts+"/"+g.ID, `{"properties":{"createdate":"2020-01-01","email":"x"}}`)
	d.wantFault(w, 400, "VALIDATION_ERROR", "Property values were not valid: [{")
	var wrong []wrongValue
	if err := json.Unmarshal([]byte(strings.TrimPrefix(w.Message, "Property values were not valid: ")), &wrong); err != nil || len(wrong) != 2 {
		t.Fatalf("the list in the message: %v, %s", err, w.Message)
	}
	if wrong[0].Error != "READ_ONLY_VALUE" || wrong[1] != (wrongValue{false, "Email address x is invalid", "INVALID_EMAIL", "email", "Email address x is invalid", 4242}) {
		t.Errorf("wrong values %+v", wrong)
	}
	d.want(d.ask("DELETE", contacts+"/"+g.ID, ""), http.StatusNoContent)
	d.want(d.ask("DELETE", contacts+"/"+g.ID, ""), http.StatusNoContent)
	d.want(d.ask("GET", contacts+"/"+g.ID, ""), http.StatusNotFound)
}

func TestListAndSearchInPages(t *testing.T) {
	d := newDesk(t, Options{})
	for _, key := range []string{"a", "b", "c", "e"} {
		d.deal(key)
	}
	gone := d.deal("d")
	d.want(d.ask("DELETE", deals+"/"+gone, ""), 204)
	keys := func(g got) (out []string) {
		d.t.Helper()
		d.want(g, 200)
		for _, r := range g.Results {
			out = append(out, *r.Properties["wb_key"])
		}
		return out
	}
	g := d.ask("GET", deals+"?limit=3&properties=wb_key,dealname", "")
	if got := keys(g); !slices.Equal(got, []string{"a", "b", "c"}) || g.Paging == nil {
		t.Fatalf("page %v, %s", got, g.Text)
	}
	g = d.ask("GET", deals+"?limit=3&properties=wb_key&after="+g.Paging.Next.After, "")
	if got := keys(g); !slices.Equal(got, []string{"e"}) || g.Paging != nil {
		t.Fatalf("last page %v, %s", got, g.Text)
	}
	if got := keys(d.ask("GET", deals+"?archived=true&properties=wb_key", "")); !slices.Equal(got, []string{"d"}) {
		t.Errorf("archived %v", got)
	}
	for _, q := range []string{"limit=0", "limit=101", "limit=x", "after=x"} {
		d.wantFault(d.ask("GET", deals+"?"+q, ""), 400, "VALIDATION_ERROR", "")
	}
	for filters, want := range map[string]string{
		`{"propertyName":"wb_key","operator":"EQ","value":"A"}`:                                                                     "a",
		`{"propertyName":"wb_key","operator":"IN","values":["b","c","d"]}`:                                                          "b c",
		`{"propertyName":"wb_key","operator":"NOT_IN","values":["b","c"]}`:                                                          "a e",
		`{"propertyName":"wb_key","operator":"NEQ","value":"a"}`:                                                                    "b c e",
		`{"propertyName":"amount","operator":"HAS_PROPERTY"}`:                                                                       "",
		`{"propertyName":"amount","operator":"NOT_HAS_PROPERTY"}`:                                                                   "a b c e",
		`{"propertyName":"wb_key","operator":"EQ","value":"a"},{"propertyName":"amount","operator":"HAS_PROPERTY"}`:                 "",
		`{"propertyName":"wb_key","operator":"EQ","value":"a"}]},{"filters":[{"propertyName":"wb_key","operator":"EQ","value":"e"}`: "a e",
	} {
		got := keys(d.ask("POST", deals+"/search", `{"properties":["wb_key"],"filterGroups":[{"filters":[`+filters+`]}]}`))
		if strings.Join(got, " ") != want {
			t.Errorf("%s finds %v, want %s", filters, got, want)
		}
	}
	if g := d.ask("POST", deals+"/search", `{"limit":2}`); g.Total != 4 || len(g.Results) != 2 {
		t.Errorf("answer %s", g.Text)
	}
	for body, message := range map[string]string{
		`{"sorts":["a"]}`: "without sorts",
		`{"limit":201}`:   "limit must be between",
		`{"filterGroups":[{"filters":[{"propertyName":"x","operator":"EQ"}]}]}`:      "x is not a property",
		`{"filterGroups":[{"filters":[{"propertyName":"wb_key","operator":"LT"}]}]}`: "no operator LT",
	} {
		d.wantFault(d.ask("POST", deals+"/search", body), 400, "VALIDATION_ERROR", message)
	}
}

func TestSchema(t *testing.T) {
	d := newDesk(t, Options{})
	var list struct{ Results []wireProperty }
	if err := json.Unmarshal([]byte(d.ask("GET", "/crm/v3/properties/deals", "").Text), &list); err != nil {
		t.Fatal(err)
	}
	by := map[string]wireProperty{}
	for _, p := range list.Results {
		by[p.Name] = p
	}
	if p := by["wb_key"]; !p.HasUniqueValue || p.HubspotDefined || p.Modification.ReadOnlyValue || p.Type != "string" || p.Label == "" {
		t.Errorf("wb_key %+v", p)
	}
	if p := by["dealstage"]; p.Type != "enumeration" || len(p.Options) != 7 || p.Options[5].Value != "closedwon" {
		t.Errorf("dealstage %+v", p)
	}
	for _, name := range []string{"hs_object_id", "createdate", "hs_lastmodifieddate", "hs_projected_amount"} {
		if p := by[name]; !p.Modification.ReadOnlyValue || p.Calculated != (name == "hs_projected_amount") {
			t.Errorf("%s %+v", name, p)
		}
	}
	var vip wireProperty
	if err := json.Unmarshal([]byte(d.ask("GET", "/crm/properties/2026-03/contacts/wb_vip", "").Text), &vip); err != nil || vip.Type != "bool" || len(vip.Options) != 2 {
		t.Errorf("wb_vip %+v, %v", vip, err)
	}
	d.wantFault(d.ask("GET", "/crm/v3/properties/contacts/x", ""), 404, "OBJECT_NOT_FOUND", `Property "x" does not exist`)
	if g := d.ask("GET", "/crm/v3/owners?email=grace@example.com", ""); len(g.Results) != 1 || g.Results[0].ID != "1002" {
		t.Errorf("owners %s", g.Text)
	}
	if g := d.ask("GET", "/crm/v3/pipelines/deals", ""); len(g.Results) != 1 || g.Results[0].ID != "default" || !strings.Contains(g.Text, `"closedlost"`) {
		t.Errorf("pipelines %s", g.Text)
	}
	if g := d.ask("GET", "/crm/v3/pipelines/contacts", ""); len(g.Results) != 0 {
		t.Errorf("pipelines of contacts %s", g.Text)
	}
}

func TestTypesOfOnesOwn(t *testing.T) {
	d := newDesk(t, Options{Types: []ObjectType{{Name: "quotas", Singular: "quota", ID: "2-77", Properties: []Property{{Name: "k", Type: TypeString, Unique: true}}}}})
	d.want(d.ask("POST", "/crm/objects/2026-03/2-77/batch/upsert", `{"inputs":[{"id":"q1","idProperty":"k","properties":{}}]}`), 200)
	if got := d.Objects(); !slices.Equal(got, []string{"quotas"}) || d.Count("quotas") != 1 {
		t.Errorf("objects %v, %d quotas", got, d.Count("quotas"))
	}
}

func TestRecordsForPeople(t *testing.T) {
	d := newDesk(t, Options{})
	a, b := d.deal("a"), d.deal("b")
	d.now = d.now.Add(time.Hour)
	d.want(d.ask("PATCH", deals+"/"+a, `{"properties":{"amount":"5"}}`), 200)
	rows := d.Records("deals", 1)
	if len(rows) != 1 || rows[0].ID != a || !rows[0].Changed.Equal(d.now) || string(rows[0].Fields["amount"]) != `"5"` {
		t.Errorf("newest %+v", rows)
	}
	if rows := d.Records("deals", 0); len(rows) != 2 || rows[1].ID != b {
		t.Errorf("rows %+v", rows)
	}
	if got := d.Objects(); !slices.Equal(got, []string{"companies", "contacts", "deals", "goal_targets"}) {
		t.Errorf("objects %v", got)
	}
	if d.Count("rockets") != 0 || d.Records("rockets", 1) != nil {
		t.Error("records of a type that there is not")
	}
	d.Reset()
	if d.Count("deals") != 0 || len(d.Calls()) != 0 {
		t.Errorf("after Reset: %d deals, calls %v", d.Count("deals"), d.Calls())
	}
}

func TestCallsAreCountedByKind(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	d.post("/batch/upsert", upserts(true, "a"), 200)
	d.post("/batch/upsert", upserts(true), 400)
	d.ask("GET", deals+"/"+id, "")
	d.ask("GET", "/nowhere", "")
	d.token = ""
	d.ask("GET", deals+"/"+id, "")
	want := map[string]int64{"create": 1, "batch_upsert": 2, "read": 2, "refused": 2, "unauthorized": 1, "unknown_path": 1}
	if got := d.Calls(); !maps.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, Options{})
	d.SetRefusals(func(object string, fields map[string]json.RawMessage) *sim.Refusal {
		if object == "deals" && string(fields["wb_key"]) == `"a"` {
			return &sim.Refusal{Code: "NO_DEAL", Message: "not today", Retryable: string(fields["amount"]) == `"1"`}
		}
		return nil
	})
	d.Reset() // which does not forget whom to ask
	g := d.post("/batch/upsert", upserts(true, "a", "b"), 207)
	if len(g.Results) != 1 || g.Errors[0].Category != "VALIDATION_ERROR" || g.Errors[0].Errors[0].Code != "NO_DEAL" || g.Errors[0].Message != "not today" {
		t.Errorf("answer %s", g.Text)
	}
	d.wantFault(d.ask("POST", deals, `{"properties":{"wb_key":"a","amount":"1"}}`), 500, "INTERNAL_ERROR", "not today")
}

func TestBelowAPrefixOfTheSandbox(t *testing.T) {
	d := newDesk(t, Options{})
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/hubspot/crm/v3/owners", nil)
	req.Header.Set("Authorization", "Bearer x")
	sim.Mount("hubspot", d.Server).ServeHTTP(rec, req)
	if rec.Code != 200 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestBodyTooLarge(t *testing.T) {
	d := newDesk(t, Options{})
	g := d.ask("POST", deals, `{"properties":{"dealname":"`+strings.Repeat("x", maxBody)+`"}}`)
	d.want(g, http.StatusRequestEntityTooLarge)
	if d.Count("deals") != 0 {
		t.Error("it was taken")
	}
}
