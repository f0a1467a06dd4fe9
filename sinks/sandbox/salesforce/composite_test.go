package salesforce

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// sub is a subrequest; collections of the form of url and body.
func sub(id, method, path, body string, more ...string) string {
	if body == "" {
		body = "null"
	}
	return fmt.Sprintf(`{"referenceId":%q,"method":%q,"url":%q,"body":%s%s}`, id, method, api+path, body, strings.Join(more, ""))
}

type composed struct {
	Responses []struct {
		Body   json.RawMessage
		Header map[string]string `json:"httpHeaders"`
		Status int               `json:"httpStatusCode"`
		ID     string            `json:"referenceId"`
	} `json:"compositeResponse"`
}

func (g *org) compose(options string, subs ...string) (c composed) {
	g.t.Helper()
	g.do("POST", "/composite", `{`+options+`"compositeRequest":[`+strings.Join(subs, ",")+`]}`).wants(200).into(&c)
	if len(c.Responses) != len(subs) {
		g.t.Fatalf("%d responses to %d", len(c.Responses), len(subs))
	}
	return c
}

func TestCompositeIsOneCall(t *testing.T) {
	g := newOrg(t, Options{})
	var subs []string
	for i := range 5 {
		records := make([]string, 200)
		for j := range records {
			records[j] = fmt.Sprintf(`{"attributes":{"type":"Account"},"Account_Ext__c":"k%d-%d","Name":"N"}`, i, j)
		}
		subs = append(subs, sub(fmt.Sprint("r", i), "PATCH", "/composite/sobjects/Account/Account_Ext__c", `{"allOrNone":false,"records":[`+strings.Join(records, ",")+`]}`))
	}
	c := g.compose(`"collateSubrequests":false,`, subs...)
	for i, r := range c.Responses {
		var list []saved
		if err := json.Unmarshal(r.Body, &list); err != nil || len(list) != 200 || r.Status != 200 || r.ID != fmt.Sprint("r", i) {
			t.Fatalf("response %d: %d %s: %v, %d results", i, r.Status, r.ID, err, len(list))
		}
	}
	if calls := g.Calls(); calls["api"] != 1 || calls["composite"] != 1 || calls["collections"] != 5 || g.Count("Account") != 1000 {
		t.Errorf("calls %v for %d records", calls, g.Count("Account"))
	}
	if got := g.do("GET", "/limits", "").header.Get("Sforce-Limit-Info"); got != "api-usage=2/100000" {
		t.Errorf("limit info %q", got)
	}
}

func TestCompositeReferences(t *testing.T) {
	g := newOrg(t, Options{})
	for range 20 { // collated in whatever order, what is referred to comes first
		c := g.compose("",
			sub("a", "POST", "/sobjects/Account", `{"Name":"A \"quoted\""}`),
			sub("q", "GET", "/query?q=SELECT+Id,Name+FROM+Account+WHERE+Id='@{a.id}'", ""),
			sub("c", "POST", "/sobjects/Contact", `{"LastName":"@{q.records[0].Name}","AccountId":"@{a.id}"}`),
			sub("g", "GET", "/sobjects/Contact/@{c.id}", ""),
			sub("m", "POST", "/composite/sobjects", `{"records":[{"attributes":{"type":"Contact"},"LastName":"M"}]}`),
			sub("d", "DELETE", "/sobjects/Contact/@{m[0].id}", ""))
		for i, want := range []int{201, 200, 201, 200, 200, 204} {
			if c.Responses[i].Status != want {
				t.Fatalf("response %d: %d %s", i, c.Responses[i].Status, c.Responses[i].Body)
			}
		}
		var contact struct{ LastName, AccountID string }
		if err := json.Unmarshal(c.Responses[3].Body, &contact); err != nil || contact.LastName != `A "quoted"` || contact.AccountID == "" {
			t.Fatalf("contact %+v, %v", contact, err)
		}
		if string(c.Responses[5].Body) != "null" || c.Responses[0].Header["Location"] == "" {
			t.Fatalf("body %s, headers %v", c.Responses[5].Body, c.Responses[0].Header)
		}
	}
}

func TestCompositeFailures(t *testing.T) {
	g := newOrg(t, Options{})
	subs := []string{
		sub("bad", "POST", "/sobjects/Account", `{}`),
		sub("child", "POST", "/sobjects/Contact", `{"LastName":"L","AccountId":"@{bad.id}"}`),
		sub("good", "POST", "/sobjects/Account", `{"Name":"G"}`),
		sub("field", "POST", "/sobjects/Contact", `{"LastName":"@{good.nope}"}`),
	}
	c := g.compose("", subs...)
	wants := func(i, status int, code string) {
		t.Helper()
		if r := c.Responses[i]; r.Status != status || !strings.Contains(string(r.Body), code) {
			t.Errorf("response %d: %d %s, want %d %s", i, r.Status, r.Body, status, code)
		}
	}
	wants(0, 400, "REQUIRED_FIELD_MISSING")
	wants(1, 400, "PROCESSING_HALTED")
	wants(2, 201, "id")
	wants(3, 400, "No value for nope in good")
	if g.Count("Account") != 1 || g.Count("Contact") != 0 {
		t.Errorf("%d accounts, %d contacts", g.Count("Account"), g.Count("Contact"))
	}
	c = g.compose(`"allOrNone":true,"collateSubrequests":false,`, subs[2], subs[0], sub("more", "POST", "/sobjects/Account", `{"Name":"M"}`))
	wants(0, 400, "PROCESSING_HALTED")
	wants(1, 400, "REQUIRED_FIELD_MISSING")
	wants(2, 400, "PROCESSING_HALTED")
	if g.Count("Account") != 1 {
		t.Errorf("%d accounts: what was done was not taken back", g.Count("Account"))
	}
	c = g.compose("", sub("x", "POST", "/composite", `{}`), sub("y", "GET", "/nothing", ""))
	wants(0, 400, "INVALID_OPERATION")
	wants(1, 404, "NOT_FOUND")
}

func TestCompositeLimits(t *testing.T) {
	g := newOrg(t, Options{})
	get := func(n int, path string) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = sub(fmt.Sprint("r", i), "GET", path, "")
		}
		return list
	}
	for name, c := range map[string]struct {
		subs []string
		ok   bool
	}{
		"25":                 {get(25, "/limits"), true},
		"26":                 {get(26, "/limits"), false},
		"five queries":       {get(5, "/query?q=SELECT+Id+FROM+Account"), true},
		"six queries":        {get(6, "/query?q=SELECT+Id+FROM+Account"), false},
		"six collections":    {get(6, "/composite/sobjects/Account?ids=x&fields=Id"), false},
		"none":               {nil, false},
		"the same id twice":  {[]string{sub("r", "GET", "/limits", ""), sub("r", "GET", "/limits", "")}, false},
		"no id":              {[]string{sub("", "GET", "/limits", "")}, false},
		"a forbidden header": {[]string{sub("r", "GET", "/limits", "", `,"httpHeaders":{"authorization":"x"}`)}, false},
	} {
		want := map[bool]int{true: 200, false: 400}[c.ok]
		if a := g.do("POST", "/composite", `{"compositeRequest":[`+strings.Join(c.subs, ",")+`]}`); a.status != want {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	g.do("POST", "/composite", `{"compositeRequest":7}`).wants(400, "JSON_PARSER_ERROR")
	g.do("GET", "/composite", "").wants(405)
	g.do("GET", "/composite/graph", "").wants(404)
}

// Subrequests that do not refer to each other are done in any order, unless it is forbidden.
func TestCompositeOrder(t *testing.T) {
	run := func(options string) (differs int) {
		g := newOrg(t, Options{Seed: 1})
		for range 30 {
			g.compose(options,
				sub("r1", "PATCH", "/sobjects/Account/Account_Ext__c/a", `{"Name":"first"}`),
				sub("r2", "PATCH", "/sobjects/Account/Account_Ext__c/a", `{"Name":"second"}`))
			if g.one("Account", "Account_Ext__c", "a")["Name"] == "first" {
				differs++
			}
		}
		return differs
	}
	if n := run(`"collateSubrequests":false,`); n != 0 {
		t.Errorf("in order: %d of 30 ended with the first", n)
	}
	for _, options := range []string{"", `"collateSubrequests":true,`} {
		if n := run(options); n < 5 || n > 25 {
			t.Errorf("%q: %d of 30 ended with the first, want about half", options, n)
		}
	}
}

func TestSubrequestsHaveHeadersOfTheirOwn(t *testing.T) {
	g, _ := strictOrg(t)
	body := `{"LastName":"Lee","Email":"lee@example.com"}`
	request := `{"compositeRequest":[` + sub("r", "POST", "/sobjects/Contact", body) + `]}`
	g.do("POST", "/composite", request, "Sforce-Duplicate-Rule-Header", "allowSave=true").wants(200, "DUPLICATES_DETECTED")
	g.compose("", sub("r", "POST", "/sobjects/Contact", body, `,"httpHeaders":{"sforce-duplicate-rule-header":"allowSave=true"}`))
	if g.Count("Contact") != 2 {
		t.Error("the subrequest's own header was not heeded")
	}
}

func TestBatchCountsEach(t *testing.T) {
	g := newOrg(t, Options{})
	g.do("POST", "/composite/batch", `{"haltOnError":true,"batchRequests":[
		{"method":"POST","url":"v63.0/sobjects/Account","richInput":{"Name":"A"}},
		{"method":"GET","url":"/services/data/v63.0/nothing"},
		{"method":"GET","url":"v63.0/limits"}]}`).wants(200, `"hasErrors":true`, `"statusCode":201`, `"statusCode":404`, `"statusCode":412`, "BATCH_PROCESSING_HALTED")
	if calls := g.Calls(); calls["api"] != 3 || calls["batch"] != 1 {
		t.Errorf("calls %v", calls)
	}
	g.do("POST", "/composite/batch", `[`).wants(400, "JSON_PARSER_ERROR")
	g.do("POST", "/composite/batch", `{"batchRequests":[]}`).wants(400, "LIMIT_EXCEEDED")
}
