package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// item is a record on its way.
type item struct {
	at    int // in the batch, and what HubSpot calls it (objectWriteTraceId)
	rec   *sinks.Record
	key   key
	input input
	links []link
	id    string // HubSpot's, once known
	err   error
	done  bool // it was upserted or archived
}

// delivery is one Deliver under way.
type delivery struct {
	*Client
	object string
	items  []*item
	sent   bool // a request that writes was carried out
}

// Deliver upserts and archives the records of a batch: one request for each of the two, and
// further ones for ids that are not known and for associations. Where a request fails as a
// whole, so does the batch.
func (c *Client) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	d := &delivery{Client: c, object: b.Object, items: make([]*item, len(b.Records))}
	for i := range b.Records {
		d.items[i] = d.plan(i, &b.Records[i])
	}
	for _, step := range []func(context.Context) error{d.parents, d.upsert, d.associate, d.archive} {
		if err := step(ctx); err != nil {
			if d.sent {
				err = partly(err)
			}
			return nil, err
		}
	}
	out := make([]sinks.Result, len(d.items))
	for i, it := range d.items {
		switch {
		case it.err != nil:
			out[i].Err = it.err
		case !it.done:
			out[i].Err = &sinks.Retryable{Unknown: true, Err: errors.New("HubSpot's answer says nothing of the record")}
		default:
			out[i].RemoteID = it.id
		}
	}
	return out, nil
}

// plan encodes a record. What cannot be encoded is the record's own fault.
func (d *delivery) plan(at int, rec *sinks.Record) *item {
	it := &item{at: at, rec: rec, key: d.keyOf(d.object, rec.Key)}
	k, err := text(rec.Key.Value)
	if err == nil && k == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return it.unfit(rec.Key.Name, err)
	}
	it.input = input{ID: k, IDProperty: rec.Key.Name, Trace: strconv.Itoa(at), Properties: properties{}}
	if rec.Key.Name == recordID {
		it.id, it.input.IDProperty = k, ""
	} else {
		it.input.Properties = append(it.input.Properties, property{rec.Key.Name, k})
	}
	if rec.Op != sinks.Upsert {
		return it
	}
	for i := range rec.Fields {
		f := &rec.Fields[i]
		s, err := text(f.Value)
		if err != nil {
			return it.unfit(f.Name, err)
		}
		if name, ok := associationOf(f.Name); ok {
			it.links = append(it.links, d.linkOf(rec, f.Name, name, s))
			continue
		}
		it.input.Properties = append(it.input.Properties, property{f.Name, s})
	}
	return it
}

// unfit notes that a field cannot be encoded.
func (it *item) unfit(field string, err error) *item {
	it.err = &sinks.Rejected{Code: codeEncode, Err: fmt.Errorf("encode field %s: %w", field, err)}
	return it
}

// of gives the items of some operations that nothing speaks against yet.
func (d *delivery) of(ops ...sinks.Op) (out []*item) {
	for _, it := range d.items {
		if it.err == nil && slices.Contains(ops, it.rec.Op) {
			out = append(out, it)
		}
	}
	return out
}

// upsert writes records: by their unique property, or, where they are known by HubSpot's own
// id, those that there are.
func (d *delivery) upsert(ctx context.Context) error {
	byKey := map[string][]*item{}
	for _, it := range d.of(sinks.Upsert) {
		byKey[it.rec.Key.Name] = append(byKey[it.rec.Key.Name], it)
	}
	for property, items := range byKey { // there is one, but while a mapping changes
		if err := d.write(ctx, property, items); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) write(ctx context.Context, property string, items []*item) error {
	body := inputs[input]{Inputs: make([]input, len(items))}
	for i, it := range items {
		body.Inputs[i] = it.input
	}
	call := "batch/upsert"
	if property == recordID {
		call = "batch/update"
	}
	a, err := d.post(ctx, d.paths.objects(d.object, call), body)
	if err != nil {
		return err
	}
	said, err := readAnswer(a)
	if err != nil {
		return err
	}
	d.sent = true
	ids, err := d.settle(property, items, said)
	if err != nil {
		return err
	}
	if property == recordID {
		return nil
	}
	// Before anything counts as delivered: a delete goes by these.
	return d.identify(ctx, idSpace(d.object, property), items, ids)
}

// identify notes the ids of records, mostly those that are noted. One that was noted with another
// id was made anew, and is told of before it is noted: after a crash it is told of again.
func (d *delivery) identify(ctx context.Context, space string, items []*item, ids map[string]string) error {
	had, err := d.noted(ctx, space, slices.Collect(maps.Keys(ids)))
	if err != nil {
		return err
	}
	var anew []sinks.Record
	for _, it := range items {
		id, _ := goneFrom(had[it.key.fold])
		if it.done && it.err == nil && id != "" && id != it.id {
			anew = append(anew, *it.rec)
		}
	}
	if err := d.tellRemade(ctx, anew); err != nil {
		return err
	}
	maps.DeleteFunc(ids, func(k, v string) bool { return had[k] == v })
	return d.note(ctx, space, ids)
}

// tellRemade tells of records that are there with another id.
func (d *delivery) tellRemade(ctx context.Context, records []sinks.Record) error {
	if len(records) == 0 || d.remade == nil {
		return nil
	}
	if err := d.remade(ctx, records); err != nil {
		return &sinks.Retryable{Err: fmt.Errorf("tell of records that were made anew: %w", err)}
	}
	return nil
}

// settle gives items what was said of them, by their trace ids; a result without one is that of
// the record with the same key. It gives the ids by key. An error that names no record may be
// of any that has no result: then the batch is refused as a whole, to be sent in parts.
func (d *delivery) settle(property string, items []*item, said *answer) (map[string]string, error) {
	byTrace, byKey := make(map[string]*item, len(items)), make(map[string]*item, len(items))
	for _, it := range items {
		byTrace[it.input.Trace], byKey[it.key.fold] = it, it
	}
	ids := make(map[string]string, len(items))
	for i := range said.Results {
		r := &said.Results[i]
		it := byTrace[string(r.Trace)]
		if it == nil {
			it = byKey[d.foldOf(d.object, property, r)]
		}
		if it == nil || r.ID == "" {
			continue // what it is of has no answer
		}
		it.id, it.done = string(r.ID), true
		ids[it.key.fold] = it.id
	}
	var nameless *refusal
	for i := range said.Errors {
		traces := said.Errors[i].traces()
		for _, t := range traces {
			if it := byTrace[t]; it != nil {
				it.err = said.Errors[i].one()
				delete(ids, it.key.fold)
			}
		}
		if len(traces) == 0 {
			nameless = &said.Errors[i]
		}
	}
	silent := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.done || it.err != nil })
	switch {
	case nameless == nil || len(silent) == 0:
	case len(silent) == 1:
		silent[0].err = nameless.one()
	default:
		return nil, nameless.one()
	}
	return ids, nil
}

// archive takes records away, by their ids. One that there is not is done.
func (d *delivery) archive(ctx context.Context) error {
	items := d.of(sinks.Delete, sinks.Archive)
	if len(items) == 0 {
		return nil
	}
	if err := d.find(ctx, items); err != nil {
		return err
	}
	var ids []string
	for _, it := range items {
		if it.id != "" && !slices.Contains(ids, it.id) {
			ids = append(ids, it.id)
		}
	}
	if len(ids) > 0 {
		a, err := d.post(ctx, d.paths.objects(d.object, "batch/archive"), inputs[ref]{refs(ids)})
		if err != nil {
			return err
		}
		if err := archived(a); err != nil {
			return err
		}
		d.sent = true
	}
	for _, it := range items {
		it.done = true
	}
	return d.forget(ctx, items)
}

// archived reads the answer to an archive, which has status 204 and no body
// (developers.hubspot.com, batch archive). Of another one it is not known what it means.
func archived(a *transport.Answer) error {
	if a.Status == http.StatusNoContent {
		return nil
	}
	return transport.ReadError(a.Host, fmt.Errorf("its status is %d, want %d", a.Status, http.StatusNoContent))
}

// find looks for the ids of items: by their keys, since who made a record again gave it another
// id than the noted one. One that has no such key is known by its note all the same.
func (d *delivery) find(ctx context.Context, items []*item) error {
	byKey := map[string][]key{}
	for _, it := range items {
		if it.id == "" {
			byKey[it.rec.Key.Name] = append(byKey[it.rec.Key.Name], it.key)
		}
	}
	for property, keys := range byKey {
		ids, err := d.archivable(ctx, property, keys)
		if err != nil {
			return err
		}
		for _, it := range items {
			if it.rec.Key.Name == property && it.id == "" {
				it.id = ids[it.key.fold]
			}
		}
	}
	return nil
}

// forget removes the notes of archived records.
func (d *delivery) forget(ctx context.Context, items []*item) error {
	spaces := map[string]map[string]string{}
	drop := func(space, key string) {
		if spaces[space] == nil {
			spaces[space] = map[string]string{}
		}
		spaces[space][key] = ""
	}
	for _, it := range items {
		if it.rec.Key.Name != recordID {
			drop(idSpace(d.object, it.rec.Key.Name), it.key.fold)
		}
		if it.id != "" {
			drop(linkSpace(d.object), it.id)
		}
	}
	for space, notes := range spaces {
		if err := d.note(ctx, space, notes); err != nil {
			return err
		}
	}
	return nil
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return json.RawMessage(`""`)
	}
	return b
}
