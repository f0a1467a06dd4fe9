package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

func TestText(t *testing.T) {
	for value, want := range map[string]string{
		`null`: "", `"a\u00e4"`: "aä", `""`: "", `true`: "true", `false`: "false",
		`12345678901234567.890`: "12345678901234567.890", `-0`: "-0", `1e3`: "1e3",
		`"2026-01-31"`: "2026-01-31", `"2026-01-31T09:30:00.25+01:00"`: "2026-01-31T09:30:00.25+01:00",
		`["emea","apac"]`: "emea;apac", `[]`: "", `["",null,"a",1.50,true]`: "a;1.50;true", `[ "a" ]`: "a",
		`{"b": 1.0, "a": [1, 2]}`: `{"b":1.0,"a":[1,2]}`, `[["a"], "b"]`: `[["a"],"b"]`, `[{"a": 1}]`: `[{"a":1}]`,
		` "x" `: "x",
	} {
		if got, err := text(json.RawMessage(value)); got != want || err != nil {
			t.Errorf("%s is %q (%v), want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"", "nul", `["a;b"]`, `"a`, `[1,`} {
		if got, err := text(json.RawMessage(value)); err == nil {
			t.Errorf("%s is %q, want an error", value, got)
		}
	}
}

func TestUpsert(t *testing.T) {
	c := scripted(t, Options{}, step{
		path: "/crm/objects/2026-03/contacts/batch/upsert",
		body: `{"inputs":[{"id":"7","idProperty":"wb_key","objectWriteTraceId":"0","properties":{"wb_key":"7","firstname":"O\"Ana","wb_score":"12345678901234567.890","phone":""}},` +
			`{"id":"8","idProperty":"wb_key","objectWriteTraceId":"1","properties":{"wb_key":"8","wb_vip":"true","wb_regions":"emea;apac"}}]}`,
		answer: `{"status":"COMPLETE","results":[{"id":"102","objectWriteTraceId":"1","new":true},{"id":"101","objectWriteTraceId":"0","new":false}]}`,
	})
	n := withNotes(c)
	rs, err := deliver(t, c,
		upsert("7", "firstname", `"O\"Ana"`, "wb_score", "12345678901234567.890", "phone", "null"),
		upsert("8", "wb_vip", "true", "wb_regions", `["emea","apac"]`))
	if got := outcomes(rs, err); got != "101, 102" {
		t.Errorf("got %s", got)
	}
	if got := n.String(); got != "map[id:contacts:wb_key:map[7:101 8:102]]" {
		t.Errorf("notes %s", got)
	}
}

func TestLegacyVersion(t *testing.T) {
	c := scripted(t, Options{Version: "v3"}, step{path: "/crm/v3/objects/contacts/batch/upsert", answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`})
	if got := outcomes(deliver(t, c, upsert("7"))); got != "1" {
		t.Errorf("got %s", got)
	}
}

// Records that are known by HubSpot's own id are updated: there is nothing to make them by.
func TestUpdateByID(t *testing.T) {
	c := scripted(t, Options{}, step{
		path:   "/crm/objects/2026-03/contacts/batch/update",
		body:   `{"inputs":[{"id":"55","objectWriteTraceId":"0","properties":{"phone":"1"}},{"id":"56","objectWriteTraceId":"1","properties":{"phone":"2"}}]}`,
		status: 207,
		answer: `{"status":"COMPLETE","results":[{"id":"55"}],"numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND","message":"no","context":{"objectWriteTraceId":["1"],"ids":["56"]}}]}`,
	})
	n := withNotes(c)
	a, b := upsert("55", "phone", `"1"`), upsert("56", "phone", `2`)
	a.Key, b.Key = sinks.Field{Name: "hs_object_id", Value: json.RawMessage("55")}, sinks.Field{Name: "hs_object_id", Value: json.RawMessage(`"56"`)}
	if got := outcomes(deliver(t, c, a, b)); got != "55, rejected OBJECT_NOT_FOUND" || n.sets != 0 {
		t.Errorf("got %s, %d notes", got, n.sets)
	}
}

// A record that cannot be encoded is not sent, and the others are.
func TestUnfit(t *testing.T) {
	c := scripted(t, Options{}, step{path: "/crm/objects/2026-03/contacts/batch/upsert",
		body:   `{"inputs":[{"id":"2","idProperty":"wb_key","objectWriteTraceId":"2","properties":{"wb_key":"2"}}]}`,
		answer: `{"results":[{"id":"9","objectWriteTraceId":"2"}]}`})
	empty := upsert("1")
	empty.Key.Value = json.RawMessage("null")
	if got := outcomes(deliver(t, c, upsert("1", "x", `["a;b"]`), empty, upsert("2"), upsert("3", "x", "nope"))); got != "rejected encode, rejected encode, 9, rejected encode" {
		t.Errorf("got %s", got)
	}
}

func TestResults(t *testing.T) {
	invalid := `"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"` + rowValue + ` is bad\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"`
	for name, c := range map[string]struct{ answer, want string }{
		"some refused":                      {`{"status":"COMPLETE","results":[{"id":"1","objectWriteTraceId":"0"},{"id":"3","objectWriteTraceId":"2"}],"errors":[{` + invalid + `,"context":{"objectWriteTraceId":["1"]}}]}`, "1, rejected INVALID_EMAIL, 3"},
		"one error of two records":          {`{"results":[{"id":"3","objectWriteTraceId":"2"}],"errors":[{"category":"CONFLICT","message":"x","context":{"objectWriteTraceId":["1","0"]}}]}`, "rejected CONFLICT, rejected CONFLICT, 3"},
		"an error as a single text":         {`{"results":[{"id":1,"objectWriteTraceId":0},{"id":"3","objectWriteTraceId":"2"}],"errors":[{"category":"CONFLICT","context":{"objectWriteTraceId":"1"}}]}`, "1, rejected CONFLICT, 3"},
		"result and error":                  {`{"results":[{"id":"1","objectWriteTraceId":"0"},{"id":"2","objectWriteTraceId":"1"},{"id":"3","objectWriteTraceId":"2"}],"errors":[{"category":"CONFLICT","context":{"objectWriteTraceId":["1"]}}]}`, "1, rejected CONFLICT, 3"},
		"a missing result":                  {`{"status":"COMPLETE","results":[{"id":"3","objectWriteTraceId":"2"},{"id":"1","objectWriteTraceId":"0"}]}`, "1, retry 0s unknown, 3"},
		"a result without an id":            {`{"results":[{"id":"3","objectWriteTraceId":"2"},{"id":null,"objectWriteTraceId":"1"},{"id":"1","objectWriteTraceId":"0"}]}`, "1, retry 0s unknown, 3"},
		"no trace ids, but keys":            {`{"results":[{"id":"3","properties":{"wb_key":"c"}},{"id":"2","properties":{"wb_key":"b"}},{"id":"1","properties":{"wb_key":"a"}}]}`, "1, 2, 3"},
		"results of others":                 {`{"results":[{"id":"3","objectWriteTraceId":"9"},{"id":"2","properties":{"wb_key":"z"}},{"id":"1"}]}`, "retry 0s unknown, retry 0s unknown, retry 0s unknown"},
		"an error without a name, of one":   {`{"results":[{"id":"3","objectWriteTraceId":"2"},{"id":"1","objectWriteTraceId":"0"}],"errors":[{` + invalid + `}]}`, "1, rejected INVALID_EMAIL, 3"},
		"an error without a name, of two":   {`{"results":[{"id":"1","objectWriteTraceId":"0"}],"errors":[{` + invalid + `,"context":{}}]}`, "batch: rejected INVALID_EMAIL unknown"},
		"an error without a name, of none":  {`{"results":[{"id":"1","objectWriteTraceId":"0"},{"id":"2","objectWriteTraceId":"1"},{"id":"3","objectWriteTraceId":"2"}],"errors":[{` + invalid + `}]}`, "1, 2, 3"},
		"nothing":                           {`{}`, "retry 0s unknown, retry 0s unknown, retry 0s unknown"},
		"null":                              {`null`, "retry 0s unknown, retry 0s unknown, retry 0s unknown"},
		"no JSON":                           {`<html>` + rowValue, "batch: retry 0s unknown"},
		"another JSON":                      {`{"results":{"` + rowValue + `":1}}`, "batch: retry 0s unknown"},
		"half":                              {`{"results":[{"id":"1"`, "batch: retry 0s unknown"},
		"a trace id that is no text at all": {`{"results":[{"id":"1","objectWriteTraceId":{}}]}`, "batch: retry 0s unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			client := scripted(t, Options{}, step{path: "/crm/objects/2026-03/contacts/batch/upsert", status: 207, answer: c.answer})
			rs, err := deliver(t, client, upsert("a"), upsert("b"), upsert("c"))
			if got := outcomes(rs, err); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for _, r := range append(rs, sinks.Result{Err: err}) {
				if r.Err != nil && strings.Contains(r.Err.Error(), rowValue) {
					t.Errorf("a row value in %q", r.Err)
				}
			}
		})
	}
}

// What HubSpot says of a record is kept for its dead letter.
func TestDetail(t *testing.T) {
	c := scripted(t, Options{}, step{path: "/crm/objects/2026-03/contacts/batch/upsert", status: 207,
		answer: `{"errors":[{"category":"CONFLICT","subCategory":"crm.X","message":"` + rowValue + ` is there","context":{"objectWriteTraceId":["0"]}}]}`})
	rs, err := deliver(t, c, upsert("a"))
	var said *sinks.Answer
	if err != nil || !errors.As(rs[0].Err, &said) || said.Detail() != rowValue+" is there" || said.Code != "crm.X" || sinks.Code(rs[0].Err) != "crm.X" {
		t.Errorf("got %v %+v", rs, said)
	}
}

// Without notes of what was upserted nothing counts as delivered: a delete goes by them.
func TestNotesFail(t *testing.T) {
	c := scripted(t, Options{}, step{path: "/crm/objects/2026-03/contacts/batch/upsert", answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`})
	withNotes(c).err = &sinks.Retryable{Err: errors.New("no redis")}
	if got := outcomes(deliver(t, c, upsert("a"))); got != "batch: retry 0s unknown" {
		t.Errorf("got %s", got)
	}
}

// What is noted already is not written again.
func TestNotesOnce(t *testing.T) {
	s := step{path: "/crm/objects/2026-03/contacts/batch/upsert", answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`}
	moved := s
	moved.answer = `{"results":[{"id":"2","objectWriteTraceId":"0"}]}`
	c := scripted(t, Options{}, s, s, moved)
	n := withNotes(c)
	for i, want := range []int{1, 1, 2} {
		if _, err := deliver(t, c, upsert("a")); err != nil || n.sets != want {
			t.Errorf("delivery %d: %d notes (%v), want %d", i, n.sets, err, want)
		}
	}
	if n.String() != "map[id:contacts:wb_key:map[a:2]]" {
		t.Errorf("notes %s", n)
	}
}

func TestLimits(t *testing.T) {
	if l := newClient(t, Options{Token: secret}).Limits(); l.MaxBatch != 100 || l.MaxInFlight != DefaultMaxInFlight || l.Timeout != DefaultTimeout || l.Bulk != (sinks.Bulk{}) {
		t.Errorf("limits %+v", l)
	}
}

// newClient makes a client that is never used.
func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestFoldKey(t *testing.T) {
	c := newClient(t, Options{Token: secret})
	for _, f := range []struct {
		object, name, value, want string
	}{
		{"contacts", "email", `"Ada@X.com"`, "ada@x.com"}, {"contact", "email", `"Ada@X.com"`, "ada@x.com"}, {"0-1", "email", `"A"`, "a"},
		{"contacts", "wb_key", `"Ab"`, "Ab"}, {"companies", "email", `"Ab"`, "Ab"}, {"deals", "wb_key", "7", "7"},
	} {
		if got := c.FoldKey(f.object, sinks.Field{Name: f.name, Value: json.RawMessage(f.value)}); got != f.want {
			t.Errorf("%s.%s %s is %s, want %s", f.object, f.name, f.value, got, f.want)
		}
	}
	if c = newClient(t, Options{Token: secret, IgnoreKeyCase: true}); c.FoldKey("deals", sinks.Field{Name: "wb_key", Value: json.RawMessage(`"Ab"`)}) != "ab" || !c.Folds() {
		t.Error("IgnoreKeyCase does not count")
	}
}

func TestCancelled(t *testing.T) {
	c := scripted(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Deliver(ctx, sinks.Batch{Object: "contacts", Records: []sinks.Record{upsert("a")}})
	if !strings.HasPrefix(outcome(err), "retry") || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", fmt.Sprint(err))
	}
}
