package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// The spaces of the notes: of a job what it is for, and the sums of what it holds. The former are
// few bytes, and are read before each batch. A job without sums holds nothing that is carried
// out: they are written last, but before the job is said to be complete, and removed first.
const (
	spaceJobs = "jobs"
	spaceSums = "job_rows"
)

// keepOutcome is how long the end of a job is remembered for those of its records that did not
// come again.
const keepOutcome = time.Hour

// jobs are those that are noted: the ones of this process, and those that others left behind or
// have under way. Until it is known how a job ended, no record that it holds is sent by other
// ways: it might be written before the job writes an older state (I4).
type jobs struct {
	mu  sync.Mutex // covers all below, and what jobs hold
	all map[string]*job
	// read tells that the notes were read at least once.
	read bool
}

type job struct {
	id      string
	Object  string    `json:"object"`
	Key     string    `json:"key"`
	Created time.Time `json:"created"`
	rows    map[sum]sum
	live    bool          // a Deliver of this process has it in hand
	next    time.Time     // it is not asked for before
	wait    time.Duration // between two questions
	ended   *outcome      // nil until it is known
	known   time.Time     // since when it is
	asking  chan struct{} // held by who asks Salesforce for it
}

func newJob(id, object, key string, now time.Time) *job {
	return &job{id: id, Object: object, Key: key, Created: now, asking: make(chan struct{}, 1)}
}

// readNotes brings the jobs in line with the notes.
func (c *Client) readNotes(ctx context.Context) error {
	notes, err := c.notes.All(ctx, spaceJobs)
	if err != nil {
		return err
	}
	var fresh []string
	c.jobs.mu.Lock()
	for id := range notes {
		if c.jobs.all[id] == nil {
			fresh = append(fresh, id)
		}
	}
	for id, j := range c.jobs.all {
		if _, noted := notes[id]; !noted && !j.live {
			delete(c.jobs.all, id) // another process knows how it ended
		}
	}
	c.jobs.read = true
	c.jobs.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	sums, err := c.notes.Get(ctx, spaceSums, fresh)
	if err != nil {
		return err
	}
	stale, err := c.addJobs(fresh, notes, sums)
	if err != nil || len(stale) == 0 {
		return err
	}
	return c.notes.Set(ctx, spaceJobs, stale)
}

// addJobs adds jobs from their notes. It gives those notes that are of no use any more.
func (c *Client) addJobs(ids []string, notes, sums map[string]string) (stale map[string]string, err error) {
	stale = make(map[string]string)
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	for _, id := range ids {
		j := newJob(id, "", "", time.Time{})
		rows, err := unpackSums(sums[id])
		if err != nil || json.Unmarshal([]byte(notes[id]), j) != nil {
			return nil, &sinks.Retryable{Err: errors.New("read the note of a job: it is damaged")}
		}
		if len(rows) == 0 {
			if c.now().Sub(j.Created) > keepOutcome { // whoever wrote it is gone
				stale[id] = ""
			}
			continue
		}
		if j.rows = rows; c.jobs.all == nil {
			c.jobs.all = make(map[string]*job)
		}
		if c.jobs.all[id] == nil {
			c.jobs.all[id] = j
		}
	}
	return stale, nil
}

// note writes what a job holds, before it can be carried out.
func (c *Client) note(ctx context.Context, j *job) error {
	about, err := json.Marshal(j)
	if err != nil {
		return &sinks.Retryable{Err: fmt.Errorf("note the job: %w", err)}
	}
	c.jobs.mu.Lock()
	if c.jobs.all == nil {
		c.jobs.all = make(map[string]*job)
	}
	c.jobs.all[j.id] = j
	c.jobs.mu.Unlock()
	if err := c.notes.Set(ctx, spaceJobs, map[string]string{j.id: string(about)}); err != nil {
		return unsent(err)
	}
	if err := c.notes.Set(ctx, spaceSums, map[string]string{j.id: packSums(j.rows)}); err != nil {
		return unsent(err)
	}
	return nil
}

// forget removes a job of which nothing is left to know. If that fails, somebody finds out
// again later that it has ended.
func (c *Client) forget(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := c.notes.Set(ctx, spaceSums, map[string]string{j.id: ""}); err != nil {
		return err
	}
	c.jobs.mu.Lock()
	delete(c.jobs.all, j.id)
	c.jobs.mu.Unlock()
	return c.notes.Set(ctx, spaceJobs, map[string]string{j.id: ""})
}

// noted are the jobs that there are for an object.
func (c *Client) noted(object string) (out []*job) {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	for _, j := range c.jobs.all {
		if j.Object == object {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *job) int { return a.Created.Compare(b.Created) })
	return out
}

// settle gives records a result that lie in a job: of one whose end is not known they are kept
// back, and of one that ended they have their result if they are the same as there.
func (c *Client) settle(ctx context.Context, d *delivery) error {
	if c.notes == nil {
		return nil
	}
	c.jobs.mu.Lock()
	skip := c.jobs.read && len(c.jobs.all) == 0 && c.limits.Bulk.From == 0
	c.jobs.mu.Unlock()
	if skip { // nobody makes jobs
		return nil
	}
	if err := c.readNotes(ctx); err != nil {
		return err
	}
	all := c.noted(d.b.Object)
	if len(all) == 0 {
		return nil
	}
	sums := make([]sum, len(d.b.Records))
	for i := range d.b.Records {
		sums[i] = c.keySum(d.b.Object, d.b.Records[i].Key)
	}
	for _, j := range all {
		if err := c.settleJob(ctx, d, j, sums); err != nil {
			return err
		}
	}
	return nil
}

// settleJob does so for one job.
func (c *Client) settleJob(ctx context.Context, d *delivery, j *job, sums []sum) error {
	select {
	case j.asking <- struct{}{}:
		defer func() { <-j.asking }()
	case <-ctx.Done():
		return &sinks.Retryable{Err: fmt.Errorf("wait for what is known of a job: %w", ctx.Err())}
	}
	var held []int
	c.jobs.mu.Lock()
	for i := range sums {
		if _, there := j.rows[sums[i]]; there && !d.known[i] {
			held = append(held, i)
		}
	}
	c.jobs.mu.Unlock()
	if len(held) > 0 {
		if back := c.endOf(ctx, j); back != nil {
			d.setAll(held, back)
			return nil
		}
	}
	c.jobs.mu.Lock()
	over := false
	if j.ended != nil {
		for _, i := range held {
			d.fromJob(i, j, sums[i])
			delete(j.rows, sums[i])
		}
		over = len(j.rows) == 0 || len(j.ended.results) == 0 || c.now().Sub(j.known) > keepOutcome
	}
	c.jobs.mu.Unlock()
	if over {
		return c.forget(ctx, j)
	}
	return nil
}

// fromJob gives a record the result that a job has for it, if the job had the same state.
func (d *delivery) fromJob(i int, j *job, k sum) {
	r, there := j.ended.results[k]
	if there && j.rows[k] == contentSum(&d.b.Records[i]) {
		d.set(i, r)
	}
}

// endOf finds out how a job ended, asking Salesforce no more often than it is worth. It gives
// an error for the records that have to wait, nil if it is known.
func (c *Client) endOf(ctx context.Context, j *job) error {
	c.jobs.mu.Lock()
	ended, live, early := j.ended != nil, j.live, j.next.Sub(c.now())
	c.jobs.mu.Unlock()
	switch {
	case ended:
		return nil
	case live:
		return heldBack(firstPoll)
	case early > 0:
		return heldBack(early)
	}
	info, err := c.jobInfo(ctx, j.id)
	if err == nil && info.State == stateOpen {
		// It was never said to be complete. After this it cannot be any more.
		if err = c.setState(ctx, j.id, stateAborted); err == nil {
			info = jobInfo{ID: j.id, gone: true}
		}
	}
	var o outcome
	if err == nil && info.final() {
		o, err = c.outcomeOf(ctx, info, j.Object, j.Key)
	}
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	if err == nil && info.final() {
		j.ended, j.known = &o, c.now()
		return nil
	}
	j.wait = min(max(2*j.wait, firstPoll), lastPoll)
	j.next = c.now().Add(j.wait)
	if err != nil {
		back := unsent(err)
		var ret *sinks.Retryable
		if errors.As(back, &ret) { // not a try of the record: nothing of it is sent
			ret.After, ret.KeptBack = max(ret.After, j.wait), true
		}
		return back
	}
	return heldBack(j.wait)
}

func heldBack(after time.Duration) error {
	return &sinks.Retryable{Err: errors.New("not sent: a job is under way that may write another state of the record"), After: after, KeptBack: true}
}
