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
			for _, f := range a.rec.Fields {
				if v, ok := h.Fields[f.Name]; ok && m.always[f.Name] && !same.Value(f.Value, v) {
					out[a.row].fields = append(out[a.row].fields, f.Name)
				}
			}
		}
	}
	return nil
}

// askTries is how often a target is asked that cannot answer, throttledMost how often one
// that wants fewer requests: the keeper of its account waits in between.
const askTries, throttledMost = 5, 100

// ask asks the target for some records, within the limits of its account, in the lane of
// the least urgent.
func (v *verifier) ask(ctx context.Context, m *verifiedMapping, some []asked, fields []string) (held []sinks.Held, err error) {
	values := make([]json.RawMessage, len(some))
	for i, a := range some {
		values[i] = a.rec.Key.Value
	}
	t := m.target
	for tries, throttled := 0, 0; tries < askTries && throttled < throttledMost; {
		permit, werr := t.account.keeper.Wait(ctx, queue.Bulk)
		if werr != nil {
			return nil, werr
		}
		once, cancel := context.WithTimeout(ctx, t.limits.Timeout)
		held, err = t.reads.ReadBack(once, m.Object(), some[0].rec.Key.Name, values, fields)
		cancel()
		t.account.keeper.Done(permit, err)
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
			return held, err
		}
	}
	return held, err
}
