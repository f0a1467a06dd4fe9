package salesforce

import (
	"context"
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/sinks"
)

// byJob sends what upserts there are by jobs, one after the other. It leaves out what has to
// go by Composite: deletes, which a job could do by id only, and values that CSV cannot hold.
func (d *delivery) byJob(ctx context.Context, of []int) {
	var up []int
	seen := make(map[sum]bool, len(of))
	for _, i := range of {
		r := &d.b.Records[i]
		k := d.c.keySum(d.b.Object, r.Key)
		if r.Op != sinks.Upsert || seen[k] {
			continue
		}
		if keyOf(r) == nil && cells(r, func(string, string) {}) {
			seen[k] = true
			up = append(up, i)
		}
	}
	if len(up) < d.c.limits.Bulk.From {
		return // as after a job that had most of them
	}
	d.c.byParent(d.b, up)
	for _, f := range files(d.b, up, d.c.most) {
		if d.stopped != nil {
			d.stop(f.of, unsent(d.stopped))
			continue
		}
		if err := d.runJob(ctx, f); err != nil {
			d.stop(f.of, err)
		}
	}
}

// runJob carries out one job. It is noted before it can be carried out, and stays noted until
// its results are known: wherever this ends, whoever has one of its records next finds out.
func (d *delivery) runJob(ctx context.Context, f file) error {
	c, b := d.c, d.b
	key := b.Records[f.of[0]].Key.Name
	id, err := c.createJob(ctx, b.Object, key)
	if err != nil {
		return err
	}
	j := newJob(id, b.Object, key, c.now())
	j.live = true
	j.rows = make(map[sum]sum, len(f.of))
	for _, i := range f.of {
		j.rows[c.keySum(b.Object, b.Records[i].Key)] = contentSum(&b.Records[i])
	}
	defer func() {
		c.jobs.mu.Lock()
		j.live = false
		c.jobs.mu.Unlock()
	}()
	if err := c.note(ctx, j); err != nil {
		return err
	}
	if err := c.uploadTo(ctx, id, f.body); err != nil {
		return err
	}
	if err := c.setState(ctx, id, stateUploaded); err != nil {
		if sinks.Unknown(err) {
			return err
		}
		return unsent(err)
	}
	info, err := c.await(ctx, id)
	if err != nil {
		return cutOff(err)
	}
	o, err := c.outcomeOf(ctx, info, b.Object, key)
	if err != nil {
		return cutOff(err)
	}
	for _, i := range f.of {
		k := c.keySum(b.Object, b.Records[i].Key)
		r, there := o.results[k]
		switch {
		case there:
			d.set(i, r)
		case o.again[k]:
			continue
		case o.untried[k] || info.State == stateAborted:
			d.set(i, sinks.Result{Err: &sinks.Retryable{Err: errors.New("the job ended before it came to the record")}})
		default:
			d.set(i, sinks.Result{Err: &sinks.Retryable{Unknown: true, Err: errors.New("the results of the job say nothing of the record")}})
		}
	}
	// The results are known, whether or not the note can be removed.
	if err := c.forget(ctx, j); err != nil {
		c.jobs.mu.Lock()
		j.ended, j.known = &o, c.now()
		c.jobs.mu.Unlock()
	}
	return nil
}

// cutOff is of a job that may be carried out, or may have been.
func cutOff(err error) error {
	return &sinks.Retryable{Unknown: true, Err: fmt.Errorf("wait for the job: %w", err)}
}
