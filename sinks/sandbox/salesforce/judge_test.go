package salesforce_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	client "github.com/k-capehart/go-salesforce/v3"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// The simulation is judged from outside: a client library that none of us wrote must work
// against it as it is.

type contact struct {
	ID       string `salesforce:"Id" csv:"Id"`
	LastName string
	Email    string
	Key      string `salesforce:"Contact_Ext__c" csv:"Contact_Ext__c"`
}

// judged starts an org, at the root of a server or below a sandbox's prefix, and gives a
// client that is logged in.
func judged(t *testing.T, mounted bool, o salesforce.Options) (*salesforce.Server, *client.Salesforce) {
	t.Helper()
	s := salesforce.New(o)
	var ts *httptest.Server
	domain := ""
	if mounted {
		ts = httptest.NewServer(sandbox.New(sandbox.Options{Simulations: map[string]sim.Simulation{"salesforce": s}}))
		domain = ts.URL + "/salesforce"
	} else {
		ts = httptest.NewServer(s)
		domain = ts.URL
	}
	t.Cleanup(ts.Close)
	c, err := client.Init(client.Creds{Domain: domain, ConsumerKey: "key", ConsumerSecret: "secret"},
		client.WithRoundTripper(ts.Client().Transport))
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	if c.GetInstanceUrl() != domain {
		t.Fatalf("instance %s, want %s", c.GetInstanceUrl(), domain)
	}
	return s, c
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantResults(t *testing.T, r client.SalesforceResults, n int) []string {
	t.Helper()
	if r.HasSalesforceErrors || len(r.Results) != n {
		t.Fatalf("results %+v, want %d good ones", r, n)
	}
	ids := make([]string, n)
	for i := range r.Results {
		ids[i] = r.Results[i].Id
	}
	return ids
}

func TestJudgeSingles(t *testing.T) {
	for _, mounted := range []bool{false, true} {
		t.Run(fmt.Sprintf("mounted %v", mounted), func(t *testing.T) {
			s, c := judged(t, mounted, salesforce.Options{})
			made, err := c.InsertOne("Contact", contact{LastName: "Lee", Email: "lee@example.com", Key: "c 1/ä"})
			if must(t, made, err); !made.Success || len(made.Id) != 18 {
				t.Fatalf("insert %+v", made)
			}
			if err := c.UpdateOne("Contact", contact{ID: made.Id, LastName: "Lie", Key: "c-1"}); err != nil {
				t.Fatal(err)
			}
			again, err := c.UpsertOne("Contact", "Contact_Ext__c", contact{LastName: "Lau", Key: "C-1"})
			if must(t, again, err); again.Id != made.Id {
				t.Errorf("upsert made %s beside %s", again.Id, made.Id)
			}
			fresh, err := c.UpsertOne("Contact", "Contact_Ext__c", contact{LastName: "Kim", Key: "c-2"})
			if must(t, fresh, err); fresh.Id == made.Id || !fresh.Success {
				t.Errorf("upsert of a new key %+v", fresh)
			}
			var found []contact
			if err := c.Query("SELECT Id, LastName, Contact_Ext__c FROM Contact WHERE LastName IN ('Lau', 'Kim') ORDER BY LastName", &found); err != nil {
				t.Fatal(err)
			}
			if len(found) != 2 || found[0].LastName != "Kim" || found[1].ID != made.Id || found[1].Key != "C-1" {
				t.Errorf("found %+v", found)
			}
			if err := c.DeleteOne("Contact", contact{ID: made.Id}); err != nil || s.Count("Contact") != 1 {
				t.Errorf("delete: %v, %d left", err, s.Count("Contact"))
			}
			if err := c.DeleteOne("Contact", contact{ID: made.Id}); err == nil || !strings.Contains(err.Error(), "ENTITY_IS_DELETED") {
				t.Errorf("delete again: %v", err)
			}
			if _, err := c.InsertOne("Contact", contact{Email: "x"}); err == nil || !strings.Contains(err.Error(), "INVALID_EMAIL_ADDRESS") {
				t.Errorf("insert of nothing: %v", err)
			}
		})
	}
}

func many(n int, change string) (list []contact) {
	for i := range n {
		list = append(list, contact{LastName: fmt.Sprint("Name ", i, change), Key: fmt.Sprint("k-", i)})
	}
	return list
}

func TestJudgeCollections(t *testing.T) {
	s, c := judged(t, false, salesforce.Options{})
	r, err := c.InsertCollection("Contact", many(450, ""), 200)
	ids := wantResults(t, must(t, r, err), 450)
	changed := many(450, "!")
	for i := range changed {
		changed[i].ID = ids[i]
	}
	r, err = c.UpdateCollection("Contact", changed, 200)
	wantResults(t, must(t, r, err), 450)
	r, err = c.UpsertCollection("Contact", "Contact_Ext__c", many(460, "?"), 200)
	if got := wantResults(t, must(t, r, err), 460); !slices.Equal(got[:450], ids) {
		t.Error("upsert made records for keys that were there, or told of them in another order")
	}
	bad := []contact{{LastName: "Good", Key: "g"}, {Key: "no name"}, {LastName: strings.Repeat("x", 81), Key: "long"}}
	r, err = c.UpsertCollection("Contact", "Contact_Ext__c", bad, 200)
	if must(t, r, err); !r.HasSalesforceErrors || !r.Results[0].Success || r.Results[1].Errors[0].StatusCode != "REQUIRED_FIELD_MISSING" ||
		r.Results[2].Errors[0].StatusCode != "STRING_TOO_LONG" || r.Results[2].Errors[0].Fields[0] != "LastName" || r.Results[1].Id != "" {
		t.Errorf("mixed results %+v", r)
	}
	r, err = c.DeleteCollection("Contact", changed, 200)
	if wantResults(t, must(t, r, err), 450); s.Count("Contact") != 11 {
		t.Errorf("%d left, want 11", s.Count("Contact"))
	}
	if calls := s.Calls(); calls["collections"] != 3+3+3+1+3 || calls["api"] != 13 {
		t.Errorf("calls %v", calls)
	}
}

func TestJudgeComposite(t *testing.T) {
	s, c := judged(t, true, salesforce.Options{})
	r, err := c.UpsertComposite("Contact", "Contact_Ext__c", many(1000, ""), 200, true)
	ids := wantResults(t, must(t, r, err), 1000)
	if calls := s.Calls(); calls["composite"] != 1 || calls["api"] != 1 || s.Count("Contact") != 1000 {
		t.Errorf("calls %v for %d records", calls, s.Count("Contact"))
	}
	changed := many(1000, "!")
	for i := range changed {
		changed[i].ID = ids[i]
	}
	r, err = c.UpdateComposite("Contact", changed, 200, false)
	wantResults(t, must(t, r, err), 1000)
	r, err = c.DeleteComposite("Contact", changed, 200, true)
	if wantResults(t, must(t, r, err), 1000); s.Count("Contact") != 0 {
		t.Errorf("%d left", s.Count("Contact"))
	}
	r, err = c.InsertComposite("Contact", []contact{{LastName: "Good"}, {}}, 200, true)
	if must(t, r, err); !r.HasSalesforceErrors || s.Count("Contact") != 0 {
		t.Errorf("all or none: %+v, %d made", r, s.Count("Contact"))
	}
}

func TestJudgeBulk(t *testing.T) {
	s, c := judged(t, false, salesforce.Options{})
	list := many(2500, "")
	list[7].LastName = ""
	list[8].LastName = "#N/A"
	ids, err := c.UpsertBulk("Contact", "Contact_Ext__c", list, 10000, true)
	if err != nil || len(ids) != 1 {
		t.Fatalf("jobs %q, %v", ids, err)
	}
	r, err := c.GetJobResults(ids[0])
	if must(t, r, err); r.State != "JobComplete" || r.NumberRecordsFailed != 2 || len(r.SuccessfulRecords) != 2498 || len(r.FailedRecords) != 2 {
		t.Fatalf("state %s, %d failed, %d and %d rows", r.State, r.NumberRecordsFailed, len(r.SuccessfulRecords), len(r.FailedRecords))
	}
	if e := fmt.Sprint(r.FailedRecords[0]["sf__Error"]); e != "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --" {
		t.Errorf("error %q", e)
	}
	if s.Count("Contact") != 2498 {
		t.Errorf("%d made", s.Count("Contact"))
	}
	var found []contact
	if err := c.Query("SELECT Id, Contact_Ext__c FROM Contact", &found); err != nil || len(found) != 2498 {
		t.Errorf("query over pages: %d, %v", len(found), err)
	}
	del := make([]contact, 100)
	for i := range del {
		del[i] = contact{ID: found[i].ID}
	}
	if ids, err = c.DeleteBulk("Contact", del, 10000, true); err != nil || s.Count("Contact") != 2398 {
		t.Errorf("delete %v, %v, %d left", ids, err, s.Count("Contact"))
	}
}

func TestJudgeSessions(t *testing.T) {
	key := must1(rsa.GenerateKey(rand.Reader, 2048))
	s := salesforce.New(salesforce.Options{PublicKey: &key.PublicKey})
	ts := httptest.NewServer(s)
	t.Cleanup(ts.Close)
	sign := func(k *rsa.PrivateKey) (*client.Salesforce, error) {
		return client.Init(client.Creds{Domain: ts.URL, Username: "integration@example.com", ConsumerKey: "key",
			ConsumerRSAPem: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))},
			client.WithRoundTripper(ts.Client().Transport), client.WithCompressionHeaders(true))
	}
	c, err := sign(key)
	must(t, c, err)
	s.ExpireSessions()
	made, err := c.InsertOne("Account", map[string]any{"Name": "Acme"})
	if must(t, made, err); !made.Success || s.Calls()["turned_away"] != 1 || s.Calls()["login"] != 2 {
		t.Errorf("insert after the session ended: %+v, calls %v", made, s.Calls())
	}
	if _, err := sign(must1(rsa.GenerateKey(rand.Reader, 2048))); err == nil {
		t.Error("an assertion signed by another key was taken")
	}
	s.RevokeGrants()
	if _, err := sign(key); err == nil {
		t.Error("a grant that was taken back is good")
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
