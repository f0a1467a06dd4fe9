package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// describing is a client whose target answers for its schema at ask, below its address.
func describing(t *testing.T, ask string, h http.HandlerFunc) *Client {
	t.Helper()
	c := serve(t, h)
	c.about = strings.TrimSuffix(c.url, "/in?key="+secret) + ask
	return c
}

func TestDescribe(t *testing.T) {
	c := describing(t, "/describe/{object}?key="+secret, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != secret || r.Header.Get("Accept") != "application/json" || r.Header.Get("Content-Type") != "" {
			t.Errorf("request %s %v", r.Method, r.Header)
		}
		if want := "/describe/Deal%2F%C3%BC%3F%20x?key=" + secret; r.RequestURI != want {
			t.Errorf("asked for %s, want %s", r.RequestURI, want)
		}
		fmt.Fprint(w, `{"label":"Deal","fields":[{"name":"Name","type":"text","length":80,"required":true,"label":"x"},{"name":"Geo","type":"location"}]}`)
	})
	if !c.Describes() {
		t.Error("it does not say that it describes")
	}
	got, err := c.Describe(t.Context(), "Deal/ü? x")
	want := &sinks.Schema{Fields: []sinks.SchemaField{{Name: "Name", Type: sinks.FieldText, Length: 80, Required: true}, {Name: "Geo", Type: "location"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestDescribeURL(t *testing.T) {
	for _, c := range [][3]string{
		{"http://h/d/{object}", "a/b&c", "http://h/d/a%2Fb&c"},
		{"http://h/{object}/d?o={object}&k=1", "a b&c", "http://h/a%20b&c/d?o=a+b%26c&k=1"},
	} {
		if got := describeURL(c[0], c[1]); got != c[2] {
			t.Errorf("%s for %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestDescribeErrors(t *testing.T) {
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
		text string
	}{
		"401":          {answer(401, rowValue), "unauthorized", ""},
		"403":          {answer(403, rowValue), "unauthorized", ""},
		"429":          {answer(429, rowValue), "throttled 7s", ""},
		"503":          {answer(503, rowValue), "unknown 7s", ""},
		"400":          {answer(400, rowValue), "misconfigured", "answered 400 Bad Request; check the target's describe"},
		"405":          {answer(405, rowValue), "misconfigured", "check the target's describe"},
		"302":          {answer(302, rowValue), "misconfigured", "set the target's describe to where it redirects to"},
		"not JSON":     {answer(200, "<html>"+rowValue), "misconfigured", "it is not the JSON that was expected; the answer has to be"},
		"another JSON": {answer(200, `{"records":[]}`), "misconfigured", "there are no fields"},
		"null":         {answer(200, `null`), "misconfigured", "there are no fields"},
		"wrong type":   {answer(200, `{"fields":[{"name":"A","length":"`+rowValue+`"}]}`), "misconfigured", "not the JSON"},
		"no name":      {answer(200, `{"fields":[{"type":"text"}]}`), "misconfigured", "fields[0]: it has no name"},
		"204":          {answer(204, ""), "misconfigured", ""},
		"too long":     {answer(200, strings.Repeat(" ", maxAnswer+1)), "misconfigured", "too long"},
		"cut":          {cut, "unknown 0s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := describing(t, "/"+secret+"/{object}", c.h).Describe(t.Context(), "Deal")
			if s != nil || err == nil || outcome(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("got %v, %s (%v), want %s with %q", s, outcome(err), err, c.want, c.text)
			}
			for _, bad := range []string{secret, rowValue} {
				if strings.Contains(err.Error(), bad) {
					t.Errorf("%q is in %q", bad, err)
				}
			}
		})
	}
}

func TestDescribeOfAnUnknownObject(t *testing.T) {
	for body, known := range map[string][]string{
		`{"error":"no such thing","objects":["Deal","Lead"]}`: {"Deal", "Lead"},
		`<html>not here`: nil,
	} {
		_, err := describing(t, "/{object}", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, body)
		}).Describe(t.Context(), "Deel")
		var unknown *sinks.UnknownObject
		if !errors.As(err, &unknown) || unknown.Object != "Deel" || !reflect.DeepEqual(unknown.Known, known) {
			t.Errorf("got %#v", err)
		}
	}
}

// A target that is silent is not waited for longer than its timeout.
func TestDescribeEndsInTime(t *testing.T) {
	c := describing(t, "/{object}", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c.limits.Timeout = 50 * time.Millisecond
	if _, err := c.Describe(t.Context(), "Deal"); outcome(err) != "unknown 0s" {
		t.Errorf("got %v", err)
	}
}

func TestDescribeWithoutAnAddress(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	if _, err := c.Describe(t.Context(), "Deal"); !errors.Is(err, ErrNoDescribe) || c.Describes() {
		t.Errorf("got %v", err)
	}
}

func TestDescribeOptions(t *testing.T) {
	for _, bad := range []string{"http://h/" + secret, "ftp://h/{object}", "/{object}", "http://{object}/" + secret, "http://h/#{object}", "http://h/%zz{object}", "http://h/%7Bobject%7D"} {
		if _, err := New(Options{URL: "http://h/", Describe: bad}); err == nil || !strings.Contains(err.Error(), "describe: want") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []string{"", "http://h/{object}", "https://h/x?object={object}"} {
		if _, err := New(Options{URL: "http://h/", Describe: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
