package hubspot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const links = "/crm/v4/associations/deals/contacts/batch/"

// contact makes a contact and gives its id.
func (d *desk) contact(email string) string {
	d.t.Helper()
	g := d.ask("POST", "/crm/v3/objects/contacts", `{"properties":{"email":"`+email+`"}}`)
	d.want(g, http.StatusCreated)
	return g.ID
}

// linkedTo tells what a record is associated with, as "id:types".
func (d *desk) linkedTo(from, id, to string) string {
	d.t.Helper()
	g := d.ask("GET", "/crm/v4/objects/"+from+"/"+id+"/associations/"+to, "")
	d.want(g, 200)
	var body struct{ Results []linked }
	if err := json.Unmarshal([]byte(g.Text), &body); err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, l := range body.Results {
		var types []string
		for _, t := range l.Types {
			types = append(types, fmt.Sprint(t.TypeID))
		}
		slices.Sort(types)
		out = append(out, fmt.Sprintf("%d:%s", l.ID, strings.Join(types, "+")))
	}
	return strings.Join(out, " ")
}

func TestAssociate(t *testing.T) {
	d := newDesk(t, Options{})
	deal, ada, bob := d.deal("a"), d.contact("ada@x.org"), d.contact("bob@x.org")
	one := func(to, types string) string {
		return `{"from":{"id":"` + deal + `"},"to":{"id":"` + to + `"},"types":[` + types + `]}`
	}
	own := `{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":3}`
	g := d.ask("POST", links+"create", `{"inputs":[`+one(ada, own)+`,`+one("999", own)+`]}`)
	d.want(g, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.NumErrors != 1 || g.Errors[0].Category != "OBJECT_NOT_FOUND" || !slices.Equal(g.Errors[0].Context["toObjectId"], []string{"999"}) {
		t.Fatalf("answer %s", g.Text)
	}
	d.want(d.ask("POST", "/crm/associations/2026-03/deals/contacts/batch/associate/default", `{"inputs":[{"from":{"id":"`+deal+`"},"to":{"id":"`+bob+`"}}]}`), 200)
	if got, want := d.linkedTo("deals", deal, "contacts"), ada+":3 "+bob+":3"; got != want {
		t.Errorf("the deal has %s, want %s", got, want)
	}
	if got := d.linkedTo("contacts", ada, "deals"); got != deal+":4" {
		t.Errorf("the contact has %s", got)
	}
	g = d.ask("POST", links+"read", `{"inputs":[{"id":"`+deal+`"},{"id":"`+ada+`"}]}`)
	d.want(g, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.Results[0].From.ID != deal || g.Errors[0].SubCategory != "crm.associations.NO_ASSOCIATIONS_FOUND" {
		t.Errorf("answer %s", g.Text)
	}
	// Making it again makes no other.
	d.want(d.ask("POST", links+"create", `{"inputs":[`+one(ada, own)+`]}`), http.StatusCreated)
	d.want(d.ask("POST", links+"archive", `{"inputs":[{"from":{"id":"`+deal+`"},"to":[{"id":"`+ada+`"},{"id":"999"}]}]}`), http.StatusNoContent)
	if got := d.linkedTo("deals", deal, "contacts"); got != bob+":3" {
		t.Errorf("the deal has %s", got)
	}
	if got := d.linkedTo("contacts", ada, "deals"); got != "" {
		t.Errorf("the contact has %s still", got)
	}
	// An archived record shows in none.
	d.want(d.ask("DELETE", "/crm/v3/objects/contacts/"+bob, ""), 204)
	if got := d.linkedTo("deals", deal, "contacts"); got != "" {
		t.Errorf("the deal has %s", got)
	}
}

func TestLabels(t *testing.T) {
	d := newDesk(t, Options{Labels: []Label{
		{From: "deals", To: "contacts", ID: 77, Inverse: 78, Name: "Champion", UserDefined: true},
		{From: "contacts", To: "deals", ID: 78, Inverse: 77, Name: "Champion", UserDefined: true},
	}})
	deal, ada := d.deal("a"), d.contact("ada@x.org")
	champion := `{"associationCategory":"USER_DEFINED","associationTypeId":77}`
	pair := `"from":{"id":"` + deal + `"},"to":{"id":"` + ada + `"}`
	g := d.ask("POST", links+"create", `{"inputs":[{`+pair+`,"types":[`+champion+`]}]}`)
	d.want(g, http.StatusCreated)
	if !slices.Equal(g.Results[0].Labels, []string{"Champion"}) {
		t.Errorf("answer %s", g.Text)
	}
	if got := d.linkedTo("deals", deal, "contacts"); got != ada+":3+77" {
		t.Errorf("the deal has %s", got)
	}
	if g := d.ask("GET", "/crm/v4/associations/deals/contacts/labels", ""); !strings.Contains(g.Text, `{"category":"USER_DEFINED","typeId":77,"label":"Champion"}`) {
		t.Errorf("labels %s", g.Text)
	}
	d.want(d.ask("POST", links+"labels/archive", `{"inputs":[{`+pair+`,"types":[`+champion+`]}]}`), 204)
	if got := d.linkedTo("deals", deal, "contacts") + " " + d.linkedTo("contacts", ada, "deals"); got != ada+":3 "+deal+":4" {
		t.Errorf("left are %s", got)
	}
	for _, wrong := range []string{
		`{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":77}`,
		`{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":4}`, // of the other direction
		``,
	} {
		for _, verb := range []string{"create", "labels/archive"} {
			d.wantFault(d.ask("POST", links+verb, `{"inputs":[{`+pair+`,"types":[`+wrong+`]}]}`), 400, "VALIDATION_ERROR", "")
		}
	}
}

func TestAssociationsOfOne(t *testing.T) {
	d := newDesk(t, Options{})
	deal, ada := d.deal("a"), d.contact("ada@x.org")
	path := "/crm/objects/2026-03/deals/" + deal + "/associations/contacts/" + ada
	d.want(d.ask("PUT", path, `[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":3}]`), 201)
	d.want(d.ask("DELETE", path, ""), 204)
	if got := d.linkedTo("deals", deal, "contacts"); got != "" {
		t.Errorf("the deal has %s", got)
	}
	d.want(d.ask("PUT", "/crm/v4/objects/deals/"+deal+"/associations/default/contacts/"+ada, ""), 200)
	if got := d.linkedTo("deals", deal, "contacts"); got != ada+":3" {
		t.Errorf("the deal has %s", got)
	}
	d.wantFault(d.ask("PUT", strings.Replace(path, ada, "999", 1), `[{"associationTypeId":3}]`), 404, "OBJECT_NOT_FOUND", "CONTACT")
	d.want(d.ask("GET", "/crm/v4/objects/deals/999/associations/contacts", ""), 404)
}

// A record is made with its associations, or neither is.
func TestCreateWithAssociations(t *testing.T) {
	d := newDesk(t, Options{})
	ada := d.contact("ada@x.org")
	create := func(to string) got {
		return d.ask("POST", deals, `{"properties":{"dealname":"D","wb_key":"k"},"associations":[
			{"to":{"id":"`+ada+`"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":3}]},
			{"to":{"id":"`+to+`"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":3}]}]}`)
	}
	d.wantFault(create("999"), 404, "OBJECT_NOT_FOUND", "CONTACT")
	if d.Count("deals") != 0 || len(d.portal.links) != 0 {
		t.Fatal("something of it was kept")
	}
	g := create(ada)
	d.want(g, 201)
	if got := d.linkedTo("contacts", ada, "deals"); got != g.ID+":4" {
		t.Errorf("the contact has %s", got)
	}
	d.wantFault(d.ask("POST", deals, `{"properties":{"dealname":"D"},"associations":[{"to":{"id":"1"},"types":[{"associationTypeId":999}]}]}`), 400, "VALIDATION_ERROR", "no type 999")
	d.wantFault(d.ask("POST", deals, `{"properties":{"dealname":"D"},"associations":[{"to":{"id":"1"},"types":[]}]}`), 400, "VALIDATION_ERROR", "types must not be empty")
}

func TestBoundsOfAssociations(t *testing.T) {
	d := newDesk(t, Options{})
	for verb, most := range map[string]int{"create": maxAssociate, "archive": maxAssociate, "labels/archive": maxAssociate, "associate/default": maxAssociate, "read": maxReadLinks} {
		for _, n := range []int{0, most + 1} {
			g := d.ask("POST", links+verb, `{"inputs":[`+strings.TrimSuffix(strings.Repeat(`{},`, n), ",")+`]}`)
			d.wantFault(g, 400, "VALIDATION_ERROR", "input")
		}
	}
	d.wantFault(d.ask("POST", "/crm/v4/associations/deals/rockets/batch/read", "{}"), 400, "VALIDATION_ERROR", "rockets")
}
