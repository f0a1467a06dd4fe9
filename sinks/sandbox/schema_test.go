package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

var schemas = map[string]map[string]*sinks.Schema{"crm": {
	"Opportunity": {Fields: []sinks.SchemaField{
		{Name: "External_Id__c", Type: sinks.FieldInteger, Key: true}, {Name: "Name", Type: sinks.FieldText, Length: 5, Required: true, NotNull: true},
		{Name: "Born", Type: sinks.FieldInteger, CreateOnly: true},
	}},
	"Account": {Open: true},
}}

func TestDescribe(t *testing.T) {
	s := New(Options{Schemas: schemas})
	a := call(t, s, "GET", "/crm/describe/Opportunity", "")
	wantStatus(t, a, http.StatusOK)
	var got sinks.Schema
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || !reflect.DeepEqual(&got, schemas["crm"]["Opportunity"]) {
		t.Errorf("got %s %v", a.body, err)
	}
	for path, want := range map[string]string{
		"/crm/describe/Opp":      `{"error":"no schema of an object \"Opp\" here","objects":["Account","Opportunity"]}`,
		"/forecast/describe/Opp": `{"error":"no schema of an object \"Opp\" here","objects":[]}`,
		"/hubspot/describe/Opp":  `{"error":"no app \"hubspot\" here; there are commission, crm, forecast","objects":[]}`,
	} {
		a := call(t, s, "GET", path, "")
		wantStatus(t, a, http.StatusNotFound)
		if a.body != want {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	locked := New(Options{Apps: map[string]App{"crm": {Token: "x"}}, Schemas: schemas})
	wantStatus(t, call(t, locked, "GET", "/crm/describe/Opportunity", ""), http.StatusUnauthorized)
}

// A record that the schema does not allow harms no other of the batch, and what one
// leaves behind counts for the next.
func TestRecordsAreRefusedBySchema(t *testing.T) {
	s := New(Options{Schemas: schemas})
	record := func(key int, fields string) string {
		return fmt.Sprintf(`{"op":"upsert","key":{"External_Id__c":%d},"fields":%s}`, key, fields)
	}
	a := call(t, s, "POST", "/crm/batch", `{"object":"Opportunity","records":[`+strings.Join([]string{
		record(1, `{"Born":1}`), record(1, `{"Name":"A","Born":1}`), record(1, `{"Born":1.0}`), record(1, `{"Born":2}`),
		record(2, `{"Name":"too long"}`), record(2, `{"Name":"B","Nmae":"B"}`), record(3, `{"Name":"C"}`),
	}, ",")+`]}`)
	wantStatus(t, a, http.StatusMultiStatus)
	var codes []string
	for _, r := range a.results {
		codes = append(codes, r.Code)
	}
	if got, want := strings.Join(codes, " "), codeMissing+"   "+codeWrite+" "+codeLong+" "+codeUnknown+" "; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !strings.HasPrefix(a.results[4].Message, "Name: data value too large") || a.results[4].Retryable {
		t.Errorf("got %+v", a.results[4])
	}
	if held := s.Fields("crm", "Opportunity"); len(held) != 2 || string(held["1"]["Born"]) != "1.0" {
		t.Errorf("it holds %v", held)
	}
	if st := s.Stats()["crm"]; st.Refused != 4 || st.Upserts != 3 {
		t.Errorf("counted %+v", st)
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", `{"object":"Lead","records":[{"op":"upsert","key":{"Any":1},"fields":{"X":1}}]}`))
	// A reset forgets records, not what they have to be.
	s.Reset()
	if a := call(t, s, "POST", "/crm/batch", upsert("1", `{}`, "")); len(a.results) != 1 || a.results[0].Code != codeMissing {
		t.Errorf("after a reset: %s", a.body)
	}
}

func TestReadSchemas(t *testing.T) {
	good := `{"crm":{"Opportunity":{"fields":[{"name":"External_Id__c","type":"integer","key":true},{"name":"Name","type":"text","length":5,"required":true,"not_null":true},` +
		`{"name":"Born","type":"integer","create_only":true}]},"Account":{"open":true}}}`
	apps := []string{"crm", "forecast"}
	got, err := ReadSchemas([]byte(good), apps)
	if err != nil || !reflect.DeepEqual(got, schemas) {
		t.Errorf("got %v %v", got, err)
	}
	field := func(s string) string { return `{"crm":{"Deal":{"fields":[{"name":"A","type":"text"},` + s + `]}}}` }
	for text, want := range map[string]string{
		``:                               "line 1: not JSON: unexpected end of JSON input",
		"{\n\"crm\": {,}}":               "line 2: not JSON: invalid character",
		`[]`:                             `want {"APP":{"OBJECT":{"fields":[…]}}}`,
		`null`:                           `want {"APP":{"OBJECT":{"fields":[…]}}}`,
		`{"crn":{}}`:                     "crn: no app of this name; there are crm, forecast",
		`{"crm":{"Deal":[]}}`:            "crm.Deal: want an object in braces",
		`{"crm":{"Deal":{}}}`:            "crm.Deal: there are no fields",
		`{"crm":{"Deal":{"fields":{}}}}`: "crm.Deal.fields: want a list of fields",
		`{"crm":{"Deal":{"feilds":[]}}}`: "crm.Deal.feilds: no such key; there are fields, open",
		`{"crm":{"Deal":{"open":1,"fields":[]}}}`:                     "crm.Deal: want true or false, not a value of type number",
		field(`{"name":"B","type":"txt"}`):                            `crm.Deal.fields[1].type: no type "txt"; there are text, number,`,
		field(`{"name":"B"}`):                                         `crm.Deal.fields[1].type: no type ""; there are`,
		field(`{"name":"B","type":"text","lenght":1}`):                "crm.Deal.fields[1].lenght: no such key; there are name, type, length,",
		field(`{"name":"B","type":"text","length":"1"}`):              "crm.Deal.fields[1].length: want a whole number, not a value of type string",
		field(`{"name":"B","type":"text","values":"x"}`):              "crm.Deal.fields[1].values: want a list of texts, not a value of type string",
		field(`{"name":"A","type":"text"}`):                           "crm.Deal: fields[1]: the field A is there twice",
		field(`{"type":"text"}`):                                      "crm.Deal: fields[1]: it has no name",
		field(`{"name":"B","type":"number","precision":2,"scale":3}`): "crm.Deal: fields[1]: 3 digits behind the point, of 2 in all",
		field(`{"name":"B","type":"text","length":-1}`):               "crm.Deal: fields[1]: a bound below zero",
		field(`7`): "crm.Deal.fields[1]: want an object in braces",
	} {
		if _, err := ReadSchemas([]byte(text), apps); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	// No key is forgotten here that a schema has.
	for i := range reflect.TypeFor[sinks.SchemaField]().NumField() {
		key, _, _ := strings.Cut(reflect.TypeFor[sinks.SchemaField]().Field(i).Tag.Get("json"), ",")
		if !strings.Contains(" "+strings.Join(fieldKeys, " ")+" ", " "+key+" ") {
			t.Errorf("the key %s is not known", key)
		}
	}
}
