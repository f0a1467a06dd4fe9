package salesforce

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// strictOrg has a rule of each kind.
func strictOrg(t *testing.T) (*org, map[string]string) {
	objects := DefaultObjects()
	for i := range objects {
		switch objects[i].Name {
		case "Account":
			objects[i].Validations = []Validation{{Message: "No more of Evil", Field: "Name", Refuses: func(v map[string]string) bool { return v["Name"] == "Evil" }}}
		case "Opportunity":
			objects[i].Validations = []Validation{{Message: "A deal that is won has an amount", Refuses: func(v map[string]string) bool {
				return v["StageName"] == "Closed Won" && v["Amount"] == ""
			}}}
		case "Lead":
			objects[i].Duplicates.Block = true
		}
	}
	g := newOrg(t, Options{Objects: objects})
	ids := map[string]string{
		"acme": g.make("Account", `{"Name":"Acme","Account_Ext__c":"acme"}`),
		"gone": g.make("Account", `{"Name":"Gone"}`),
		"lee":  g.make("Contact", `{"LastName":"Lee","Email":"lee@example.com"}`),
		"lead": g.make("Lead", `{"LastName":"Lee","Email":"lee@example.com","Company":"C","Status":"Open - Not Contacted","Lead_Ext__c":"converted"}`),
		"left": makeID("005", 3), "nobody": makeID("005", 77), "noaccount": makeID("001", 77),
		"quota": g.make("ForecastingQuota", `{"QuotaOwnerId":"`+makeID("005", 4)+`","StartDate":"2026-04-01","QuotaAmount":10}`),
	}
	g.do("DELETE", "/sobjects/Account/"+ids["gone"], "").wants(204)
	lead := g.store.table("Lead").records[ids["lead"]]
	lead.fields["IsConverted"] = flag(true)
	return g, ids
}

// Every code that is about one record: alone, in a collection, and in a bulk job.
var codes = []struct{ object, record, code, message string }{
	{"Account", `{"Account_Ext__c":"n"}`, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"},
	{"Account", `{"Account_Ext__c":"acme","Name":null}`, "REQUIRED_FIELD_MISSING", "[Name]"},
	{"Opportunity", `{"Opportunity_Ext__c":"n","Name":"D"}`, "REQUIRED_FIELD_MISSING", "[StageName, CloseDate]"},
	{"Account", `{"Account_Ext__c":"n","Name":"` + strings.Repeat("ä", 256) + `"}`, "STRING_TOO_LONG", "Account Name: data value too large: ää"},
	{"Account", `{"Account_Ext__c":"n","Name":"N","Industry":"Magic"}`, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Industry: bad value for restricted picklist field: Magic"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","Interests__c":"Cloud;Rain"}`, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "field: Rain"},
	{"Account", `{"Account_Ext__c":"n","Name":"N","NumberOfEmployees":123456789}`, "NUMBER_OUTSIDE_VALID_RANGE", "Employees: value outside of valid range on numeric field: 123456789"},
	{"Opportunity", `{"Opportunity_Ext__c":"n","Name":"D","StageName":"Prospecting","CloseDate":"2026-03-01","Amount":1e16}`, "NUMBER_OUTSIDE_VALID_RANGE", "Amount"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","Email":"a@b"}`, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: a@b"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","HasOptedOutOfEmail":null}`, "INVALID_TYPE_ON_FIELD_IN_RECORD", "HasOptedOutOfEmail: value not of required type"},
	{"Account", `{"Account_Ext__c":"n","Name":"N","CreatedDate":"2026-01-01T00:00:00Z"}`, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: CreatedDate"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","Account":{"Account_Ext__c":"NONE"}}`, "INVALID_FIELD", "Foreign key external ID: none not found for field Account_Ext__c in entity Account"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","AccountId":"short"}`, "MALFORMED_ID", "Account ID: id value of incorrect type: short"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","AccountId":"@lee"}`, "FIELD_INTEGRITY_EXCEPTION", "Account ID: id value of incorrect type"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","AccountId":"@gone"}`, "ENTITY_IS_DELETED", "entity is deleted"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","AccountId":"@noaccount"}`, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"N","OwnerId":"@left"}`, "INACTIVE_OWNER_OR_USER", "operation performed with inactive user"},
	{"Account", `{"Account_Ext__c":"n","Name":"N","External_Id__c":1}`, "", ""},
	{"Account", `{"Account_Ext__c":"m","Name":"N","External_Id__c":1.0}`, "DUPLICATE_VALUE", "duplicate value found: External_Id__c duplicates value on record with id: "},
	{"Account", `{"Account_Ext__c":"n","Name":"Evil"}`, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "No more of Evil"},
	{"Opportunity", `{"Opportunity_Ext__c":"n","Name":"D","StageName":"Closed Won","CloseDate":"2026-03-01"}`, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "has an amount"},
	{"Lead", `{"Lead_Ext__c":"converted","Company":"D"}`, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"},
	{"Contact", `{"Contact_Ext__c":"n","LastName":"LEE","Email":"Lee@example.com"}`, "DUPLICATES_DETECTED", "Use one of these records?"},
}

func TestCodesOfOneRecord(t *testing.T) {
	for i, c := range codes {
		t.Run(fmt.Sprint(i, c.code), func(t *testing.T) {
			g, ids := strictOrg(t)
			if i > 0 && codes[i-1].code == "" { // what the next one collides with
				g.upsertMany(c.object, c.object+"_Ext__c", []string{codes[i-1].record})
			}
			record := c.record
			for name, id := range ids {
				record = strings.ReplaceAll(record, "@"+name, id)
			}
			before := g.Count(c.object)
			var fields map[string]json.RawMessage
			if err := json.Unmarshal([]byte(record), &fields); err != nil {
				t.Fatal(err)
			}
			key := plain(fields[c.object+"_Ext__c"])
			delete(fields, c.object+"_Ext__c")
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "" {
				if got := g.upsertMany(c.object, c.object+"_Ext__c", []string{record}); got != "+" {
					t.Errorf("got %s", got)
				}
				return
			}
			g.do("PATCH", "/sobjects/"+c.object+"/"+c.object+"_Ext__c/"+key, string(body)).wants(400, `"errorCode":"`+c.code+`"`, c.message)

			good := `{"` + c.object + `_Ext__c":"fine","Name":"Good","LastName":"Good","Company":"C","Status":"Open - Not Contacted","StageName":"Prospecting","CloseDate":"2026-03-01"}`
			good = onlyFields(t, g, c.object, good)
			if got := g.upsertMany(c.object, c.object+"_Ext__c", []string{record, good}); got != c.code+" +" {
				t.Errorf("in a collection: %s, want %s and one made", got, c.code)
			}
			if got := g.Count(c.object); got != before+1 {
				t.Errorf("%d records, want %d: the bad one must leave nothing", got, before+1)
			}
			failed := g.bulk(c.object, "upsert", c.object+"_Ext__c", csvOf(t, record))
			if !strings.Contains(failed, `,"`+c.code+":") && !strings.Contains(failed, "\n\"\",\""+c.code+":") {
				t.Errorf("in a bulk job: %s, want %s", failed, c.code)
			}
		})
	}
}

// onlyFields leaves out what an object does not have.
func onlyFields(t *testing.T, g *org, object, record string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(record), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if f := g.store.table(object).field(name); f == nil || f.ReadOnly {
			delete(fields, name)
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// csvOf writes a record as a file of one row.
func csvOf(t *testing.T, record string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(record), &fields); err != nil {
		t.Fatal(err)
	}
	var header, row []string
	for name, v := range fields {
		if v[0] == '{' {
			var parent map[string]string
			if err := json.Unmarshal(v, &parent); err != nil {
				t.Fatal(err)
			}
			for by, value := range parent {
				name, v = name+"."+by, quote(value)
			}
		}
		cell := plain(v)
		if string(v) == null {
			cell = "#N/A"
		}
		header, row = append(header, name), append(row, `"`+cell+`"`)
	}
	return strings.Join(header, ",") + "\n" + strings.Join(row, ",") + "\n"
}

func TestCodesOfAWholeCollection(t *testing.T) {
	many := make([]string, 201)
	for i := range many {
		many[i] = fmt.Sprintf(`{"attributes":{"type":"Account"},"Name":"N%d"}`, i)
	}
	chunks := make([]string, 11)
	for i := range chunks {
		chunks[i] = fmt.Sprintf(`{"attributes":{"type":%q},"Name":"N","LastName":"L"}`, []string{"Account", "Contact"}[i%2])
		if i%2 == 0 {
			chunks[i] = strings.Replace(chunks[i], `,"LastName":"L"`, "", 1)
		} else {
			chunks[i] = strings.Replace(chunks[i], `,"Name":"N"`, "", 1)
		}
	}
	for name, c := range map[string]struct {
		method, path, records string
		status                int
		code                  string
	}{
		"too many":           {"POST", "", strings.Join(many, ","), 400, "EXCEEDED_ID_LIMIT"},
		"too many upserts":   {"PATCH", "/Account/Account_Ext__c", strings.Join(many, ","), 400, "EXCEEDED_ID_LIMIT"},
		"too many chunks":    {"POST", "", strings.Join(chunks, ","), 400, "TOO_MANY_TYPE_CHANGES"},
		"just enough chunks": {"POST", "", strings.Join(chunks[:10], ","), 200, ""},
		"unknown column":     {"POST", "", `{"attributes":{"type":"Account"},"Name":"A"},{"attributes":{"type":"Account"},"Nmae":"B"}`, 400, "INVALID_FIELD"},
		"wrong type":         {"POST", "", `{"attributes":{"type":"Account"},"Name":"A"},{"attributes":{"type":"Account"},"Name":7}`, 400, "JSON_PARSER_ERROR"},
		"no type":            {"POST", "", `{"Name":"A"}`, 400, "INVALID_TYPE"},
		"unknown type":       {"POST", "", `{"attributes":{"type":"Acount"},"Name":"A"}`, 400, "INVALID_TYPE"},
		"another type":       {"PATCH", "/Account/Account_Ext__c", `{"attributes":{"type":"Contact"},"LastName":"A"}`, 400, "INVALID_TYPE"},
		"not a key":          {"PATCH", "/Account/Website", `{"attributes":{"type":"Account"},"Name":"A"}`, 404, "NOT_FOUND"},
		"unknown object":     {"PATCH", "/Acount/Account_Ext__c", `{}`, 404, "NOT_FOUND"},
		"method":             {"PUT", "", `{}`, 405, "METHOD_NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newOrg(t, Options{})
			g.do(c.method, "/composite/sobjects"+c.path, `{"records":[`+c.records+`]}`).wants(c.status, c.code)
			if n := g.Count("Account"); c.status != 200 && n != 0 {
				t.Errorf("%d records of a request that was refused", n)
			}
		})
	}
	g := newOrg(t, Options{})
	g.do("POST", "/composite/sobjects", `{}`).wants(400, "records is missing")
	g.do("DELETE", "/composite/sobjects?ids=", "").wants(400, "MISSING_ARGUMENT")
	g.do("DELETE", "/composite/sobjects?ids="+strings.Repeat("x,", 201), "").wants(400, "EXCEEDED_ID_LIMIT")
}

func TestKeyTwiceRefusesBoth(t *testing.T) {
	g := newOrg(t, Options{})
	got := g.upsertMany("Account", "Account_Ext__c", []string{
		`{"Account_Ext__c":"ABC","Name":"1"}`, `{"Account_Ext__c":"d","Name":"2"}`, `{"Account_Ext__c":"abc","Name":"3"}`, `{"Name":"4"}`, `{"Account_Ext__c":" abc ","Name":"5"}`,
	})
	if want := "DUPLICATE_VALUE + DUPLICATE_VALUE MISSING_ARGUMENT DUPLICATE_VALUE"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	objects := []Object{{Name: "Thing__c", Prefix: "a00", Fields: []Field{text("Key__c", 9).external()}}}
	objects[0].Fields[0].CaseSensitive = true
	g = newOrg(t, Options{Objects: objects})
	if got := g.upsertMany("Thing__c", "Key__c", []string{`{"Key__c":"ABC"}`, `{"Key__c":"abc"}`}); got != "+ +" {
		t.Errorf("where the case of letters counts: %s", got)
	}
}

func TestDuplicatesCanBeAllowed(t *testing.T) {
	g, ids := strictOrg(t)
	const header = "Sforce-Duplicate-Rule-Header"
	twin := func() []string { return []string{`{"Contact_Ext__c":"n","LastName":"Lee","Email":"LEE@example.com"}`} }
	g.do("POST", "/sobjects/Contact", `{"LastName":"Lee","Email":"lee@example.com"}`).wants(400, "DUPLICATES_DETECTED", `"duplicateResult"`, ids["lee"])
	if got := g.upsertMany("Contact", "Contact_Ext__c", twin(), header, "allowSave=false"); got != "DUPLICATES_DETECTED" {
		t.Errorf("allowSave=false: %s", got)
	}
	if got := g.upsertMany("Contact", "Contact_Ext__c", twin(), header, "allowSave=true; includeRecordDetails=false"); got != "+" {
		t.Errorf("allowSave=true: %s", got)
	}
	if got := g.upsertMany("Contact", "Contact_Ext__c", []string{`{"Contact_Ext__c":"n","Title":"Dr"}`}); got != "=" {
		t.Errorf("a change of another field of a duplicate that is there: %s", got)
	}
	lead := `{"Lead_Ext__c":"n","LastName":"Lee","Email":"lee@example.com","Company":"C","Status":"Open - Not Contacted"}`
	if got := g.upsertMany("Lead", "Lead_Ext__c", []string{lead}, header, "allowSave=true"); got != "DUPLICATES_DETECTED" {
		t.Errorf("a rule that blocks: %s", got)
	}
}

func TestAssignmentRulesRunUnlessForbidden(t *testing.T) {
	g := newOrg(t, Options{})
	lead := `{"LastName":"L","Company":"C","Status":"Open - Not Contacted","OwnerId":"` + makeID("005", 4)[:15] + `"}`
	for header, want := range map[string]string{"TRUE": makeID("00G", 1), "": makeID("00G", 1), "FALSE": makeID("005", 4), "false": makeID("005", 4)} {
		var s saved
		g.do("POST", "/sobjects/Lead", lead, "Sforce-Auto-Assign", header).wants(201).into(&s)
		g.do("GET", "/sobjects/Lead/"+s.ID, "").wants(200, `"OwnerId":"`+want+`"`, `"Name":"L"`)
	}
}

func TestQuotasAreOnePerOwnerAndPeriod(t *testing.T) {
	g, ids := strictOrg(t)
	same := `{"QuotaOwnerId":"` + makeID("005", 4) + `","StartDate":"2026-04-01","QuotaAmount":20}`
	g.do("POST", "/sobjects/ForecastingQuota", same).wants(400, "DUPLICATE_VALUE", ids["quota"])
	g.make("ForecastingQuota", strings.Replace(same, "2026-04", "2026-07", 1))
	g.do("PATCH", "/sobjects/ForecastingQuota/"+ids["quota"], `{"QuotaAmount":30}`).wants(204)
}

func TestRoomEnds(t *testing.T) {
	g := newOrg(t, Options{Room: len(seededUsers) + 2})
	if got := g.upsertMany("Account", "Account_Ext__c", []string{`{"Account_Ext__c":"a","Name":"A"}`, `{"Account_Ext__c":"b","Name":"B"}`}); got != "+ STORAGE_LIMIT_EXCEEDED" {
		t.Errorf("got %s", got)
	}
	if got := g.upsertMany("Account", "Account_Ext__c", []string{`{"Account_Ext__c":"a","Name":"C"}`}); got != "=" {
		t.Errorf("a change needs no room: %s", got)
	}
}

func TestRefusalsOfTheSandbox(t *testing.T) {
	g := newOrg(t, Options{})
	g.SetRefusals(func(object string, fields map[string]json.RawMessage) *sim.Refusal {
		if object == "Account" && string(fields["Name"]) == `"Locked"` {
			return &sim.Refusal{Code: "UNABLE_TO_LOCK_ROW", Message: "scripted", Retryable: true}
		}
		return nil
	})
	if got := g.upsertMany("Account", "Account_Ext__c", []string{`{"Account_Ext__c":"a","Name":"A"}`, `{"Account_Ext__c":"b","Name":"Locked"}`}); got != "+ UNABLE_TO_LOCK_ROW" {
		t.Errorf("got %s", got)
	}
}

func TestAllOrNone(t *testing.T) {
	g := newOrg(t, Options{})
	g.make("Account", `{"Name":"A","Account_Ext__c":"a"}`)
	var list []saved
	g.do("PATCH", "/composite/sobjects/Account/Account_Ext__c", `{"allOrNone":true,"records":[
		{"attributes":{"type":"Account"},"Account_Ext__c":"a","Name":"Changed"},
		{"attributes":{"type":"Account"},"Account_Ext__c":"b","Name":"New"},
		{"attributes":{"type":"Account"},"Account_Ext__c":"c"}]}`).wants(200).into(&list)
	if got := line(list); got != "ALL_OR_NONE_OPERATION_ROLLED_BACK ALL_OR_NONE_OPERATION_ROLLED_BACK REQUIRED_FIELD_MISSING" {
		t.Errorf("got %s", got)
	}
	if got := g.one("Account", "Account_Ext__c", "a"); got["Name"] != "A" || g.Count("Account") != 1 {
		t.Errorf("record %v of %d: the change stayed", got["Name"], g.Count("Account"))
	}
	g.do("GET", "/sobjects/Account/Account_Ext__c/b", "").wants(404)
}

func TestUpdateAndDeleteCollections(t *testing.T) {
	g := newOrg(t, Options{})
	a := g.make("Account", `{"Name":"A"}`)
	c := g.make("Contact", `{"LastName":"C"}`)
	var list []saved
	g.do("PATCH", "/composite/sobjects", `{"records":[{"attributes":{"type":"Account"},"Id":"`+a+`","Name":"B"},
		{"attributes":{"type":"Contact"},"id":"`+c+`","Title":"T"},{"attributes":{"type":"Account"},"Name":"X"},
		{"attributes":{"type":"Account"},"Id":"x","Name":"X"},{"attributes":{"type":"Account"},"Id":"`+makeID("001", 9)+`","Name":"X"}]}`).wants(200).into(&list)
	if got := line(list); got != "= = MISSING_ARGUMENT MALFORMED_ID INVALID_CROSS_REFERENCE_KEY" {
		t.Errorf("update: %s", got)
	}
	g.do("POST", "/composite/sobjects/Account", `{"ids":["`+a+`","`+makeID("001", 9)+`"],"fields":["Name"]}`).wants(200, `"Name":"B"`, `},null]`)
	g.do("GET", "/composite/sobjects/Account?ids="+a+"&fields=Name,Nope", "").wants(400, "INVALID_FIELD")
	g.do("GET", "/composite/sobjects/Account?ids="+a, "").wants(400, "MISSING_ARGUMENT")
	list = nil
	g.do("DELETE", "/composite/sobjects/?ids="+a+","+c+",zzz,"+a+"&allOrNone=false", "").wants(200).into(&list)
	if got := line(list); got != "= = MALFORMED_ID ENTITY_IS_DELETED" || g.Count("Account")+g.Count("Contact") != 0 {
		t.Errorf("delete: %s", got)
	}
}
