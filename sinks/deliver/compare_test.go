package deliver

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// What the engine has delivered is right to Compare, whatever came before; and what is not
// as it was is found.
func TestCompareAgreesWithTheEngine(t *testing.T) {
	type step struct{ put, row string } // a change, and the row after it; empty where there is none
	histories := [][]step{
		{{"a=1 b=1 c=1 d=1", `{"id":1,"a":1,"b":1,"c":1,"d":1}`}},
		{{"a=1 b=1 c=1 d=1", ""}, {"a=2 b=1 c=2 d=?", `{"id":1,"a":2,"b":1,"c":2,"d":1}`}},
		{{"a=1 b=1 note=5", ""}, {"gone", ""}},
		{{"a=1 b=1 c=1", ""}, {"gone", ""}, {"a=1 b=2 c=1", `{"id":1,"a":1,"b":2,"c":1}`}},
		{{"a=1 b=1 c=1", ""}, {"a=1 b=1 c=1 on=false", `{"id":1,"a":1,"b":1,"c":1,"on":false}`}},
		{{"a=1 b=1 on=false", `{"id":1,"a":1,"b":1,"on":false}`}},
	}
	for _, gone := range []string{"", "set", "ignore"} {
		for i, h := range histories {
			t.Run(fmt.Sprintf("%s %d", gone, i), func(t *testing.T) {
				run(t, func(w *world) {
					w.mapper.gone = gone
					w.start()
					for _, s := range h {
						w.put(cdc.LaneNormal, 1, s.put)
						w.holds(1, s.row)
						rest(time.Minute)
					}
					known := w.store.known[state.Key{Mapping: "deals", Source: keyOf(1)}]
					last := h[len(h)-1]
					ch := &cdc.Change{Op: cdc.OpRead, Table: deals, Key: keyOf(1), After: last.row}
					if last.row == "" {
						ch.Op = cdc.OpDelete
					}
					got, rec, err := Compare(w.mapper, ch, known)
					want := Right
					if known.Partial {
						want = Unsure
					}
					if got != want || err != nil || (rec != nil) != w.mapperMeans(ch) {
						t.Errorf("%v, %+v (%v) of %+v", got, rec, err, known)
					}
				})
			})
		}
	}
}

// mapperMeans tells whether a row makes a record.
func (w *world) mapperMeans(ch *cdc.Change) bool {
	if ch.Op == cdc.OpDelete {
		return false
	}
	_, send, err := w.mapper.Map(ch, sinks.Prior{})
	return err == nil && send
}

func TestCompareFinds(t *testing.T) {
	m := &fakeMapper{always: true, filtered: map[string]bool{}}
	row := &cdc.Change{Op: cdc.OpRead, Table: deals, Key: keyOf(1), After: `{"id":1,"a":1,"b":1}`}
	rec, _, err := m.Map(row, sinks.Prior{})
	if err != nil {
		t.Fatal(err)
	}
	right := state.Known{Seen: at(5), Live: true, Key: rec.Key, Payload: hashOf(&rec)}
	with := func(f func(*state.Known)) state.Known {
		k := right
		f(&k)
		return k
	}
	off := &cdc.Change{Op: cdc.OpRead, Table: deals, Key: keyOf(1), After: `{"id":1,"a":1,"b":1,"on":false}`}
	bad := &cdc.Change{Op: cdc.OpRead, Table: deals, Key: keyOf(1), After: `{"id":1,"a":1,"b":1,"bad":true}`}
	gone := &cdc.Change{Op: cdc.OpDelete, Table: deals, Key: keyOf(1)}
	for name, c := range map[string]struct {
		ch   *cdc.Change
		k    state.Known
		want Standing
	}{
		"right":            {row, right, Right},
		"of no known hash": {row, with(func(k *state.Known) { k.Payload = 0 }), Unsure},
		"without a column": {row, with(func(k *state.Known) { k.Payload, k.Partial = 7, true }), Unsure},
		"by another key":   {row, with(func(k *state.Known) { k.Key.Value = json.RawMessage("2") }), Stale},
		"never sent":       {row, state.Known{}, Missing},
		"only seen":        {row, state.Known{Seen: at(5)}, Missing},
		"another":          {row, with(func(k *state.Known) { k.Payload++ }), Stale},
		"another key":      {row, with(func(k *state.Known) { k.Payload, k.Key.Value = 7, json.RawMessage("2") }), Stale},
		"in doubt":         {row, with(func(k *state.Known) { k.Doubt = true }), Stale},
		"not all of it":    {row, with(func(k *state.Known) { k.Lacking = true }), Stale},
		"left":             {off, right, Orphan},
		"left, and gone":   {off, state.Known{Seen: at(5)}, Right},
		"no row":           {gone, right, Orphan},
		"perhaps deleted":  {gone, state.Known{Seen: at(5), Doubt: true, Key: rec.Key}, Orphan},
		"deleted":          {gone, state.Known{Seen: at(5)}, Right},
		"makes none":       {bad, right, Unmapped},
	} {
		if got, _, err := Compare(m, c.ch, c.k); got != c.want || (err != nil) != (c.want == Unmapped) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
		}
	}
}
