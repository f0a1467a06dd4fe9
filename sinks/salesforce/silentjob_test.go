package salesforce_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// While Salesforce does not tell how a job is, what it keeps back is kept back: no try of a
// record is counted, since nothing of it is sent.
func TestNoWordOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{BulkTime: time.Hour})
		silent := false
		org := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if silent && strings.Contains(r.URL.Path, "/jobs/ingest/") {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			s.ServeHTTP(w, r)
		})
		first := &pipe{org: org, notes: sinktest.NewNotes(), dies: 8, deed: true, dead: func() {}}
		if _, err := process(t, first, nil).Deliver(t.Context(), state(1, numbers(0, 20))); err == nil {
			t.Fatal("it did not die")
		}
		silent = true
		c := process(t, &pipe{org: org, notes: first.notes}, nil)
		b := state(2, []int{5, 100})
		b.Bulk = false
		for range 10 {
			rs, err := c.Deliver(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			var ret *sinks.Retryable
			if !errors.As(rs[0].Err, &ret) || !ret.KeptBack || ret.Unknown || ret.After <= 0 || rs[1].Err != nil {
				t.Fatalf("%+v", rs)
			}
			time.Sleep(ret.After)
		}
	})
}

// That no job can be made since the jobs of the day are spent is no fault of the mapping.
func TestNoMoreJobs(t *testing.T) {
	s := script(t, func(int, request) (int, string) {
		return 400, `[{"errorCode":"EXCEEDEDQUOTA","message":"ExceededQuota : ApiBatchItems Limit exceeded."}]`
	})
	c := s.target(t, func(o *salesforce.Options) { o.Bulk.From = 1 })
	c.TakeNotes(sinktest.NewNotes())
	var pau *sinks.Paused
	if _, err := c.Deliver(t.Context(), state(1, numbers(0, 3))); !errors.As(err, &pau) || pau.After <= 0 || sinks.Unknown(err) {
		t.Errorf("%v", err)
	}
}
