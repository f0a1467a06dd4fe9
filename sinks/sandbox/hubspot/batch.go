package hubspot

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// maxInputs is the most inputs of a batch.
const maxInputs = 100

// The writes of a batch.
const (
	opCreate = "create"
	opUpdate = "update"
	opUpsert = "upsert"
)

// input is one input of a batch that writes.
type input struct {
	ID           string            `json:"id"`
	IDProperty   string            `json:"idProperty"`
	Trace        string            `json:"objectWriteTraceId"`
	Properties   map[string]string `json:"properties"`
	Associations []associate       `json:"associations"`
}

// written is what became of an input.
type written struct {
	record *record
	made   bool // it was created
	fault  *fault
	back   undo
}

// outcome is what became of a batch: one written for each input.
type outcome struct {
	results []written
	failed  int
}

// write carries out a batch. Where the inputs have ids of their own (objectWriteTraceId)
// each stands for itself; without, one that is refused makes the fault of all, and nothing
// is written.
func (p *portal) write(t *table, op string, inputs []input, now time.Time) (outcome, *fault) {
	each, f := p.checkBatch(t, op, inputs)
	if f != nil {
		return outcome{}, f
	}
	out := outcome{results: make([]written, len(inputs))}
	for i := range inputs {
		w := p.writeOne(t, op, &inputs[i], now)
		out.results[i] = w
		if w.fault == nil {
			continue
		}
		out.failed++
		if !each {
			for _, done := range slices.Backward(out.results[:i]) {
				done.back()
			}
			return outcome{}, w.fault
		}
	}
	return out, nil
}

// checkBatch refuses what makes a batch invalid as a whole, and tells whether each of its
// inputs stands for itself.
func (p *portal) checkBatch(t *table, op string, inputs []input) (each bool, f *fault) {
	if f := countInputs(len(inputs), maxInputs); f != nil {
		return false, f
	}
	traces := make(map[string]bool, len(inputs))
	records := make(map[string]bool, len(inputs))
	for i := range inputs {
		in := &inputs[i]
		if in.Properties == nil {
			return false, badRequest("Invalid input JSON: properties are required")
		}
		if in.Trace != "" {
			if traces[in.Trace] {
				return false, badRequest("objectWriteTraceId must be unique, but %s is there twice", in.Trace)
			}
			traces[in.Trace] = true
		}
		if op == opCreate {
			continue
		}
		key, f := t.batchKey(op, in)
		if f != nil {
			return false, f
		}
		if records[key] {
			return false, &fault{status: http.StatusBadRequest, category: validationError,
				message: fmt.Sprintf("Duplicate IDs found in batch input: [%s]. IDs must be unique", in.ID),
				context: map[string][]string{"ids": {in.ID}}}
		}
		records[key] = true
	}
	return len(traces) == len(inputs), nil
}

func countInputs(n, most int) *fault {
	if n == 0 {
		return badRequest("Invalid input JSON: inputs must not be empty")
	}
	if n > most {
		return badRequest("The number of inputs %d is above the limit of %d", n, most)
	}
	return nil
}

// batchKey tells two inputs for one record: the record's id, or the value that one will be
// made with.
func (t *table) batchKey(op string, in *input) (string, *fault) {
	if in.ID == "" {
		return "", badRequest("Invalid input JSON: id is required")
	}
	if in.IDProperty == "" || in.IDProperty == "hs_object_id" {
		if op == opUpsert {
			return "", badRequest("Unable to perform upsert without a unique idProperty")
		}
		return "id " + in.ID, nil
	}
	value, f := t.uniqueValue(in.ID, in.IDProperty, "update/upsert")
	if f != nil && f.details != nil && t.byName[in.IDProperty] != nil {
		return in.IDProperty + " " + in.ID, nil // a wrong value is the fault of its input alone
	}
	if f != nil {
		return "", f
	}
	if r := t.records[t.unique[in.IDProperty][value]]; r != nil {
		return "id " + r.id, nil
	}
	return in.IDProperty + " " + value, nil
}

func (p *portal) writeOne(t *table, op string, in *input, now time.Time) written {
	if f := p.refused(t, in); f != nil {
		return written{fault: f}
	}
	if op == opCreate {
		return p.createOne(t, in, now)
	}
	r, f := t.lookUp(in.ID, in.IDProperty)
	if f != nil {
		return written{fault: f}
	}
	if r != nil && r.archived && (op == opUpdate || p.freeArchived) {
		r = nil
	}
	switch {
	case r == nil && op == opUpdate:
		return written{fault: missing(t.ObjectType, in.ID)}
	case r == nil:
		props := maps.Clone(in.Properties)
		if _, ok := props[in.IDProperty]; !ok {
			props[in.IDProperty] = in.ID
		}
		made, back, f := p.create(t, props, now)
		if f != nil {
			return written{fault: f}
		}
		return written{record: made, made: true, back: back}
	case r.archived:
		value, _ := t.value(r, in.IDProperty)
		return written{fault: collision{t, t.byName[in.IDProperty], value, "new", r.id}.fault(p.id)}
	}
	back, f := p.update(t, r, in.Properties, now)
	if f != nil {
		return written{fault: f}
	}
	return written{record: r, back: back}
}

// createOne makes a record with its associations, or neither.
func (p *portal) createOne(t *table, in *input, now time.Time) written {
	r, back, f := p.create(t, in.Properties, now)
	if f != nil {
		return written{fault: f}
	}
	for _, a := range in.Associations {
		unlink, f := p.associateNew(t, r, a)
		if f != nil {
			back()
			return written{fault: f}
		}
		undone := back
		back = func() { unlink(); undone() }
	}
	return written{record: r, made: true, back: back}
}

// shuffle puts results into an order that is not that of the inputs, since HubSpot promises
// none.
func shuffle[T any](rnd *rand.Rand, list []T) {
	if len(list) < 2 {
		return
	}
	moved := rnd.Perm(len(list))
	if slices.IsSorted(moved) {
		slices.Reverse(moved)
	}
	from := slices.Clone(list)
	for i, at := range moved {
		list[i] = from[at]
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
