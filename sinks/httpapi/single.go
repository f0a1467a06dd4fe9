package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

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
		return c.unfound(known), err // there is nothing to remove
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
		if res := c.unfound(known); known.id == "" && res.Err != nil {
			return res, nil
		} else if known.id == "" {
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
	if err := c.begin(ctx, object, r.Key); err != nil {
		return sinks.Result{}, err
	}
	res, _, err := c.write(ctx, call, object, form.Item{Record: r})
	if failed := cmp.Or(err, res.Err); failed != nil && c.settles() && !sinks.Unknown(failed) { // it was not made
		if err := c.note(ctx, object, r.Key, ""); err != nil {
			return sinks.Result{}, err
		}
	}
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

// begin notes that a record may come into being, where a lookup finds it only after a while: then
// it is not made again for so long, also if nothing is known here any more of a first try.
func (c *Client) begin(ctx context.Context, object string, key sinks.Field) error {
	if !c.settles() {
		return nil
	}
	until := c.now().Add(c.limits.Timeout + c.plan.Call(form.Lookup).Settle)
	return c.notes.Set(ctx, space(object), map[string]string{making + c.noteKey(object, key): strconv.FormatInt(until.Unix(), 10)})
}

// settles tells whether it is noted what may not be found yet.
func (c *Client) settles() bool {
	lookup := c.plan.Call(form.Lookup)
	return c.notes != nil && lookup != nil && lookup.Settle > 0
}

// making begins the key of a note that says until when a record may have been made without being
// found. No field has an empty name.
const making = ":"

// unfound is the result of a record that a lookup did not find: an error if it may be there.
func (c *Client) unfound(f found) (res sinks.Result) {
	if wait := f.until.Sub(c.now()); f.id == "" && wait > 0 {
		res.Err = &sinks.Retryable{KeptBack: true, After: wait, Err: fmt.Errorf("look for the record at %s: it may have been made, and is not found yet", c.host)}
	}
	return res
}

// settled makes the next try of a record that may have been created wait, where the lookup
// finds it only after a while and no note says so.
func (c *Client) settled(err error) error {
	var ret *sinks.Retryable
	if lookup := c.plan.Call(form.Lookup); c.notes == nil && lookup != nil && sinks.Unknown(err) && errors.As(err, &ret) {
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
	// until is when a lookup finds for certain what was made.
	until time.Time
}

// CodeSeveral is of a record whose key several records of the target have.
const CodeSeveral = "several_records"

// find gives the id of the record with a key: the one that was noted, or else what a lookup
// finds, which is noted then.
func (c *Client) find(ctx context.Context, object string, key sinks.Field) (f found, err error) {
	if c.notes != nil {
		at := c.noteKey(object, key)
		notes, err := c.notes.Get(ctx, space(object), []string{at, making + at})
		if err != nil {
			return f, err
		}
		if id := notes[at]; id != "" {
			return found{id: id, noted: true}, nil
		}
		if s, err := strconv.ParseInt(notes[making+at], 10, 64); err == nil {
			f.until = time.Unix(s, 0)
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
		return found{id: ids[0]}, c.note(ctx, object, key, ids[0])
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
	at := c.noteKey(object, key)
	return c.notes.Set(ctx, space(object), map[string]string{at: id, making + at: ""})
}
