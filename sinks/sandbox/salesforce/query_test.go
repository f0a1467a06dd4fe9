package salesforce

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func (g *org) query(soql string, headers ...string) answer {
	return g.do("GET", "/query/?q="+url.QueryEscape(soql), "", headers...)
}

type page struct {
	Total   int `json:"totalSize"`
	Done    bool
	Next    string `json:"nextRecordsUrl"`
	Records []map[string]any
}

func (g *org) names(soql string) string {
	g.t.Helper()
	var p page
	g.query(soql).wants(200).into(&p)
	var names []string
	for _, r := range p.Records {
		names = append(names, fmt.Sprint(r["Name"]))
	}
	return strings.Join(names, ",")
}

func TestQueries(t *testing.T) {
	g := newOrg(t, Options{})
	acme := g.make("Account", `{"Name":"Acme","Account_Ext__c":"a'b\\c","AnnualRevenue":100,"Industry":"Energy"}`)
	g.make("Account", `{"Name":"Beta","Account_Ext__c":"b","AnnualRevenue":20.5,"ParentId":"`+acme+`"}`)
	g.make("Account", `{"Name":"Core","AnnualRevenue":3}`)
	g.make("Opportunity", `{"Name":"Deal","StageName":"Closed Won","CloseDate":"2026-03-01","Synced_At__c":"2026-03-01T10:00:00Z","AccountId":"`+acme+`","Removed__c":true}`)
	for soql, want := range map[string]string{
		"SELECT Name FROM Account":                                                            "Acme,Beta,Core",
		"select name from account where name = 'ACME'":                                        "Acme",
		`SELECT Name FROM Account WHERE Account_Ext__c IN ('A\'B\\c','B', 'c')`:               "Acme,Beta",
		"SELECT Name FROM Account WHERE Account_Ext__c NOT IN ('b')":                          "Acme,Core",
		"SELECT Name FROM Account WHERE Account_Ext__c = null":                                "Core",
		"SELECT Name FROM Account WHERE Account_Ext__c IN ('b', null)":                        "Beta,Core",
		"SELECT Name FROM Account WHERE Account_Ext__c != null ORDER BY Name DESC":            "Beta,Acme",
		"SELECT Name FROM Account WHERE AnnualRevenue >= 20.50 AND AnnualRevenue < 100":       "Beta",
		"SELECT Name FROM Account WHERE AnnualRevenue > 20.5":                                 "Acme",
		"SELECT Name FROM Account WHERE AnnualRevenue <= 3":                                   "Core",
		"SELECT Name FROM Account ORDER BY AnnualRevenue ASC LIMIT 2":                         "Core,Beta",
		"SELECT Name FROM Account WHERE Id = '" + acme[:15] + "'":                             "Acme",
		"SELECT Name FROM Account WHERE Id IN ('" + acme + "') AND Name = 'x'":                "",
		"SELECT Name FROM Account WHERE ParentId='" + acme + "'":                              "Beta",
		"SELECT Name FROM Opportunity WHERE CloseDate = 2026-03-01 AND Removed__c = true":     "Deal",
		"SELECT Name FROM Opportunity WHERE Synced_At__c > 2026-03-01T09:00:00Z":              "Deal",
		"SELECT Name FROM Opportunity WHERE Synced_At__c = 2026-03-01T11:00:00+01:00 LIMIT 9": "Deal",
		"SELECT Name FROM Account LIMIT 0":                                                    "",
	} {
		if got := g.names(soql); got != want {
			t.Errorf("%s: %s, want %s", soql, got, want)
		}
	}
	lines := g.make("Account", `{"Name":"two\nlines\r\tand a tab"}`)
	if got := g.names(`SELECT Name FROM Account WHERE Name = 'two\nlines\r\tand a tab'`); got != "two\nlines\r\tand a tab" {
		t.Errorf("a text with lines: %q", got)
	}
	g.do("DELETE", "/sobjects/Account/"+lines, "").wants(204)
	g.query("SELECT COUNT() FROM Account").wants(200, `"totalSize":3`, `"records":[]`)
	g.query("SELECT Name, Account.Name, Account.Parent.Name FROM Opportunity").wants(200, `"Account":{"Name":"Acme","Parent":null,"attributes":{"type":"Account"`)
	for soql, says := range map[string]string{
		"SELECT Nope FROM Account": "INVALID_FIELD", "SELECT Name FROM Nope": "sObject type 'Nope' is not supported.", "SELECT Nope FROM Lead": "INVALID_FIELD",
		"SELECT Name FROM Account WHERE Nope = 'x'": "No such column 'Nope' on entity 'Account'", "SELECT Name FROM Account ORDER BY Nope": "INVALID_FIELD",
		"SELECT Name FROM Account WHERE Name = 7": "should be enclosed in quotes", "SELECT Name FROM Account WHERE AnnualRevenue = '7'": "should not be enclosed in quotes",
		"SELECT Name FROM Account WHERE AnnualRevenue = abc": "INVALID_FIELD", "SELECT Name FROM Account WHERE Id = 'short'": "invalid ID field: short",
		"": "MALFORMED_QUERY", "SELECT FROM Account": "MALFORMED_QUERY", "SELECT Name Account": "MALFORMED_QUERY", "SELECT Name FROM Account WHERE": "MALFORMED_QUERY",
		"SELECT Name FROM Account WHERE Name": "MALFORMED_QUERY", "SELECT Name FROM Account WHERE Name = 'x": "MALFORMED_QUERY", "SELECT Name FROM Account WHERE Name IN ('x'": "MALFORMED_QUERY",
		"SELECT Name FROM Account LIMIT x": "MALFORMED_QUERY", "SELECT Name FROM Account nonsense here": "MALFORMED_QUERY", "SELECT Name FROM Account WHERE Name ! 'x'": "MALFORMED_QUERY",
		"SELECT Name FROM Account WHERE Name IN ()": "", "SELECT Name FROM Account WHERE Name LIKE 'x'": "MALFORMED_QUERY",
	} {
		g.query(soql).wants(400, says)
	}
}

func TestQueriesGoOn(t *testing.T) {
	g := newOrg(t, Options{})
	var b strings.Builder
	b.WriteString("Name\n")
	for i := range 450 {
		fmt.Fprintf(&b, "N%03d\n", i)
	}
	g.bulk("Account", "insert", "", b.String())
	const small = "batchSize=1" // the least is 200
	var all []string
	next, header := "", []string{"Sforce-Query-Options", small}
	for pages := 1; ; pages++ {
		var p page
		if next == "" {
			g.query("SELECT Name FROM Account", header...).wants(200).into(&p)
		} else {
			g.do("GET", next, "").wants(200).into(&p)
		}
		for _, r := range p.Records {
			all = append(all, fmt.Sprint(r["Name"]))
		}
		if p.Total != 450 || p.Done != (pages == 3) || p.Done != (p.Next == "") {
			t.Fatalf("page %d: %d in all, done %v, next %q", pages, p.Total, p.Done, p.Next)
		}
		if p.Done {
			break
		}
		if next = p.Next; !strings.HasPrefix(next, api+"/query/01g") {
			t.Fatalf("next %q", next)
		}
	}
	if len(all) != 450 || all[0] != "N000" || all[449] != "N449" {
		t.Errorf("%d records", len(all))
	}
	for range maxCursors {
		g.query("SELECT Name FROM Account", header...).wants(200)
	}
	g.do("GET", next, "").wants(400, "INVALID_QUERY_LOCATOR")
	g.do("GET", "/query/nonsense", "").wants(400, "INVALID_QUERY_LOCATOR")
	var p page
	if g.query("SELECT Name FROM Account").wants(200).into(&p); !p.Done {
		t.Error("450 records are one page where none is asked for")
	}
}

func TestDescribe(t *testing.T) {
	g := newOrg(t, Options{})
	var d struct {
		Name, KeyPrefix string
		Fields          []fieldDescription
	}
	a := g.do("GET", "/sobjects/opportunity/describe", "").wants(200)
	a.into(&d)
	fields := make(map[string]fieldDescription)
	for _, f := range d.Fields {
		fields[f.Name] = f
	}
	if d.Name != "Opportunity" || d.KeyPrefix != "006" || len(d.Fields) != len(g.store.table("Opportunity").Fields) {
		t.Errorf("%s %s, %d fields", d.Name, d.KeyPrefix, len(d.Fields))
	}
	for name, ok := range map[string]bool{
		"Name":               fields["Name"].Type == "string" && fields["Name"].Length == 120 && !fields["Name"].Nillable && !fields["Name"].Custom,
		"StageName":          fields["StageName"].Type == "picklist" && fields["StageName"].Restricted && len(fields["StageName"].Values) == 10,
		"Amount":             fields["Amount"].Type == "currency" && fields["Amount"].Precision == 18 && fields["Amount"].Scale == 2 && fields["Amount"].Nillable,
		"Opportunity_Ext__c": fields["Opportunity_Ext__c"].ExternalID && fields["Opportunity_Ext__c"].Unique && fields["Opportunity_Ext__c"].IDLookup && !fields["Opportunity_Ext__c"].Sensitive,
		"Legacy_Id__c":       fields["Legacy_Id__c"].ExternalID && !fields["Legacy_Id__c"].Unique,
		"External_Id__c":     fields["External_Id__c"].Type == "double" && fields["External_Id__c"].Custom,
		"AccountId":          fields["AccountId"].Type == "reference" && *fields["AccountId"].Relationship == "Account" && fields["AccountId"].ReferenceTo[0] == "Account" && fields["AccountId"].Length == 18,
		"CreatedDate":        fields["CreatedDate"].Type == "datetime" && !fields["CreatedDate"].Createable && !fields["CreatedDate"].Updateable,
		"Removed__c":         fields["Removed__c"].Type == "boolean" && fields["Removed__c"].Defaulted && !fields["Removed__c"].Nillable,
		"Id":                 fields["Id"].Type == "id" && !fields["Id"].Nillable && fields["Id"].IDLookup,
		"Description":        fields["Description"].Type == "textarea",
		"CloseDate":          fields["CloseDate"].Type == "date",
	} {
		if !ok {
			t.Errorf("%s: %+v", name, fields[name])
		}
	}
	if a := g.do("GET", "/sobjects/Opportunity/describe", "", "If-Modified-Since", a.header.Get("Last-Modified")).wants(304); a.body != "" {
		t.Errorf("body %q", a.body)
	}
	g.do("GET", "/sobjects/Opportunity/describe", "", "If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT").wants(200)
	g.do("GET", "/sobjects/Nothing/describe", "").wants(404, "NOT_FOUND")
	g.do("GET", "/sobjects", "").wants(200, `"name":"ForecastingQuota"`, `"maxBatchSize":200`)
	g.do("GET", "/sobjects/Account/describe", "").wants(200, `"type":"int"`, `"digits":8`)
	g.do("GET", "/sobjects/Contact/describe", "").wants(200, `"type":"email"`, `"type":"multipicklist"`)
	g.do("GET", "/sobjects/OpportunitySplit/describe", "").wants(200, `"cascadeDelete":true`)
}
