package salesforce_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// While a job with children of a record is under way, neither that record nor another child of
// it waits for the end of the job.
func TestParentsDoNotWaitForAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := process(t, &pipe{org: sandbox.New(sandbox.Options{BulkTime: 5 * time.Minute}), notes: sinktest.NewNotes()}, nil)
		parent := rec(`"parent"`, field("Name", `"1"`))
		if rs, err := c.Deliver(t.Context(), batch(parent)); err != nil || rs[0].Err != nil {
			t.Fatalf("%+v, %v", rs, err)
		}
		child := func(n int) sinks.Record {
			r := rec(fmt.Sprintf(`"child-%d"`, n), field("Name", `"n"`), field("ParentId", `"parent"`))
			r.Parents = []sinks.Parent{{Field: "ParentId", Mapping: "accounts", Key: field("Account_Ext__c", `"parent"`)}}
			return r
		}
		b := sinks.Batch{Object: "Account", Bulk: true}
		for n := range 20 {
			b.Records = append(b.Records, child(n))
		}
		done := make(chan error)
		go func() {
			_, err := c.Deliver(t.Context(), b)
			done <- err
		}()
		time.Sleep(20 * time.Second)
		began := time.Now()
		rs, err := c.Deliver(t.Context(), batch(parent, child(100)))
		if took := time.Since(began); err != nil || rs[0].Err != nil || rs[1].Err != nil || took > time.Second {
			t.Errorf("%+v, %v, after %v", rs, err, took)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
