package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// jobTarget is a target that carries out jobs. One that is cut off is carried out all the
// same; until it has ended its records are kept back, in whatever session they come.
type jobTarget struct {
	*fakeTarget
	takes func() time.Duration
	// run says what becomes of the records of a job, as answer does; nil for the answer.
	run func(sinks.Batch) ([]bool, []sinks.Result, error)

	mu   sync.Mutex // covers all below
	jobs []*fakeJob
	ran  [][]string // the sources of each job
}

type fakeJob struct {
	b     sinks.Batch
	until time.Time
	live  bool // somebody waits for it
	ended bool
}

// runsJobs lets the target carry out jobs.
func (w *world) runsJobs(from int, takes time.Duration) *jobTarget {
	w.target.limits.MaxInFlight = 4
	w.target.limits.Bulk = sinks.Bulk{From: from, MaxBatch: 1000, Timeout: 10 * time.Minute}
	return &jobTarget{fakeTarget: w.target, takes: func() time.Duration { return takes }}
}

// says sets what becomes of jobs from now on.
func (t *jobTarget) says(run func(sinks.Batch) ([]bool, []sinks.Result, error)) {
	t.fakeTarget.mu.Lock()
	defer t.fakeTarget.mu.Unlock()
	t.run = run
}

// with has an engine deliver to it.
func (t *jobTarget) with(o *Options) { o.Target = t }

func (t *jobTarget) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	t.settle()
	sent, j, of := t.begin(b)
	out := make([]sinks.Result, len(b.Records))
	for i := range out {
		out[i].Err = &sinks.Retryable{Err: errors.New("in a job"), After: 7 * time.Second, KeptBack: true}
	}
	if len(of) == 0 {
		return out, nil
	}
	var rs []sinks.Result
	var err error
	if j == nil {
		rs, err = t.fakeTarget.Deliver(ctx, sent)
	} else {
		rs, err = t.await(ctx, j)
	}
	if err != nil {
		return nil, err
	}
	for n, i := range of {
		if out[i].Err = errMissing; n < len(rs) {
			out[i] = rs[n]
		}
	}
	return out, nil
}

// begin takes out what is kept back, and notes a job.
func (t *jobTarget) begin(b sinks.Batch) (sent sinks.Batch, j *fakeJob, of []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent = b
	sent.Records = nil
	for i, r := range b.Records {
		same := func(o sinks.Record) bool { return o.Source == r.Source || string(o.Key.Value) == string(r.Key.Value) }
		if slices.ContainsFunc(t.jobs, func(j *fakeJob) bool { return slices.ContainsFunc(j.b.Records, same) }) {
			continue
		}
		sent.Records, of = append(sent.Records, r), append(of, i)
	}
	if b.Bulk && len(of) > 0 {
		j = &fakeJob{b: sent, until: time.Now().Add(t.takes()), live: true}
		t.jobs = append(t.jobs, j)
		var sources []string
		for _, r := range sent.Records {
			sources = append(sources, r.Source)
		}
		t.ran = append(t.ran, sources)
	}
	return sent, j, of
}

// await waits for the end of a job.
func (t *jobTarget) await(ctx context.Context, j *fakeJob) ([]sinks.Result, error) {
	timer := time.NewTimer(time.Until(j.until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return t.finish(j, true)
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		j.live = false
		return nil, &sinks.Retryable{Unknown: true, Err: ctx.Err()}
	}
}

// settle carries out jobs that nobody waits for, and whose time has come.
func (t *jobTarget) settle() {
	t.mu.Lock()
	due := slices.DeleteFunc(slices.Clone(t.jobs), func(j *fakeJob) bool { return j.live || time.Now().Before(j.until) })
	t.mu.Unlock()
	for _, j := range due {
		_, _ = t.finish(j, false) // nobody hears of it
	}
}

// finish carries out a job. heard tells that somebody is told of it.
func (t *jobTarget) finish(j *fakeJob, heard bool) ([]sinks.Result, error) {
	t.mu.Lock()
	if j.ended {
		t.mu.Unlock()
		return nil, errTimeout
	}
	j.ended = true
	t.mu.Unlock()
	t.fakeTarget.mu.Lock()
	run := t.run
	if answer := t.answer; run == nil {
		run = func(b sinks.Batch) ([]bool, []sinks.Result, error) { return answer(context.Background(), b) }
	}
	t.fakeTarget.mu.Unlock()
	rs, err := t.took(j.b, heard, run)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs = slices.DeleteFunc(t.jobs, func(o *fakeJob) bool { return o == j })
	return rs, err
}

// hasRun gives the sizes of the jobs that there were.
func (t *jobTarget) hasRun() (sizes []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, sources := range t.ran {
		sizes = append(sizes, len(sources))
	}
	return sizes
}
