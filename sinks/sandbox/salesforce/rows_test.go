package salesforce

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRowsByID(t *testing.T) {
	g := newOrg(t, Options{})
	id := g.make("Account", `{"Name":" Acme ","AnnualRevenue":12.345,"NumberOfEmployees":"7","Website":""}`)
	var got map[string]any
	g.do("GET", "/sobjects/Account/"+id[:15]+"?fields=Name,AnnualRevenue,NumberOfEmployees,Website,OwnerId", "").wants(200).into(&got)
	want := map[string]any{"Name": "Acme", "AnnualRevenue": 12.35, "NumberOfEmployees": 7.0, "Website": nil, "OwnerId": makeID("005", 1), "Id": id}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	if a := g.do("PATCH", "/sobjects/Account/"+id, `{"name":"Beta","AnnualRevenue":null}`).wants(204); a.body != "" {
		t.Errorf("body %q", a.body)
	}
	g.do("GET", "/sobjects/account/"+id, "").wants(200, `"Name":"Beta"`, `"AnnualRevenue":null`, `"NumberOfEmployees":7`)
	g.do("DELETE", "/sobjects/Account/"+id, "").wants(204)
	g.do("DELETE", "/sobjects/Account/"+id, "").wants(404, `"errorCode":"ENTITY_IS_DELETED"`)
	g.do("GET", "/sobjects/Account/"+id, "").wants(404, `"errorCode":"ENTITY_IS_DELETED"`)
	g.do("PATCH", "/sobjects/Account/"+makeID("001", 99), `{"Name":"x"}`).wants(404, `"errorCode":"NOT_FOUND"`)
	g.do("POST", "/sobjects/Account", `{"Id":"`+id+`","Name":"x"}`).wants(400, "INVALID_FIELD_FOR_INSERT_UPDATE")
	g.do("PATCH", "/sobjects/Account/"+id, `{"Id":"`+id+`","Name":"x"}`).wants(400, "INVALID_FIELD_FOR_INSERT_UPDATE")
	g.do("GET", "/sobjects/Nothing/"+id, "").wants(404, `"errorCode":"NOT_FOUND"`)
	g.do("PUT", "/sobjects/Account/"+id, "{}").wants(405, "METHOD_NOT_ALLOWED")
	g.do("GET", "/sobjects/Account/"+id+"?fields=Nope", "").wants(404)
	g.do("GET", "/sobjects/User/"+makeID("005", 1)+"?fields=Nope", "").wants(400, "INVALID_FIELD")
	g.do("POST", "/sobjects/Account", `{"Name":`).wants(400, "JSON_PARSER_ERROR")
}

func TestRowsByExternalID(t *testing.T) {
	g := newOrg(t, Options{})
	var first, again saved
	a := g.do("PATCH", "/sobjects/Account/Account_Ext__c/a%2Fb%20%C3%A4%25", `{"Name":"Acme"}`).wants(201, `"created":true`)
	if a.into(&first); a.header.Get("Location") != api+"/sobjects/Account/"+first.ID {
		t.Errorf("location %q", a.header.Get("Location"))
	}
	g.do("PATCH", "/sobjects/Account/account_ext__c/A%2FB%20%C3%84%25", `{"Name":"Beta"}`).wants(200, `"created":false`).into(&again)
	if first.ID != again.ID || first.ID == "" {
		t.Errorf("ids %s and %s: keys are compared without case", first.ID, again.ID)
	}
	if got := g.one("Account", "Account_Ext__c", "a/b ä%"); got["Name"] != "Beta" || got["Account_Ext__c"] != "A/B Ä%" {
		t.Errorf("record %v", got)
	}
	// A number is a key too, however it is written.
	g.do("PATCH", "/sobjects/Account/External_Id__c/7", `{"Name":"Seven"}`).wants(201)
	g.do("PATCH", "/sobjects/Account/External_Id__c/7.0", `{"Name":"Sept"}`).wants(200)
	g.do("PATCH", "/sobjects/Account/External_Id__c/x", `{"Name":"Sept"}`).wants(400, "INVALID_TYPE_ON_FIELD_IN_RECORD")

	g.do("PATCH", "/sobjects/Account/Account_Ext__c/n?updateOnly=true", `{"Name":"x"}`).wants(404, "NOT_FOUND")
	g.do("PATCH", "/sobjects/Account/Account_Ext__c/n", `{"Name":"x","Account_Ext__c":"n"}`).wants(400, "INVALID_FIELD")
	g.do("PATCH", "/sobjects/Account/Name/n", `{}`).wants(404, "Provided external ID field does not exist or is not accessible: Name")
	g.do("GET", "/sobjects/Account/Account_Ext__c/n", "").wants(404, "NOT_FOUND")
	g.do("DELETE", "/sobjects/Account/Account_Ext__c/a%2Fb%20%C3%A4%25", "").wants(204)
	g.do("DELETE", "/sobjects/Account/Account_Ext__c/a%2Fb%20%C3%A4%25", "").wants(404, "NOT_FOUND")
	g.do("PATCH", "/sobjects/Account/Account_Ext__c/a%2Fb%20%C3%A4%25", `{"Name":"New"}`).wants(201)
}

func TestSeveralMatches(t *testing.T) {
	g := newOrg(t, Options{})
	a := g.make("Account", `{"Name":"A","Legacy_Id__c":"x"}`)
	b := g.make("Account", `{"Name":"B","Legacy_Id__c":"X"}`)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		var urls []string
		g.do(method, "/sobjects/Account/Legacy_Id__c/x", `{"Name":"C"}`).wants(300).into(&urls)
		if len(urls) != 2 || !strings.HasSuffix(urls[0], a) || !strings.HasSuffix(urls[1], b) {
			t.Errorf("%s: %q", method, urls)
		}
	}
	if got := g.upsertMany("Account", "Legacy_Id__c", []string{`{"Legacy_Id__c":"x","Name":"C"}`}); got != "DUPLICATE_EXTERNAL_ID" {
		t.Errorf("collection: %s", got)
	}
	g.do("POST", "/sobjects/Contact", `{"LastName":"L","Account":{"Legacy_Id__c":"x"}}`).wants(400, "DUPLICATE_EXTERNAL_ID", "more than one record found for external id field")
}

func TestParentsByExternalID(t *testing.T) {
	g := newOrg(t, Options{})
	id := g.make("Account", `{"Name":"Acme","Account_Ext__c":"A-1"}`)
	contact := g.make("Contact", `{"LastName":"Lee","Account":{"Account_Ext__c":"a-1"},"Owner":{"Employee_No__c":"7"}}`)
	g.do("GET", "/sobjects/Contact/"+contact, "").wants(200, `"AccountId":"`+id+`"`, `"OwnerId":"`+makeID("005", 4)+`"`)
	g.do("POST", "/sobjects/Contact", `{"LastName":"L","Account":{"Account_Ext__c":"A-2"}}`).
		wants(400, `"errorCode":"INVALID_FIELD"`, "Foreign key external ID: a-2 not found for field Account_Ext__c in entity Account")
	for body, says := range map[string]string{
		`{"LastName":"L","Account":{"Account_Ext__c":"A-1","Name":"x"}}`:           "More than 1 field provided",
		`{"LastName":"L","Account":{"Name":"x"}}`:                                  "is not an External ID",
		`{"LastName":"L","Account":{"Nope":"x"}}`:                                  "No such column 'Nope' on sobject of type Account",
		`{"LastName":"L","Account":"A-1"}`:                                         "JSON_PARSER_ERROR",
		`{"LastName":"L","Account":{"attributes":{"type":"User"},"Username":"x"}}`: "is not to such an object",
	} {
		g.do("POST", "/sobjects/Contact", body).wants(400, says)
	}
	g.do("PATCH", "/sobjects/Contact/"+contact, `{"Account":null}`).wants(204)
	g.do("GET", "/sobjects/Contact/"+contact, "").wants(200, `"AccountId":null`)
	g.do("PATCH", "/sobjects/Contact/"+contact, `{"AccountId":"`+id+`"}`).wants(204)
	g.do("DELETE", "/sobjects/Account/"+id, "").wants(204)
	g.do("GET", "/sobjects/Contact/"+contact, "").wants(200, `"AccountId":null`) // as if it had been cleared
}

func TestPolymorphicParentsNeedTheirType(t *testing.T) {
	g := newOrg(t, Options{})
	const lead = `"LastName":"L","Company":"C","Status":"Open - Not Contacted"`
	g.do("POST", "/sobjects/Lead", `{`+lead+`,"Owner":{"Employee_No__c":"7"}}`).wants(400, "polymorphic")
	for owner, want := range map[string]string{
		`{"attributes":{"type":"User"},"Employee_No__c":"7"}`:          makeID("005", 4),
		`{"attributes":{"type":"Group"},"DeveloperName":"lead_queue"}`: makeID("00G", 1),
	} {
		var s saved
		g.do("POST", "/sobjects/Lead", `{`+lead+`,"Owner":`+owner+`}`, "Sforce-Auto-Assign", "FALSE").wants(201).into(&s)
		g.do("GET", "/sobjects/Lead/"+s.ID, "").wants(200, `"OwnerId":"`+want+`"`)
	}
	g.do("POST", "/sobjects/Lead", `{`+lead+`,"Owner":{"attributes":{"type":"User"},"Employee_No__c":"2"}}`).wants(400, "INACTIVE_OWNER_OR_USER")
	for column, want := range map[string]string{"Owner.Employee_No__c": "Failed", "User:Owner.Employee_No__c": "JobComplete", "Group:Owner.Employee_No__c": "Failed", "Account:Owner.Name": "Failed"} {
		id := g.open("Lead", "insert", "")
		g.put(id, "LastName,Company,Status,"+column+"\nL,C,Working - Contacted,7\n").wants(201)
		g.set(id, "UploadComplete").wants(200)
		if in := g.job(id); in.State != want || in.NumberRecordsFailed != 0 {
			t.Errorf("%s: %+v, want %s", column, in, want)
		}
	}
}

func TestChildrenGoWithTheirParent(t *testing.T) {
	g := newOrg(t, Options{})
	deal := g.make("Opportunity", `{"Name":"D","StageName":"Closed Won","CloseDate":"2026-03-01"}`)
	owner := makeID("005", 4)
	split := g.make("OpportunitySplit", `{"OpportunityId":"`+deal+`","SplitOwnerId":"`+owner+`","SplitPercentage":50}`)
	g.do("POST", "/sobjects/OpportunitySplit", `{"OpportunityId":"`+deal+`","SplitOwnerId":"`+owner+`","SplitPercentage":50}`).wants(400, "DUPLICATE_VALUE", split)
	g.do("PATCH", "/sobjects/OpportunitySplit/"+split, `{"OpportunityId":"`+makeID("006", 9)+`"}`).wants(400, "INVALID_FIELD_FOR_INSERT_UPDATE")
	g.do("GET", "/sobjects/Opportunity/"+deal, "").wants(200, `"IsWon":true`, `"IsClosed":true`)
	g.do("DELETE", "/sobjects/Opportunity/"+deal, "").wants(204)
	if n := g.Count("OpportunitySplit"); n != 0 {
		t.Errorf("%d splits are left of a deal that is gone", n)
	}
}

func TestRecordsNewestFirst(t *testing.T) {
	g := newOrg(t, Options{})
	var ids []string
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, g.make("Account", `{"Name":"`+name+`"}`))
	}
	g.do("PATCH", "/sobjects/Account/"+ids[0], `{"Name":"again"}`).wants(204)
	for most, want := range map[int]string{0: ids[0] + ids[2] + ids[1], 2: ids[0] + ids[2], 3: ids[0] + ids[2] + ids[1], 9: ids[0] + ids[2] + ids[1]} {
		got := ""
		for _, r := range g.Records("Account", most) {
			got += r.ID
		}
		if got != want {
			t.Errorf("%d: %s, want %s", most, got, want)
		}
	}
	rows := g.Records("Account", 1)
	rows[0].Fields["Name"] = json.RawMessage(`"mine"`)
	if got := g.Records("Account", 1)[0]; string(got.Fields["Name"]) != `"again"` || !got.Changed.Equal(g.now) {
		t.Errorf("record %+v: what was given out was written to", got)
	}
	if g.Records("Nothing", 0) != nil || g.Count("Nothing") != 0 || g.Count("User") != len(seededUsers) {
		t.Error("records of an object that there is not, or no users")
	}
	g.Reset()
	if g.Count("Account") != 0 || g.Count("User") != len(seededUsers) || len(g.Calls()) != 0 {
		t.Errorf("reset left %d accounts, %v", g.Count("Account"), g.Calls())
	}
	g.do("GET", "/limits", "").wants(401, "INVALID_SESSION_ID")
}

func TestVersions(t *testing.T) {
	g := newOrg(t, Options{})
	req := httptest.NewRequest("GET", "/services/data/", nil) // needs no session
	g.send(req).wants(200, `{"label":"Summer '26","url":"/services/data/v67.0","version":"67.0"}`, `"label":"Winter '20"`, `"label":"Spring '26"`)
	g.do("GET", "/services/data/v46.0/", "").wants(200, "/services/data/v46.0/composite")
	for _, path := range []string{"/services/data/v45.0/limits", "/services/data/v68.0/limits", "/services/data/63/limits", api + "/nothing", "/elsewhere"} {
		g.send(g.authorized("GET", path)).wants(404, "NOT_FOUND")
	}
}

// Id is a key as any other, but that it makes records only without a value.
func TestUpsertByID(t *testing.T) {
	g := newOrg(t, Options{})
	id := g.make("Account", `{"Name":"A"}`)
	if got := g.upsertMany("Account", "Id", []string{`{"Id":"` + id[:15] + `","Name":"B"}`, `{"Name":"New"}`, `{"Id":"` + makeID("001", 9) + `","Name":"C"}`, `{"Id":"` + id + `","Name":"C"}`}); got != "= + INVALID_CROSS_REFERENCE_KEY =" {
		t.Errorf("got %s", got)
	}
	g.do("PATCH", "/sobjects/Account/Id/"+id, `{"Name":"D"}`).wants(200, `"created":false`)
	g.do("GET", "/sobjects/Account/Id/"+id, "").wants(200, `"Name":"D"`)
	g.do("DELETE", "/sobjects/Account/Id/"+id, "").wants(204)
	if got := g.upsertMany("Account", "Account_Ext__c", []string{`{"Id":"` + id + `","Account_Ext__c":"a","Name":"B"}`}); got != "INVALID_FIELD" {
		t.Errorf("an id beside a key: %s", got)
	}
	g.do("POST", "/sobjects/Account/Account_Ext__c/a", `{}`).wants(404) // there is none
	g.do("PATCH", "/sobjects/Account/Account_Ext__c/a", `{"Name":"A"}`).wants(201)
	g.do("POST", "/sobjects/Account/Account_Ext__c/a", `{}`).wants(405)
	g.do("GET", "/sobjects/Account/a/b/c", "").wants(404)
	g.do("GET", "/sobjects/Contact/Email/x@example.com", "").wants(404, "resource does not exist") // a key, though no external id
	if got := g.Objects(); got[0] != "Account" || len(got) != 8 {
		t.Errorf("objects %q", got)
	}
}
