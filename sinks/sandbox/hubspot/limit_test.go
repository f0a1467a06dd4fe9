package hubspot

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDefaultLimits(t *testing.T) {
	if l := DefaultLimits(); l.TenSecondly != 190 || l.Daily != 650_000 || l.Search != 5 {
		t.Errorf("limits %+v", l)
	}
}

func TestTenSecondlyRolls(t *testing.T) {
	d := newDesk(t, Options{Limits: Limits{TenSecondly: 2, Daily: 100}})
	read := func() got { return d.ask("GET", "/crm/v3/owners", "") }
	g := read()
	d.want(g, 200)
	for name, want := range map[string]string{"Daily": "100", "Daily-Remaining": "99", "Interval-Milliseconds": "10000", "Max": "2", "Remaining": "1", "Secondly": "", "Secondly-Remaining": ""} {
		if got := g.Header.Get("X-HubSpot-RateLimit-" + name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	d.now = d.now.Add(4 * time.Second)
	d.want(read(), 200)
	d.now = d.now.Add(5999 * time.Millisecond)
	g = read()
	d.want(g, http.StatusTooManyRequests)
	if g.PolicyName != "TEN_SECONDLY_ROLLING" || g.ErrorType != "RATE_LIMIT" || g.Category != "" || g.Message != "You have reached your ten_secondly_rolling limit." {
		t.Errorf("answer %s", g.Text)
	}
	if g.Header.Get("Retry-After") != "" || g.Header.Get("X-HubSpot-RateLimit-Remaining") != "0" {
		t.Errorf("headers %v", g.Header)
	}
	d.now = d.now.Add(time.Millisecond)
	d.want(read(), 200)
	d.want(read(), 429)
	if got := d.Calls()["throttled"]; got != 2 {
		t.Errorf("%d throttled", got)
	}
}

func TestSecondly(t *testing.T) {
	d := newDesk(t, Options{Limits: Limits{Secondly: 1}})
	g := d.ask("GET", "/crm/v3/owners", "")
	if g.Header.Get("X-HubSpot-RateLimit-Secondly") != "1" || g.Header.Get("X-HubSpot-RateLimit-Secondly-Remaining") != "0" {
		t.Errorf("headers %v", g.Header)
	}
	if g = d.ask("GET", "/crm/v3/owners", ""); g.Status != 429 || g.PolicyName != "SECONDLY" || g.Message != "You have reached your secondly limit." {
		t.Errorf("answer %s", g.Text)
	}
}

// The count of a day ends at midnight in the account's time zone.
func TestDaily(t *testing.T) {
	zone := time.FixedZone("west", -5*3600)
	d := newDesk(t, Options{Limits: Limits{Daily: 2}, Zone: zone})
	for range 2 {
		d.want(d.ask("GET", "/crm/v3/owners", ""), 200)
	}
	d.now = time.Date(2026, 1, 31, 4, 59, 59, 0, time.UTC)
	g := d.ask("GET", "/crm/v3/owners", "")
	if g.Status != 429 || g.PolicyName != "DAILY" || g.Message != "You have reached your daily limit." || g.Header.Get("X-HubSpot-RateLimit-Daily-Remaining") != "0" {
		t.Errorf("answer %s", g.Text)
	}
	d.now = d.now.Add(time.Second)
	d.want(d.ask("GET", "/crm/v3/owners", ""), 200)
}

// Recorded answers to searches have no headers, and say nothing of a policy.
func TestSearchHasALimitOfItsOwn(t *testing.T) {
	d := newDesk(t, Options{Limits: Limits{Search: 1, TenSecondly: 1, Daily: 10}})
	var g got
	for _, status := range []int{200, 429} {
		g = d.post("/search", `{}`, status)
		for name := range g.Header {
			if strings.HasPrefix(name, "X-Hubspot") {
				t.Errorf("header %s", name)
			}
		}
	}
	if g.PolicyName != "" || strings.Contains(g.Text, "policyName") || g.Message != "You have reached your secondly limit." {
		t.Errorf("answer %s", g.Text)
	}
	d.want(d.ask("GET", "/crm/v3/owners", ""), 200)
}

func TestHeavyWritesLock(t *testing.T) {
	d := newDesk(t, Options{Lock: LockRule{Records: 3, Within: time.Minute}})
	d.post("/batch/upsert", upserts(true, "a", "b"), 200)
	d.now = d.now.Add(time.Second)
	d.post("/batch/upsert", upserts(true, "a", "b"), 200) // the fourth record within the minute
	g := d.ask("POST", "/crm/v3/objects/0-3/batch/upsert", upserts(true, "a"))
	d.want(g, http.StatusLocked)
	if d.Calls()["locked"] != 1 {
		t.Errorf("calls %v", d.Calls())
	}
	d.want(d.ask("GET", deals, ""), 200)                                                            // reads are not locked,
	d.want(d.ask("POST", "/crm/v3/objects/companies", `{"properties":{"name":"Other type"}}`), 201) // nor is another type
	d.now = d.now.Add(lockedFor - time.Millisecond)
	d.post("/batch/upsert", upserts(true, "a"), 423)
	d.now = d.now.Add(time.Millisecond)
	d.post("/batch/upsert", upserts(true, "a"), 200)
	d.now = d.now.Add(2 * time.Minute)
	d.post("/batch/upsert", upserts(true, "a", "b"), 200)
	d.post("/batch/upsert", upserts(true, "a"), 200) // what is longer ago does not count
	d.post("/batch/archive", `{"inputs":[{"id":"1"}]}`, 204)
	d.want(d.ask("DELETE", deals+"/1", ""), 423) // archiving is writing
}

func TestLockSwitch(t *testing.T) {
	d := newDesk(t, Options{})
	d.Lock(2)
	for _, status := range []int{423, 423, 200} {
		d.post("/batch/upsert", upserts(true, "a"), status)
	}
}

func TestMigration(t *testing.T) {
	d := newDesk(t, Options{})
	d.Migrate(90*time.Minute + time.Millisecond)
	g := d.ask("GET", "/crm/v3/owners", "")
	d.want(g, 477)
	if g.Header.Get("Retry-After") != "5401" {
		t.Errorf("Retry-After %q", g.Header.Get("Retry-After"))
	}
	d.now = d.now.Add(90*time.Minute + time.Millisecond)
	d.want(d.ask("GET", "/crm/v3/owners", ""), 200)
}
