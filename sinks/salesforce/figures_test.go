package salesforce_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// many records are sent: a hundred thousand in the full run, where the race detector has the
// time for it.
var many = func() int {
	if os.Getenv("WALBRIDGE_FULL") == "1" {
		return 100_000
	}
	return 10_000
}()

// A hundred thousand upserts take no more than 110 calls of the day's limit, fewer in proportion.
func TestCallsOfManyUpserts(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	c := process(t, &pipe{org: s, notes: sinktest.NewNotes()}, nil)
	for i := 0; i < many; i += 1000 {
		b := state(1, numbers(i, i+1000))
		b.Bulk = false
		rs, err := c.Deliver(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for j := range rs {
			if rs[j].Err != nil {
				t.Fatal(rs[j].Err)
			}
		}
	}
	if n, calls := s.Count("Account"), s.Calls()["api"]; n != many || calls > int64(many/1000*110/100) {
		t.Errorf("%d records in %d calls", n, calls)
	}
}

// By a job it is one job, and a call for each look at it.
func TestManyUpsertsInOneJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 2 * time.Minute})
		p := &pipe{org: s, notes: sinktest.NewNotes()}
		rs, err := process(t, p, nil).Deliver(t.Context(), state(1, numbers(0, many)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rs {
			if rs[i].Err != nil || rs[i].RemoteID == "" {
				t.Fatalf("record %d: %+v", i, rs[i])
			}
		}
		if n, jobs, calls := s.Count("Account"), p.count("POST", "/ingest"), s.Calls()["api"]; n != many || jobs != 1 || calls > 20 {
			t.Errorf("%d records in %d jobs and %d calls", n, jobs, calls)
		}
	})
}

// Requests with children of one parent do not overlap: the org locks the parent, and would
// refuse them (UNABLE_TO_LOCK_ROW). Others do overlap.
func TestChildrenOfOneParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{WriteTime: time.Second})
		c := process(t, &pipe{org: s, notes: sinktest.NewNotes()}, nil)
		parents := state(1, numbers(0, 20))
		parents.Bulk = false
		if _, err := c.Deliver(t.Context(), parents); err != nil {
			t.Fatal(err)
		}
		child := func(n, parent int) sinks.Record {
			key := fmt.Sprintf(`"key-%d"`, parent)
			r := rec(fmt.Sprintf(`"child-%d"`, n), field("Name", `"n"`), field("ParentId", key))
			r.Parents = []sinks.Parent{{Field: "ParentId", Mapping: "accounts", Key: field("Account_Ext__c", key)}}
			return r
		}
		run := func(of func(n int) (parent int)) time.Duration {
			var wg sync.WaitGroup
			start := time.Now()
			for n := range 8 {
				wg.Go(func() {
					rs, err := c.Deliver(t.Context(), batch(child(2*n, of(n)), child(2*n+1, 10+of(n))))
					if err != nil || rs[0].Err != nil || rs[1].Err != nil {
						t.Errorf("%d: %+v, %v", n, rs, err)
					}
				})
			}
			wg.Wait()
			return time.Since(start)
		}
		if took := run(func(int) int { return 1 }); took != 8*time.Second {
			t.Errorf("8 requests with children of one parent took %v", took)
		}
		if took := run(func(n int) int { return n }); took != time.Second {
			t.Errorf("8 requests with children of 8 parents took %v", took)
		}
		if took := run(func(n int) int { return n / 2 }); took != 2*time.Second {
			t.Errorf("8 requests with children of 4 parents took %v", took)
		}
	})
}

// Many requests with several parents each, in any order, and some that give up: all end.
func TestParentsInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{WriteTime: 100 * time.Millisecond})
		c := process(t, &pipe{org: s, notes: sinktest.NewNotes()}, func(o *salesforce.Options) { o.Timeout = time.Minute })
		parents := state(1, numbers(0, 6))
		parents.Bulk = false
		if _, err := c.Deliver(t.Context(), parents); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		var wg sync.WaitGroup
		for n := range 200 {
			var b []sinks.Record
			for i := range 3 {
				key := fmt.Sprintf(`"key-%d"`, r.IntN(6))
				x := rec(fmt.Sprintf(`"c-%d-%d"`, n, i), field("Name", `"n"`), field("ParentId", key))
				x.Parents = []sinks.Parent{{Field: "ParentId", Mapping: "accounts", Key: field("Account_Ext__c", key)}}
				b = append(b, x)
			}
			wg.Go(func() {
				ctx := t.Context()
				if n%5 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Duration(n)*10*time.Millisecond)
					defer cancel()
				}
				rs, err := c.Deliver(ctx, batch(b...))
				if ctx.Err() != nil {
					return // it gave up
				}
				for i := range rs {
					if rs[i].Err != nil {
						t.Errorf("%d: %v", n, rs[i].Err)
					}
				}
				if err != nil {
					t.Errorf("%d: %v", n, err)
				}
			})
		}
		wg.Wait()
	})
}

// What is counted is what the org counts against its limit: of a job its creation, upload and
// end, each look at it and its results, as they are made; and of what goes by Composite. What
// is asked for a token is not.
func TestCallsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: 2 * time.Minute})
		c := process(t, &pipe{org: s, notes: sinktest.NewNotes()}, nil)
		counted := func(what string, want int64, f func(ctx context.Context) error) {
			t.Helper()
			before := s.Calls()["api"]
			var (
				mu   sync.Mutex
				more []time.Duration
			)
			start := time.Now()
			ctx, r := sinks.CountRequests(t.Context(), func() {
				mu.Lock()
				defer mu.Unlock()
				more = append(more, time.Since(start))
			})
			if err := f(ctx); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			made, api := int64(r.End()), s.Calls()["api"]-before
			if made != api || made != int64(len(more))+1 || made < want {
				t.Errorf("%s: %d calls are counted, %d beyond the first, and the org counts %d, want %d", what, made, len(more), api, want)
			}
			if what == "a job" && (more[0] > time.Second || more[4] > time.Minute) {
				t.Errorf("calls of a job are told after %v", more)
			}
		}
		sent := func(b sinks.Batch) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				rs, err := c.Deliver(ctx, b)
				for i := range rs {
					err = errors.Join(err, rs[i].Err)
				}
				return err
			}
		}
		counted("a job", 10, sent(state(1, numbers(0, 50))))
		one := state(2, numbers(0, 3))
		one.Bulk = false
		counted("a batch", 1, sent(one))
		deletes := batch()
		for i := range 30 {
			deletes.Records = append(deletes.Records, removal(fmt.Sprintf(`"key-%d"`, i)))
		}
		counted("deletes that are looked for", 2, sent(deletes))
		counted("a probe", 1, c.Probe)
		counted("a description", 1, func(ctx context.Context) error {
			_, err := c.Describe(ctx, "Account")
			return err
		})
		counted("a read", 1, func(ctx context.Context) error {
			_, err := c.ReadBack(ctx, "Account", "Account_Ext__c", []json.RawMessage{json.RawMessage(`"key-40"`)}, []string{"Name"})
			return err
		})
		if s.Calls()["api"] == 0 {
			t.Error("the org counts nothing")
		}
	})
}
