package state

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

func aside(key string, lsn uint64) Deferred {
	return Deferred{
		Key: Key{"deals", key}, Position: at(lsn, 2), Upto: map[string]cdc.Position{cdc.LaneBulk: at(lsn, 2)},
		Due: time.UnixMicro(1_000_000), First: time.UnixMicro(2_000_000), Waiting: true, Parents: []Key{{"accounts", `{"id":1}`}}, Entry: json.RawMessage("{\"a\":\"\\n\u00e4\"}"),
	}
}

func (b *bench) deferred(c *Claim) map[string]Deferred {
	b.Helper()
	out := map[string]Deferred{}
	b.must(c.EachDeferred(b.Context(), 0, func(d Deferred) { out[d.Key.Source] = d }))
	return out
}

// What is put aside is there with the checkpoint that passes it, comes back to the byte,
// and goes with the commit that settles it. A repeat or a late copy changes nothing.
func TestDeferred(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		first := Commit{ID: 1, Deferred: []Deferred{aside("1", 10), aside("2", 11)}, Checkpoints: map[string]cdc.Position{cdc.LaneBulk: at(11, 2)}}
		b.must(c.Commit(b.Context(), 0, first))
		b.must(c.Commit(b.Context(), 0, first))
		if got := b.deferred(c); len(got) != 2 || !reflect.DeepEqual(got["1"], aside("1", 10)) {
			b.Fatalf("deferred %+v", got)
		}
		start, err := c.Open(b.Context(), 0)
		b.must(err)
		if start.Checkpoint[cdc.LaneBulk] != at(11, 2) {
			b.Fatalf("the checkpoint is %v", start.Checkpoint)
		}
		second := commitAt(2, 20, whole)
		second.Deferred = []Deferred{{Key: Key{"deals", "1"}}, aside("2", 21)}
		b.must(c.Commit(b.Context(), 0, second))
		b.must(c.Commit(b.Context(), 0, first)) // late
		got, err := c.LoadDeferred(b.Context(), 0, []Key{{"deals", "1"}, {"deals", "2"}})
		b.must(err)
		if len(got[0].Entry) > 0 || got[0].Key.Source != "1" || !reflect.DeepEqual(got[1], aside("2", 21)) {
			b.Fatalf("loaded %+v", got)
		}
	})
}

// An owner that lost its lease puts nothing aside, and takes nothing away.
func TestDeferredFenced(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		b.must(c.Commit(b.Context(), 0, Commit{ID: 1, Deferred: []Deferred{aside("1", 10)}}))
		b.expire(b.keys.Lease("crm", 0))
		next := b.claim2("two")
		_, err = next.Open(b.Context(), 0)
		b.must(err)
		var lost *LostError
		if err := c.Commit(b.Context(), 0, Commit{ID: 2, Deferred: []Deferred{{Key: Key{"deals", "1"}}, aside("2", 11)}}); !errors.As(err, &lost) {
			b.Fatalf("commit under a lost lease: %v", err)
		}
		if got := b.deferred(next); len(got) != 1 || !reflect.DeepEqual(got["1"], aside("1", 10)) {
			b.Fatalf("deferred %+v", got)
		}
	})
}

// There may be many, and one that cannot be read is a trouble of its key; its text is not
// told.
func TestDeferredPages(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		w := Commit{ID: 1}
		for i := range uint64(3 * deferredPage) {
			w.Deferred = append(w.Deferred, aside(at(i, 0).String(), i))
		}
		b.must(c.Commit(b.Context(), 0, w))
		b.must(b.rdb.HSet(b.Context(), b.keys.Deferred("crm", 0), "deals\x00bad", "secret").Err())
		got := b.deferred(c)
		if len(got) != 3*deferredPage+1 {
			b.Fatalf("%d of them", len(got))
		}
		if err := got["bad"].Err; err == nil || err.Error() != "parse deferred entry: it is not of the form that is written" {
			b.Fatalf("a bad one: %v", err)
		}
	})
}
