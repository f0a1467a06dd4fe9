package sim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestMountTakesThePrefixAway(t *testing.T) {
	h := Mount("salesforce", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, BaseURL(r), " ", r.URL.EscapedPath(), " ", r.URL.RawQuery)
	}))
	for target, want := range map[string]string{
		"http://host:1/salesforce":                 "http://host:1/salesforce / ",
		"http://host:1/salesforce/":                "http://host:1/salesforce / ",
		"http://host:1/salesforce?a=1":             "http://host:1/salesforce / a=1",
		"http://host:1/salesforce/x/a%2Fb%20c?q=1": "http://host:1/salesforce /x/a%2Fb%20c q=1",
		"https://host/salesforce/y":                "https://host/salesforce /y ",
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		if got := rec.Body.String(); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestBaseURLWithoutMount(t *testing.T) {
	if got := BaseURL(httptest.NewRequest("GET", "http://host:1/a/b", nil)); got != "http://host:1" {
		t.Errorf("base %q", got)
	}
}
