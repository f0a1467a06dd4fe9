package salesforce_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
)

func TestRequestOfUpserts(t *testing.T) {
	s := script(t, func(int, request) (int, string) {
		return 200, composite(200, list(yes("001A"), yes("001B")))
	})
	c := s.target(t, func(o *salesforce.Options) { o.AllowDuplicates = true })
	child := rec(`"a-2"`, field("Name", `"B"`), field("ParentId", `7`), field("OwnerId", `null`), field("Owner.Employee_No__c", `"9"`),
		field("Account:What__c", `"w"`), field("User:Who__r.Mail__c", `"x@y.z"`), field("Region__r.Code__c", `null`))
	child.Parents = []sinks.Parent{
		{Field: "ParentId", Mapping: "accounts", Source: "7", Key: field("External_Id__c", "7")},
		{Field: "Account:What__c", Mapping: "accounts", Source: "7", Key: field("External_Id__c", `"w"`)},
	}
	rs, err := c.Deliver(t.Context(), batch(rec(`"a-1"`, field("Name", `"Acme \"&\" Söhne"`), field("AnnualRevenue", `12345678901234567.890`), field("Phone", `null`), field("Account_Ext__c", `"a-1"`)), child))
	if err != nil {
		t.Fatal(err)
	}
	if rs[0].RemoteID != "001A" || rs[1].RemoteID != "001B" || rs[0].Err != nil || rs[1].Err != nil {
		t.Errorf("results %+v", rs)
	}
	// The record without a parent comes first: those of one parent are side by side.
	want := `{"allOrNone":false,"collateSubrequests":false,"compositeRequest":[{"method":"PATCH",` +
		`"url":"/services/data/v62.0/composite/sobjects/Account/Account_Ext__c","referenceId":"r0",` +
		`"httpHeaders":{"Sforce-Duplicate-Rule-Header":"allowSave=true; includeRecordDetails=false; runAsCurrentUser=true","Sforce-Auto-Assign":"FALSE"},` +
		`"body":{"allOrNone":false,"records":[` +
		`{"attributes":{"type":"Account"},"Account_Ext__c":"a-1","Name":"Acme \"&\" Söhne","AnnualRevenue":12345678901234567.890,"Phone":null},` +
		`{"attributes":{"type":"Account"},"Account_Ext__c":"a-2","Name":"B","Parent":{"External_Id__c":7},"OwnerId":null,"Owner":{"Employee_No__c":"9"},` +
		`"What__r":{"attributes":{"type":"Account"},"External_Id__c":"w"},"Who__r":{"attributes":{"type":"User"},"Mail__c":"x@y.z"},"Region__c":null}]}}]}`
	got := s.got[0]
	if got.body != want {
		t.Errorf("body\n%s\nwant\n%s", got.body, want)
	}
	if got.method != "POST" || got.path != "/services/data/v62.0/composite" || got.header.Get("Authorization") != "Bearer token-1" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("request %s %s %v", got.method, got.path, got.header)
	}
}

// 1,000 records are five collections of one call, whose results lie where the records were.
func TestThousandInOneCall(t *testing.T) {
	s := script(t, func(_ int, r request) (int, string) {
		var parts []any
		for c := range 5 {
			var items []string
			for i := range 200 {
				items = append(items, yes(fmt.Sprint("id", c*200+i)))
			}
			parts = append(parts, 200, list(items...))
		}
		return 200, composite(parts...)
	})
	c := s.target(t, func(o *salesforce.Options) { o.AssignmentRules = true })
	var all []sinks.Record
	for i := range 1000 {
		all = append(all, rec(fmt.Sprintf(`"k%d"`, i), field("Name", `"n"`)))
	}
	rs, err := c.Deliver(t.Context(), batch(all...))
	if err != nil || len(s.got) != 1 {
		t.Fatalf("%d calls, %v", len(s.got), err)
	}
	for i := range rs {
		if rs[i].RemoteID != fmt.Sprint("id", i) {
			t.Fatalf("record %d has the id %q", i, rs[i].RemoteID)
		}
	}
	if strings.Count(s.got[0].body, `"method":"PATCH"`) != 5 || strings.Contains(s.got[0].body, "httpHeaders") {
		t.Errorf("body %.300s", s.got[0].body)
	}
}

func TestRequestOfDeletes(t *testing.T) {
	describe := `{"name":"Account","fields":[{"name":"Account_Ext__c","type":"string","externalId":true}]}`
	s := script(t, func(n int, r request) (int, string) {
		if r.method == "GET" {
			return 200, describe
		}
		return 200, composite(200, list(yes("1")), 204, "null", 404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`,
			300, `["/a","/b"]`)
	})
	c := s.target(t, nil)
	gone := removal(`"a b/c"`)
	gone.Key.Value = []byte(`"a b&c"`)
	archived := removal(`12`)
	archived.Op = sinks.Archive
	rs, err := c.Deliver(t.Context(), batch(gone, rec(`"u"`), archived, removal(`"twice"`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"method":"DELETE","url":"/services/data/v62.0/sobjects/Account/Account_Ext__c/a%20b\u0026c","referenceId":"r1"}`,
		`{"method":"DELETE","url":"/services/data/v62.0/sobjects/Account/Account_Ext__c/12","referenceId":"r2"}`,
	} {
		if !strings.Contains(s.got[0].body, want) {
			t.Errorf("body %s\nwant in it %s", s.got[0].body, want)
		}
	}
	var rej *sinks.Rejected
	if rs[0].Err != nil || rs[1].Err != nil || rs[2].Err != nil || !errors.As(rs[3].Err, &rej) || rej.Code != "DUPLICATE_EXTERNAL_ID" {
		t.Errorf("results %+v", rs)
	}
	if len(s.got) != 2 || s.got[1].path != "/services/data/v62.0/sobjects/Account/describe" {
		t.Errorf("that a record is not there is believed only if its object and key are: %+v", s.got[1:])
	}
}

// An object, or a key field, that is not there is answered like a record that is not there.
func TestDeleteOfAnUnknownKey(t *testing.T) {
	for _, describe := range []struct {
		status int
		body   string
	}{
		{404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`},
		{200, `{"name":"Account","fields":[{"name":"Name","type":"string"}]}`},
	} {
		s := script(t, func(n int, r request) (int, string) {
			if r.method == "GET" {
				return describe.status, describe.body
			}
			return 200, composite(404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`)
		})
		rs, err := s.target(t, nil).Deliver(t.Context(), batch(removal(`"a"`)))
		var mis *sinks.Misconfigured
		if err != nil || !errors.As(rs[0].Err, &mis) {
			t.Errorf("%d: %+v, %v", describe.status, rs, err)
		}
	}
}

// One record that the API cannot read makes it refuse all of its collection: the others are
// delivered all the same (I6).
func TestCulpritIsFound(t *testing.T) {
	s := script(t, func(_ int, r request) (int, string) {
		var parts []any
		for _, sub := range strings.Split(r.body, `"method":`)[1:] {
			n := strings.Count(sub, `"attributes"`)
			if strings.Contains(sub, "not-a-date") {
				parts = append(parts, 400, `[{"errorCode":"JSON_PARSER_ERROR","message":"Cannot deserialize instance of date from VALUE_STRING value not-a-date"}]`)
				continue
			}
			parts = append(parts, 200, list(strings.Split(strings.Repeat(yes("1")+"|", n-1)+yes("1"), "|")...))
		}
		return 200, composite(parts...)
	})
	var all []sinks.Record
	for i := range 200 {
		all = append(all, rec(fmt.Sprintf(`"k%d"`, i), field("Day__c", `"2026-01-01"`)))
	}
	all[77].Fields[0] = field("Day__c", `"not-a-date"`)
	rs, err := s.target(t, nil).Deliver(t.Context(), batch(all...))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rs {
		var rej *sinks.Rejected
		if bad := errors.As(rs[i].Err, &rej); bad != (i == 77) || !bad && rs[i].Err != nil {
			t.Errorf("record %d: %v", i, rs[i].Err)
		}
	}
	if len(s.got) > 6 {
		t.Errorf("%d calls to find one of 200", len(s.got))
	}
}

// What is said of a sub-request is said of its records, and only of those.
func TestSubRequestsFailAlone(t *testing.T) {
	s := script(t, func(int, request) (int, string) {
		var ok []string
		for range 200 {
			ok = append(ok, yes("1"))
		}
		return 200, `{"compositeResponse":[` + strings.Join([]string{
			fmt.Sprintf(`{"body":%s,"httpStatusCode":200,"referenceId":"r3"}`, list(ok...)), // not in order
			`{"body":[{"errorCode":"UNKNOWN_EXCEPTION","message":"m"}],"httpStatusCode":500,"referenceId":"r0"}`,
			fmt.Sprintf(`{"body":%s,"httpStatusCode":200,"referenceId":"r1"}`, list(ok[:199]...)),
		}, ",") + `]}`
	})
	var all []sinks.Record
	for i := range 800 {
		all = append(all, rec(fmt.Sprintf(`"k%d"`, i)))
	}
	rs, err := s.target(t, nil).Deliver(t.Context(), batch(all...))
	if err != nil {
		t.Fatal(err)
	}
	for i, unknown := range map[int]bool{0: true, 199: true, 200: false, 398: false, 399: true, 400: true, 599: true, 600: false, 799: false} {
		if got := rs[i].Err != nil && sinks.Unknown(rs[i].Err); got != unknown || !unknown && rs[i].Err != nil {
			t.Errorf("record %d: %v, want an unknown outcome: %v", i, rs[i].Err, unknown)
		}
	}
}

// A failed item has no id, and each keeps its own error.
func TestItems(t *testing.T) {
	s := script(t, func(int, request) (int, string) {
		return 200, composite(200, list(no("STRING_TOO_LONG"), yes("2"), no("UNABLE_TO_LOCK_ROW"), no("INSUFFICIENT_ACCESS_OR_READONLY")))
	})
	rs, err := s.target(t, nil).Deliver(t.Context(), batch(rec(`"1"`), rec(`"2"`), rec(`"3"`), rec(`"4"`)))
	if err != nil {
		t.Fatal(err)
	}
	var rej *sinks.Rejected
	var ret *sinks.Retryable
	if !errors.As(rs[0].Err, &rej) || rej.Code != "STRING_TOO_LONG" || rs[1].RemoteID != "2" || !errors.As(rs[2].Err, &ret) || !errors.As(rs[3].Err, &ret) {
		t.Errorf("results %+v", rs)
	}
}

// Where nobody may write any record, it is the user who may not, and not each record.
func TestNoAccessAtAll(t *testing.T) {
	s := script(t, func(int, request) (int, string) {
		return 200, composite(200, list(no("INSUFFICIENT_ACCESS_OR_READONLY"), no("INSUFFICIENT_ACCESS_OR_READONLY")))
	})
	rs, err := s.target(t, nil).Deliver(t.Context(), batch(rec(`"1"`), rec(`"2"`)))
	var mis *sinks.Misconfigured
	if err != nil || !errors.As(rs[0].Err, &mis) || !errors.As(rs[1].Err, &mis) || mis.Hint == "" {
		t.Errorf("%+v, %v", rs, err)
	}
}

// The token is got once, and once more when it is refused.
func TestTokenIsRenewed(t *testing.T) {
	s := script(t, func(n int, r request) (int, string) {
		if r.header.Get("Authorization") != "Bearer token-2" {
			return 401, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
		}
		return 200, composite(200, list(yes("1")))
	})
	c := s.target(t, nil)
	for range 2 {
		if rs, err := c.Deliver(t.Context(), batch(rec(`"1"`))); err != nil || rs[0].Err != nil {
			t.Fatalf("%+v %v", rs, err)
		}
	}
	if s.tokens != 2 || len(s.got) != 3 || s.got[0].body != s.got[1].body {
		t.Errorf("%d tokens, %d requests", s.tokens, len(s.got))
	}
}

// The collections become smaller where the flows of an org run out of their limits, and grow
// again.
func TestPace(t *testing.T) {
	flood := true
	s := script(t, func(_ int, r request) (int, string) {
		var parts []any
		for _, sub := range strings.Split(r.body, `"method":`)[1:] {
			n := strings.Count(sub, `"attributes"`)
			one := yes("1")
			if n > 50 && flood {
				one = `{"success":false,"errors":[{"statusCode":"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY","message":"T: System.LimitException: Too many SOQL queries: 101"}]}`
			}
			parts = append(parts, 200, list(strings.Split(strings.Repeat(one+"|", n-1)+one, "|")...))
		}
		return 200, composite(parts...)
	})
	c := s.target(t, nil)
	var all []sinks.Record
	for i := range 200 {
		all = append(all, rec(fmt.Sprintf(`"k%d"`, i)))
	}
	for try := range 3 {
		rs, err := c.Deliver(t.Context(), batch(all...))
		if err != nil {
			t.Fatal(err)
		}
		if taken := rs[0].Err == nil; taken != (try == 2) {
			t.Errorf("try %d: %v", try, rs[0].Err)
		}
	}
	flood = false
	for range 40 {
		if _, err := c.Deliver(t.Context(), batch(all...)); err != nil {
			t.Fatal(err)
		}
	}
	if last := s.got[len(s.got)-1].body; strings.Count(last, `"PATCH"`) != 1 {
		t.Errorf("%d collections for 200 records after 40 good calls", strings.Count(last, `"PATCH"`))
	}
}

// A call that fails as a whole says so of all; where something is known before, of its records.
func TestCallsThatFail(t *testing.T) {
	s := script(t, func(n int, r request) (int, string) {
		if n == 0 {
			return 200, composite(200, list(yes("1")))
		}
		return 403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`
	})
	c := s.target(t, nil)
	// The same key twice goes in two calls: Salesforce would take neither.
	rs, err := c.Deliver(t.Context(), batch(rec(`"Abc"`, field("Name", `"1"`)), rec(`"aBC"`, field("Name", `"2"`))))
	var pau *sinks.Paused
	if err != nil || rs[0].Err != nil || !errors.As(rs[1].Err, &pau) {
		t.Errorf("%+v, %v", rs, err)
	}
	if rs, err = c.Deliver(t.Context(), batch(rec(`"a"`), rec(`"b"`))); rs != nil || !errors.As(err, &pau) {
		t.Errorf("%+v, %v", rs, err)
	}
}

func TestNoKeyNoRequest(t *testing.T) {
	s := script(t, func(int, request) (int, string) { return http.StatusTeapot, "" })
	rs, err := s.target(t, nil).Deliver(t.Context(), batch(rec(`null`), rec(`""`), removal(`null`), rec(`{}`)))
	if err != nil || len(s.got) != 0 {
		t.Fatalf("%v, %d requests", err, len(s.got))
	}
	for i := range rs {
		var rej *sinks.Rejected
		if !errors.As(rs[i].Err, &rej) {
			t.Errorf("record %d: %v", i, rs[i].Err)
		}
	}
}
