package hubspot

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// What an account does that is not about one request, in front of the simulation.
func TestAccount(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	want := func(c *Client, want string, records ...sinks.Record) {
		t.Helper()
		if records == nil {
			records = []sinks.Record{upsert("a", "firstname", `"Ana"`)}
		}
		rs, err := deliver(t, c, records...)
		if got := outcomes(rs, err); got != want && !(want == "ok" && err == nil && rs[0].Err == nil) {
			t.Errorf("got %s, want %s", got, want)
		}
	}

	s := sandbox.New(sandbox.Options{Now: clock})
	c := serve(t, Options{Now: clock}, s)
	s.Lock(1)
	want(c, "batch: retry 2s")
	want(c, "ok")
	s.Migrate(3 * time.Hour)
	want(c, "batch: paused 3h0m0s")
	now = now.Add(4 * time.Hour)
	want(c, "ok")

	c = serve(t, Options{Now: clock}, sandbox.New(sandbox.Options{Now: clock, Limits: sandbox.Limits{Secondly: 1, Daily: 2}}))
	var told []sinks.Quota
	c.TellQuota(func(q sinks.Quota) { told = append(told, q) })
	want(c, "ok")
	want(c, "batch: throttled 1s")
	now = now.Add(2 * time.Second)
	want(c, "ok")
	now = now.Add(2 * time.Second)
	want(c, "batch: paused 15m0s")
	if len(told) == 0 || !told[len(told)-1].Daily.Known || told[len(told)-1].Daily.Left != 0 {
		t.Errorf("told %+v", told)
	}

	c = serve(t, Options{Now: clock}, sandbox.New(sandbox.Options{Now: clock, Apps: []sandbox.App{{Token: secret, Scopes: []string{"crm.objects.contacts.read"}}}}))
	want(c, "batch: misconfigured: give the app the scope crm.objects.contacts.write")

	s = sandbox.New(sandbox.Options{Now: clock, OAuth: &sandbox.OAuth{ClientID: "app-1", ClientSecret: clientSecret, RefreshToken: refreshToken}})
	c = serve(t, Options{Now: clock, Login: login()}, s)
	want(c, "ok")
	now = now.Add(time.Hour) // the token has ended, and is not tried any more
	want(c, "ok")
	if calls := s.Calls(); calls["unauthorized"] != 0 || calls["token"] != 2 {
		t.Errorf("calls %v", calls)
	}
	s.Uninstall()
	want(c, "batch: unauthorized")
}

// Two keys of one record refuse the batch, which is then halved; alone both are taken.
func TestTwoKeysOfOneRecord(t *testing.T) {
	c := serve(t, Options{}, sandbox.New(sandbox.Options{}))
	one, two := upsert("a"), upsert("b")
	one.Key, two.Key = sinks.Field{Name: "email", Value: json.RawMessage(`"ada@x.com"`)}, sinks.Field{Name: "email", Value: json.RawMessage(`"Ada@X.com"`)}
	if got := outcomes(deliver(t, c, one, two)); got != "batch: rejected VALIDATION_ERROR" {
		t.Errorf("got %s", got)
	}
	for _, r := range []sinks.Record{one, two} {
		if rs, err := deliver(t, c, r); err != nil || rs[0].Err != nil {
			t.Errorf("got %+v %v", rs, err)
		}
	}
}

// The unique value of an archived record is in the way, until it is restored.
func TestUpsertAfterArchive(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	c := serve(t, Options{}, s)
	withNotes(c)
	first := outcomes(deliver(t, c, upsert("a")))
	if got := outcomes(deliver(t, c, remove("a"))); got != first {
		t.Errorf("archived %s, want %s", got, first)
	}
	if got := outcomes(deliver(t, c, upsert("a"))); got != "rejected CONFLICTING_UNIQUE_VALUE" {
		t.Errorf("got %s", got)
	}
	if !s.Restore("contacts", first) {
		t.Fatal("there was nothing to restore")
	}
	if got := outcomes(deliver(t, c, upsert("a"))); got != first || strings.Contains(got, "rejected") {
		t.Errorf("got %s, want %s", got, first)
	}
}
