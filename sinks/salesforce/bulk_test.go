package salesforce_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 100 * time.Second})
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		c := process(t, p, nil)
		b := state(1, numbers(0, 50))
		b.Records[7].Fields[0] = field("Name", `null`)                                // refused
		b.Records[8].Fields = append(b.Records[8].Fields, field("Phone", `"#N/A"`))   // would be taken for a null
		b.Records[9].Fields = append(b.Records[9].Fields, field("Phone", `"a\r\nb"`)) // would end a line
		b.Records[10].Fields = append(b.Records[10].Fields, field("Description", `"a, \"b\"\n c "`))
		b.Records = append(b.Records, removal(`"key-1000"`))
		rs, err := c.Deliver(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		got := held(s, "Account", "Account_Ext__c")
		for i := range rs {
			var rej *sinks.Rejected
			if i == 7 {
				if !errors.As(rs[i].Err, &rej) || rej.Code != "REQUIRED_FIELD_MISSING" {
					t.Errorf("record 7: %v", rs[i].Err)
				}
				continue
			}
			if rs[i].Err != nil || i < 50 && rs[i].RemoteID == "" {
				t.Errorf("record %d: %+v", i, rs[i])
			}
		}
		if len(got) != 49 || string(got["key-8"]["Phone"]) != `"#N/A"` || string(got["key-10"]["Description"]) != `"a, \"b\"\n c"` {
			t.Errorf("%d records; %s %s", len(got), got["key-8"]["Phone"], got["key-10"]["Description"])
		}
		if n := p.count("POST", "/ingest"); n != 1 {
			t.Errorf("%d jobs", n)
		}
		if polls := p.count("GET /services/data/v62.0/jobs/ingest/", ""); polls > 12 {
			t.Errorf("%d requests while the job of 100 s was under way", polls)
		}
		if n := noteCount(t, p.notes); n != 0 {
			t.Errorf("%d notes are left", n)
		}
	})
}

// What a job is told of an object, as bytes.
func TestFileOfJob(t *testing.T) {
	var put, create string
	s := script(t, func(n int, r request) (int, string) {
		switch {
		case r.method == "POST":
			create = r.body
			return 200, `{"id":"750A","state":"Open"}`
		case r.method == "PUT":
			put = r.body
			return 201, ""
		case r.method == "PATCH":
			return 200, `{"id":"750A","state":"UploadComplete"}`
		case strings.HasSuffix(r.path, "/successfulResults/"):
			return 200, "\"sf__Id\",\"sf__Created\",\"Account_Ext__c\"\n\"3\",\"true\",\"c\"\n\"1\",\"true\",\"A\"\n"
		case strings.HasSuffix(r.path, "/failedResults/"):
			return 200, "\"sf__Id\",\"sf__Error\",\"Account_Ext__c\"\n\"\",\"INVALID_FIELD:Foreign key external ID: x not found for field External_Id__c in entity Account:--\",\"b\"\n"
		}
		return 200, `{"id":"750A","state":"JobComplete","numberRecordsProcessed":3,"numberRecordsFailed":1}`
	})
	c := s.target(t, func(o *salesforce.Options) { o.Bulk.From = 1 })
	c.TakeNotes(sinktest.NewNotes())
	b := rec(`"b"`, field("ParentId", `5`), field("AnnualRevenue", `12345678901234567.890`), field("Active__c", `true`))
	b.Parents = []sinks.Parent{{Field: "ParentId", Mapping: "accounts", Key: field("External_Id__c", "5")}}
	rs, err := c.Deliver(t.Context(), sinks.Batch{Object: "Account", Bulk: true, Records: []sinks.Record{
		rec(`"a"`, field("Name", `"x, y"`), field("ParentId", `null`)), b, rec(`"c"`, field("User:Owner.Employee_No__c", `7`), field("Name", `""`))}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"object":"Account","operation":"upsert","externalIdFieldName":"Account_Ext__c","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`; create != want {
		t.Errorf("job %s\nwant %s", create, want)
	}
	// Records of one parent are side by side, those without one first.
	want := "Account_Ext__c,Name,ParentId,User:Owner.Employee_No__c,Parent.External_Id__c,AnnualRevenue,Active__c\n" +
		"a,\"x, y\",#N/A,,,,\n" +
		"c,#N/A,,7,,,\n" +
		"b,,,,5,12345678901234567.890,true\n"
	if put != want {
		t.Errorf("file\n%s\nwant\n%s", put, want)
	}
	var wai *sinks.WaitForParent
	if rs[0].RemoteID != "1" || !errors.As(rs[1].Err, &wai) || rs[2].RemoteID != "3" {
		t.Errorf("results %+v", rs)
	}
}

// A process dies at any step of a job. Another one has the same records next, half of them in
// a newer state: no older state comes after a newer one, nothing is lost, and what the job did
// is not done again.
func TestDeathAtEveryStep(t *testing.T) {
	for _, deed := range []bool{false, true} {
		for at := 1; ; at++ {
			over := false
			t.Run(fmt.Sprintf("%v/%d", deed, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { over = dieAt(t, at, deed) })
			})
			if over || t.Failed() {
				break
			}
		}
	}
}

func dieAt(t *testing.T, at int, deed bool) (over bool) {
	s := sandbox.New(sandbox.Options{BulkTime: 45 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := &pipe{org: s, notes: sinktest.NewNotes(), dies: at, deed: deed, dead: cancel}
	old := state(1, numbers(0, 20))
	_, err := process(t, first, nil).Deliver(ctx, old)
	if ctx.Err() == nil {
		if err != nil {
			t.Fatal(err)
		}
		return true // it had no such step
	}
	second := &pipe{org: s, notes: first.notes}
	c := process(t, second, nil)
	newer, same := state(2, numbers(0, 10)), state(1, numbers(10, 20))
	newer.Bulk = false // as of the normal lane
	if at%2 == 0 {
		newer, same = same, newer
	}
	persist(t, c, newer)
	persist(t, c, same)
	time.Sleep(10 * time.Minute) // whatever is still to be carried out is carried out
	got := held(s, "Account", "Account_Ext__c")
	for i := range 20 {
		want := `"state 1"`
		if i < 10 {
			want = `"state 2"`
		}
		if name := string(got[fmt.Sprint("key-", i)]["Name"]); name != want {
			t.Errorf("key %d has %s, want %s: %v then %v", i, name, want, first.log, second.log)
		}
	}
	if rows, err := first.notes.All(t.Context(), "job_rows"); err != nil || len(rows) != 0 {
		t.Errorf("%d notes of rows are left, %v", len(rows), err)
	}
	time.Sleep(2 * time.Hour) // what died before it had noted any row is of no use by then
	persist(t, c, state(3, []int{100}))
	if n := noteCount(t, first.notes); n != 0 {
		t.Errorf("%d notes are left", n)
	}
	// It died between the end of the job and that anybody was told: nothing could be known of it.
	told := first.count("note job_rows", "") == 2
	done := first.count("PATCH", "") > 0 && !told
	if again := second.count("PUT", ""); done && again != 0 || again > 1 {
		t.Errorf("%d uploads after a job that was complete: %v; %v then %v", again, done, first.log, second.log)
	}
	return false
}

// Records that a job under way may write are kept back, and no others; Salesforce is asked for
// it no more often than it is worth.
func TestOthersPassAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: time.Hour})
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := process(t, p, nil)
		_, err := c.Deliver(ctx, state(1, numbers(0, 20)))
		if !sinks.Unknown(err) {
			t.Fatalf("a job that was cut off: %v", err)
		}
		asked := p.count("GET", "")
		for range 50 {
			b := state(2, []int{5, 100})
			b.Bulk = false
			b.Records[0].Key.Value = json.RawMessage(`"KEY-5"`) // the same to Salesforce
			rs, err := c.Deliver(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			var ret *sinks.Retryable
			if !errors.As(rs[0].Err, &ret) || ret.Unknown || !ret.KeptBack || ret.After <= 0 || rs[1].Err != nil {
				t.Fatalf("%+v", rs)
			}
			time.Sleep(time.Second)
		}
		if n := p.count("GET", "") - asked; n > 6 {
			t.Errorf("asked %d times in 50 s", n)
		}
	})
}

// While a job is under way, a record of it that comes by another way is kept back, and
// Salesforce is not asked for what this process asks for anyhow.
func TestLiveJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: time.Minute})
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		c := process(t, p, nil)
		done := make(chan error)
		go func() {
			_, err := c.Deliver(t.Context(), state(1, numbers(0, 20)))
			done <- err
		}()
		time.Sleep(20*time.Second + time.Millisecond)
		asked := p.count("GET", "")
		b := state(2, []int{5})
		b.Bulk = false
		rs, err := c.Deliver(t.Context(), b)
		var ret *sinks.Retryable
		if err != nil || !errors.As(rs[0].Err, &ret) || ret.Unknown || !ret.KeptBack || p.count("GET", "") != asked {
			t.Errorf("%+v, %v; asked %d times", rs, err, p.count("GET", "")-asked)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		persist(t, c, b)
		if name := string(held(s, "Account", "Account_Ext__c")["key-5"]["Name"]); name != `"state 2"` {
			t.Errorf("key 5 has %s", name)
		}
	})
}

// What is urgent does not wait for the minutes of a job that holds children of the same parent.
func TestUrgentPassesAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 10 * time.Minute})
		c := process(t, &pipe{org: s, notes: sinktest.NewNotes()}, nil)
		child := func(b *sinks.Batch) {
			for i := range b.Records {
				b.Records[i].Fields = append(b.Records[i].Fields, field("ParentId", `"key-1000"`))
				b.Records[i].Parents = []sinks.Parent{{Field: "ParentId", Mapping: "accounts", Key: field("Account_Ext__c", `"key-1000"`)}}
			}
		}
		parent := state(1, []int{1000})
		parent.Bulk = false
		persist(t, c, parent)
		job := state(1, numbers(0, 20))
		child(&job)
		done := make(chan error)
		go func() {
			_, err := c.Deliver(t.Context(), job)
			done <- err
		}()
		time.Sleep(time.Minute)
		urgent := state(2, []int{100})
		urgent.Bulk = false
		child(&urgent)
		start := time.Now()
		rs, err := c.Deliver(t.Context(), urgent)
		if err != nil || rs[0].Err != nil || time.Since(start) > time.Second {
			t.Errorf("%+v, %v after %v", rs, err, time.Since(start))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A job that Salesforce gives up in the middle: the rest is sent again, without doubt.
func TestUnprocessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 5 * time.Second})
		breakJob(t, s, 8)
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		rs, err := process(t, p, nil).Deliver(t.Context(), state(1, numbers(0, 20)))
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		for i := range rs {
			var ret *sinks.Retryable
			switch {
			case rs[i].Err == nil:
				taken++
			case !errors.As(rs[i].Err, &ret) || ret.Unknown || ret.KeptBack:
				t.Errorf("record %d: %v", i, rs[i].Err)
			}
		}
		if taken != 8 {
			t.Errorf("%d records are taken, want 8", taken)
		}
		if n := noteCount(t, p.notes); n != 0 {
			t.Errorf("%d notes are left", n)
		}
	})
}

// breakJob lets the next job fail after some records.
func breakJob(t *testing.T, s *sandbox.Server, after int) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/_control", strings.NewReader(fmt.Sprintf(`{"break_job":%d}`, after))))
	if w.Code/100 != 2 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// What does not fit into one upload goes by several jobs, one after the other.
func TestSeveralFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 5 * time.Second})
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		c := process(t, p, func(o *salesforce.Options) { o.Bulk.MaxBytes = 400 })
		rs, err := c.Deliver(t.Context(), state(1, numbers(0, 40)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rs {
			if rs[i].Err != nil {
				t.Errorf("record %d: %v", i, rs[i].Err)
			}
		}
		if n := p.count("POST", "/ingest"); n < 2 || n > 5 || s.Count("Account") != 40 {
			t.Errorf("%d jobs, %d records", n, s.Count("Account"))
		}
	})
}
