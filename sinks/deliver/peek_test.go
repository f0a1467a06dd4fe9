package deliver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

// peek looks at the queue of a world.
func (w *world) peek(q PeekQuery) *Peek {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p, err := w.engine.Peek(ctx, q)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// locked makes a target that puts off the record of row 1.
func locked(after time.Duration) answer {
	return func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
		for i, r := range b.Records {
			if r.Source == keyOf(1) {
				apply[i], rs[i].Err = false, &sinks.Retryable{After: after, Err: errors.New("row is locked")}
			}
		}
		return apply, rs, nil
	}
}

// A look at a queue tells of each key what it waits for, and why.
func TestPeekTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(locked(20 * time.Second))
		w.start(w.withAccounts)
		defer w.end()
		at := w.put(cdc.LaneUrgent, 1, "a=1 b=1 note=1 parent=null")
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1 parent=100")
		rest(5 * time.Second)
		p := w.peek(PeekQuery{Limit: 10})
		if len(p.Keys) != 2 || p.Queue.Matching != 2 || len(p.Held) > 0 || len(p.Partitions) != partitions || p.Condition.Circuit != Closed {
			t.Fatalf("saw %+v", p)
		}
		if k := p.Keys[0]; k.Key.Source != keyOf(1) || k.Stage != queue.BackOff || k.Why != "row is locked" || k.Attempts != 1 || k.Position != at || k.Lane != queue.Urgent || k.Change.After != "" {
			t.Errorf("saw %+v", k)
		}
		if k := p.Keys[1]; k.Stage != queue.Awaiting || len(k.Parents) != 1 || k.Parents[0] != (queue.Key{Mapping: "accounts", Source: keyOf(100)}) || k.Why != "" {
			t.Errorf("saw %+v", k)
		}
		// A row is named as people do, and its values come when they are asked for.
		for _, q := range []PeekQuery{{Key: "2", Limit: 9, Values: true}, {Lane: "normal", Limit: 9, Values: true}} {
			if p := w.peek(q); len(p.Keys) != 1 || p.Keys[0].Key.Source != keyOf(2) || !strings.Contains(p.Keys[0].Change.After, `"parent"`) {
				t.Errorf("%+v: saw %+v", q, p.Keys)
			}
		}
		if p := w.peek(PeekQuery{Mapping: "accounts", Limit: 9}); p.Queue.Matching != 0 {
			t.Errorf("saw %+v", p)
		}
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Unauthorized{Err: errors.New("session expired")}
		})
		w.put(cdc.LaneUrgent, 3, "a=1 b=1 note=1 parent=null")
		rest(time.Second)
		if p := w.peek(PeekQuery{Key: "3", Limit: 9}); p.Condition.Circuit != Open || p.Condition.Why != "session expired" || p.Keys[0].Stage != queue.Ready || p.Keys[0].Why != "session expired" {
			t.Errorf("saw %+v", p)
		}
	})
}

// What is aside is told of with what is known, and a mapping that waits with its fault.
func TestPeekAsideAndMapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(locked(time.Hour))
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 2, "a=1 b=1")
		at := w.put(cdc.LaneNormal, 1, "a=1 b=1")
		rest(5 * time.Minute)
		p := w.peek(PeekQuery{Limit: 9})
		if len(p.Keys) != 1 || p.Queue.Aside != 1 {
			t.Fatalf("saw %+v", p)
		}
		if k := p.Keys[0]; k.Stage != queue.Aside || k.Position != at || k.Partition != partitionOf(keyOf(1)) || k.Since.IsZero() || k.Until.Before(p.At) {
			t.Errorf("saw %+v", k)
		}
		w.answers(func(context.Context, sinks.Batch) ([]bool, []sinks.Result, error) {
			return nil, nil, &sinks.Misconfigured{Err: errors.New("no such field Nmae")}
		})
		w.put(cdc.LaneNormal, 3, "a=1 b=1")
		rest(time.Second)
		if p := w.peek(PeekQuery{Key: "3", Limit: 9}); len(p.Mappings) != 1 || p.Mappings[0].Name != w.mapper.Name() || p.Mappings[0].Why != "no such field Nmae" || !p.At.Before(p.Mappings[0].Until) {
			t.Errorf("saw %+v", p)
		}
	})
}

// Who does not deliver says so, and so does who has not begun.
func TestPeekWithoutQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := make(chan struct{})
		w.start(func(o *Options) {
			o.Begin = func(ctx context.Context, _ Beginning) error {
				select {
				case <-began:
				case <-ctx.Done():
				}
				return ctx.Err()
			}
		})
		rest(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.engine.Peek(ctx, PeekQuery{}); !errors.Is(err, ErrNotYet) {
			t.Errorf("before it began: %v", err)
		}
		close(began)
		rest(time.Second)
		w.peek(PeekQuery{})
		w.end()
		if _, err := w.engine.Peek(t.Context(), PeekQuery{}); !errors.Is(err, ErrNotOwner) {
			t.Errorf("after the end: %v", err)
		}
	})
}
