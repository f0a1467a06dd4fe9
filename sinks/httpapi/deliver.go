package httpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/transport"
)

// group are records of a batch that go the same way: in one request, or, where call is nil or
// takes one record only, each for itself.
type group struct {
	call *form.Call
	at   []int // their places in the batch
}

// Deliver sends a batch, in as few requests as the form allows.
func (c *Client) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	d := &delivery{c: c, batch: &b, results: make([]sinks.Result, len(b.Records))}
	groups := d.split()
	d.alone = len(groups) == 1 && len(groups[0].at) == len(b.Records)
	for i := range groups {
		if err := d.group(ctx, &groups[i]); err != nil {
			return nil, err
		}
	}
	return d.results, nil
}

// delivery is a batch on its way.
type delivery struct {
	c       *Client
	batch   *sinks.Batch
	results []sinks.Result
	alone   bool  // all records go one way
	sent    bool  // some request was answered
	stopped error // why nothing more is sent
}

// split sorts the records by the way they go, and refuses those for which there is none.
func (d *delivery) split() (groups []group) {
	for i := range d.batch.Records {
		op := d.batch.Records[i].Op
		call := d.c.plan.For(op)
		if call == nil && op != sinks.Upsert {
			d.results[i].Err = &sinks.Rejected{Code: sinks.CodeNoDelete, Err: fmt.Errorf("the target has no request for the operation %s", op)}
			continue
		}
		g := slices.IndexFunc(groups, func(g group) bool { return g.call == call })
		if g < 0 {
			groups, g = append(groups, group{call: call}), len(groups)
		}
		groups[g].at = append(groups[g].at, i)
	}
	return groups
}

// group sends the records of a group. An error is about the batch as a whole.
func (d *delivery) group(ctx context.Context, g *group) error {
	if g.call != nil && g.call.Many {
		return d.many(ctx, g.call, g.at)
	}
	for _, i := range g.at {
		if d.stopped != nil {
			d.results[i].Err = notSent(d.stopped)
			continue
		}
		r, err := d.c.one(ctx, g.call, d.batch.Object, &d.batch.Records[i])
		if err == nil {
			d.results[i], d.sent = r, true
			continue
		}
		if err := d.failed([]int{i}, err); err != nil {
			return err
		}
	}
	return nil
}

// many sends records in one request. Where others of the batch go another way, a refusal of
// the request is not one of the batch, so that the culprit is looked for here.
func (d *delivery) many(ctx context.Context, call *form.Call, at []int) error {
	if d.stopped != nil {
		for _, i := range at {
			d.results[i].Err = notSent(d.stopped)
		}
		return nil
	}
	items := make([]form.Item, len(at))
	for n, i := range at {
		items[n].Record = &d.batch.Records[i]
	}
	rs, err := d.c.together(ctx, call, d.batch.Object, items)
	if err == nil {
		for n, i := range at {
			d.results[i] = rs[n]
		}
		d.sent = true
		return nil
	}
	if !d.alone && refused(err) && len(at) > 1 {
		if err := d.many(ctx, call, at[:len(at)/2]); err != nil {
			return err
		}
		return d.many(ctx, call, at[len(at)/2:])
	}
	return d.failed(at, err)
}

// failed notes a request without results. It is an error of the batch as long as nothing of it
// was answered, and of the records otherwise.
func (d *delivery) failed(at []int, err error) error {
	if d.alone && len(at) == len(d.batch.Records) || !d.sent && !refused(err) {
		return err
	}
	for _, i := range at {
		d.results[i].Err = err
	}
	if refused(err) {
		d.sent = true
	} else {
		d.stopped = err
	}
	return nil
}

// refused tells whether an error is about what was sent.
func refused(err error) bool {
	var (
		rej *sinks.Rejected
		wai *sinks.WaitForParent
	)
	return errors.As(err, &rej) || errors.As(err, &wai)
}

// notSent is the error of a request that was not sent, since another one before it failed for
// a reason that is not its own.
func notSent(err error) error {
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
		mis *sinks.Misconfigured
		una *sinks.Unauthorized
		pau *sinks.Paused
	)
	text := fmt.Errorf("not sent, as another request before it failed: %s", err) // not wrapped: nothing of it was carried out
	switch {
	case errors.As(err, &thr):
		return &sinks.Throttled{Err: text, After: thr.After}
	case errors.As(err, &pau):
		return &sinks.Paused{Err: text, After: pau.After}
	case errors.As(err, &una):
		return &sinks.Unauthorized{Err: text, Forbidden: una.Forbidden}
	case errors.As(err, &mis):
		return &sinks.Misconfigured{Err: text, Hint: mis.Hint}
	case errors.As(err, &ret):
		return &sinks.Retryable{Err: text, After: ret.After}
	}
	return &sinks.Retryable{Err: text}
}

// together sends records in one request, and gives a result for each.
func (c *Client) together(ctx context.Context, call *form.Call, object string, items []form.Item) ([]sinks.Result, error) {
	a, err := c.send(ctx, call, object, items)
	if err != nil || a == nil {
		return make([]sinks.Result, len(items)), err
	}
	rs, err := call.Results(a, items, func(f sinks.Field) string { return c.FoldKey(object, f) })
	if err != nil {
		return make([]sinks.Result, len(items)), c.classify(err)
	}
	for i := range rs {
		rs[i].Err = c.classify(rs[i].Err)
	}
	return rs, nil
}

// send makes a request and sends it. An answer has results, or its status is one of the call's
// Gone; all else is an error, or nothing at all where a rule of the form accepts it.
func (c *Client) send(ctx context.Context, call *form.Call, object string, items []form.Item) (*transport.Answer, error) {
	m, err := call.Build(object, items)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &sinks.Retryable{Err: fmt.Errorf("send to %s: %w", c.host, err)}
	}
	a, err := c.do(ctx, m)
	switch {
	case err != nil:
		return nil, err
	case call.Takes(a.Status), slices.Contains(call.Gone, a.Status):
		return a, nil
	}
	return nil, c.classify(transport.StatusError(a, c.plan.Saying(a.Body), c.now()))
}

// classify gives an error the kind that the form's rules say; nil for what they accept.
func (c *Client) classify(err error) error { return sinks.Classify(c.plan.Form().Rules, err) }
