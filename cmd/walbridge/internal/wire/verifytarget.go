package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire/same"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// asked is a record that the target is asked for, and of which row it is.
type asked struct {
	row int
	rec *sinks.Record
}

// holding is a record that the target holds, under an id of its own.
type holding struct {
	asked
	id string
}

// readBack compares records with what the target holds of them.
func (v *verifier) readBack(ctx context.Context, m *verifiedMapping, all []asked, out []suspicion) error {
	fields := make([]string, 0, len(m.always))
	for _, o := range m.Outputs() {
		if m.always[o.Name] && !o.Key {
			fields = append(fields, o.Name)
		}
	}
	for some := range slices.Chunk(all, max(1, m.target.most)) {
		held, err := v.ask(ctx, m, some, fields)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // the other mappings are looked at all the same, and this one by its state
			m.report.ReadBack, m.report.ReadError = false, fmt.Sprintf("the target does not tell what it holds: %v", err)
			return nil
		}
		var there []holding
		byKey := make(map[string]*sinks.Held, len(held))
		for i := range held {
			byKey[m.target.fold(m.Object(), sinks.Field{Name: some[0].rec.Key.Name, Value: held[i].Key})] = &held[i]
		}
		for _, a := range some {
			h := byKey[m.target.fold(m.Object(), a.rec.Key)]
			if h == nil {
				out[a.row].gone = true
				continue
			}
			there = append(there, holding{a, h.RemoteID})
			for _, f := range a.rec.Fields {
				if v, ok := h.Fields[f.Name]; ok && m.always[f.Name] && !same.Value(f.Value, v) {
					out[a.row].fields = append(out[a.row].fields, f.Name)
				}
			}
		}
		switch err := v.references(ctx, m, there, out); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			m.report.ReadError = fmt.Sprintf("the target does not tell what its records refer to: %v", err)
		}
	}
	return nil
}

// references looks whether records refer to those that they should, at a target that keeps that
// apart from their fields.
func (v *verifier) references(ctx context.Context, m *verifiedMapping, there []holding, out []suspicion) error {
	r, ok := sinks.As[sinks.References](m.target.client)
	if !ok || len(there) == 0 {
		return nil
	}
	records, ids, refers := make([]sinks.Record, len(there)), make([]string, len(there)), false
	for i, h := range there {
		records[i], ids[i] = *h.rec, h.id
		records[i].Fields = slices.DeleteFunc(slices.Clone(h.rec.Fields), func(f sinks.Field) bool { return !m.references[f.Name] })
		refers = refers || len(records[i].Fields) > 0
	}
	if !refers {
		return nil
	}
	var lacking [][]string
	err := v.within(ctx, m.target, func(ctx context.Context) (err error) {
		lacking, err = r.Unreferred(ctx, m.Object(), records, ids)
		return err
	})
	for i, fields := range lacking {
		out[there[i].row].fields = append(out[there[i].row].fields, fields...)
	}
	return err
}

// askTries is how often a target is asked that cannot answer, throttledMost how often one
// that wants fewer requests: the keeper of its account waits in between.
const askTries, throttledMost = 5, 100

// ask asks the target for some records.
func (v *verifier) ask(ctx context.Context, m *verifiedMapping, some []asked, fields []string) (held []sinks.Held, err error) {
	values := make([]json.RawMessage, len(some))
	for i, a := range some {
		values[i] = a.rec.Key.Value
	}
	err = v.within(ctx, m.target, func(ctx context.Context) (err error) {
		held, err = m.target.reads.ReadBack(ctx, m.Object(), some[0].rec.Key.Name, values, fields)
		return err
	})
	return held, err
}

// within makes a request, or the few that it takes, within the limits of a target's account, in
// the lane of the least urgent, and again where it may be answered later.
func (v *verifier) within(ctx context.Context, t *verifiedTarget, request func(context.Context) error) (err error) {
	for tries, throttled := 0, 0; tries < askTries && throttled < throttledMost; {
		permit, werr := t.account.keeper.Wait(ctx, queue.Bulk)
		if werr != nil {
			return werr
		}
		once, cancel := context.WithTimeout(ctx, t.limits.Timeout)
		once, made := t.account.counted(once)
		err = request(once)
		cancel()
		sent := made.End() > 0 || !counts(t.client)
		if !sent {
			t.account.keeper.Back(permit)
		}
		if sent || err != nil {
			t.account.keeper.Done(permit, err)
		}
		var (
			thr *sinks.Throttled
			ret *sinks.Retryable
		)
		switch {
		case errors.As(err, &thr) && ctx.Err() == nil:
			throttled++
		case errors.As(err, &ret) && ctx.Err() == nil:
			tries++
		default:
			return err
		}
	}
	return err
}
