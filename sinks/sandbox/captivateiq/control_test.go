package captivateiq

import (
	"testing"
	"time"
)

func TestControl(t *testing.T) {
	d := newDesk(t, Options{Token: "secret"})
	d.token = "" // it asks for none
	control := func(body string, status int) {
		t.Helper()
		d.token = ""
		d.ask("POST", "/_control", body, status)
		d.token = "Token secret"
	}
	control(`{"firewall":true}`, 200)
	d.ask("POST", deals+"records/", `{"Deal ID":"a","Deal Name":"drop table x"}`, 403)
	control(`{"firewall":false}`, 200)
	d.ask("POST", deals+"records/", `{"Deal ID":"a","Deal Name":"drop table x"}`, 201)
	control(`{"slow":1,"carried_out":true}`, 200)
	d.ask("DELETE", deals+"records/a/", "", 502)
	d.ask("DELETE", deals+"records/a/", "", 404)
	control(`{"limits":{"per_second":1}}`, 200)
	d.ask("GET", root, "", 200)
	d.ask("GET", root, "", 429)
	control(`{"limits":{"per_hour":1}}`, 200)
	d.now = d.now.Add(time.Second)
	d.ask("GET", root, "", 200)
	d.ask("GET", root, "", 429)
	control(`{"limits":{}}`, 200)
	d.ask("GET", root, "", 200)
	for _, wrong := range []string{`{"quick":1}`, `nonsense`} {
		control(wrong, 400)
	}
}
