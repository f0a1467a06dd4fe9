package captivateiq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root  = "/ciq/v1/data-worksheets/"
	deals = root + "7f0c1f5e-3b0a-4f57-9d0e-5a1d7c3e0001/"
)

// desk is an organization under test, with a clock that is moved by hand.
type desk struct {
	*Server
	t     *testing.T
	now   time.Time
	token string
}

func newDesk(t *testing.T, o Options) *desk {
	d := &desk{t: t, now: time.Date(2026, 1, 30, 9, 0, 0, 0, time.UTC), token: "Token secret"}
	o.Now = func() time.Time { return d.now }
	d.Server = New(o)
	return d
}

// ask makes a call and wants a status.
func (d *desk) ask(method, path, body string, status int) *httptest.ResponseRecorder {
	d.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	if d.token != "" {
		req.Header.Set("Authorization", d.token)
	}
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, req)
	if rec.Code != status {
		d.t.Fatalf("%s %s: status %d, want %d: %s", method, path, rec.Code, status, rec.Body)
	}
	return rec
}

// batch wants an answer to a batch word for word.
func (d *desk) batch(upserts, deletes string, status int, want string) {
	d.t.Helper()
	rec := d.ask("POST", deals+"records/batch/", `{"upserts":[`+upserts+`],"deletes":[`+deletes+`]}`, status)
	if rec.Body.String() != want {
		d.t.Fatalf("answer %s\nwant   %s", rec.Body, want)
	}
}

// cell gives a value of a record as its JSON.
func (d *desk) cell(unique, column string) string {
	d.t.Helper()
	var r wireRecord
	if err := json.Unmarshal(d.ask("GET", deals+"records/"+unique+"/", "", 200).Body.Bytes(), &r); err != nil {
		d.t.Fatal(err)
	}
	return string(r.Data[column])
}

func TestBatch(t *testing.T) {
	d := newDesk(t, Options{})
	d.batch(`{"Deal ID":"a","Amount":12345678901234567890.05,"Deal Name":"A"},{"Deal ID":"b","Amount":"7.5"}`, ``, 200,
		`{"created":["a","b"],"updated":[],"deleted":[]}`)
	d.batch(`{"Deal ID":"a","Amount":null},{"Deal ID":"c"}`, `"b","nobody"`, 200,
		`{"created":["c"],"updated":["a"],"deleted":["b"]}`)
	if got := d.cell("a", "Amount") + d.cell("a", "Deal Name"); got != `null"A"` {
		t.Errorf("a holds %s", got)
	}
	d.ask("GET", deals+"records/b/", "", 404)
	d.batch(`{"Deal ID":"a","Amount":12345678901234567890.05,"Close Date":""}`, ``, 200, `{"created":[],"updated":["a"],"deleted":[]}`)
	if got := d.cell("a", "Amount") + d.cell("a", "Close Date"); got != `12345678901234567890.05null` {
		t.Errorf("a holds %s", got)
	}
	if got := d.Count("Deals"); got != 2 {
		t.Errorf("%d deals", got)
	}
}

// What is wrong with one record refuses the batch, and is told in the order of the records.
func TestBatchIsAllOrNothing(t *testing.T) {
	d := newDesk(t, Options{})
	d.batch(`{"Deal ID":"a"},{"Deal ID":"b","Amount":"much"},{"Deal ID":"c","Colour":"red"}`, ``, 400,
		`{"upserts":[{},{"Amount":["A valid number is required."]},{"Colour":["Column \"Colour\" does not exist in this worksheet."]}]}`)
	if got := d.Count("Deals"); got != 0 {
		t.Errorf("%d deals", got)
	}
	for _, tc := range []struct{ upserts, deletes, want string }{
		{`{"Amount":1}`, ``, `{"upserts":[{"Deal ID":["This field is required."]}]}`},
		{`{"Deal ID":null}`, ``, `{"upserts":[{"Deal ID":["This field is required."]}]}`},
		{`{"Deal ID":""}`, ``, `{"upserts":[{"Deal ID":["This field may not be blank."]}]}`},
		{`{"Deal ID":7}`, ``, `{"upserts":[{"Deal ID":["Not a valid string."]}]}`},
		{`{"Deal ID":"a","Commission":1}`, ``, `{"upserts":[{"Commission":["This column is read only."]}]}`},
		{`{"Deal ID":"a"},{"Deal ID":"a"}`, ``, `{"upserts":[{},{"Deal ID":["This unique ID is there more than once."]}]}`},
		{`{"Deal ID":"a"}`, `"a"`, `{"deletes":["A unique ID is there more than once."]}`},
		{``, `"a","a"`, `{"deletes":["A unique ID is there more than once."]}`},
		{strings.TrimSuffix(strings.Repeat(`{},`, maxBatch+1), ","), ``, `{"upserts":["Ensure this field has no more than 1000 elements."]}`},
		{``, strings.TrimSuffix(strings.Repeat(`"",`, maxBatch+1), ","), `{"deletes":["Ensure this field has no more than 1000 elements."]}`},
	} {
		d.batch(tc.upserts, tc.deletes, 400, tc.want)
	}
	for body, want := range map[string]string{
		`{"upserts":[]}`:                       `{"deletes":["This field is required."]}`,
		`{"deletes":[]}`:                       `{"upserts":["This field is required."]}`,
		`{"upserts":[],"deletes":[],"more":1}`: "JSON parse error",
		`{"upserts":[],"deletes":[]}{}`:        "JSON parse error",
		`nonsense`:                             "JSON parse error",
		`{"upserts":[],"deletes":[7]}`:         "JSON parse error",
	} {
		if rec := d.ask("POST", deals+"records/batch/", body, 400); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %s", body, rec.Body)
		}
	}
	full := make([]string, maxBatch)
	for i := range full {
		full[i] = fmt.Sprintf(`{"Deal ID":"%d"}`, i)
	}
	d.ask("POST", deals+"records/batch/", `{"upserts":[`+strings.Join(full, ",")+`],"deletes":[]}`, 200)
	var l struct{ Data []wireRecord }
	if err := json.Unmarshal(d.ask("GET", deals+"records/?limit=500", "", 200).Body.Bytes(), &l); err != nil || len(l.Data) != pageSize {
		t.Errorf("%v, a page of %d, want %d at most", err, len(l.Data), pageSize)
	}
}

func TestTypesOfColumns(t *testing.T) {
	for _, tc := range []struct{ typ, value, want string }{
		{TypeText, `"x"`, ""}, {TypeText, `""`, ""}, {TypeText, `1`, "Not a valid string."}, {TypeText, `{}`, "Not a valid string."},
		{TypeNumber, `1e3`, ""}, {TypeNumber, `"1.5"`, ""}, {TypeNumber, `""`, ""}, {TypeNumber, `"1,5"`, "A valid number is required."}, {TypeNumber, `true`, "A valid number is required."},
		{TypeDate, `"2026-01-31"`, ""}, {TypeDate, `"31.01.2026"`, "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."}, {TypeDate, `20260131`, "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."},
		{TypeBoolean, `true`, ""}, {TypeBoolean, `"true"`, "Must be a valid boolean."}, {TypeBoolean, `1`, "Must be a valid boolean."},
		{TypeText, `null`, ""}, {TypeNumber, `null`, ""}, {TypeDate, `null`, ""}, {TypeBoolean, `null`, ""},
	} {
		c := Column{Name: "c", Type: tc.typ}
		if got := c.wrong(json.RawMessage(tc.value)); got != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.typ, tc.value, got, tc.want)
		}
	}
}

func TestReplaces(t *testing.T) {
	d := newDesk(t, Options{Replaces: true})
	d.batch(`{"Deal ID":"a","Amount":1}`, ``, 200, `{"created":["a"],"updated":[],"deleted":[]}`)
	d.batch(`{"Deal ID":"a","Deal Name":"A"}`, ``, 200, `{"created":[],"updated":["a"],"deleted":[]}`)
	if got := d.cell("a", "Amount"); got != "" {
		t.Errorf("the amount is %s still", got)
	}
}

func TestSingleRecords(t *testing.T) {
	d := newDesk(t, Options{})
	rec := d.ask("POST", deals+"records/", `{"Deal ID":"a b/c","Amount":1}`, 201)
	var made wireRecord
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || made.Object != "record" || made.ID == "" || made.CreatedAt != "2026-01-30T09:00:00.000000Z" {
		t.Fatalf("%v, %s", err, rec.Body)
	}
	if rec := d.ask("POST", deals+"records/", `{"Deal ID":"a b/c"}`, 400); rec.Body.String() != `{"Deal ID":["A record with this unique ID already exists."]}` {
		t.Errorf("answer %s", rec.Body)
	}
	d.now = d.now.Add(time.Hour)
	rec = d.ask("PUT", deals+"records/a%20b%2Fc/", `{"Deal ID":"d","Deal Name":"D"}`, 200)
	var put wireRecord
	if err := json.Unmarshal(rec.Body.Bytes(), &put); err != nil || put.ID != made.ID || put.UpdatedAt != "2026-01-30T10:00:00.000000Z" || put.CreatedAt != made.CreatedAt {
		t.Fatalf("%v, %s", err, rec.Body)
	}
	d.ask("GET", deals+"records/a%20b%2Fc/", "", 404)
	d.ask("POST", deals+"records/", `{"Deal ID":"e"}`, 201)
	d.ask("PUT", deals+"records/e/", `{"Deal ID":"d"}`, 400)
	d.ask("PUT", deals+"records/e/", `{"Deal ID":"e","Amount":"x"}`, 400)
	d.ask("PUT", deals+"records/e/", `nonsense`, 400)
	d.ask("PUT", deals+"records/none/", `{"Deal ID":"none"}`, 404)
	if rec := d.ask("DELETE", deals+"records/d/", "", 204); rec.Body.Len() != 0 {
		t.Errorf("a body: %s", rec.Body)
	}
	d.ask("DELETE", deals+"records/d/", "", 404)
}

func TestLists(t *testing.T) {
	d := newDesk(t, Options{})
	for _, k := range []string{"c", "a", "b"} {
		d.ask("POST", deals+"records/", `{"Deal ID":"`+k+`","Deal Name":"Name of `+strings.ToUpper(k)+`","Owner Email":"a@x.org"}`, 201)
	}
	get := func(path string) (total int, keys []string, next, previous *string) {
		t.Helper()
		var l struct {
			Total          int `json:"total_count"`
			Next, Previous *string
			Data           []wireRecord
		}
		if err := json.Unmarshal(d.ask("GET", path, "", 200).Body.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		for _, r := range l.Data {
			keys = append(keys, strings.Trim(string(r.Data["Deal ID"]), `"`))
		}
		return l.Total, keys, l.Next, l.Previous
	}
	total, keys, next, previous := get(deals + "records/?limit=2")
	if total != 3 || !slices.Equal(keys, []string{"c", "a"}) || next == nil || previous != nil || *next != "http://example.com"+deals+"records/?limit=2&offset=2" {
		t.Fatalf("%d %v %v %v", total, keys, next, previous)
	}
	if _, keys, next, previous = get(strings.TrimPrefix(*next, "http://example.com")); !slices.Equal(keys, []string{"b"}) || next != nil || previous == nil {
		t.Errorf("%v %v %v", keys, next, previous)
	}
	if total, keys, _, _ = get(deals + "records/?query=NAME+OF+A"); total != 1 || keys[0] != "a" {
		t.Errorf("%d %v", total, keys)
	}
	if total, _, _, _ = get(deals + "records/?query=a&query_column=Deal+ID"); total != 1 {
		t.Errorf("%d of the column", total)
	}
	d.ask("GET", deals+"records/?limit=0", "", 400)
	d.ask("GET", deals+"records/?offset=x", "", 400)
	d.ask("GET", root+"none/records/", "", 404)
	for _, path := range []string{root + "none/", "/", deals + "records", "/ciq/v2/data-worksheets/"} {
		d.ask("GET", path, "", 404)
	}
	for _, path := range []string{"records/batch/", "records/"} {
		d.ask("POST", root+"none/"+path, "{}", 404)
	}
}

func TestWorksheets(t *testing.T) {
	d := newDesk(t, Options{})
	var l struct {
		Object string
		Total  int `json:"total_count"`
		Data   []wireSheet
	}
	if err := json.Unmarshal(d.ask("GET", root, "", 200).Body.Bytes(), &l); err != nil || l.Object != "list" || l.Total != 2 || l.Data[0].Name != "Deals" {
		t.Fatalf("%v, %+v", err, l)
	}
	for _, c := range l.Data[0].Columns {
		if c.ReadOnly != (c.Name == "Commission") || c.DataType == "" || (c.Variant == "derived") != c.ReadOnly {
			t.Errorf("column %+v", c)
		}
	}
	if err := json.Unmarshal(d.ask("GET", root+"?name_contains=pay", "", 200).Body.Bytes(), &l); err != nil || l.Total != 1 || l.Data[0].Name != "Payees" {
		t.Errorf("%v, %+v", err, l)
	}
	var one wireSheet
	if err := json.Unmarshal(d.ask("GET", deals, "", 200).Body.Bytes(), &one); err != nil || one.Name != "Deals" || one.WorkbookName != "Commission data" {
		t.Errorf("%v, %+v", err, one)
	}
}

func TestToken(t *testing.T) {
	d := newDesk(t, Options{Token: "secret"})
	d.ask("GET", root, "", 200)
	for token, want := range map[string]string{"": "not provided", "Bearer secret": "not provided", "Token": "not provided", "Token other": "Invalid token."} {
		d.token = token
		rec := d.ask("GET", root, "", 401)
		if !strings.Contains(rec.Body.String(), want) || rec.Header().Get("WWW-Authenticate") != "Token" {
			t.Errorf("%q: %s", token, rec.Body)
		}
	}
	any := newDesk(t, Options{})
	any.ask("GET", root, "", 200)
}

func TestLimits(t *testing.T) {
	if StandardLimits() != (Limits{5, 1500}) || EnterpriseLimits() != (Limits{15, 6000}) {
		t.Error("the limits of the plans are others")
	}
	d := newDesk(t, Options{Limits: Limits{PerSecond: 2, PerHour: 3}})
	d.ask("GET", root, "", 200)
	d.ask("GET", root, "", 200)
	d.now = d.now.Add(200 * time.Millisecond)
	if rec := d.ask("GET", root, "", 429); rec.Header().Get("Retry-After") != "1" || rec.Body.String() != `{"detail":"Request was throttled."}` {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	d.now = d.now.Add(time.Minute)
	if rec := d.ask("GET", root, "", 429); rec.Header().Get("Retry-After") != "3540" { // the refused one counts for the hour
		t.Errorf("%v", rec.Header())
	}
	d.now = d.now.Add(time.Hour)
	d.ask("GET", root, "", 200)
}

func TestFirewall(t *testing.T) {
	d := newDesk(t, Options{Firewall: true, Token: "secret"})
	d.token = "" // it comes before everything else
	for _, text := range []string{"Select * from deals", "x' OR 1=1", "DROP TABLE x", "<script>alert(1)", "javascript:x", "a union all select b", "insert into x", "delete from x"} {
		rec := d.ask("POST", deals+"records/", `{"Deal ID":"a","Deal Name":"`+text+`"}`, 403)
		if !strings.HasPrefix(rec.Body.String(), "<html>") || rec.Header().Get("Content-Type") != "text/html" {
			t.Errorf("%s: %v %s", text, rec.Header(), rec.Body)
		}
	}
	d.token = "Token secret"
	for i, text := range []string{"We select the best from all", "Union Square, select room", "Table to drop off", "O'Brien or 1 other"} {
		status := 201
		if i == 0 {
			status = 403 // so are the texts of people
		}
		d.ask("POST", deals+"records/", fmt.Sprintf(`{"Deal ID":"%d","Deal Name":%q}`, i, text), status)
	}
	without := newDesk(t, Options{})
	without.ask("POST", deals+"records/", `{"Deal ID":"a","Deal Name":"select * from x"}`, 201)
}

// Nobody can tell from a 502 whether the call was carried out.
func TestSlow(t *testing.T) {
	for _, carriedOut := range []bool{true, false} {
		d := newDesk(t, Options{})
		d.Slow(1, carriedOut)
		d.ask("GET", root, "", 200) // reads are quick
		rec := d.ask("POST", deals+"records/", `{"Deal ID":"a"}`, 502)
		if !strings.Contains(rec.Body.String(), "502 Bad Gateway") {
			t.Errorf("body %s", rec.Body)
		}
		if got := d.Count("Deals") == 1; got != carriedOut {
			t.Errorf("carried out: %v, want %v", got, carriedOut)
		}
		d.ask("POST", deals+"records/", `{"Deal ID":"b"}`, 201)
	}
}

func TestForPeople(t *testing.T) {
	d := newDesk(t, Options{})
	d.batch(`{"Deal ID":"a"},{"Deal ID":"b"}`, ``, 200, `{"created":["a","b"],"updated":[],"deleted":[]}`)
	d.batch(`{"Deal ID":"a","Amount":5}`, ``, 200, `{"created":[],"updated":["a"],"deleted":[]}`)
	rows := d.Records("Deals", 1)
	if len(rows) != 1 || rows[0].ID != "a" || string(rows[0].Fields["Amount"]) != "5" || !rows[0].Changed.Equal(d.now) {
		t.Errorf("rows %+v", rows)
	}
	if rows := d.Records("Deals", 0); len(rows) != 2 || rows[1].ID != "b" {
		t.Errorf("rows %+v", rows)
	}
	if !slices.Equal(d.Objects(), []string{"Deals", "Payees"}) || d.Count("none") != 0 || d.Records("none", 0) != nil {
		t.Errorf("objects %v", d.Objects())
	}
	d.token = ""
	d.ask("GET", root, "", 401)
	if got, want := d.Calls(), map[string]int64{"batch": 2, "worksheets": 1, "unauthorized": 1}; !maps.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	d.Reset()
	if d.Count("Deals") != 0 || len(d.Calls()) != 0 {
		t.Error("Reset left something")
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, Options{})
	d.SetRefusals(func(object string, fields map[string]json.RawMessage) *sim.Refusal {
		if object == "Deals" && string(fields["Deal ID"]) == `"bad"` {
			return &sim.Refusal{Code: "NO"}
		}
		return nil
	})
	d.batch(`{"Deal ID":"a"},{"Deal ID":"bad"}`, ``, 400, `{"upserts":[{},{"Deal ID":["NO"]}]}`)
	d.Reset()
	d.batch(`{"Deal ID":"bad"}`, ``, 400, `{"upserts":[{"Deal ID":["NO"]}]}`)
}

func TestBodyTooLarge(t *testing.T) {
	d := newDesk(t, Options{})
	d.ask("POST", deals+"records/", `{"Deal ID":"`+strings.Repeat("x", maxBody)+`"}`, http.StatusRequestEntityTooLarge)
}
