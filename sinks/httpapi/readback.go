package httpapi

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// Readable is a Client of an API that can be read.
type Readable struct{ *Client }

var (
	_ sinks.ReadBack = Readable{}
	_ sinks.Target   = Readable{}
)

// Open makes a client, which is Readable where the form has a request that reads.
func Open(o Options) (interface {
	sinks.Target
	sinks.Prober
	Close()
}, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	if c.plan.Call(form.Read) != nil {
		return Readable{c}, nil
	}
	return c, nil
}

// ReadsOneByOne tells whether the form reads one record in a request.
func (r Readable) ReadsOneByOne() bool { return !r.plan.Call(form.Read).Many }

// ReadBack gives the records with some keys: in one request, if the form has one for several,
// or else in one for each.
func (r Readable) ReadBack(ctx context.Context, object, key string, values []json.RawMessage, fields []string) ([]sinks.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Timeout)
	defer cancel()
	call := r.plan.Call(form.Read)
	items := make([]form.Item, len(values))
	for i, v := range values {
		items[i].Record = &sinks.Record{Object: object, Op: sinks.Upsert, Key: sinks.Field{Name: key, Value: v}}
	}
	each := 1
	if call.Many {
		each = max(1, len(items))
	}
	var all []sinks.Held
	for part := range slices.Chunk(items, each) {
		if call.UsesID {
			f, err := r.find(ctx, object, part[0].Record.Key)
			if err != nil {
				return nil, err
			}
			if f.id == "" {
				continue
			}
			part[0].ID = f.id
		}
		a, err := r.send(ctx, call, object, part)
		if err != nil {
			return nil, onlyAsked(err)
		}
		if a == nil || slices.Contains(call.Gone, a.Status) {
			continue
		}
		held, err := call.Held(a, key, fields)
		if err != nil {
			return nil, onlyAsked(r.classify(err))
		}
		all = append(all, held...)
	}
	return all, nil
}
