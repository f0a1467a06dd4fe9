package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// Rows of the first load, and how long a job of the org takes, by a clock that stands still
// unless a test moves it.
const (
	sfAccounts, sfDeals = 300, 1200
	sfJobTime           = time.Minute
	sfKey, sfRevision   = "External_Id__c", "Weighted__c"
)

// org is a simulated org of Salesforce that notes what comes.
type org struct {
	*salesforce.Server
	sandbox *sandbox.Server
	url     string

	mu       sync.Mutex // covers what follows
	now      time.Time
	jobs     map[string]*orgJob
	revision map[string]string // of each deal, the last that was written
	wrote    map[string]int    // how often each deal was
	back     []string          // deals of which an older state came after a newer one
}

// orgJob is a job that the org has.
type orgJob struct {
	id, object string
	keys       []string
	complete   bool // all of it was uploaded: it is under way
	asked      int  // how often somebody asked for it since
}

func newOrg(t *testing.T) *org {
	o := &org{now: time.Now(), jobs: make(map[string]*orgJob), revision: make(map[string]string), wrote: make(map[string]int)}
	o.Server = salesforce.New(salesforce.Options{BulkTime: sfJobTime, WriteTime: 2 * time.Millisecond, Now: func() time.Time {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.now
	}})
	o.sandbox = sandbox.New(sandbox.Options{Simulations: map[string]sim.Simulation{"salesforce": o.Server}})
	o.SetRefusals(o.written) // in place of the sandbox's faults
	server := httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(server.Close)
	o.url = server.URL + "/salesforce"
	return o
}

// written notes a record on its way into the org, in the order in which they are written.
func (o *org) written(object string, fields map[string]json.RawMessage) *sim.Refusal {
	if object != "Opportunity" {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key, rev := string(fields[sfKey]), string(fields[sfRevision])
	if last := o.revision[key]; len(rev) < len(last) || len(rev) == len(last) && rev < last {
		o.back = append(o.back, fmt.Sprintf("deal %s: %s after %s", key, rev, last))
	}
	o.revision[key] = rev
	o.wrote[key]++
	return nil
}

// serve lets the sandbox answer, and notes what there is of jobs.
func (o *org) serve(w http.ResponseWriter, r *http.Request) {
	_, rest, job := strings.Cut(r.URL.Path, "/jobs/ingest/")
	if !job {
		o.sandbox.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read the request", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	o.sandbox.ServeHTTP(answer, r)
	if answer.Code < 300 {
		id, part, _ := strings.Cut(rest, "/")
		o.note(r.Method, id, part, body, answer.Body.Bytes())
	}
	for name, v := range answer.Header() {
		w.Header()[name] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // whoever asked may have been killed
}

func (o *org) note(method, id, part string, body, answer []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.jobs[id] == nil {
		o.jobs[id] = &orgJob{id: id}
	}
	j := o.jobs[id]
	switch {
	case method == http.MethodPut:
		rows, _ := csv.NewReader(bytes.NewReader(body)).ReadAll() // what is no CSV has no keys
		for i := 1; i < len(rows); i++ {
			j.keys = append(j.keys, rows[i][slices.Index(rows[0], sfKey)])
		}
	case method == http.MethodPatch && bytes.Contains(body, []byte("UploadComplete")):
		var info struct{ Object string }
		if json.Unmarshal(answer, &info) == nil {
			j.object, j.complete = info.Object, true
		}
	case method == http.MethodGet && part == "":
		j.asked++
	}
}

// finish lets all jobs that are under way come to their end.
func (o *org) finish() {
	o.mu.Lock()
	o.now = o.now.Add(sfJobTime)
	o.mu.Unlock()
	o.Count("Opportunity") // looks, so that they do
}

// uploaded gives the job of an object that is under way, nil if there is none.
func (o *org) uploaded(object string) *orgJob {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, j := range o.jobs {
		if j.object == object && j.complete {
			return j
		}
	}
	return nil
}

// look reads what is noted.
func (o *org) look(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *org) expireSessions(t *testing.T) {
	t.Helper()
	res, err := http.Post(o.url+"/_control", "application/json", strings.NewReader(`{"expire_sessions": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("expire sessions: %s", res.Status)
	}
}

// deals are the opportunities of the org as lines, as those of the source are.
func (o *org) deals() string {
	accounts := make(map[string]string)
	for _, r := range o.Records("Account", 0) {
		accounts[r.ID] = string(r.Fields[sfKey])
	}
	rows := o.Records("Opportunity", 0)
	lines := make([]string, len(rows))
	for i, r := range rows {
		f := func(name string) string { return strings.Trim(string(r.Fields[name]), `"`) }
		lines[i] = fmt.Sprintf("%6s|%s|%s|%s|%s|%s", f(sfKey), accounts[f("AccountId")], f("Name"), f("StageName"), f("Amount"), f(sfRevision))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestSalesforceJobOutlivesBridge loads a table into an org by jobs. The bridge is killed while the org carries
// one out, and rows that are in it change before and after: none of them may get to the org
// before the job has ended, since the job would then write the older state over it. What is not
// in the job goes on. In the end the org is as the source, and no row was sent twice for it.
func TestSalesforceJobOutlivesBridge(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	b := newBridge(t, options{rewrite: func(config string) string {
		return config + fmt.Sprintf("  org:\n    type: salesforce\n    url: %q\n    timeout: 4s\n    login: {grant: client_credentials, client_id: a, client_secret: b}\n    bulk: {from: 200}\n", o.url)
	}})
	b.exec(`
		CREATE TABLE accounts (id bigint PRIMARY KEY, name text);
		CREATE TABLE opportunities (id bigint PRIMARY KEY, account_id bigint, name text, stage text, amount numeric(18,2), rev int)`)
	b.write("mappings/accounts.yaml", "name: accounts\nfrom: public.accounts\nto: org/Account\nkey: {"+sfKey+": id}\nfields: {Name: name}\ncoalesce: {quiet: 10ms, max_delay: 100ms}\n")
	b.write("mappings/opportunities.yaml", `name: opportunities
from: public.opportunities
to: org/Opportunity
key: {External_Id__c: id}
fields:
  AccountId: ref('accounts', account_id)
  Name: name
  StageName: stage
  Amount: amount
  CloseDate: {const: "2026-03-31"}
  Weighted__c: rev
coalesce: {quiet: 10ms, max_delay: 100ms}
`)
	b.exec(`INSERT INTO accounts SELECT i, 'account, "' || i || '"' FROM generate_series(1, $1::int) i`, sfAccounts)
	b.exec(`INSERT INTO opportunities SELECT i, 1 + i % $2::int, 'deal ' || i, 'Prospecting', i + 0.25, 100 FROM generate_series(1, $1::int) i`, sfDeals, sfAccounts)

	// The accounts come first, by a job of their own.
	p := b.start("run")
	until(t, 30*time.Second, func() string { p.mustRun(); return unless(o.uploaded("Account") != nil, "there is no job of accounts") })
	o.expireSessions(t)
	o.finish()
	until(t, 30*time.Second, func() string {
		p.mustRun()
		return unless(o.uploaded("Opportunity") != nil, "there is no job of deals")
	})

	// The org has the job. What it holds changes while the bridge runs, and when it is dead.
	job := o.uploaded("Opportunity")
	b.exec(`UPDATE opportunities SET rev = rev + 1, stage = 'Qualification' WHERE id % 3 = 0`)
	p.kill()
	b.exec(`UPDATE opportunities SET rev = rev + 1, amount = amount * 2, account_id = 1 + (account_id + 7) % $1 WHERE id % 4 = 0`, sfAccounts)
	b.exec(`DELETE FROM opportunities WHERE id % 100 = 7`)
	b.exec(`INSERT INTO opportunities VALUES (9999, 1, 'not in the job', 'Prospecting', 1, 100)`)
	var before int
	o.look(func() { before = job.asked })
	p = b.start("run")
	until(t, 30*time.Second, func() (left string) {
		p.mustRun()
		o.look(func() {
			other := slices.ContainsFunc(job.keys, func(k string) bool { return o.wrote[k] > 0 })
			left = unless(o.wrote["9999"] > 0 && (job.asked > before || other), fmt.Sprintf("the row beside the job was written %d times; the job was asked for %d times (%d before), other ways: %t", o.wrote["9999"], job.asked, before, other))
		})
		return left
	})
	o.look(func() {
		for _, k := range job.keys {
			if n := o.wrote[k]; n > 0 {
				t.Errorf("deal %s was written %d times while it is in a job that is under way", k, n)
				break
			}
		}
	})
	o.expireSessions(t)
	until(t, 60*time.Second, func() string {
		p.mustRun()
		o.finish() // also what is made of the rows that were kept back
		here, err := b.text(`SELECT string_agg(format('%s|%s|%s|%s|%s|%s', lpad(id::text, 6), account_id, name, stage, trim_scale(amount), rev), E'\n' ORDER BY id) FROM opportunities`)
		if err != nil {
			return err.Error()
		}
		return firstOther(here, o.deals())
	})
	o.judge(t, job)
}

// judge looks back at how it came to what the org holds.
func (o *org) judge(t *testing.T, job *orgJob) {
	calls := o.Calls()
	t.Logf("%d jobs, the deals' with %d of %d; calls %v", len(o.jobs), len(job.keys), sfDeals, calls)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.back) > 0 {
		t.Errorf("older states came after newer ones: %v", brief(o.back))
	}
	for _, k := range job.keys {
		var id int
		if _, err := fmt.Sscan(k, &id); err != nil {
			t.Fatal(err)
		}
		if o.wrote[k] > mostWrites(id) {
			t.Errorf("deal %s was written %d times", k, o.wrote[k])
		}
	}
	if len(job.keys) < 200 || len(o.jobs) > 6 || calls["api"] > 60 {
		t.Errorf("%d rows in the job, %d jobs, %d calls", len(job.keys), len(o.jobs), calls["api"])
	}
}

// mostWrites is how often a deal may be written that was in the job: once, and once for each
// time that it was changed.
func mostWrites(id int) (n int) {
	n = 1
	if id%3 == 0 {
		n++
	}
	if id%4 == 0 {
		n++
	}
	return n
}
