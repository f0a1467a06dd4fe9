package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFaultsOverHTTP(t *testing.T) {
	s := New(Options{})
	a := call(t, s, "POST", "/_faults", `{"faults":[
		{"kind":"status","app":"crm","status":429,"retry_after":"2s","times":3},
		{"kind":"hang","object":"Lead","delay":"250ms","after":true,"times":-1,"rate":0.5},
		{"kind":"refuse","refusal":{"field":"Id","value":"7","code":"BAD","retryable":true}}]}`)
	wantStatus(t, a, 200)
	want := []Fault{
		{Kind: Status, App: "crm", Status: 429, RetryAfter: 2 * time.Second, Times: 3},
		{Kind: Hang, Object: "Lead", Delay: 250 * time.Millisecond, After: true, Times: Forever, Rate: 0.5},
		{Kind: Refuse, Times: 1, Refusal: &Refusal{Field: "Id", Value: json.RawMessage(`"7"`), Code: "BAD", Retryable: true}},
	}
	if got := s.Faults(); !reflect.DeepEqual(got, want) {
		t.Fatalf("faults\n%+v, want\n%+v", got, want)
	}
	// What it lists can be posted back, in place of what is there.
	again := strings.Replace(call(t, s, "GET", "/_faults", "").body, `{"faults"`, `{"clear":true,"faults"`, 1)
	wantStatus(t, call(t, s, "POST", "/_faults", again), 200)
	if got := s.Faults(); !reflect.DeepEqual(got, want) {
		t.Fatalf("after a round trip\n%+v, want\n%+v", got, want)
	}
	for body, says := range map[string]string{
		`{"faults":[{"kind":"hang"},{"kind":"status","status":9}]}`: "faults[1]: status 9",
		`{"faults":[{"kind":"delay","delay":"soon"}]}`:              `delay \"soon\"`,
		`{"faultz":[]}`: "faultz",
	} {
		a := call(t, s, "POST", "/_faults", body)
		if a.status != 400 || !strings.Contains(a.body, says) {
			t.Errorf("%s: %d %s, want 400 saying %s", body, a.status, a.body, says)
		}
	}
	wantStatus(t, call(t, s, "POST", "/_reset", ""), 200)
	if got := s.Faults(); len(got) != 0 {
		t.Errorf("reset left the faults %+v", got)
	}
}

func TestObjectsAndStatsOverHTTP(t *testing.T) {
	s := New(Options{})
	for _, key := range []string{"b", "a", "c"} {
		wantOK(t, call(t, s, "POST", "/crm/batch", upsert(fmt.Sprintf("%q", key), `{"Amount":12345678901234567.89}`, "3-4")))
	}
	a := call(t, s, "GET", "/crm/objects/Opportunity", "")
	wantStatus(t, a, 200)
	var list []struct {
		KeyText  string `json:"key_text"`
		Position string
		Fields   map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].KeyText != "a" || list[2].KeyText != "c" || list[1].Position != "3-4" {
		t.Fatalf("objects %+v, want a, b, c at 3-4", list)
	}
	if got := string(list[0].Fields["Amount"]); got != "12345678901234567.89" {
		t.Errorf("amount %s lost digits", got)
	}
	wantStatus(t, call(t, s, "GET", "/nobody/objects/Opportunity", ""), 404)
	var stats map[string]Stats
	if err := json.Unmarshal([]byte(call(t, s, "GET", "/_stats", "").body), &stats); err != nil {
		t.Fatal(err)
	}
	if stats["crm"].Upserts != 3 || stats["crm"].Objects != 3 || stats["forecast"] != (Stats{}) {
		t.Errorf("stats %+v", stats)
	}
}

func TestPage(t *testing.T) {
	s := New(Options{})
	for i := range newestShown + 5 {
		wantOK(t, call(t, s, "POST", "/crm/batch", upsert(fmt.Sprint(i), `{}`, "1-0")))
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", upsert("2", `{}`, "2-0")))
	for path, kind := range map[string]string{"/": "text/html", "/_page.js": "text/javascript", "/_page.css": "text/css"} {
		a := call(t, s, "GET", path, "")
		wantStatus(t, a, 200)
		if !strings.HasPrefix(a.header.Get("Content-Type"), kind) || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: headers %v", path, a.header)
		}
	}
	if js := call(t, s, "GET", "/_page.js", "").body; strings.Contains(js, "innerHTML") {
		t.Error("the page makes markup of text")
	}
	var sum []appSummary
	if err := json.Unmarshal([]byte(call(t, s, "GET", "/_summary", "").body), &sum); err != nil {
		t.Fatal(err)
	}
	o := sum[1].Objects
	if sum[0].App != "commission" || sum[1].App != "crm" || len(o) != 1 || o[0].Count != newestShown+5 {
		t.Fatalf("summary %+v", sum)
	}
	var keys []string
	for _, n := range o[0].Newest {
		keys = append(keys, n.KeyText)
	}
	if got, want := strings.Join(keys, " "), "2 12 11 10 9 8 7 6"; got != want {
		t.Errorf("newest %s, want %s", got, want)
	}
}

func TestAnotherOriginMayNotReset(t *testing.T) {
	s := New(Options{})
	req := httptest.NewRequest("POST", "/_reset", nil)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	if rec.Code != 403 {
		t.Errorf("status %d, want 403", rec.Code)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	s := New(Options{History: 1_000})
	inject(t, s, Fault{Kind: Refuse, Times: 50, Refusal: &Refusal{Code: "NO"}})
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 50 {
				call(t, s, "POST", "/crm/batch", upsert(fmt.Sprint(i), `{"By":1}`, fmt.Sprintf("%d-%d", i, c)))
				call(t, s, "GET", "/_summary", "")
			}
		})
	}
	wg.Wait()
	st := s.Stats()["crm"]
	if st.Requests != 400 || st.Refused != 50 || st.Upserts != 350 {
		t.Errorf("stats %+v, want 400 requests, 50 refused, 350 upserts", st)
	}
	versions := 0
	for _, o := range s.Objects("crm", "Opportunity") {
		versions += o.Version
	}
	if versions != 350 {
		t.Errorf("versions sum to %d, want 350", versions)
	}
}
