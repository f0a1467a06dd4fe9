package restapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is the API under test, with a clock that is moved by hand.
type desk struct {
	*Server
	t      *testing.T
	now    time.Time
	header http.Header
}

func newDesk(t *testing.T, o Options) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 1, 30, 9, 0, 0, 0, time.UTC), header: http.Header{}}
	o.Now = func() time.Time { return d.now }
	var err error
	if d.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	return d
}

// got is an answer, read.
type got struct {
	header http.Header
	text   string
	fields map[string]json.RawMessage
	ID     string
	Items  []map[string]json.RawMessage
	Total  int
	Errors []problem
	Result []bulkItem `json:"results"`
}

// ask makes a call and wants a status.
func (d *desk) ask(method, path, body string, status int) got {
	d.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	req.Header = d.header.Clone()
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, req)
	if rec.Code != status {
		d.t.Fatalf("%s %s: status %d, want %d: %s", method, path, rec.Code, status, rec.Body)
	}
	g := got{header: rec.Header(), text: rec.Body.String()}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &g.fields); err != nil {
			d.t.Fatalf("%v: %s", err, rec.Body)
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &g); err != nil {
			d.t.Fatalf("%v: %s", err, rec.Body)
		}
	}
	return g
}

// codes are the errors of an answer, as field:code.
func (g got) codes() string {
	var out []string
	for _, e := range g.Errors {
		if e.Message == "" {
			out = append(out, "no message")
		}
		out = append(out, strings.Trim(e.Field+":"+e.Code, ":"))
	}
	return strings.Join(out, " ")
}

func TestRecords(t *testing.T) {
	d := newDesk(t, Options{})
	made := d.ask("POST", "/deals", `{"name":"A","amount":12345678901234567890.05,"ref":"k1"}`, 201)
	if made.ID == "" || string(made.fields["amount"]) != "12345678901234567890.05" || string(made.fields["created_at"]) != `"2026-01-30T09:00:00Z"` {
		t.Fatalf("answer %s", made.text)
	}
	// There is no upsert: what is posted again is there twice.
	again := d.ask("POST", "/deals", `{"name":"A","ref":"k1"}`, 201)
	if again.ID == made.ID || d.Count("deals") != 2 {
		t.Fatalf("id %s again, %d deals", again.ID, d.Count("deals"))
	}
	d.now = d.now.Add(time.Hour)
	patched := d.ask("PATCH", "/deals/"+made.ID, `{"name":null}`, 200)
	if string(patched.fields["name"]) != "null" || string(patched.fields["ref"]) != `"k1"` || string(patched.fields["updated_at"]) != `"2026-01-30T10:00:00Z"` {
		t.Errorf("answer %s", patched.text)
	}
	put := d.ask("PUT", "/deals/"+made.ID, `{"name":"B"}`, 200)
	if _, ok := put.fields["ref"]; ok || string(put.fields["name"]) != `"B"` {
		t.Errorf("answer %s", put.text)
	}
	if g := d.ask("GET", "/deals/"+made.ID, "", 200); g.text != put.text {
		t.Errorf("answer %s", g.text)
	}
	d.ask("DELETE", "/deals/"+made.ID, "", 204)
	for _, method := range []string{"GET", "DELETE", "PATCH", "PUT"} {
		if g := d.ask(method, "/deals/"+made.ID, "{}", 404); g.codes() != "not_found" {
			t.Errorf("%s: %s", method, g.text)
		}
	}
	for _, body := range []string{"", "[]", "null", "{}{}", "nonsense"} {
		if g := d.ask("POST", "/deals", body, 400); g.codes() != "bad_json" {
			t.Errorf("%q: %s", body, g.text)
		}
	}
	d.ask("PATCH", "/deals/"+again.ID, "null", 400)
	d.ask("GET", "/a/b/c", "", 404)
	d.ask("POST", "/deals/"+again.ID, "{}", 404)
}

func TestSearch(t *testing.T) {
	d := newDesk(t, Options{})
	for i, ref := range []string{`"x"`, `"y"`, `7`, `"7"`, `null`, `true`} {
		d.ask("POST", "/deals", fmt.Sprintf(`{"ref":%s,"n":%d}`, ref, i), 201)
	}
	for query, want := range map[string]string{
		"ref=x": "0", "ref=7": "23", "ref=true": "5", "ref=": "", "ref=null": "4", "ref=x&n=1": "", "ref=7&n=3": "3",
		"": "012345", "limit=2&offset=1": "12", "offset=9": "", "id=deals-000002": "1", "other=x": "",
	} {
		got := ""
		g := d.ask("GET", "/deals?"+query, "", 200)
		for _, r := range g.Items {
			got += string(r["n"])
		}
		if got != want {
			t.Errorf("%s finds %s, want %s", query, got, want)
		}
	}
	if g := d.ask("GET", "/deals?limit=2", "", 200); g.Total != 6 || len(g.Items) != 2 {
		t.Errorf("answer %s", g.text)
	}
	if g := d.ask("GET", "/nothing", "", 200); g.text != `{"items":[],"total":0}` {
		t.Errorf("answer %s", g.text)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "offset=-1"} {
		if g := d.ask("GET", "/deals?"+query, "", 400); !strings.Contains(g.codes(), "bad_parameter") {
			t.Errorf("%s: %s", query, g.text)
		}
	}
}

// A client that looks for a record just after it made it may not find it.
func TestSearchLag(t *testing.T) {
	d := newDesk(t, Options{SearchLag: 5 * time.Second})
	id := d.ask("POST", "/deals", `{"ref":"x"}`, 201).ID
	d.now = d.now.Add(5*time.Second - 1)
	if g := d.ask("GET", "/deals?ref=x", "", 200); g.Total != 0 {
		t.Errorf("found too soon: %s", g.text)
	}
	d.ask("GET", "/deals/"+id, "", 200) // by its id it is found at once
	d.now = d.now.Add(1)
	if g := d.ask("GET", "/deals?ref=x", "", 200); g.Total != 1 {
		t.Errorf("not found: %s", g.text)
	}
}

func ruled() map[string]Rules {
	return map[string]Rules{"deals": {
		Required: []string{"name"}, Unique: []string{"ref"}, Length: map[string]int{"name": 3}, Numbers: []string{"amount"},
		Fields: []string{"name", "ref", "amount"},
	}}
}

func TestRules(t *testing.T) {
	d := newDesk(t, Options{Collections: ruled()})
	first := d.ask("POST", "/deals", `{"name":"äöü","ref":"x","amount":-1.5e3}`, 201).ID
	for body, want := range map[string]string{
		`{}`:                                  "name:required",
		`{"name":""}`:                         "name:required",
		`{"name":"long"}`:                     "name:too_long",
		`{"name":"a","amount":"1"}`:           "amount:not_a_number",
		`{"name":"a","amount":{}}`:            "amount:not_a_number",
		`{"name":"a","colour":"red"}`:         "colour:unknown_field",
		`{"name":"a","id":"5"}`:               "id:read_only",
		`{"amount":true,"name":"long","x":1}`: "amount:not_a_number name:too_long x:unknown_field",
	} {
		if g := d.ask("POST", "/deals", body, 422); g.codes() != want {
			t.Errorf("%s: %s, want %s", body, g.codes(), want)
		}
	}
	if g := d.ask("POST", "/deals", `{"name":"a","ref":"x"}`, 409); g.codes() != "ref:duplicate" || !strings.Contains(g.Errors[0].Message, first) {
		t.Errorf("answer %s", g.text)
	}
	second := d.ask("POST", "/deals", `{"name":"a","ref":null,"amount":null}`, 201).ID
	d.ask("POST", "/deals", `{"name":"a","ref":null}`, 201) // what is empty is not unique
	d.ask("PATCH", "/deals/"+second, `{"ref":"x"}`, 409)
	d.ask("PATCH", "/deals/"+second, `{"name":null}`, 422)
	d.ask("PUT", "/deals/"+second, `{"ref":"y"}`, 422) // the name would go
	d.ask("PATCH", "/deals/"+first, `{"ref":"z"}`, 200)
	d.ask("PATCH", "/deals/"+second, `{"ref":"x"}`, 200) // x is free now
	d.ask("PATCH", "/deals/"+second, `{"ref":"x"}`, 200) // and its own
	d.ask("DELETE", "/deals/"+first, "", 204)
	d.ask("POST", "/deals", `{"name":"a","ref":"z"}`, 201) // so is z
	for _, method := range []string{"GET", "POST"} {
		d.ask(method, "/others", "{}", 404)
	}
	d.ask("POST", "/others/bulk", "{}", 404)
	d.ask("GET", "/others/1", "", 404)
}

func TestBulk(t *testing.T) {
	d := newDesk(t, Options{Collections: ruled()})
	g := d.ask("POST", "/deals/bulk", `{"items":[{"name":"a","ref":"1"},{"name":"long"},{"name":"b","ref":"1"},7,{"name":"c"}]}`, 207)
	var got []string
	for _, r := range g.Result {
		code := ""
		if len(r.Errors) > 0 {
			code = r.Errors[0].Code
		}
		got = append(got, fmt.Sprint(r.Status, code, r.ID != ""))
	}
	if want := []string{"201true", "422too_longfalse", "409duplicatefalse", "400bad_jsonfalse", "201true"}; !slices.Equal(got, want) {
		t.Errorf("results %v, want %v", got, want)
	}
	if d.Count("deals") != 2 {
		t.Errorf("%d deals", d.Count("deals"))
	}
	d.ask("POST", "/deals/bulk", `{"items":[{"name":"d"}]}`, 200)
	for _, n := range []int{0, maxBulk + 1} {
		d.ask("POST", "/deals/bulk", `{"items":[`+strings.TrimSuffix(strings.Repeat(`{},`, n), ",")+`]}`, 400)
	}
	d.ask("POST", "/deals/bulk", `{"records":[]}`, 400)
}

func TestRate(t *testing.T) {
	d := newDesk(t, Options{PerSecond: 2})
	d.ask("GET", "/deals", "", 200)
	d.now = d.now.Add(300 * time.Millisecond)
	d.ask("GET", "/deals", "", 200)
	if g := d.ask("GET", "/deals", "", 429); g.codes() != "rate_limit" || g.header.Get("Retry-After") != "1" {
		t.Errorf("answer %s %v", g.text, g.header)
	}
	d.now = d.now.Add(700 * time.Millisecond)
	d.ask("GET", "/deals", "", 200)
	d.ask("GET", "/deals", "", 429)
}

func TestForPeople(t *testing.T) {
	d := newDesk(t, Options{})
	a := d.ask("POST", "/deals", `{"n":1}`, 201).ID
	b := d.ask("POST", "/deals", `{"n":2}`, 201).ID
	d.ask("PATCH", "/deals/"+a, `{"n":3}`, 200)
	d.header.Set("webhook-id", "e1")
	d.ask("POST", "/hooks/won", `{"x":1}`, 204)
	if got := d.Objects(); !slices.Equal(got, []string{"deals", "hooks/won"}) {
		t.Errorf("objects %v", got)
	}
	rows := d.Records("deals", 0)
	if len(rows) != 2 || rows[0].ID != a || string(rows[0].Fields["n"]) != "3" || rows[1].ID != b {
		t.Errorf("rows %+v", rows)
	}
	if rows := d.Records("deals", 1); len(rows) != 1 {
		t.Errorf("rows %+v", rows)
	}
	if rows := d.Records("hooks/won", 0); len(rows) != 1 || rows[0].ID != "e1" || string(rows[0].Fields["payload"]) != `{"x":1}` || d.Count("hooks/won") != 1 {
		t.Errorf("rows %+v", rows)
	}
	if d.Count("won") != 0 || d.Count("hooks/deals") != 0 || len(d.Records("none", 0)) != 0 {
		t.Error("a hook is no collection, nor the other way round")
	}
	if got, want := d.Calls(), map[string]int64{"create": 2, "update": 1, "hook": 1}; !maps.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	d.Reset()
	if len(d.Objects()) != 0 || len(d.Calls()) != 0 {
		t.Errorf("after Reset: %v", d.Objects())
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, Options{})
	d.SetRefusals(func(object string, fields map[string]json.RawMessage) *sim.Refusal {
		if object != "deals" || string(fields["ref"]) == `"good"` {
			return nil
		}
		return &sim.Refusal{Code: "locked", Message: "later", Retryable: string(fields["ref"]) == `"later"`}
	})
	d.Reset()
	d.ask("POST", "/deals", `{"ref":"good"}`, 201)
	if g := d.ask("POST", "/deals", `{"ref":"bad"}`, 422); g.codes() != "locked" {
		t.Errorf("answer %s", g.text)
	}
	d.ask("POST", "/deals", `{"ref":"later"}`, 503)
	d.ask("POST", "/contacts", `{"ref":"bad"}`, 201)
}

func TestBodyTooLarge(t *testing.T) {
	d := newDesk(t, Options{})
	d.ask("POST", "/deals", `{"x":"`+strings.Repeat("x", maxBody)+`"}`, 413)
}

// An answer is written after the lock is given back: what it says must not change meanwhile.
func TestAnswersAreOfOneMoment(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.ask("POST", "/deals", `{"a":0,"b":0}`, 201).ID
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				req := httptest.NewRequest("PATCH", "/deals/"+id, strings.NewReader(fmt.Sprintf(`{"a":%d,"b":%d}`, i, i)))
				rec := httptest.NewRecorder()
				d.ServeHTTP(rec, req)
				var r struct{ A, B int }
				if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil || r.A != i || r.B != i {
					t.Errorf("%v: %s", err, rec.Body)
				}
			}
		})
	}
	all.Wait()
}
