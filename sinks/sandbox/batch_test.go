package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

func TestUpsertMergesFieldsAndKeepsNull(t *testing.T) {
	s := New(Options{})
	first := call(t, s, "POST", "/crm/batch", upsert(`"1"`, `{"Name":"A","Amount":10.50,"Notes":"long"}`, "5-0"))
	wantOK(t, first)
	second := call(t, s, "POST", "/crm/batch", upsert(`1`, `{"Amount":null,"Name":"B"}`, "7-2"))
	wantOK(t, second)
	if first.results[0].ID == "" || first.results[0].ID != second.results[0].ID {
		t.Fatalf("ids %q and %q, want one id that is not empty", first.results[0].ID, second.results[0].ID)
	}
	o, ok := s.Objects("crm", "Opportunity")["1"]
	if !ok {
		t.Fatalf("no object 1: the keys 1 and \"1\" must be the same")
	}
	for field, want := range map[string]string{"Name": `"B"`, "Amount": `null`, "Notes": `"long"`} {
		if got, ok := o.Fields[field]; !ok || string(got) != want {
			t.Errorf("%s is %s (there: %v), want %s", field, got, ok, want)
		}
	}
	if o.Version != 2 || o.Position != (cdc.Position{LSN: 7, Ordinal: 2}) {
		t.Errorf("version %d at %s, want 2 at 7-2", o.Version, o.Position)
	}
}

func TestDeleteAndArchive(t *testing.T) {
	s := New(Options{})
	record := func(op, key string) string {
		return fmt.Sprintf(`{"object":"Contact","records":[{"op":%q,"key":{"Id":%q},"fields":{}}]}`, op, key)
	}
	for _, key := range []string{"a", "b"} {
		wantOK(t, call(t, s, "POST", "/crm/batch", record("upsert", key)))
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", record("archive", "a")))
	wantOK(t, call(t, s, "POST", "/crm/batch", record("delete", "b")))
	wantOK(t, call(t, s, "POST", "/crm/batch", record("delete", "never there")))
	wantOK(t, call(t, s, "POST", "/crm/batch", record("archive", "never there")))

	objects := s.Objects("crm", "Contact")
	if len(objects) != 1 || !objects["a"].Archived {
		t.Fatalf("objects %v, want a alone and archived", objects)
	}
	if live := s.Fields("crm", "Contact"); len(live) != 0 {
		t.Fatalf("live objects %v, want none", live)
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", record("upsert", "a")))
	if live := s.Fields("crm", "Contact"); len(live) != 1 {
		t.Fatalf("an upsert must take an archived object back; live are %v", live)
	}
}

func TestResultsAreInOrderAndMixedIs207(t *testing.T) {
	s := New(Options{})
	a := call(t, s, "POST", "/crm/batch", `{"object":"Lead","records":[
		{"op":"upsert","key":{"Id":"1"},"fields":{"A":1},"position":"1-0"},
		{"op":"merge","key":{"Id":"2"}},
		{"op":"upsert","key":{},"fields":{}},
		{"op":"upsert","key":{"Id":null},"fields":{}},
		{"op":"upsert","key":{"Id":"5"},"position":"nonsense"},
		{"op":"upsert","key":{"Id":"6","Part":2},"fields":{"A":6},"position":"1-2"}]}`)
	wantStatus(t, a, http.StatusMultiStatus)
	var codes []string
	for _, r := range a.results {
		codes = append(codes, fmt.Sprintf("%v:%s", r.OK, r.Code))
	}
	want := "true: false:INVALID_OP false:MISSING_KEY false:INVALID_KEY false:INVALID_POSITION true:"
	if got := strings.Join(codes, " "); got != want {
		t.Fatalf("results\n%s, want\n%s", got, want)
	}
	objects := s.Objects("crm", "Lead")
	if len(objects) != 2 || objects["1"].ID == "" || objects[`{"Id":"6","Part":2}`].ID == "" {
		t.Fatalf("objects %v, want the two that were accepted", objects)
	}
	if st := s.Stats()["crm"]; st.Records != 6 || st.Refused != 4 || st.Upserts != 2 || st.Requests != 1 || st.Bytes == 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestBadRequests(t *testing.T) {
	s := New(Options{Apps: map[string]App{"crm": {MaxRecords: 1}}})
	two := `{"object":"Lead","records":[{"op":"delete","key":{"Id":"1"}},{"op":"delete","key":{"Id":"2"}}]}`
	for name, c := range map[string]struct {
		path, body, says string
		status           int
	}{
		"unknown app":   {"/billing/batch", upsert("1", "{}", "1-0"), "there are crm", 404},
		"not json":      {"/crm/batch", `{"object":`, "read request", 400},
		"no object":     {"/crm/batch", `{"records":[]}`, "object is empty", 400},
		"unknown field": {"/crm/batch", `{"object":"A","recordz":[]}`, "recordz", 400},
		"too many":      {"/crm/batch", two, "2 records, at most 1", 400},
		"too large":     {"/crm/batch", strings.Repeat(" ", maxBodyBytes+1), "too large", 413},
	} {
		t.Run(name, func(t *testing.T) {
			a := call(t, s, "POST", c.path, c.body)
			wantStatus(t, a, c.status)
			if !strings.Contains(a.body, c.says) {
				t.Errorf("body %s, want it to say %q", a.body, c.says)
			}
		})
	}
	if st := s.Stats()["crm"]; st.BadRequests != 5 || st.Records != 0 {
		t.Errorf("stats %+v, want 5 bad requests and no record", st)
	}
}

func TestToken(t *testing.T) {
	s := New(Options{Apps: map[string]App{"crm": {Token: "s3cret"}}})
	for header, want := range map[string]int{"": 401, "Bearer wrong": 401, "s3cret": 401, "Bearer s3cret": 200} {
		req := httptest.NewRequest("POST", "/crm/batch", strings.NewReader(upsert("1", "{}", "1-0")))
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("authorization %q: status %d, want %d", header, rec.Code, want)
		}
		if strings.Contains(rec.Body.String(), "s3cret") {
			t.Errorf("the answer holds the token: %s", rec.Body)
		}
	}
	if got := s.Stats()["crm"].Unauthorized; got != 3 {
		t.Errorf("unauthorized %d, want 3", got)
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1_000, 0)
	s := New(Options{
		Apps: map[string]App{"crm": {RequestsPerSecond: 0.5, Burst: 2}},
		Now:  func() time.Time { return now },
	})
	post := func() answer { return call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")) }
	wantOK(t, post())
	wantOK(t, post())
	third := post()
	wantStatus(t, third, http.StatusTooManyRequests)
	if got := third.header.Get("Retry-After"); got != "2" {
		t.Fatalf("Retry-After %q, want 2: one token takes two seconds", got)
	}
	now = now.Add(1999 * time.Millisecond)
	wantStatus(t, post(), http.StatusTooManyRequests)
	now = now.Add(time.Millisecond)
	wantOK(t, post())
	now = now.Add(time.Hour)
	wantOK(t, post())
	wantOK(t, post())
	wantStatus(t, post(), http.StatusTooManyRequests)
	if st := s.Stats()["crm"]; st.Throttled != 3 || st.Records != 5 {
		t.Fatalf("stats %+v, want 3 throttled and 5 records", st)
	}
}

func TestHistoryTellsWhatWentBackwards(t *testing.T) {
	s := New(Options{History: 6})
	for _, step := range []struct{ key, position string }{
		{"1", "5-0"}, {"2", "9-0"}, {"1", "5-0"}, {"1", "5-2"}, {"2", "8-4"},
	} {
		wantOK(t, call(t, s, "POST", "/crm/batch", upsert(step.key, "{}", step.position)))
	}
	if got := len(s.History("crm", "Opportunity")["1"]); got != 3 {
		t.Errorf("history of 1 has %d entries, want 3", got)
	}
	want := "crm/Opportunity 2: upsert at 8-4 after upsert at 9-0"
	if got := s.Backwards(); len(got) != 1 || got[0] != want {
		t.Errorf("backwards %q, want %q alone", got, want)
	}
	if got := s.Stats()["crm"].HistoryLost; got != 0 {
		t.Fatalf("lost %d entries below the bound", got)
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", upsert("3", "{}", "10-0")))
	wantOK(t, call(t, s, "POST", "/crm/batch", upsert("3", "{}", "11-0")))
	if got := s.Stats()["crm"].HistoryLost; got != 1 {
		t.Errorf("lost %d entries, want 1 beyond the bound", got)
	}
	s.Reset()
	if len(s.History("crm", "Opportunity")) != 0 || len(s.Objects("crm", "Opportunity")) != 0 || s.Stats()["crm"] != (Stats{}) {
		t.Error("reset left something behind")
	}
}
