package salesforce

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoginsThatAreRefused(t *testing.T) {
	g := newOrg(t, Options{Clients: map[string]string{"id": "secret"}, RefreshTokens: []string{"good"}})
	for form, want := range map[string]string{
		"grant_type=client_credentials&client_id=id&client_secret=secret":                  "",
		"grant_type=client_credentials&client_id=id&client_secret=wrong":                   "invalid_client",
		"grant_type=client_credentials&client_id=id":                                       "invalid_client",
		"grant_type=client_credentials&client_id=other&client_secret=secret":               "invalid_client_id",
		"grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=good":    "",
		"grant_type=refresh_token&client_id=id&refresh_token=good":                         "",
		"grant_type=refresh_token&client_id=id&client_secret=wrong&refresh_token=good":     "invalid_client",
		"grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=expired": "invalid_grant",
		"grant_type=refresh_token&client_id=id&client_secret=secret":                       "invalid_grant",
		"grant_type=password&client_id=id&client_secret=secret&username=u&password=p":      "unsupported_grant_type",
		"client_id=id": "unsupported_grant_type",
	} {
		v, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		a := g.form(v)
		var in struct {
			Error, Description string
			URL                string `json:"instance_url"`
			Expires            any    `json:"expires_in"`
		}
		a.into(&in)
		if in.Error != want || (want == "") != (a.status == 200) || want == "" && in.URL != "http://org.example" || in.Expires != nil {
			t.Errorf("%s: %d %s, want %q", form, a.status, a.body, want)
		}
	}
	req := httptest.NewRequest("POST", "/services/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("id", "secret")
	g.send(req).wants(200, "access_token")
	g.send(httptest.NewRequest("GET", "/services/oauth2/token", nil)).wants(405)
	g.RevokeGrants()
	g.form(url.Values{"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"secret"}}).wants(400, "invalid_grant", "expired access/refresh token")
	if calls := g.Calls(); calls["api"] != 0 || calls["login"] != 14 || calls["login_refused"] != 9 {
		t.Errorf("calls %v: logins do not count against the limit", calls)
	}
}

func TestAssertions(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := newOrg(t, Options{PublicKey: &key.PublicKey})
	sign := func(head, claims string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	const head = `{"alg":"RS256"}`
	at := func(d time.Duration) string { return fmt.Sprint(g.now.Add(d).Unix()) }
	good := func(exp string) string {
		return `{"iss":"id","sub":"me@example.com","aud":"https://login.salesforce.com","exp":` + exp + `}`
	}
	valid := sign(head, good(at(3*time.Minute)))
	for assertion, want := range map[string]string{
		valid: "",
		sign(head, good(`"`+at(3*time.Minute)+`"`)): "",
		sign(head, strings.Replace(good(at(time.Minute)), "https://login.salesforce.com", "http://org.example/", 1)): "",
		sign(head, strings.Replace(good(at(time.Minute)), "login", "elsewhere", 1)):                                  "audience is invalid",
		sign(head, good(at(0))):         "expired",
		sign(head, good(at(time.Hour))): "expired",
		sign(head, good(`"soon"`)):      "expired",
		sign(head, strings.Replace(good(at(time.Minute)), "me@example.com", "", 1)): "user hasn't approved",
		sign(head, strings.Replace(good(at(time.Minute)), `"id"`, `""`, 1)):         "client identifier invalid",
		sign(`{"alg":"HS256"}`, good(at(time.Minute))):                              "invalid assertion",
		sign(head, "{"):               "invalid assertion",
		valid[:len(valid)-4] + "AAAA": "invalid assertion",
		"a.b":                         "invalid assertion",
		"*.*.*":                       "invalid assertion",
		"":                            "invalid assertion",
	} {
		a := g.form(url.Values{"grant_type": {grantJWT}, "assertion": {assertion}})
		if want == "" {
			a.wants(200, `"access_token":"00D`)
			continue
		}
		a.wants(400, want)
	}
}

func TestSessionsEnd(t *testing.T) {
	g := newOrg(t, Options{SessionLife: time.Hour})
	g.do("GET", "/limits", "").wants(200)
	g.now = g.now.Add(time.Hour)
	const ended = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
	g.do("GET", "/limits", "").wants(401, ended)
	g.logIn()
	g.do("GET", "/limits", "").wants(200)
	if len(g.sessions) != 1 {
		t.Errorf("%d sessions are kept, want that which is good", len(g.sessions))
	}
	g.ExpireSessions()
	g.do("GET", "/limits", "").wants(401, ended)
	g.send(httptest.NewRequest("GET", api+"/limits", nil)).wants(401, "INVALID_AUTH_HEADER")
}

func TestDailyLimit(t *testing.T) {
	g := newOrg(t, Options{DailyCalls: 3, SessionLife: 1000 * time.Hour})
	for i := range 3 {
		if got := g.do("GET", "/limits", "").wants(200).header.Get("Sforce-Limit-Info"); got != fmt.Sprintf("api-usage=%d/3", i+1) {
			t.Errorf("limit info %q", got)
		}
		g.now = g.now.Add(8 * time.Hour)
	}
	// The first call is a day old now.
	g.do("GET", "/limits", "").wants(200, `"DailyApiRequests":{"Max":3,"Remaining":0}`)
	a := g.do("POST", "/sobjects/Account", `{"Name":"A"}`).wants(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	if a.header.Get("Sforce-Limit-Info") != "api-usage=3/3" || a.header.Get("Retry-After") != "" || g.Count("Account") != 0 {
		t.Errorf("headers %v, %d records", a.header, g.Count("Account"))
	}
	g.now = g.now.Add(8 * time.Hour)
	g.do("GET", "/limits", "").wants(200)
	g.now = g.now.Add(100 * time.Hour)
	g.SpendCalls(2)
	g.do("GET", "/limits", "").wants(200, `"Remaining":0`)
	if calls := g.Calls(); calls["turned_away"] != 1 || calls["api"] != 6 {
		t.Errorf("calls %v", calls)
	}
}

func TestTooLong(t *testing.T) {
	g := newOrg(t, Options{})
	g.do("GET", "/query?q=SELECT+Id+FROM+Account+WHERE+Name='"+strings.Repeat("x", maxURIBytes)+"'", "").wants(414, "URI_TOO_LONG")
	g.do("POST", "/sobjects/Account", strings.Repeat(" ", maxBodyBytes+1)).wants(413)
}

func TestCompressedBodies(t *testing.T) {
	g := newOrg(t, Options{})
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(`{"Name":"A"}`)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	g.do("POST", "/sobjects/Account", b.String(), "Content-Encoding", "gzip").wants(201)
	g.do("POST", "/sobjects/Account", "{}", "Content-Encoding", "gzip").wants(400)
}

// Two requests that write children of one parent at the same time: the second finds it
// locked, also under the names of a trigger and of a flow.
func TestLocks(t *testing.T) {
	for name, c := range map[string]struct{ trigger, flow, code, says string }{
		"plain":   {"", "", "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 001"},
		"trigger": {"DealTrigger", "", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"},
		"flow":    {"", "Roll up", "CANNOT_EXECUTE_FLOW_TRIGGER", "UNABLE_TO_LOCK_ROW"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				objects := DefaultObjects()
				for i := range objects {
					if objects[i].Name == "Contact" {
						objects[i].Trigger, objects[i].Flow = c.trigger, c.flow
					}
				}
				g := newOrg(t, Options{Objects: objects, WriteTime: time.Second, Now: time.Now})
				for _, key := range []string{"p", "q"} {
					g.make("Account", `{"Name":"P","Account_Ext__c":"`+key+`"}`)
				}
				write := func(key, parent string) string {
					return fmt.Sprintf(`{"records":[{"attributes":{"type":"Contact"},"Contact_Ext__c":%q,"LastName":%q,"Account":{"Account_Ext__c":%q}}]}`, key, key, parent)
				}
				const path = "/composite/sobjects/Contact/Contact_Ext__c"
				start := time.Now()
				answers := make(map[string]answer)
				done := make(chan [2]any)
				send := func(key, parent string) {
					go func() { done <- [2]any{key, g.do("PATCH", path, write(key, parent))} }()
					synctest.Wait() // until it waits within the lock
				}
				send("a", "p")
				send("b", "P") // of the same parent
				send("c", "q")
				send("A", "q") // the same record as the first, and a parent that is taken
				for range 4 {
					d := <-done
					answers[d[0].(string)] = d[1].(answer)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
				for key, good := range map[string]bool{"a": true, "b": false, "c": true, "A": false} {
					if good {
						answers[key].wants(200, `"success":true`)
						continue
					}
					answers[key].wants(200, `"statusCode":"`+c.code+`"`, c.says)
				}
				g.do("PATCH", path, write("b", "p")).wants(200, `"success":true`) // it is free again
				if len(g.locks) != 0 {
					t.Errorf("locks left: %v", g.locks)
				}
			})
		})
	}
}

func TestConcurrentRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newOrg(t, Options{Concurrent: 1, WriteTime: time.Second, Now: time.Now})
		done := make(chan answer)
		go func() { done <- g.do("POST", "/sobjects/Account", `{"Name":"A"}`) }()
		synctest.Wait()
		g.do("GET", "/limits", "").wants(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn")
		(<-done).wants(201)
		g.do("GET", "/limits", "").wants(200)
	})
}

func TestFaultsInItsOwnWords(t *testing.T) {
	s := New(Options{})
	for status, code := range map[int]string{401: "INVALID_SESSION_ID", 403: "REQUEST_LIMIT_EXCEEDED", 500: "UNKNOWN_EXCEPTION", 503: "SERVER_UNAVAILABLE", 502: "UNKNOWN_EXCEPTION"} {
		w := httptest.NewRecorder()
		s.Fault(w, status, "", "scripted")
		var list []problem
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != status || len(list) != 1 || list[0].Code != code || list[0].Message != "scripted" {
			t.Errorf("%d: %d %s", status, w.Code, w.Body)
		}
	}
}

func TestSwitches(t *testing.T) {
	g := newOrg(t, Options{})
	post := func(body string) answer {
		return g.send(httptest.NewRequest("POST", "/_control", strings.NewReader(body)))
	}
	post(`{"expire_sessions":true,"daily_calls":10,"spend_calls":9,"write_time":"5ms","bulk_time":"1m","break_job":0}`).wants(200)
	g.do("GET", "/limits", "").wants(401)
	g.logIn()
	g.do("GET", "/limits", "").wants(200, `"Max":10,"Remaining":0`)
	g.do("GET", "/limits", "").wants(403)
	if g.o.WriteTime != 5*time.Millisecond || g.o.BulkTime != time.Minute || len(g.breaks) != 1 {
		t.Errorf("options %+v, breaks %v", g.o, g.breaks)
	}
	post(`{"revoke_grants":true}`).wants(200)
	g.form(url.Values{"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"secret"}}).wants(400, "invalid_grant")
	post(`{"sessions":true}`).wants(400, "sessions")
	post(`{"write_time":"soon"}`).wants(400, "want a duration")
	g.send(httptest.NewRequest("GET", "/_control", nil)).wants(405)
}
