package salesforce

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"
)

// open opens a job and gives its id.
func (g *org) open(object, operation, key string, more ...string) string {
	g.t.Helper()
	var in struct{ ID, State string }
	body := fmt.Sprintf(`{"object":%q,"operation":%q,"externalIdFieldName":%q,"contentType":"CSV"%s}`, object, operation, key, strings.Join(more, ""))
	if g.do("POST", "/jobs/ingest", body).wants(200).into(&in); in.State != "Open" || in.ID == "" {
		g.t.Fatalf("opened %+v", in)
	}
	return in.ID
}

func (g *org) put(id, data string) answer {
	return g.do("PUT", "/jobs/ingest/"+id+"/batches", data, "Content-Type", "text/csv")
}

func (g *org) set(id, state string) answer {
	return g.do("PATCH", "/jobs/ingest/"+id, `{"state":"`+state+`"}`)
}

type jobInfo struct {
	State                                                          string
	NumberRecordsProcessed, NumberRecordsFailed                    int
	ErrorMessage, ContentURL, ExternalIDFieldName, ColumnDelimiter string
	APIVersion                                                     float64
}

func (g *org) job(id string) (in jobInfo) {
	g.t.Helper()
	g.do("GET", "/jobs/ingest/"+id, "").wants(200).into(&in)
	return in
}

// bulk runs a job to its end and gives the rows that failed.
func (g *org) bulk(object, operation, key, data string) string {
	g.t.Helper()
	id := g.open(object, operation, key)
	g.put(id, data).wants(201)
	g.set(id, "UploadComplete").wants(200, `"state":"UploadComplete"`)
	if in := g.job(id); in.State != "JobComplete" {
		g.t.Fatalf("job ended as %+v", in)
	}
	return g.do("GET", "/jobs/ingest/"+id+"/failedResults", "").wants(200).body
}

func rowsOf(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestBulkLife(t *testing.T) {
	g := newOrg(t, Options{BulkTime: 10 * time.Second})
	id := g.open("Account", "upsert", "account_ext__c")
	if in := g.job(id); in.ContentURL != "services/data/v63.0/jobs/ingest/"+id+"/batches" || in.ExternalIDFieldName != "Account_Ext__c" || in.APIVersion != 63 || in.ColumnDelimiter != "COMMA" {
		t.Errorf("job %+v", in)
	}
	g.do("PUT", "/jobs/ingest/"+id+"/batches", "Name\nA\n", "Content-Type", "text/plain").wants(400)
	g.put(id, "Account_Ext__c,Name\na,A\n").wants(201)
	g.put(id, "Account_Ext__c,Name\nb,B\n").wants(400, "INVALIDJOBSTATE", "Found multiple contents for job")
	g.do("GET", "/jobs/ingest/"+id+"/successfulResults", "").wants(400, "INVALIDJOBSTATE")
	g.set(id, "JobComplete").wants(400, "INVALIDJOBSTATE")
	g.do("DELETE", "/jobs/ingest/"+id, "").wants(400, "INVALIDJOBSTATE")
	g.set(id, "UploadComplete").wants(200)
	g.set(id, "UploadComplete").wants(400, "INVALIDJOBSTATE")
	g.put(id, "Account_Ext__c,Name\nb,B\n").wants(400, "INVALIDJOBSTATE")
	for _, step := range []struct {
		after time.Duration
		state string
		held  int
	}{{0, "UploadComplete", 0}, {time.Second, "InProgress", 0}, {8999 * time.Millisecond, "InProgress", 0}, {time.Millisecond, "JobComplete", 1}} {
		g.now = g.now.Add(step.after)
		if in := g.job(id); in.State != step.state || g.Count("Account") != step.held {
			t.Fatalf("after %v: %+v with %d records, want %s with %d", step.after, in, g.Count("Account"), step.state, step.held)
		}
	}
	g.set(id, "Aborted").wants(400, "INVALIDJOBSTATE")
	g.do("GET", "/jobs/ingest", "").wants(200, `"done":true`, id)
	g.do("DELETE", "/jobs/ingest/"+id, "").wants(204)
	g.do("GET", "/jobs/ingest/"+id, "").wants(404)
	g.do("GET", "/jobs/ingest", "").wants(200, `"records":[]`)
	if g.Calls()["ingest"] == 0 {
		t.Error("calls are not counted")
	}
}

// A job goes on although nobody asks for it.
func TestBulkGoesOnUnwatched(t *testing.T) {
	g := newOrg(t, Options{BulkTime: time.Minute})
	id := g.open("Account", "insert", "")
	g.put(id, "Name\nA\n").wants(201)
	g.set(id, "UploadComplete").wants(200)
	g.now = g.now.Add(time.Hour)
	if rows := g.Records("Account", 0); len(rows) != 1 || !rows[0].Changed.Equal(g.now.Add(-59*time.Minute)) {
		t.Errorf("records %+v, want one that is 59 minutes old", rows)
	}
}

func TestBulkPartsAndAbort(t *testing.T) {
	g := newOrg(t, Options{BulkTime: 30 * time.Second})
	var b strings.Builder
	b.WriteString("Account_Ext__c,Name\n")
	for i := range 25_000 {
		fmt.Fprintf(&b, "k%d,N%d\n", i, i)
	}
	id := g.open("Account", "upsert", "Account_Ext__c")
	g.put(id, b.String()).wants(201)
	g.set(id, "UploadComplete").wants(200)
	g.now = g.now.Add(20 * time.Second)
	if in := g.job(id); in.State != "InProgress" || in.NumberRecordsProcessed != 20_000 || g.Count("Account") != 20_000 {
		t.Fatalf("job %+v with %d records, want two parts of three", in, g.Count("Account"))
	}
	g.set(id, "Aborted").wants(200, `"state":"Aborted"`)
	g.now = g.now.Add(time.Hour)
	if in := g.job(id); in.State != "Aborted" || g.Count("Account") != 20_000 {
		t.Fatalf("job %+v with %d records: it went on", in, g.Count("Account"))
	}
	left := rowsOf(t, g.do("GET", "/jobs/ingest/"+id+"/unprocessedrecords", "").wants(200).body)
	if len(left) != 5001 || left[0][0] != "Account_Ext__c" || left[1][0] != "k20000" {
		t.Errorf("%d rows are unprocessed, the first %q", len(left), left[:2])
	}
	if done := rowsOf(t, g.do("GET", "/jobs/ingest/"+id+"/successfulResults", "").wants(200).body); len(done) != 20_001 {
		t.Errorf("%d rows are done", len(done))
	}
}

func TestBulkThatBreaks(t *testing.T) {
	g := newOrg(t, Options{})
	g.do("POST", "/_control", `{"break_job":1}`).wants(404) // it is not below /services/data
	three := 2
	g.breaks = append(g.breaks, breakage{after: three})
	id := g.open("Account", "insert", "")
	g.put(id, "Name\nA\nB\nC\n").wants(201)
	g.set(id, "UploadComplete").wants(200)
	if in := g.job(id); in.State != "Failed" || in.NumberRecordsProcessed != 2 || in.ErrorMessage == "" || g.Count("Account") != 2 {
		t.Errorf("job %+v with %d records", in, g.Count("Account"))
	}
	if left := g.do("GET", "/jobs/ingest/"+id+"/unprocessedrecords", "").wants(200).body; left != "\"Name\"\n\"C\"\n" {
		t.Errorf("unprocessed %q", left)
	}
	if failed := g.bulk("Account", "insert", "", "Name\nD\n"); strings.Contains(failed, "D") || g.Count("Account") != 3 {
		t.Errorf("the next job breaks too: %q", failed)
	}
}

func TestBulkCellsAndResults(t *testing.T) {
	g := newOrg(t, Options{})
	g.make("Account", `{"Name":"Parent","Account_Ext__c":"p"}`)
	g.make("Opportunity", `{"Name":"Old","StageName":"Prospecting","CloseDate":"2026-03-01","Opportunity_Ext__c":"d1","Amount":5,"NextStep":"Call","Description":"keep"}`)
	id := g.open("Opportunity", "upsert", "Opportunity_Ext__c")
	g.put(id, strings.Join([]string{
		"Opportunity_Ext__c,Name,StageName,CloseDate,Amount,NextStep,Description,Account.Account_Ext__c,Synced_At__c,Removed__c",
		`d1,"New, ""one""",Closed Won,,10.50,#N/A,,P,2026-03-01T13:00:00+01:00,TRUE`,
		"d2,Two,Prospecting,2026-04-01,x,,,,,",
		"d3,Three,Prospecting,2026-04-01,1,,,nobody,,",
		"d4,Four,Prospecting,2026-04-01,007.0,,,#N/A,,", "",
	}, "\n")).wants(201)
	g.set(id, "UploadComplete").wants(200)
	if in := g.job(id); in.State != "JobComplete" || in.NumberRecordsProcessed != 4 || in.NumberRecordsFailed != 3 {
		t.Fatalf("job %+v", in)
	}
	got := g.one("Opportunity", "Opportunity_Ext__c", "d1")
	for name, want := range map[string]any{"Name": `New, "one"`, "StageName": "Closed Won", "CloseDate": "2026-03-01", "Amount": 10.5, "NextStep": nil,
		"Description": "keep", "AccountId": makeID("001", 1), "Synced_At__c": "2026-03-01T12:00:00.000+0000", "Removed__c": true} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	done := rowsOf(t, g.do("GET", "/jobs/ingest/"+id+"/successfulResults", "").wants(200).body)
	if want := makeID("006", 1) + `|false|d1|New, "one"|Closed Won||10.5|||P|2026-03-01T12:00:00.000Z|true`; strings.Join(done[1], "|") != want || strings.Join(done[0][:3], "|") != "sf__Id|sf__Created|Opportunity_Ext__c" {
		t.Errorf("result\n%s, want\n%s", strings.Join(done[1], "|"), want)
	}
	failed := g.do("GET", "/jobs/ingest/"+id+"/failedResults", "").wants(200).body
	for _, says := range []string{`"","INVALID_TYPE_ON_FIELD_IN_RECORD:Amount: value not of required type: x:Amount --","d2"`,
		`"","INVALID_FIELD:Foreign key external ID: nobody not found for field Account_Ext__c in entity Account: --","d3"`,
		`value not of required type: 007.0`} {
		if !strings.Contains(failed, says) {
			t.Errorf("failed\n%s, want it to say %s", failed, says)
		}
	}
}

func TestBulkResultsAreInNoOrder(t *testing.T) {
	g := newOrg(t, Options{Seed: 3})
	var b strings.Builder
	b.WriteString("Account_Ext__c,Name\n")
	for i := range 100 {
		fmt.Fprintf(&b, "k%03d,N\n", i)
	}
	b.WriteString("K001,twice\n")
	id := g.open("Account", "upsert", "Account_Ext__c")
	g.put(id, b.String()).wants(201)
	g.set(id, "UploadComplete").wants(200)
	if in := g.job(id); in.NumberRecordsFailed != 2 {
		t.Errorf("job %+v: a key twice refuses both", in)
	}
	done := rowsOf(t, g.do("GET", "/jobs/ingest/"+id+"/successfulResults", "").wants(200).body)[1:]
	sorted := true
	for i := 1; i < len(done); i++ {
		sorted = sorted && done[i-1][2] < done[i][2]
	}
	if len(done) != 99 || sorted {
		t.Errorf("%d rows, in order: %v", len(done), sorted)
	}
}

func TestBulkOperations(t *testing.T) {
	g := newOrg(t, Options{})
	a, b := g.make("Account", `{"Name":"A"}`), g.make("Account", `{"Name":"B"}`)
	if failed := g.bulk("Account", "update", "", "Id,Name\n"+a+",Changed\n,X\n"); !strings.Contains(failed, "MISSING_ARGUMENT") {
		t.Errorf("update: %s", failed)
	}
	g.do("GET", "/sobjects/Account/"+a, "").wants(200, `"Name":"Changed"`)
	if failed := g.bulk("Account", "delete", "", "Id\n"+b+"\n"+b+"\n"); !strings.Contains(failed, "ENTITY_IS_DELETED") || g.Count("Account") != 1 {
		t.Errorf("delete: %s", failed)
	}
	if g.bulk("Account", "hardDelete", "", "Id\n"+a+"\n"); g.Count("Account") != 0 {
		t.Error("hardDelete left a record")
	}
	lead := "LastName,Company,Status,OwnerId\nL,C,Working - Contacted," + makeID("005", 4) + "\n"
	g.bulk("Lead", "insert", "", lead)
	if got := string(g.Records("Lead", 1)[0].Fields["OwnerId"]); got != `"`+makeID("005", 4)+`"` {
		t.Errorf("owner %s: without assignmentRuleId no rule runs", got)
	}
}

func TestBulkFilesThatCannotBeRead(t *testing.T) {
	g := newOrg(t, Options{})
	for data, says := range map[string]string{
		"Nmae\nA\n":                      "InvalidBatch : Field name not found : Nmae",
		"Name,Parent.Name\nA,B\n":        "Field name not found : Parent.Name",
		"Name,Owner:Parent.Id\nA,B\n":    "Field name not found : Owner:Parent.Id",
		"Name,User:Owner.Username\nA,\n": "",
		"Name\r\nA\r\n":                  "LineEnding is invalid on user data. Current LineEnding setting is LF",
		"Name\nA,B\n":                    "the file is no CSV",
		"":                               "the file is no CSV",
	} {
		id := g.open("Account", "insert", "")
		g.put(id, data).wants(201)
		g.set(id, "UploadComplete").wants(200)
		in := g.job(id)
		if want := map[bool]string{true: "JobComplete", false: "Failed"}[says == ""]; in.State != want || !strings.Contains(in.ErrorMessage, says) {
			t.Errorf("%q: %+v, want %s %s", data, in, want, says)
		}
		g.do("GET", "/jobs/ingest/"+id+"/unprocessedrecords", "").wants(200)
	}
	id := g.open("Account", "insert", "", `,"lineEnding":"CRLF","columnDelimiter":"SEMICOLON"`)
	g.put(id, "Name;Website\r\nA;a,b\r\n").wants(201)
	g.set(id, "UploadComplete").wants(200)
	if got := g.do("GET", "/jobs/ingest/"+id+"/successfulResults", "").wants(200).body; !strings.HasSuffix(got, "\"A\";\"a,b\"\r\n") {
		t.Errorf("results %q", got)
	}
	id = g.open("Account", "insert", "")
	g.set(id, "UploadComplete").wants(200, "Unable to find any data to create batch", `"state":"Failed"`)
	id = g.open("Account", "insert", "")
	g.put(id, "Name\nA\n").wants(201)
	g.set(id, "Aborted").wants(200)
	if got := g.do("GET", "/jobs/ingest/"+id+"/unprocessedrecords", "").wants(200).body; got != "\"Name\"\n\"A\"\n" {
		t.Errorf("unprocessed of a job that never began: %q", got)
	}
	id = g.open("Account", "insert", "")
	g.set(id, "Aborted").wants(200)
	g.do("GET", "/jobs/ingest/"+id+"/unprocessedrecords", "").wants(200)
}

func TestBulkJobsThatCannotBeMade(t *testing.T) {
	g := newOrg(t, Options{})
	for body, says := range map[string]string{
		`{"object":"Nope","operation":"insert"}`:                                    "Unknown object Nope",
		`{"object":"Account","operation":"merge"}`:                                  "Unknown operation merge",
		`{"object":"Account","operation":"upsert"}`:                                 "External ID was blank for Account. An External ID must be specified for upsert.",
		`{"object":"Account","operation":"upsert","externalIdFieldName":"Website"}`: "Field name provided, Website does not match an External ID, Salesforce Id, or indexed field for Account",
		`{"object":"Account","operation":"insert","contentType":"JSON"}`:            "Unsupported content type JSON",
		`{"object":"Account","operation":"insert","lineEnding":"CR"}`:               "Unknown line ending CR",
		`{"object":"Account","operation":"insert","columnDelimiter":"DOT"}`:         "Unknown column delimiter DOT",
	} {
		g.do("POST", "/jobs/ingest", body).wants(400, "INVALIDJOB", "InvalidJob : ", says)
	}
	g.do("GET", "/jobs/ingest/7505g0000000000AAA", "").wants(404)
	g.do("GET", "/jobs/query", "").wants(404)
	g.do("POST", "/jobs/ingest", "[").wants(400, "JSON_PARSER_ERROR")
	g.do("PUT", "/jobs/ingest", "").wants(405)
	id := g.open("Account", "insert", "")
	g.do("PATCH", "/jobs/ingest/"+id, "[").wants(400, "JSON_PARSER_ERROR")
	g.do("GET", "/jobs/ingest/"+id+"/results", "").wants(404)
	g.do("POST", "/jobs/ingest/"+id, "").wants(405)
	g.do("GET", "/jobs/ingest/"+id+"/batches", "").wants(405)
}
