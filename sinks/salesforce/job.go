package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// The states of a job (Bulk API 2.0 guide, job states). One that is Open is not carried out
// until it is said to be complete.
const (
	stateOpen     = "Open"
	stateUploaded = "UploadComplete"
	stateComplete = "JobComplete"
	stateFailed   = "Failed"
	stateAborted  = "Aborted"
)

const (
	firstPoll = time.Second
	lastPoll  = 30 * time.Second
)

// jobInfo is what Salesforce tells of a job.
type jobInfo struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Processed int    `json:"numberRecordsProcessed"`
	Failed    int    `json:"numberRecordsFailed"`
	Error     string `json:"errorMessage"`
	gone      bool   // Salesforce does not know it, or no longer
}

func (j *jobInfo) final() bool {
	return j.gone || j.State == stateComplete || j.State == stateFailed || j.State == stateAborted
}

func ingest(id, rest string) string { return "/jobs/ingest/" + id + rest }

// createJob makes a job. Nothing can be carried out of it yet.
func (c *Client) createJob(ctx context.Context, object, key string) (string, error) {
	body := append([]byte(`{"object":`), appendText(nil, object)...)
	body = append(body, `,"operation":"upsert","externalIdFieldName":`...)
	body = append(appendText(body, key), `,"contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`...)
	a, err := c.ask(ctx, call{method: http.MethodPost, path: "/jobs/ingest", body: body})
	if err != nil {
		var rej *sinks.Rejected
		if errors.As(err, &rej) { // no record has been sent that it could be about
			return "", &sinks.Misconfigured{Err: fmt.Errorf("make a job: %w", rej.Err), Hint: hints["NOT_FOUND"]}
		}
		return "", unsent(err)
	}
	var info jobInfo
	if json.Unmarshal(a.Body, &info) != nil || info.ID == "" || strings.ContainsAny(info.ID, "/?#. ") {
		return "", unsent(transport.ReadError(a.Host, errors.New("it is not the JSON that was expected")))
	}
	return info.ID, nil
}

// upload gives a job its records. Nothing is carried out yet either.
func (c *Client) uploadTo(ctx context.Context, id string, body []byte) error {
	if _, err := c.ask(ctx, call{method: http.MethodPut, path: ingest(id, "/batches"), kind: "text/csv", body: body}); err != nil {
		return unsent(err)
	}
	return nil
}

// setState says that a job is to be carried out, or never.
func (c *Client) setState(ctx context.Context, id, state string) error {
	_, err := c.ask(ctx, call{method: http.MethodPatch, path: ingest(id, ""), body: []byte(`{"state":"` + state + `"}`)})
	return err
}

// jobInfo asks how a job is.
func (c *Client) jobInfo(ctx context.Context, id string) (jobInfo, error) {
	a, err := c.send(ctx, call{method: http.MethodGet, path: ingest(id, "")})
	if err != nil {
		return jobInfo{}, err
	}
	if a.Status == http.StatusNotFound {
		return jobInfo{ID: id, gone: true}, nil
	}
	if !a.OK() {
		return jobInfo{}, statusError(a, c.now())
	}
	var info jobInfo
	if json.Unmarshal(a.Body, &info) != nil || info.State == "" {
		return jobInfo{}, transport.ReadError(a.Host, errors.New("it is not the JSON that was expected"))
	}
	return info, nil
}

// await asks for a job until it has ended, ever less often. An error that may pass does not
// end it; ctx does.
func (c *Client) await(ctx context.Context, id string) (jobInfo, error) {
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return jobInfo{}, ctx.Err()
		case <-t.C:
		}
		info, err := c.jobInfo(ctx, id)
		var (
			ret *sinks.Retryable
			thr *sinks.Throttled
		)
		switch {
		case err == nil && info.final():
			return info, nil
		case err != nil && !errors.As(err, &ret) && !errors.As(err, &thr):
			return jobInfo{}, err
		}
	}
}

// outcome is what a job did with its records, by the sums of their keys. A record of which it
// says nothing is not there.
type outcome struct {
	results map[sum]sinks.Result
	// untried are those that the job did not come to.
	untried map[sum]bool
	// again are those that are to go by Composite: a job cannot be told to save what a
	// duplicate rule warns of.
	again map[sum]bool
}

// outcomeOf asks for the results of a job that has ended.
func (c *Client) outcomeOf(ctx context.Context, info jobInfo, object, key string) (outcome, error) {
	o := outcome{results: make(map[sum]sinks.Result, info.Processed), untried: make(map[sum]bool), again: make(map[sum]bool)}
	if info.gone {
		return o, nil
	}
	of := func(text string) sum { return c.keySum(object, sinks.Field{Name: key, Value: appendText(nil, text)}) }
	failed := make(map[sum]transport.Saying, info.Failed)
	whole := info.State == stateComplete
	lists := []struct {
		path, column string
		skip         bool
		take         func(k, v string)
	}{
		{"/failedResults", "sf__Error", whole && info.Failed == 0, func(k, v string) { failed[of(k)] = jobSaying(v) }},
		{"/unprocessedrecords", "", whole, func(k, _ string) { o.untried[of(k)] = true }},
		{"/successfulResults", "sf__Id", whole && info.Processed == info.Failed && info.Processed > 0, func(k, v string) { o.results[of(k)] = sinks.Result{RemoteID: v} }},
	}
	for _, l := range lists {
		if l.skip {
			continue
		}
		a, err := c.ask(ctx, call{method: http.MethodGet, path: ingest(info.ID, l.path+"/"), large: true})
		if err != nil {
			return o, err
		}
		if err := readResults(a.Body, key, l.column, l.take); err != nil {
			return o, transport.ReadError(a.Host, err)
		}
	}
	alone := len(o.results) > 0 || len(failed) == 1
	for _, s := range failed {
		alone = alone || classOf(s) != access
	}
	for k, s := range failed {
		if s.Code == "DUPLICATES_DETECTED" && c.duplicates {
			o.again[k] = true
			continue
		}
		o.results[k] = sinks.Result{Err: verdict(0, s, alone)}
	}
	if err := jobError(info); err != nil {
		for k := range o.untried {
			o.results[k] = sinks.Result{Err: err}
		}
	}
	return o, nil
}

// jobSaying reads sf__Error: CODE:text:fields --
func jobSaying(s string) transport.Saying {
	code, text, _ := strings.Cut(s, ":")
	return transport.Saying{Code: strings.TrimSpace(code), Message: text}
}

// jobError says why a job did not come to its records; nil if they are just to be sent again.
func jobError(info jobInfo) error {
	s := jobSaying(info.Error)
	if info.State != stateFailed || s.Code == "" {
		return nil
	}
	word := transport.Word(s.Code)
	err := &sinks.Answer{Code: s.Code, Message: transport.Shorten(s.Message), Err: fmt.Errorf("salesforce gave up the job: %s", word)}
	switch strings.ToLower(s.Code) {
	case "invalidbatch", "invalidfield", "invalidentity", "invalidjob", "invalid_field", "invalid_type":
		return &sinks.Misconfigured{Err: err, Hint: "check the names of the mapping's object, key and fields, and that the integration user may see and edit them"}
	case "exceededquota":
		return &sinks.Paused{Err: err, After: spentWait}
	}
	return nil
}
