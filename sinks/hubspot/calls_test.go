package hubspot

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

// direct asks a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// A hundred thousand upserts are a thousand calls. Associations are one more for each batch, and
// none where they are as they were; deletes are two, with the one that looks for their ids.
func TestCalls(t *testing.T) {
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := newClient(t, Options{URL: "http://hubspot.test", Token: secret, Transport: direct{s}})
	withNotes(c)
	all, some := 10_000, 5_000
	if os.Getenv("WALBRIDGE_FULL") == "1" { // the race detector has the time for it there
		all = 100_000
	}
	run := func(n int, make func(i int) sinks.Record) {
		t.Helper()
		size := c.Limits().MaxBatch
		for at := 0; at < n; at += size {
			b := sinks.Batch{Object: "contacts"}
			for i := range size {
				b.Records = append(b.Records, make(at+i))
			}
			rs, err := c.Deliver(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rs {
				if rs[i].Err != nil || rs[i].RemoteID == "" {
					t.Fatalf("record %d: %+v", at+i, rs[i])
				}
			}
		}
	}
	calls := func(want map[string]int64) {
		t.Helper()
		if got := s.Calls(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("calls %v, want %v", got, want)
		}
	}
	run(all, func(i int) sinks.Record { return upsert(fmt.Sprint(i), "firstname", `"Ana"`) })
	calls(map[string]int64{"batch_upsert": int64(all / 100)})
	if n := s.Count("contacts"); n != all {
		t.Errorf("%d records", n)
	}
	company := upsert("acme")
	company.Object = "companies"
	if got := outcomes(deliver(t, c, company)); got == "" {
		t.Errorf("got %s", got)
	}
	for range 2 {
		run(some, func(i int) sinks.Record { return child(fmt.Sprint(i), "association.companies", "acme") })
	}
	calls(map[string]int64{"batch_upsert": int64(all/100) + 101, "associations_create": 50})
	run(some, func(i int) sinks.Record { return remove(fmt.Sprint(i)) })
	calls(map[string]int64{"batch_upsert": int64(all/100) + 101, "associations_create": 50, "batch_read": 50, "batch_archive": 50})
	if n := s.Count("contacts"); n != all-some {
		t.Errorf("%d records after some were archived", n)
	}
}
