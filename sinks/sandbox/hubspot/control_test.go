package hubspot

import "testing"

func TestControl(t *testing.T) {
	d := newDesk(t, Options{Limits: Limits{Daily: 3}})
	d.token = "" // it asks for none
	control := func(body string, status int) {
		t.Helper()
		d.want(d.ask("POST", "/_control", body), status)
	}
	ask := func(status int) got {
		t.Helper()
		d.token = "x"
		g := d.ask("POST", deals+"/batch/upsert", upserts(false, "a"))
		d.token = ""
		d.want(g, status)
		return g
	}
	control(`{"lock":1}`, 200)
	ask(423)
	id := ask(200).Results[0].ID
	control(`{"spend_calls":1}`, 200)
	if g := ask(429); g.PolicyName != "DAILY" {
		t.Errorf("answer %s", g.Text)
	}
	control(`{"limits":{"daily":5,"ten_secondly":1}}`, 200)
	if g := ask(200); g.Header.Get("X-HubSpot-RateLimit-Daily-Remaining") != "1" {
		t.Errorf("what was spent is forgotten: %v", g.Header)
	}
	if g := ask(429); g.PolicyName != "TEN_SECONDLY_ROLLING" {
		t.Errorf("answer %s", g.Text)
	}
	control(`{"limits":{}}`, 200)
	d.token = "x"
	d.want(d.ask("DELETE", deals+"/"+id, ""), 204)
	d.token = ""
	ask(400)
	control(`{"restore":{"object":"deals","id":"`+id+`"}}`, 200)
	control(`{"restore":{"object":"deals","id":"`+id+`"}}`, 400)
	ask(200)
	control(`{"migrate":"1h"}`, 200)
	if g := ask(477); g.Header.Get("Retry-After") != "3600" {
		t.Errorf("headers %v", g.Header)
	}
	for _, wrong := range []string{`{"migrate":"soon"}`, `{"migrate":"-1h"}`, `{"unlock":1}`, `nonsense`} {
		control(wrong, 400)
	}
	if status, _ := d.refresh("/oauth/v1/token"); status != 200 {
		t.Errorf("a token: %d", status)
	}
	control(`{"uninstall":true}`, 200)
	if status, _ := d.refresh("/oauth/v1/token"); status != 403 {
		t.Errorf("a token of an app that is gone: %d", status)
	}
}
