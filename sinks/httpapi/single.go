package httpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// one sends one record. The call is nil for an upsert that consists of a create and an update.
// An error is of a request, as send gives it.
func (c *Client) one(ctx context.Context, call *form.Call, object string, r *sinks.Record) (sinks.Result, error) {
	if call == nil {
		return c.createOrUpdate(ctx, object, r)
	}
	if call.UsesID {
		return c.remove(ctx, call, object, r)
	}
	res, _, err := c.write(ctx, call, object, form.Item{Record: r})
	return res, err
}

// remove takes a record away by its id.
func (c *Client) remove(ctx context.Context, call *form.Call, object string, r *sinks.Record) (sinks.Result, error) {
	known, err := c.find(ctx, object, r.Key)
	if err != nil || known.id == "" {
		return sinks.Result{}, err // there is nothing to remove
	}
	res, gone, err := c.write(ctx, call, object, form.Item{Record: r, ID: known.id})
	if err != nil || res.Err != nil {
		return res, err
	}
	if err := c.note(ctx, object, r.Key, ""); err != nil {
		return res, carriedOut(err)
	}
	if gone && known.noted { // somebody removed it, and may have made another one
		return c.remove(ctx, call, object, r)
	}
	return res, nil
}

// createOrUpdate brings a record to an API that has no upsert. Whatever ends between two of
// its requests, the next try finds what was made: by the id that is noted, by looking for the
// key, or, where an update goes by the key, by the update itself. So a record is created only
// right after it was not found (I9).
func (c *Client) createOrUpdate(ctx context.Context, object string, r *sinks.Record) (sinks.Result, error) {
	update := c.plan.Call(form.Update)
	item := form.Item{Record: r}
	var known found
	if update.UsesID {
		var err error
		if known, err = c.find(ctx, object, r.Key); err != nil {
			return sinks.Result{}, err
		}
		if known.id == "" {
			return c.create(ctx, object, r)
		}
		item.ID = known.id
	}
	res, gone, err := c.write(ctx, update, object, item)
	switch {
	case err != nil || !gone:
		return res, err
	case !update.UsesID:
		return c.create(ctx, object, r)
	}
	if err := c.note(ctx, object, r.Key, ""); err != nil {
		return sinks.Result{}, err
	}
	if !known.noted { // the lookup has just found it
		return sinks.Result{}, &sinks.Retryable{Err: fmt.Errorf("update at %s: the record that was found is not there", c.host)}
	}
	// Somebody removed it, and may have made another one.
	return c.createOrUpdate(ctx, object, r)
}

func (c *Client) create(ctx context.Context, object string, r *sinks.Record) (sinks.Result, error) {
	call := c.plan.Call(form.Create)
	res, _, err := c.write(ctx, call, object, form.Item{Record: r})
	switch lookup := c.plan.Call(form.Lookup); {
	case err != nil:
		return res, c.settled(err)
	case res.Err != nil:
		res.Err = c.settled(res.Err)
	case res.RemoteID != "" && lookup != nil:
		return res, carriedOut(c.note(ctx, object, r.Key, res.RemoteID))
	}
	return res, nil
}

// settled makes the next try of a record that may have been created wait, where the lookup
// finds it only after a while.
func (c *Client) settled(err error) error {
	var ret *sinks.Retryable
	if lookup := c.plan.Call(form.Lookup); lookup != nil && sinks.Unknown(err) && errors.As(err, &ret) {
		return &sinks.Retryable{Err: ret.Err, Unknown: true, After: max(ret.After, lookup.Settle)}
	}
	return err
}

// write sends one record in a request of its own. It tells whether the API has no such record:
// then the result is that of a delete.
func (c *Client) write(ctx context.Context, call *form.Call, object string, item form.Item) (res sinks.Result, gone bool, err error) {
	a, err := c.send(ctx, call, object, []form.Item{item})
	if err != nil {
		return res, false, err
	}
	if a == nil { // a rule accepts it
		return res, false, nil
	}
	if slices.Contains(call.Gone, a.Status) {
		return res, true, nil
	}
	rs, err := call.Results(a, []form.Item{item}, func(f sinks.Field) string { return c.FoldKey(object, f) })
	if err != nil {
		return res, false, c.classify(err)
	}
	rs[0].Err = c.classify(rs[0].Err)
	if rs[0].RemoteID == "" {
		rs[0].RemoteID = item.ID
	}
	return rs[0], false, nil
}

// found is an id that the API knows a record by.
type found struct {
	id    string // "" if it has none
	noted bool   // it is one that was noted, and may be out of date
}

// CodeSeveral is of a record whose key several records of the target have.
const CodeSeveral = "several_records"

// find gives the id of the record with a key: the one that was noted, or else what a lookup
// finds, which is noted then.
func (c *Client) find(ctx context.Context, object string, key sinks.Field) (f found, err error) {
	if c.notes != nil {
		notes, err := c.notes.Get(ctx, space(object), []string{c.noteKey(object, key)})
		if err != nil {
			return f, err
		}
		if id := notes[c.noteKey(object, key)]; id != "" {
			return found{id, true}, nil
		}
	}
	call := c.plan.Call(form.Lookup)
	// A lookup is made of the key only.
	a, err := c.send(ctx, call, object, []form.Item{{Record: &sinks.Record{Object: object, Op: sinks.Upsert, Key: key}}})
	if err != nil {
		return f, onlyAsked(err)
	}
	if a == nil || slices.Contains(call.Gone, a.Status) {
		return f, nil
	}
	ids, err := call.Found(a, key, func(f sinks.Field) string { return c.FoldKey(object, f) })
	if err != nil {
		return f, onlyAsked(c.classify(err))
	}
	switch len(ids) {
	case 0:
		return f, nil
	case 1:
		return found{ids[0], false}, c.note(ctx, object, key, ids[0])
	}
	return f, &sinks.Rejected{Code: CodeSeveral, Err: fmt.Errorf("%d records of the target have the key", len(ids))}
}

// onlyAsked is the error of a request that changes nothing: its outcome is not in doubt.
func onlyAsked(err error) error {
	var ret *sinks.Retryable
	if errors.As(err, &ret) {
		return &sinks.Retryable{Err: fmt.Errorf("look for the record: %s", ret.Err), After: ret.After} // not wrapped: it may say that it is in doubt
	}
	return err
}

func space(object string) string { return "ids:" + object }

func (c *Client) noteKey(object string, key sinks.Field) string {
	return key.Name + ":" + c.FoldKey(object, key)
}

// carriedOut is the error of a note about a request that was carried out: of the record it is not
// true that nothing was.
func carriedOut(err error) error {
	if err == nil {
		return nil
	}
	return &sinks.Retryable{Unknown: true, Err: err}
}

// note remembers an id; "" forgets it. A note that cannot be written is an error although the
// record is there: then it is sent once more, and found.
func (c *Client) note(ctx context.Context, object string, key sinks.Field, id string) error {
	if c.notes == nil {
		return nil
	}
	// The request was carried out, so its outcome is noted also if the time is up.
	ctx = context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	return c.notes.Set(ctx, space(object), map[string]string{c.noteKey(object, key): id})
}
