package httpapi

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks"
)

func (n cutNotes) Get(ctx context.Context, space string, keys []string) (map[string]string, error) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if done, told := n.f.at(); !done || !told {
		return nil, &sinks.Retryable{Err: errDead}
	}
	return n.Notes.Get(ctx, space, keys)
}

func (n cutNotes) Set(ctx context.Context, space string, notes map[string]string) error {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	done, told := n.f.at()
	if done {
		if err := n.Notes.Set(ctx, space, notes); err != nil {
			return err
		}
	}
	if !told {
		return &sinks.Retryable{Err: errDead}
	}
	return nil
}

// Wherever a client dies, between whichever two of its requests and notes, what it does again
// makes no second record, and in the end the API holds the newest state (I9).
func TestNoSecondRecordWhereverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newREST()
		want := map[string][]string{"A": nil, "B": nil}
		for i := range rapid.IntRange(1, 8).Draw(t, "changes") {
			key := rapid.SampledFrom([]string{"A", "B"}).Draw(t, "key")
			r := rec(sinks.Upsert, key, fmt.Sprint(i))
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				r = rec(sinks.Delete, key, "")
			case 1: // somebody removes what is there
				for id, fields := range f.records {
					if sinks.ExactKey(fields["Ext"]) == key {
						delete(f.records, id)
					}
				}
			}
			for tries := 0; ; tries++ {
				f.cut = -1
				if tries < 5 {
					f.cut = rapid.IntRange(-1, 13).Draw(t, "cut")
				}
				c := f.client(t)
				rs, err := c.Deliver(context.Background(), sinks.Batch{Object: "Deal", Records: []sinks.Record{r}})
				c.Close()
				if err == nil {
					err = rs[0].Err
				}
				if n := len(f.held(key)); n > 1 {
					t.Fatalf("%d records have the key %s, after a cut at %d", n, key, f.cut)
				}
				if err == nil {
					break
				}
				if tries >= 5 {
					t.Fatalf("nothing is in the way any more, and yet: %v", err)
				}
			}
			if want[key] = []string{fmt.Sprint(i)}; r.Op == sinks.Delete {
				want[key] = nil
			}
			if got := f.held(key); !slices.Equal(got, want[key]) {
				t.Fatalf("%s is %v, want %v", key, got, want[key])
			}
		}
	})
}
