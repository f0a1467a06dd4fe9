package state

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks/targetkey"
)

// The script does what targetkey.Apply says, over any sequence of operations.
func TestOwnersScript(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		run := 0
		rapid.Check(b.T, func(t *rapid.T) {
			run++
			var keys []targetkey.ID
			for i := range 3 {
				keys = append(keys, targetkey.Of("Opportunity", "Ext", fmt.Sprintf("%d/%d", run, i)))
			}
			have := map[targetkey.ID]string{}
			for range rapid.IntRange(1, 8).Draw(t, "calls") {
				var ops []targetkey.Op
				for range rapid.IntRange(1, 4).Draw(t, "ops") {
					id := rapid.SampledFrom(keys).Draw(t, "key")
					op := targetkey.Op{
						Kind: rapid.SampledFrom([]targetkey.Kind{targetkey.Take, targetkey.Keep, targetkey.Leave, targetkey.Quit, targetkey.Release}).Draw(t, "kind"),
						ID:   id, Nonce: targetkey.NewNonce(),
						Owner: targetkey.Owner{Partition: 1, Mapping: "deals", Source: fmt.Sprintf(`{"id":"%d b\n"}`, rapid.IntRange(1, 3).Draw(t, "row"))},
						For:   rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "for"),
					}
					if rapid.Bool().Draw(t, "was") {
						op.Was = have[id]
					}
					ops = append(ops, op)
				}
				began := time.Now()
				got, err := c.Own(b.Context(), ops)
				if err != nil {
					t.Fatal(err)
				}
				for i, op := range ops {
					_, want := targetkey.Apply(have[op.ID], op, began)
					if got[i].Result != want.Result {
						t.Fatalf("%+v over %q is %+v, want %+v", op, have[op.ID], got[i], want)
					}
					if !sameEntry(got[i].Entry, want.Entry) {
						t.Fatalf("%+v over %q leaves %q, want %q", op, have[op.ID], got[i].Entry, want.Entry)
					}
					have[op.ID] = got[i].Entry
				}
			}
		})
	})
}

// sameEntry compares entries but for the time from which the key may be taken, if both
// have one that is to come.
func sameEntry(a, b string) bool {
	var fromA, fromB int64
	var restA, restB string
	if a == b {
		return true
	}
	if _, err := fmt.Sscanf(a, "%d %s", &fromA, &restA); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(b, "%d %s", &fromB, &restB); err != nil {
		return false
	}
	return fromA > 1 && fromB > 1 && restA == restB && max(fromA, fromB)-min(fromA, fromB) < time.Minute.Milliseconds()
}

// A key that is reserved may be taken when the time is over, by the server's clock.
func TestOwnersTime(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		id := targetkey.Of("Opportunity", "Ext", "7")
		row := func(n int) targetkey.Owner {
			return targetkey.Owner{Partition: 0, Mapping: "deals", Source: fmt.Sprint(n)}
		}
		do := func(op targetkey.Op) targetkey.Answer {
			op.ID, op.Nonce = id, targetkey.NewNonce()
			got, err := c.Own(b.Context(), []targetkey.Op{op})
			b.must(err)
			return got[0]
		}
		do(targetkey.Op{Kind: targetkey.Take, Owner: row(1)})
		do(targetkey.Op{Kind: targetkey.Leave, Owner: row(1), For: 30 * time.Millisecond})
		for began := time.Now(); ; {
			a := do(targetkey.Op{Kind: targetkey.Take, Owner: row(2)})
			if a.Result == targetkey.Other {
				if waited := time.Since(began); waited < 20*time.Millisecond {
					b.Errorf("taken after %v", waited)
				}
				break
			}
			if time.Since(began) > 10*time.Second {
				b.Fatalf("never taken: %+v", a)
			}
		}
		if o, err := targetkey.OwnerOf(do(targetkey.Op{Kind: targetkey.Keep, Owner: row(1)}).Entry); err != nil || o != row(2) {
			b.Errorf("the owner is %+v, %v", o, err)
		}
	})
}
