package sandbox

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

var deal = &sinks.Schema{Fields: []sinks.SchemaField{
	{Name: "Ext", Type: sinks.FieldInteger, Key: true, Precision: 18},
	{Name: "Name", Type: sinks.FieldText, Length: 5, Required: true, NotNull: true},
	{Name: "Stage", Type: sinks.FieldText, Values: []string{"Open", "Won"}, NotNull: true},
	{Name: "Amount", Type: sinks.FieldNumber, Precision: 6, Scale: 2},
	{Name: "Any", Type: sinks.FieldNumber},
	{Name: "Count", Type: sinks.FieldInteger},
	{Name: "Paid", Type: sinks.FieldBoolean},
	{Name: "On", Type: sinks.FieldDate},
	{Name: "At", Type: sinks.FieldDateTime},
	{Name: "Tags", Type: sinks.FieldList, Values: []string{"a", "b"}},
	{Name: "Doc", Type: sinks.FieldJSON},
	{Name: "Owner", Type: sinks.FieldRef, Length: 3},
	{Name: "Geo", Type: "location"},
	{Name: "Id", Type: sinks.FieldText, ReadOnly: true, Required: true},
	{Name: "Born", Type: sinks.FieldNumber, CreateOnly: true},
}}

func record(t *testing.T, text string) *Record {
	t.Helper()
	r := &Record{Op: opUpsert, Key: map[string]json.RawMessage{"Ext": json.RawMessage("1")}}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Of one field's value in a record that is there already.
func TestValuesAgainstTheSchema(t *testing.T) {
	held := map[string]json.RawMessage{"Name": json.RawMessage(`"A"`), "Born": json.RawMessage("1.0")}
	for _, c := range [][2]string{
		{`{"Name":"üüüüü"}`, ""}, {`{"Name":"123456"}`, codeLong}, {`{"Name":5}`, codeType}, {`{"Name":null}`, codeMissing}, {`{"Name":""}`, codeMissing}, {`{"Name":["A"]}`, codeType},
		{`{"Stage":"Won"}`, ""}, {`{"Stage":"won"}`, codePicklist}, {`{"Stage":null}`, codeMissing}, {`{"Stage":7}`, codeType},
		{`{"Amount":1234.56}`, ""}, {`{"Amount":-1234.560}`, ""}, {`{"Amount":12345}`, codeType}, {`{"Amount":1.234}`, codeType}, {`{"Amount":1e4}`, codeType}, {`{"Amount":123456e-2}`, ""}, {`{"Amount":0.00000}`, ""}, {`{"Amount":1e99999999999999999999}`, codeType}, {`{"Amount":1E-99999999999999999999}`, codeType}, {`{"Amount":"1"}`, codeType}, {`{"Amount":null}`, ""}, {`{"Amount":""}`, codeType}, {`{"Amount":true}`, codeType},
		{`{"Any":1234567890123456789012345.000001}`, ""},
		{`{"Count":5.00}`, ""}, {`{"Count":5.5}`, codeType}, {`{"Count":12e3}`, ""}, {`{"Count":"5"}`, codeType},
		{`{"Paid":false}`, ""}, {`{"Paid":"false"}`, codeType}, {`{"Paid":0}`, codeType},
		{`{"On":"2026-02-28"}`, ""}, {`{"On":"2026-02-30"}`, codeType}, {`{"On":"2026-02-28T00:00:00Z"}`, codeType}, {`{"On":20260228}`, codeType}, {`{"On":""}`, codeType},
		{`{"At":"2026-02-28T10:00:00.123+02:00"}`, ""}, {`{"At":"2026-02-28T10:00:00Z"}`, ""}, {`{"At":"2026-02-28T10:00:00"}`, codeType}, {`{"At":"2026-02-28"}`, codeType}, {`{"At":1}`, codeType},
		{`{"Tags":[]}`, ""}, {`{"Tags":["a","b"]}`, ""}, {`{"Tags":["c"]}`, codePicklist}, {`{"Tags":[1]}`, codePicklist}, {`{"Tags":"a"}`, codeType},
		{`{"Doc":{"a":[1]}}`, ""}, {`{"Geo":[1,2]}`, ""},
		{`{"Owner":"abc"}`, ""}, {`{"Owner":77}`, ""}, {`{"Owner":true}`, codeType}, {`{"Owner":{"Id":1}}`, codeType}, {`{"Owner":"abcd"}`, codeLong}, {`{"Owner":null}`, ""},
		{`{"Id":"x"}`, codeWrite}, {`{"Id":null}`, codeWrite},
		{`{"Born":1}`, ""}, {`{"Born":1e0}`, ""}, {`{"Born":2}`, codeWrite}, {`{"Born":null}`, codeWrite}, {`{"Born":-1}`, codeWrite},
		{`{"Nmae":"A"}`, codeUnknown},
	} {
		r := violation(deal, record(t, `{"fields":`+c[0]+`}`), held)
		var got, message string
		if r != nil {
			got, message = r.Code, r.Message
		}
		name := strings.Split(c[0], `"`)[1]
		if got != c[1] || got != "" && !strings.HasPrefix(message, name+": ") || got != "" && r.Retryable {
			t.Errorf("%s: %s %q, want %s", c[0], got, message, c[1])
		}
	}
}

func TestRecordsAgainstTheSchema(t *testing.T) {
	held := map[string]json.RawMessage{}
	for name, c := range map[string]struct {
		record string
		held   map[string]json.RawMessage
		want   string
	}{
		"made":                        {`{"fields":{"Name":"A","Born":3}}`, nil, ""},
		"made without a name":         {`{"fields":{"Amount":1}}`, nil, codeMissing},
		"made with an empty name":     {`{"fields":{"Name":null}}`, nil, codeMissing},
		"changed without a name":      {`{"fields":{"Amount":1}}`, held, ""},
		"born later":                  {`{"fields":{"Born":3}}`, held, codeWrite},
		"born null, as it is":         {`{"fields":{"Born":null}}`, held, ""},
		"the key among the fields":    {`{"fields":{"Name":"A","Ext":1}}`, nil, ""},
		"no key field":                {`{"key":{"Name":"A"},"fields":{}}`, held, codeWrite},
		"an unknown key field":        {`{"key":{"Extt":1},"fields":{}}`, held, codeUnknown},
		"a key of another type":       {`{"key":{"Ext":"A"},"fields":{}}`, held, codeType},
		"deleted":                     {`{"op":"delete"}`, held, ""},
		"deleted, never there":        {`{"op":"delete"}`, nil, ""},
		"deleted by no key":           {`{"op":"delete","key":{"Name":"A"}}`, held, codeWrite},
		"archived by an unknown key":  {`{"op":"archive","key":{"Extt":"A"}}`, held, codeUnknown},
		"the key first, then unknown": {`{"fields":{"Zzz":1,"Name":null}}`, nil, codeUnknown},
	} {
		r := violation(deal, record(t, c.record), c.held)
		got := ""
		if r != nil {
			got = r.Code
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %q", name, r, c.want)
		}
	}
	// A required field that is the key has its value there.
	s := &sinks.Schema{Fields: []sinks.SchemaField{{Name: "Ext", Type: sinks.FieldInteger, Key: true, Required: true}}}
	if r := violation(s, record(t, `{"fields":{}}`), nil); r != nil {
		t.Errorf("the key is there: %+v", r)
	}
	s.Open = true
	if r := violation(s, record(t, `{"key":{"Other":1},"fields":{"More":1,"Ext":2}}`), nil); r != nil {
		t.Errorf("an open object: %+v", r)
	}
	if r := violation(s, record(t, `{"fields":{"Ext":"x"}}`), nil); r == nil || r.Code != codeType {
		t.Errorf("an open object checks what it lists: %+v", r)
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true}, {"100", "1e2", true}, {"-0", "0", true}, {"1", "-1", false}, {"1", `"1"`, false}, {`"1"`, "1", false},
		{`"a"`, `"\u0061"`, true}, {`{"a":1,"b":2}`, `{"b": 2, "a":1}`, true}, {"null", "", true}, {"false", "", false}, {"9007199254740993", "9007199254740992", false},
	} {
		if got := same(json.RawMessage(c.a), json.RawMessage(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
