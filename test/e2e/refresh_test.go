package e2e

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
)

// TestRefreshTokenRotates delivers to an org that gives a new refresh token with each refresh,
// and takes a used one for a stolen one: delivery goes on after a crash, with a second worker,
// beside a check and a verify, and none of them uses what another one has used.
func TestRefreshTokenRotates(t *testing.T) {
	t.Parallel()
	org := salesforce.New(salesforce.Options{RefreshTokens: []string{"configured-s3cret"}, RotateRefresh: true})
	server := httptest.NewServer(org)
	t.Cleanup(server.Close)
	b := newBridge(t, options{rewrite: func(config string) string {
		head, _, _ := strings.Cut(config, "\ntargets:\n")
		return head + "\nlog: {level: debug}\ntargets:\n  crm: {type: salesforce, url: \"" + server.URL +
			"\", login: {grant: refresh, client_id: app, refresh_token: configured-s3cret}, timeout: 2s}\n"
	}})
	b.noMappings()
	b.write("mappings/deals.yaml", "from: public.deals\nto: crm/Account\nkey: {External_Id__c: string(id)}\nfields: {Name: name}\ncoalesce: {quiet: 10ms, max_delay: 100ms}\n")
	p := b.start("run")
	b.waitSlot(p)
	rows, refreshes := 0, int64(0)
	delivered := func(want int64, running ...*process) {
		t.Helper()
		for range 20 {
			rows++
			b.exec(`INSERT INTO deals (id, name) VALUES ($1, 'x')`, rows)
		}
		until(t, 30*time.Second, func() string {
			for _, p := range running {
				p.mustRun()
			}
			return unless(org.Count("Account") == rows, fmt.Sprintf("%d of %d records are in the org", org.Count("Account"), rows))
		})
		refreshes += want
		if calls := org.Calls(); calls["login"] != refreshes || calls["refresh_reused"] != 0 {
			t.Fatalf("%d refreshes, %d of a used token; want %d", calls["login"], calls["refresh_reused"], refreshes)
		}
	}
	command := func(says string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append(args, "-c", "walbridge.yaml")...)
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), says) || strings.Contains(string(out), "s3cret") {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	delivered(1, p)
	command("it can be reached, and tells its fields", "check")
	p.kill()
	before := org.NewestRefresh("configured-s3cret")
	p = b.start("run")
	delivered(0, p) // the access token was kept too
	p.kill()
	org.ExpireSessions()
	command("it can be reached, and tells its fields", "check") // which finds out, and keeps what it gets
	refreshes++
	p = b.start("run")
	delivered(0, p)
	if org.NewestRefresh("configured-s3cret") == before {
		t.Error("the refresh token was not replaced")
	}
	other := b.start("deliver")
	until(t, 20*time.Second, func() string {
		r, _ := b.status()
		return unless(len(r.Targets) == 1 && len(r.Targets[0].Workers) == 2 && len(r.Targets[0].Workers[1].Partitions) > 0, "the second worker has no part yet")
	})
	delivered(0, p, other)
	org.ExpireSessions()
	delivered(1, p, other)
	command("crm/Account   100    100 ", "verify", "--target", "crm")
	if calls := org.Calls(); calls["login"] != refreshes {
		t.Errorf("%d refreshes, want %d", calls["login"], refreshes)
	}

	// Somebody else uses what is kept: nothing can be done about that but to say so.
	newest := org.NewestRefresh("configured-s3cret")
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"thief"}, "refresh_token": {newest}}
	req := httptest.NewRequest("POST", "/services/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	org.ServeHTTP(httptest.NewRecorder(), req)
	org.ExpireSessions()
	b.exec(`UPDATE deals SET name = 'y'`)
	p.says("authorize the app anew, and write the refresh token that this gives to login.refresh_token", 30*time.Second)
	for _, secret := range []string{"s3cret", "SANDBOX", newest} {
		if strings.Contains(p.output()+other.output(), secret) {
			t.Errorf("the log tells of %s", secret)
		}
	}
	b.notInRedis("configured-s3cret", "SANDBOX")
}
