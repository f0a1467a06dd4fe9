package restapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestControl(t *testing.T) {
	d := newDesk(t, Options{})
	control := func(body string, status int) got {
		t.Helper()
		return d.ask("POST", "/_control", body, status)
	}
	a := d.ask("POST", "/deals", `{"ref":"x"}`, 201).ID
	control(`{"rules":{"deals":{"unique":["ref"],"length":{"name":2},"required":["ref"],"numbers":["n"],"fields":["ref","name","n"]}}}`, 200)
	if g := d.ask("POST", "/deals", `{"ref":"x"}`, 409); !strings.Contains(g.text, a) {
		t.Errorf("answer %s", g.text)
	}
	if g := d.ask("POST", "/deals", `{"name":"long","n":"1","o":1}`, 422); g.codes() != "n:not_a_number name:too_long o:unknown_field ref:required" {
		t.Errorf("errors %s", g.codes())
	}
	if b := d.ask("POST", "/deals", `{"ref":"y"}`, 201).ID; b == a {
		t.Error("the id of another record")
	}
	control(`{"search_lag":"1m"}`, 200)
	if g := d.ask("GET", "/deals", "", 200); g.Total != 0 {
		t.Errorf("found %s", g.text)
	}
	d.now = d.now.Add(time.Minute)
	if g := d.ask("GET", "/deals", "", 200); g.Total != 2 {
		t.Errorf("found %s", g.text)
	}
	d.ask("POST", "/hooks/won", `{}`, 204)
	control(`{"hooks":{"won":["`+vectorKey+`"]}}`, 200)
	d.ask("POST", "/hooks/won", `{}`, 401)
	if len(d.Events("won")) != 1 {
		t.Error("what arrived before is gone")
	}
	control(`{"remove_hook":"won"}`, 200)
	d.ask("POST", "/hooks/won", `{}`, 410)
	control(`{"per_second":1}`, 200)
	d.ask("GET", "/deals", "", 200)
	d.ask("GET", "/deals", "", 429)
	control(`{"per_second":0,"auth":{"token":"tok"}}`, 200)
	for auth, header := range map[string][2]string{
		`{"token":"tok"}`:                           {"Authorization", "Bearer tok"},
		`{"user":"u","password":"p"}`:               {"Authorization", "Basic dTpw"},
		`{"header":"X-Key","header_value":"k"}`:     {"X-Key", "k"},
		`{"secret":"s3"}`:                           {"X-Signature", fmt.Sprintf("t=%d,v1=%s", d.now.Unix(), signature("s3", d.now, ""))},
		`{"client_id":"me","client_secret":"hush"}`: {},
	} {
		control(`{"auth":`+auth+`}`, 200)
		d.ask("GET", "/deals", "", 401)
		if header[0] != "" {
			d.header.Set(header[0], header[1])
			d.ask("GET", "/deals", "", 200)
			d.header = http.Header{}
		}
	}
	control(`{"auth":{}}`, 200)
	d.ask("GET", "/deals", "", 200)
	for body, want := range map[string]string{
		`{"search_lag":"soon"}`: "soon", `{"search_lag":"-1s"}`: "want a duration", `{"hooks":{"h":["x"]}}`: "hooks.h: read key 1",
		`{"rule":{}}`: "unknown field", `nonsense`: "invalid character",
		`{"per_second":1,"hooks":{"h":["x"]}}`: "hooks.h", // and none of it is done
	} {
		if g := control(body, 400); !strings.Contains(g.text, want) {
			t.Errorf("%s: %s", body, g.text)
		}
	}
	d.ask("GET", "/deals", "", 200)
	d.ask("GET", "/deals", "", 200)
}
