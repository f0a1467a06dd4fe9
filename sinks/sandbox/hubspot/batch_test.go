package hubspot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// upserts is a batch of deals by key; traced gives each a trace id.
func upserts(traced bool, keys ...string) string {
	var inputs []string
	for _, key := range keys {
		trace := ""
		if traced {
			trace = fmt.Sprintf(`"objectWriteTraceId":"t-%s",`, key)
		}
		inputs = append(inputs, fmt.Sprintf(`{"id":%q,"idProperty":"wb_key",%s"properties":{"dealname":"D %s"}}`, key, trace, key))
	}
	return `{"inputs":[` + strings.Join(inputs, ",") + `]}`
}

func TestUpsertCreatesAndUpdates(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	g := d.post("/batch/upsert", upserts(true, "a", "b"), http.StatusOK)
	if len(g.Results) != 2 {
		t.Fatalf("%d results: %s", len(g.Results), g.Text)
	}
	for _, r := range g.Results {
		if r.New == nil || *r.New != (r.Trace == "t-b") || (r.ID == id) != (r.Trace == "t-a") {
			t.Errorf("result %+v", r)
		}
		if r.Properties["dealname"] == nil || *r.Properties["dealname"] != "D "+strings.TrimPrefix(r.Trace, "t-") {
			t.Errorf("properties of %s: %v", r.Trace, r.Properties)
		}
	}
	if d.Count("deals") != 2 {
		t.Errorf("%d deals", d.Count("deals"))
	}
}

// With trace ids what is valid is taken, and each error names its input.
func TestTracedBatchTellsEachInput(t *testing.T) {
	d := newDesk(t, Options{})
	g := d.post("/batch/upsert", `{"inputs":[
		{"id":"a","idProperty":"wb_key","objectWriteTraceId":"1","properties":{"dealname":"A","amount":"much"}},
		{"id":"b","idProperty":"wb_key","objectWriteTraceId":"2","properties":{"dealname":"B","amount":"10.50"}},
		{"id":"c","idProperty":"wb_key","objectWriteTraceId":"3","properties":{"dealname":"C","colour":"red","hs_projected_amount":"1"}},
		{"id":"d","idProperty":"wb_key","objectWriteTraceId":"4","properties":{"amount":"1"}}]}`, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.Results[0].Trace != "2" || g.NumErrors != 3 || len(g.Errors) != 3 {
		t.Fatalf("answer %s", g.Text)
	}
	codes := map[string]string{}
	for _, e := range g.Errors {
		var all []string
		for _, in := range e.Errors {
			all = append(all, in.Code+":"+strings.Join(in.Context["propertyName"], ","))
		}
		if e.Status != "error" || e.Category != "VALIDATION_ERROR" || len(e.Context["objectWriteTraceId"]) != 1 {
			t.Fatalf("error %+v", e)
		}
		codes[e.Context["objectWriteTraceId"][0]] = strings.Join(all, " ")
		if e.Context["objectWriteTraceId"][0] == "4" && (!strings.Contains(e.Message, "Some required properties were not set") || !slices.Equal(e.Context["properties"], []string{"dealname"})) {
			t.Errorf("a deal without its name: %+v", e)
		}
	}
	want := map[string]string{"1": "INVALID_NUMBER:amount", "3": "PROPERTY_DOESNT_EXIST:colour READ_ONLY_VALUE:hs_projected_amount", "4": ""}
	for trace, code := range want {
		if codes[trace] != code {
			t.Errorf("input %s: %q, want %q", trace, codes[trace], code)
		}
	}
	if d.Count("deals") != 1 {
		t.Errorf("%d deals, want the valid one", d.Count("deals"))
	}
}

// Without trace ids one wrong input refuses all, and nothing is left of the others.
func TestUntracedBatchIsAllOrNothing(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	other := d.deal("x")
	before := d.property(id, "dealname")
	g := d.post("/batch/upsert", `{"inputs":[
		{"id":"a","idProperty":"wb_key","properties":{"dealname":"changed","wb_key":"moved"}},
		{"id":"b","idProperty":"wb_key","properties":{"dealname":"B"}},
		{"id":"c","idProperty":"wb_key","properties":{"dealname":"C","closedate":"soon"}}]}`, http.StatusBadRequest)
	d.wantFault(g, 400, "VALIDATION_ERROR", `"error":"INVALID_LONG","name":"closedate"`)
	if d.Count("deals") != 2 || d.property(id, "dealname") != before {
		t.Fatalf("%d deals, the name is %s: something of the batch was kept", d.Count("deals"), d.property(id, "dealname"))
	}
	// The unique values are as they were: a is still this one's, b and moved are nobody's.
	if g := d.ask("GET", deals+"/a?idProperty=wb_key", ""); g.ID != id {
		t.Fatalf("key a: %s", g.Text)
	}
	for _, free := range []string{"b", "moved"} {
		if g := d.ask("PATCH", deals+"/"+other, `{"properties":{"wb_key":"`+free+`"}}`); g.Status != http.StatusOK {
			t.Fatalf("key %s is not free: %s", free, g.Text)
		}
	}
	// One trace id among inputs without is not enough.
	mixed := strings.Replace(upserts(false, "p", "q"), `"idProperty":"wb_key"`, `"idProperty":"wb_key","objectWriteTraceId":"1"`, 1)
	mixed = strings.Replace(mixed, `"dealname":"D q"`, `"dealstage":"none"`, 1)
	d.post("/batch/upsert", mixed, http.StatusBadRequest)
	if d.Count("deals") != 2 {
		t.Fatalf("%d deals", d.Count("deals"))
	}
}

func TestResultsComeInAnotherOrder(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e", "f"}
	orders := map[string]bool{}
	for seed := range uint64(8) {
		d := newDesk(t, Options{Seed: seed})
		var order []string
		for _, r := range d.post("/batch/upsert", upserts(true, keys...), http.StatusOK).Results {
			order = append(order, strings.TrimPrefix(r.Trace, "t-"))
		}
		if slices.Equal(order, keys) {
			t.Errorf("seed %d: in the order of the inputs", seed)
		}
		orders[strings.Join(order, "")] = true
		slices.Sort(order)
		if !slices.Equal(order, keys) {
			t.Errorf("seed %d: %v", seed, order)
		}
	}
	if len(orders) < 3 {
		t.Errorf("the seed hardly changes the order: %v", orders)
	}
	same := newDesk(t, Options{Seed: 3}).post("/batch/upsert", upserts(true, keys...), 200).Text
	if again := newDesk(t, Options{Seed: 3}).post("/batch/upsert", upserts(true, keys...), 200).Text; again != same {
		t.Errorf("one seed, two answers:\n%s\n%s", same, again)
	}
	for seed := range uint64(8) { // two are always turned round
		d := newDesk(t, Options{Seed: seed})
		if r := d.post("/batch/upsert", upserts(true, "a", "b"), 200).Results; r[0].Trace != "t-b" {
			t.Errorf("first %s", r[0].Trace)
		}
	}
}

func TestWhatRefusesABatchAsAWhole(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	many := make([]string, maxInputs+1)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	for name, tc := range map[string]struct{ path, body, message string }{
		"too many":             {"/batch/upsert", upserts(true, many...), "above the limit of 100"},
		"none":                 {"/batch/upsert", `{"inputs":[]}`, "inputs must not be empty"},
		"the same key twice":   {"/batch/upsert", upserts(false, "n", "m", "n"), "Duplicate IDs found in batch input: [n]. IDs must be unique"},
		"one record, two keys": {"/batch/update", `{"inputs":[{"id":"` + id + `","objectWriteTraceId":"1","properties":{}},{"id":"a","idProperty":"wb_key","objectWriteTraceId":"2","properties":{}}]}`, "Duplicate IDs found in batch input: [a]"},
		"one trace id twice":   {"/batch/create", `{"inputs":[{"objectWriteTraceId":"1","properties":{}},{"objectWriteTraceId":"1","properties":{}}]}`, "objectWriteTraceId must be unique"},
		"not unique":           {"/batch/upsert", `{"inputs":[{"id":"x","idProperty":"dealname","objectWriteTraceId":"1","properties":{}}]}`, "Unable to perform update/upsert by non-unique 0-3 property dealname"},
		"unknown idProperty":   {"/batch/upsert", `{"inputs":[{"id":"x","idProperty":"colour","objectWriteTraceId":"1","properties":{}}]}`, "PROPERTY_DOESNT_EXIST"},
		"upsert by record id":  {"/batch/upsert", `{"inputs":[{"id":"` + id + `","objectWriteTraceId":"1","properties":{}}]}`, "without a unique idProperty"},
		"no id":                {"/batch/update", `{"inputs":[{"properties":{}}]}`, "id is required"},
		"no properties":        {"/batch/update", `{"inputs":[{"id":"1"}]}`, "properties are required"},
		"a number":             {"/batch/update", `{"inputs":[{"id":"` + id + `","properties":{"amount":10}}]}`, "Invalid input JSON"},
		"an unknown key":       {"/batch/update", `{"inputs":[{"id":"` + id + `","properties":{},"values":{}}]}`, "unknown field"},
		"two bodies":           {"/batch/archive", `{"inputs":[{"id":"1"}]} {}`, "Invalid input JSON"},
		"too many to archive":  {"/batch/archive", `{"inputs":[` + strings.Repeat(`{"id":"1"},`, maxInputs) + `{"id":"1"}]}`, "above the limit of 100"},
		"too many to read":     {"/batch/read", `{"inputs":[` + strings.Repeat(`{"id":"1"},`, maxInputs) + `{"id":"1"}]}`, "above the limit of 100"},
		"read by a non-unique": {"/batch/read", `{"idProperty":"dealname","inputs":[{"id":"1"}]}`, "Unable to perform get by non-unique"},
	} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			d.wantFault(d.ask("POST", deals+tc.path, tc.body), 400, "VALIDATION_ERROR", tc.message)
			if d.Count("deals") != 1 {
				t.Fatalf("%d deals", d.Count("deals"))
			}
		})
	}
	d.t = t
	if g := d.post("/batch/upsert", upserts(false, "n", "n"), 400); !slices.Equal(g.Context["ids"], []string{"n"}) {
		t.Errorf("context %v", g.Context)
	}
	d.wantFault(d.ask("POST", "/crm/v3/objects/rockets/batch/upsert", upserts(true, "a")), 400, "VALIDATION_ERROR", "Unable to infer object type from: rockets")
}

func TestBatchUpdate(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	g := d.post("/batch/update", `{"inputs":[
		{"id":"`+id+`","objectWriteTraceId":"1","properties":{"amount":"7"}},
		{"id":"999","objectWriteTraceId":"2","properties":{"amount":"8"}}]}`, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.Results[0].ID != id || g.Results[0].New != nil {
		t.Fatalf("answer %s", g.Text)
	}
	if e := g.Errors[0]; e.Category != "OBJECT_NOT_FOUND" || !slices.Equal(e.Context["ids"], []string{"999"}) || !slices.Equal(e.Context["objectWriteTraceId"], []string{"2"}) {
		t.Fatalf("error %+v", e)
	}
	d.post("/batch/update", `{"inputs":[{"id":"a","idProperty":"wb_key","properties":{"amount":""}}]}`, http.StatusOK)
	if got := d.property(id, "amount"); got != "(none)" {
		t.Errorf("an empty text did not clear: %s", got)
	}
	// Its own unique value is not in its way.
	d.post("/batch/update", `{"inputs":[{"id":"`+id+`","properties":{"wb_key":"a"}}]}`, http.StatusOK)
	d.wantFault(d.ask("POST", deals+"/batch/update", `{"inputs":[{"id":"999","properties":{}}]}`), 404, "OBJECT_NOT_FOUND", "Could not get some DEAL objects")
}

func TestBatchCreate(t *testing.T) {
	d := newDesk(t, Options{})
	g := d.post("/batch/create", `{"inputs":[{"objectWriteTraceId":"1","properties":{"dealname":"A","wb_key":"k"}},{"objectWriteTraceId":"2","properties":{"dealname":"B","wb_key":"k"}}]}`, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.Results[0].Trace != "1" || len(g.Errors) != 1 {
		t.Fatalf("answer %s", g.Text)
	}
	if e := g.Errors[0]; e.Errors[0].Code != "CONFLICTING_UNIQUE_VALUE" || !strings.Contains(e.Message, g.Results[0].ID+" already has that value") {
		t.Errorf("error %+v", e)
	}
	d.post("/batch/create", `{"inputs":[{"properties":{"dealname":"C"}},{"properties":{"dealname":"D"}}]}`, http.StatusCreated)
	if d.Count("deals") != 3 {
		t.Errorf("%d deals", d.Count("deals"))
	}
}

func TestBatchRead(t *testing.T) {
	d := newDesk(t, Options{})
	a, b := d.deal("a"), d.deal("b")
	g := d.post("/batch/read", `{"idProperty":"wb_key","properties":["wb_key","amount","colour"],"inputs":[{"id":"a"},{"id":"b"}]}`, http.StatusOK)
	if len(g.Results) != 2 || g.Results[0].ID != b || g.Results[1].ID != a {
		t.Fatalf("answer %s", g.Text)
	}
	p := g.Results[1].Properties
	if *p["wb_key"] != "a" || p["amount"] != nil || *p["hs_object_id"] != a || *p["createdate"] != "2026-01-30T09:00:00.000Z" || *p["hs_lastmodifieddate"] == "" {
		t.Errorf("properties %v", p)
	}
	if _, ok := p["amount"]; !ok {
		t.Error("a property that was asked for and has no value is not null but absent")
	}
	if _, ok := p["colour"]; ok {
		t.Error("a property that there is not is given")
	}
	g = d.post("/batch/read", `{"properties":[],"inputs":[{"id":"`+a+`"},{"id":"998"},{"id":"999"}]}`, http.StatusMultiStatus)
	if len(g.Results) != 1 || g.NumErrors != 1 || !slices.Equal(g.Errors[0].Context["ids"], []string{"998", "999"}) {
		t.Fatalf("answer %s", g.Text)
	}
}

// An archived record is not gone: its unique value is in the way until it is restored.
func TestArchivedIsNotGone(t *testing.T) {
	d := newDesk(t, Options{})
	a := d.deal("a")
	d.post("/batch/archive", `{"inputs":[{"id":"`+a+`"},{"id":"999"}]}`, http.StatusNoContent)
	d.wantFault(d.ask("GET", deals+"/"+a, ""), 404, "OBJECT_NOT_FOUND", "deleted or not exist")
	g := d.ask("GET", deals+"/"+a+"?archived=true", "")
	d.want(g, 200)
	if !strings.Contains(g.Text, `"archived":true,"archivedAt":"2026-01-30T09:00:00.000Z"`) {
		t.Errorf("answer %s", g.Text)
	}
	g = d.post("/batch/upsert", upserts(true, "a", "b"), http.StatusMultiStatus)
	if len(g.Results) != 1 || g.Errors[0].Errors[0].Code != "CONFLICTING_UNIQUE_VALUE" || !strings.Contains(g.Errors[0].Message, a+" already has that value") {
		t.Fatalf("answer %s", g.Text)
	}
	d.wantFault(d.ask("POST", deals, `{"properties":{"dealname":"x","wb_key":"a"}}`), 400, "VALIDATION_ERROR", "already has that value")
	d.post("/batch/update", `{"inputs":[{"id":"`+a+`","properties":{"amount":"1"}}]}`, http.StatusNotFound)
	if d.Count("deals") != 1 || !d.Restore("deals", a) || d.Restore("deals", a) || d.Count("deals") != 2 {
		t.Fatalf("restoring it did not work; %d deals", d.Count("deals"))
	}
	d.post("/batch/upsert", upserts(false, "a"), http.StatusOK)
}

func TestFreeArchived(t *testing.T) {
	d := newDesk(t, Options{FreeArchived: true})
	a := d.deal("a")
	d.want(d.ask("DELETE", deals+"/"+a, ""), http.StatusNoContent)
	g := d.post("/batch/upsert", upserts(true, "a"), http.StatusOK)
	if !*g.Results[0].New || g.Results[0].ID == a {
		t.Fatalf("answer %s", g.Text)
	}
	if d.Restore("deals", a) {
		t.Error("restored, though another has its key")
	}
	d.post("/batch/update", `{"inputs":[{"id":"a","idProperty":"wb_key","properties":{"wb_key":"b"}}]}`, http.StatusOK)
	if !d.Restore("deals", a) {
		t.Error("not restored, though nobody has its key")
	}
	if g := d.ask("GET", deals+"/a?idProperty=wb_key", ""); g.ID != a {
		t.Errorf("its key finds %s", g.Text)
	}
}

func TestPropertiesAreTextsAsTheyWere(t *testing.T) {
	d := newDesk(t, Options{})
	id := d.deal("a")
	d.want(d.ask("PATCH", deals+"/"+id, `{"properties":{"amount":"12345678901234567890.05","closedate":"1769850000500","dealname":" <&> "}}`), 200)
	for name, want := range map[string]string{"amount": "12345678901234567890.05", "closedate": "2026-01-31T09:00:00.500Z", "dealname": " <&> "} {
		if got := d.property(id, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	rows := d.Records("deals", 0)
	if string(rows[0].Fields["amount"]) != `"12345678901234567890.05"` || !json.Valid(rows[0].Fields["dealname"]) {
		t.Errorf("row %v", rows[0])
	}
}
