package hubspot

import (
	"context"
	"encoding/json"
	"errors"
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
	if r.Body == nil { // as a server gives it
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
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

// What is counted is what the account has seen: for an upsert with new associations, with
// those of a parent whose id is looked for, for one that moves, for archives, and for a read.
func TestCallsAreCounted(t *testing.T) {
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := newClient(t, Options{URL: "http://hubspot.test", Token: secret, Transport: direct{s}})
	withNotes(c)
	seen := func() (n int64) {
		for _, calls := range s.Calls() {
			n += calls
		}
		return n
	}
	counted := func(what string, want int, f func(ctx context.Context) error) {
		t.Helper()
		more, before := 0, seen()
		ctx, r := sinks.CountRequests(t.Context(), func() { more++ })
		if err := f(ctx); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if made := r.End(); made != want || int64(made) != seen()-before || more != max(made-1, 0) {
			t.Errorf("%s: %d requests are counted, %d beyond the first, and %d were seen, want %d", what, made, more, seen()-before, want)
		}
	}
	sent := func(records ...sinks.Record) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			rs, err := c.Deliver(ctx, sinks.Batch{Object: records[0].Object, Records: records})
			for i := range rs {
				err = errors.Join(err, rs[i].Err)
			}
			return err
		}
	}
	company := func(key string) sinks.Record {
		r := upsert(key)
		r.Object = "companies"
		return r
	}
	const field = "association.companies"
	counted("companies", 1, sent(company("acme"), company("other")))
	counted("new associations", 2, sent(child("a", field, "acme"), child("b", field, "acme")))
	counted("the same again", 1, sent(child("a", field, "acme"), child("b", field, "acme")))
	counted("one moves", 3, sent(child("a", field, "other"), child("b", field, "acme")))
	withNotes(c) // nothing is known any more
	counted("a parent that is looked for", 3, sent(child("c", field, "acme")))
	counted("archives", 2, sent(remove("a"), remove("b")))
	refused := upsert("d", "firstname", `["a;b"]`)
	counted("what cannot be encoded", 0, func(ctx context.Context) error {
		rs, err := c.Deliver(ctx, sinks.Batch{Object: "contacts", Records: []sinks.Record{refused}})
		if err != nil || rs[0].Err == nil {
			return fmt.Errorf("%v, %v", rs, err)
		}
		return nil
	})
	counted("a read", 1, func(ctx context.Context) error {
		_, err := c.ReadBack(ctx, "contacts", "wb_key", []json.RawMessage{quoted("c")}, []string{"firstname"})
		return err
	})
	counted("a description", 1, func(ctx context.Context) error {
		_, err := c.Describe(ctx, "contacts")
		return err
	})
}
