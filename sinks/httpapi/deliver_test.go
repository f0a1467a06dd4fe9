package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// mixedForm has one request for several upserts, and one for each delete.
func mixedForm() *form.Form {
	return &form.Form{URL: "https://api.test", Requests: map[string]*form.Request{
		form.Upsert: {Path: "/bulk", Body: text("{records}"), Record: text("{row}")},
		form.Delete: {Path: "/{key}"},
	}, Rules: []sinks.Rule{{Statuses: []string{"409"}, Then: sinks.ThenAccept}, {Statuses: []string{"423"}, Message: regexp.MustCompile("parent"), Then: sinks.ThenWait}}}
}

// mixed delivers upserts of some notes, and deletes of some keys, and gives a word for each.
func mixed(t *testing.T, rt http.RoundTripper, upserts, deletes []string) string {
	t.Helper()
	c, err := New(Options{Form: mixedForm(), Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := sinks.Batch{Object: "Deal"}
	for i := range max(len(upserts), len(deletes)) { // one after the other
		if i < len(upserts) {
			b.Records = append(b.Records, rec(sinks.Upsert, "u"+fmt.Sprint(i), upserts[i]))
		}
		if i < len(deletes) {
			b.Records = append(b.Records, rec(sinks.Delete, deletes[i], ""))
		}
	}
	rs, err := c.Deliver(t.Context(), b)
	if err != nil {
		return "all " + sinks.Code(err)
	}
	words := make([]string, len(rs))
	for i, r := range rs {
		words[i] = sinks.Code(r.Err)
	}
	return strings.Join(words, " ")
}

// answers gives the status that the last path segment, or the body, asks for.
func answers(statuses map[string]int, asked *[]string) roundTrip {
	return func(r *http.Request) (int, string) {
		what := r.Method + r.URL.Path
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return 500, ""
			}
			what += " " + fmt.Sprint(strings.Count(string(b), "Note"))
			for word, status := range statuses {
				if strings.Contains(string(b), word) {
					*asked = append(*asked, what)
					return status, ""
				}
			}
		}
		*asked = append(*asked, what)
		if status, ok := statuses[r.URL.Path]; ok {
			return status, "no parent"
		}
		return 204, ""
	}
}

// Records that go different ways do not harm each other.
func TestRecordsOfSeveralRequests(t *testing.T) {
	for name, c := range map[string]struct {
		statuses map[string]int
		want     string
		asked    string
	}{
		"all well":         {nil, "ok ok ok ok ok", "POST/bulk 3, DELETE/a, DELETE/b"},
		"a bad upsert":     {map[string]int{"bad": 422}, "ok ok http_422 ok ok", "POST/bulk 3, POST/bulk 1, POST/bulk 2, POST/bulk 1, POST/bulk 1, DELETE/a, DELETE/b"},
		"a bad delete":     {map[string]int{"/a": 400}, "ok http_400 ok ok ok", "POST/bulk 3, DELETE/a, DELETE/b"},
		"gone":             {map[string]int{"/a": 404, "/b": 410}, "ok ok ok ok ok", "POST/bulk 3, DELETE/a, DELETE/b"},
		"accepted by rule": {map[string]int{"/a": 409, "bad": 409}, "ok ok ok ok ok", "POST/bulk 3, DELETE/a, DELETE/b"},
		"waits by rule":    {map[string]int{"/a": 423}, "ok http_423 ok ok ok", "POST/bulk 3, DELETE/a, DELETE/b"},
		"down at first":    {map[string]int{"bad": 503}, "all unknown_outcome", "POST/bulk 3"},
		"down later":       {map[string]int{"/a": 503}, "ok unknown_outcome ok retryable ok", "POST/bulk 3, DELETE/a"},
		"throttled later":  {map[string]int{"/a": 429}, "ok throttled ok throttled ok", "POST/bulk 3, DELETE/a"},
		"not known later":  {map[string]int{"/a": 401}, "ok unauthorized ok unauthorized ok", "POST/bulk 3, DELETE/a"},
	} {
		var asked []string
		got := mixed(t, answers(c.statuses, &asked), []string{"x", "bad", "y"}, []string{"a", "b"})
		if got != c.want || strings.Join(asked, ", ") != c.asked {
			t.Errorf("%s: %s by %s\nwant %s by %s", name, got, strings.Join(asked, ", "), c.want, c.asked)
		}
	}
	// Where all go in one request, its refusal is of the batch: the engine looks for the culprit.
	var asked []string
	if got := mixed(t, answers(map[string]int{"bad": 422}, &asked), []string{"x", "bad"}, nil); got != "all http_422" || len(asked) != 1 {
		t.Errorf("one request: %s by %v", got, asked)
	}
}

// After a create without a certain answer a record is left alone until the lookup can find it.
func TestSettle(t *testing.T) {
	f := newREST()
	c := f.client(t)
	c.Close()
	of := restForm()
	of.Requests[form.Lookup].Settle = time.Minute
	c, err := New(Options{Form: of, Credentials: Credentials{Token: secret}, Transport: &liar{to: f, body: "{}"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); outcome(err) != "unknown 1m0s" {
		t.Errorf("a create: %v", err)
	}
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); outcome(err) != "unknown 0s" { // an update by now
		t.Errorf("an update: %v", err)
	}
}

// An update by the key needs no lookup: where there is nothing, a create follows.
func TestUpdateByKey(t *testing.T) {
	held := map[string]bool{}
	var asked []string
	c, err := New(Options{Transport: roundTrip(func(r *http.Request) (int, string) {
		asked = append(asked, r.Method)
		switch {
		case r.Method == http.MethodPut && !held["A"]:
			return 404, ""
		case r.Method == http.MethodPost:
			held["A"] = true
			return 201, ""
		}
		return 200, ""
	}), Form: &form.Form{URL: "https://api.test", Requests: map[string]*form.Request{
		form.Update: {Method: "PUT", Path: "/x/{key}", Body: text("{fields}")}, form.Create: {Path: "/x", Body: text("{row}")}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(asked, " "); got != "PUT POST PUT" {
		t.Errorf("asked %s", got)
	}
}

// What a form says of objects is their schema, where no address is asked.
func TestSchemaOfTheForm(t *testing.T) {
	f := mixedForm()
	f.Schema = map[string]*sinks.Schema{"Deal": {Fields: []sinks.SchemaField{{Name: "Amount", Type: sinks.FieldNumber}}}}
	c, err := New(Options{Form: f})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := c.Describe(t.Context(), "Deal"); err != nil || s.Field("Amount") == nil {
		t.Errorf("%+v, %v", s, err)
	}
	var none *sinks.UnknownObject
	if _, err := c.Describe(t.Context(), "Lead"); !errors.As(err, &none) || len(none.Known) != 1 {
		t.Errorf("%v", err)
	}
	a := sinks.AbilitiesOf(c, "Deal")
	if !a.Delete || a.Archive || !a.Partial || !a.Clear {
		t.Errorf("abilities %+v", a)
	}
	if _, ok := sinks.As[sinks.ReadBack](c); ok {
		t.Error("it can be read, without a request that reads")
	}
	if l := c.Limits(); l.MaxBatch != form.DefaultMaxBatch {
		t.Errorf("limits %+v", l)
	}
	one, err := New(Options{Form: restForm(), Credentials: Credentials{Token: secret}, MaxBatch: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if one.Limits().MaxBatch != 1 {
		t.Errorf("records that go one by one: %+v", one.Limits())
	}
}
