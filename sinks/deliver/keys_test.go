package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// onKeys runs a story of rows whose target key is the column k.
func onKeys(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		w.start(func(o *Options) { o.MaxAttempts = 1000 })
		f(w)
		w.end()
	})
}

// row puts a whole row with a target key and a value.
func (w *world) row(lane string, id, k, note int) {
	w.put(lane, id, fmt.Sprintf("k=%d on=true a=1 b=2 c=1 d=1 note=%d", k, note))
}

func (w *world) wantNote(k, note int) {
	w.Helper()
	w.wantHas(k, fmt.Sprintf("C=1 D=1 Note=%d Sum=1+2", note))
}

// sentRecords are all records that were sent, as op, source and position.
func (w *world) sentRecords() (out []string) {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	for _, b := range w.target.batches {
		for _, r := range b {
			out = append(out, strings.Fields(r)[1]+" "+strings.Fields(r)[2])
		}
	}
	return out
}

func (w *world) deletes() (n int) {
	for _, r := range w.sentRecords() {
		if strings.HasPrefix(r, "delete") {
			n++
		}
	}
	return n
}

func (w *world) wantOwner(k, id int) {
	w.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	o, err := targetkey.OwnerOf(w.store.owners[targetkey.Of("Opportunity", "Ext", fmt.Sprint(k))])
	if err != nil || o.Source != keyOf(id) {
		w.Fatalf("the owner of %d is %+v, %v; want %d", k, o, err, id)
	}
}

// apart gives two rows in different partitions.
func apart() (a, b int) {
	for b = 1; partitionOf(keyOf(b)) == partitionOf(keyOf(0)); b++ {
	}
	return 0, b
}

// The record under the old key goes after the one under the new key has come, and nothing
// of it is left.
func TestChangedKey(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.row(cdc.LaneNormal, 1, 20, 6)
		rest(time.Second)
		w.wantNote(20, 6)
		w.wantHas(10, "nothing")
		w.wantOwner(20, 1)
		want := []string{`upsert {"id":1}`, `upsert {"id":1}`, `delete {"id":1}`}
		if got := w.sentRecords(); !slices.Equal(got, want) {
			t.Errorf("sent %q", got)
		}
		if k := w.store.known[keyState(1)]; len(k.Old) > 0 || len(w.store.owners) != 1 {
			t.Errorf("left are %+v, %v", k, w.store.owners)
		}
	})
}

// Two rows, or three, swap their keys: the records are handed over.
func TestSwap(t *testing.T) {
	a, b := apart()
	for name, ids := range map[string][]int{"two": {a, b}, "other way": {b, a}, "three": {a, b, b + 1}} {
		for _, lanes := range [][]string{{cdc.LaneNormal}, {cdc.LaneBulk, cdc.LaneUrgent}} {
			t.Run(name+" "+strings.Join(lanes, " "), func(t *testing.T) {
				onKeys(t, func(w *world) {
					for i, id := range ids {
						w.row(cdc.LaneNormal, id, 10+i, id)
					}
					rest(time.Second)
					for i, id := range ids {
						w.row(lanes[i%len(lanes)], id, 10+(i+1)%len(ids), 100+id)
						if i == 0 {
							rest(3 * time.Second) // it waits for the other
						}
					}
					rest(10 * time.Second)
					for i, id := range ids {
						w.wantNote(10+(i+1)%len(ids), 100+id)
						w.wantOwner(10+(i+1)%len(ids), id)
					}
					// Of three, one may have gone before it was known that its key is wanted.
					if n := w.deletes(); n > len(ids)-2 || len(w.store.parked) > 0 {
						t.Errorf("%d deletes, parked %v", n, w.store.parked)
					}
				})
			})
		}
	}
}

// A row takes the key that another has left, or that was a deleted row's, also where that is
// learned later: the late delete takes nothing of it.
func TestHandedOver(t *testing.T) {
	a, b := apart()
	for _, late := range []string{"moves", "goes"} {
		t.Run(late, func(t *testing.T) {
			onKeys(t, func(w *world) {
				w.row(cdc.LaneNormal, a, 10, 1)
				rest(time.Second)
				first := func() {
					if late == "moves" {
						w.row(cdc.LaneBulk, a, 20, 2)
					} else {
						w.put(cdc.LaneBulk, a, "gone")
					}
				}
				w.row(cdc.LaneUrgent, b, 10, 3) // before it is known that the key is free
				rest(time.Second)
				w.wantNote(10, 1)
				first()
				rest(time.Minute)
				w.wantNote(10, 3)
				w.wantOwner(10, b)
				if late == "moves" {
					w.wantNote(20, 2)
				}
				if len(w.store.parked) > 0 {
					t.Errorf("parked %v", w.store.parked)
				}
			})
		})
	}
}

// While a record may still be removed nobody else writes under its key.
func TestReservedKey(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if b.Records[0].Op == sinks.Delete {
				time.Sleep(3 * time.Second) // the bubble's time
			}
			return all(len(b.Records), true), make([]sinks.Result, len(b.Records)), nil
		})
		w.put(cdc.LaneNormal, 1, "gone")
		rest(time.Second)
		w.row(cdc.LaneNormal, 2, 10, 6)
		rest(time.Second)
		w.wantNote(10, 5)
		rest(30 * time.Second)
		w.wantNote(10, 6)
		w.wantOwner(10, 2)
	})
}

// A key is reserved for a time. If the answer that it is comes when that is nearly over, the
// record is not removed before it is reserved anew: by then it may be another row's.
func TestReservedTooLate(t *testing.T) {
	onKeys(t, func(w *world) {
		a, b := apart()
		w.row(cdc.LaneNormal, a, 10, 5)
		rest(time.Second)
		wait := 3 * w.target.limits.Timeout
		late := wait // of the first answer; the store alone changes it
		w.store.late = func(ops []targetkey.Op) (d time.Duration) {
			if ops[0].For > 0 {
				d, late = late, 0
			}
			return d
		}
		w.put(cdc.LaneNormal, a, "gone")
		rest(wait - time.Second)
		w.row(cdc.LaneNormal, b, 10, 6)
		rest(time.Minute)
		w.wantNote(10, 6)
		w.wantOwner(10, b)
	})
}

// Two rows that want one key: the second is parked by name, and its record comes by itself
// when the first leaves the key. No value is logged.
func TestDuplicateKey(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 977001, 5)
		rest(time.Second)
		w.row(cdc.LaneNormal, 2, 977001, 6)
		rest(2 * time.Minute)
		w.wantNote(977001, 5)
		l := w.store.parked[keyState(2)]
		if l.Code != sinks.CodeDuplicateKey || !strings.Contains(l.Error, "mapping deals") || strings.Contains(l.Error, "977001") || !strings.Contains(l.Detail, keyOf(1)) {
			t.Errorf("parked as %+v", l)
		}
		if w.lines.count("977001") > 0 || w.lines.count(`\"id\"`) > 0 {
			t.Errorf("values are in the log: %s", w.lines.text.String())
		}
		if !w.caughtUp() {
			t.Error("it holds the checkpoint")
		}
		w.row(cdc.LaneNormal, 1, 977002, 7)
		rest(5 * time.Second)
		w.wantNote(977001, 6)
		w.wantNote(977002, 7)
		if len(w.store.parked) > 0 || w.deletes() > 0 {
			t.Errorf("still parked %v, %d deletes", w.store.parked, w.deletes())
		}
		w.row(cdc.LaneNormal, 3, 977001, 8)
		rest(2 * time.Minute)
		w.row(cdc.LaneNormal, 3, 977003, 9) // it mends itself
		rest(5 * time.Second)
		w.wantNote(977003, 9)
		if len(w.store.parked)+len(w.store.deferred) > 0 {
			t.Errorf("still parked %v", w.store.parked)
		}
	})
}

// A row that waits aside for its key comes when the other leaves it, also where a session
// before put it there, or was killed before it woke it.
func TestDuplicateKeyRestart(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.row(cdc.LaneNormal, 2, 10, 6)
		rest(time.Minute)
		if w.letter(2) != sinks.CodeDuplicateKey || w.aside() != 1 {
			t.Fatalf("parked as %q, %d aside", w.letter(2), w.aside())
		}
		w.crash()
		w.start()
		rest(time.Minute)
		w.row(cdc.LaneNormal, 1, 11, 7)
		rest(5 * time.Second)
		w.wantNote(11, 7)
		w.wantNote(10, 6)
		if len(w.store.parked)+w.aside() > 0 {
			t.Errorf("still parked %v, %d aside", w.store.parked, w.aside())
		}
	})
}

// A row that was parked for its key, and for which there was no room aside, has all its
// tries again when it changes: the other row may be about to leave the key.
func TestDuplicateKeyNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		w.start(func(o *Options) { o.Deferred = partitions })
		defer w.end()
		ids := samePartition(3)
		for i, id := range ids {
			w.row(cdc.LaneNormal, id, 10, i)
			rest(time.Second)
		}
		rest(time.Minute)
		if w.letter(ids[2]) != sinks.CodeDuplicateKey || w.aside() != 1 {
			t.Fatalf("parked as %q, %d aside", w.letter(ids[2]), w.aside())
		}
		w.row(cdc.LaneNormal, ids[1], 11, 1)
		w.row(cdc.LaneNormal, ids[2], 10, 2)
		rest(time.Second)
		w.row(cdc.LaneNormal, ids[0], 12, 0)
		rest(10 * time.Second)
		for i, id := range ids {
			if want := []int{12, 11, 10}[i]; w.letter(id) != "" {
				t.Errorf("row %d is parked as %q", id, w.letter(id))
			} else {
				w.wantNote(want, i)
			}
		}
	})
}

// A process that ends before the old record is deleted leaves that to the next one.
func TestCrashBeforeOldIsDeleted(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if b.Records[0].Op == sinks.Delete {
				return nil, nil, &sinks.Retryable{Err: errors.New("503")}
			}
			return all(len(b.Records), true), make([]sinks.Result, len(b.Records)), nil
		})
		w.row(cdc.LaneNormal, 1, 20, 6)
		rest(5 * time.Second)
		w.wantNote(20, 6)
		w.wantNote(10, 5)
		if k := w.store.known[keyState(1)]; len(k.Old) != 1 || string(k.Old[0].Value) != "10" || w.caughtUp() {
			t.Errorf("the state is %v", k)
		}
		w.crash()
		w.answers(acceptAll)
		w.start()
		rest(5 * time.Minute)
		w.wantNote(20, 6)
		w.wantHas(10, "nothing")
	})
}

// A target that does not delete the old record leaves a dead letter that says so, and a
// later change tries again.
func TestOldIsNotDeleted(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if b.Records[0].Op == sinks.Delete {
				return nil, []sinks.Result{{Err: &sinks.Rejected{Code: "LOCKED", Err: errors.New("locked")}}}, nil
			}
			return all(len(b.Records), true), make([]sinks.Result, len(b.Records)), nil
		})
		w.row(cdc.LaneNormal, 1, 20, 6)
		rest(5 * time.Second)
		if l := w.store.parked[keyState(1)]; l.Code != "LOCKED" || !strings.Contains(l.Payload, `"key":{"Ext":10}`) {
			t.Errorf("parked as %+v", l)
		}
		w.answers(acceptAll)
		w.row(cdc.LaneNormal, 1, 20, 7)
		rest(5 * time.Second)
		w.wantNote(20, 7)
		w.wantHas(10, "nothing")
		if len(w.store.parked) > 0 {
			t.Errorf("still parked %v", w.store.parked)
		}
	})
}

// What the mapping says of deleted rows holds for old records.
func TestOldByPolicy(t *testing.T) {
	for gone, want := range map[string]string{"ignore": "C=1 D=1 Note=5 Sum=1+2", "set": "C=1 D=1 Note=-1 Sum=1+2"} {
		onKeys(t, func(w *world) {
			w.mapper.gone = gone
			w.row(cdc.LaneNormal, 1, 10, 5)
			rest(time.Second)
			w.row(cdc.LaneNormal, 1, 20, 6)
			rest(time.Second)
			w.wantNote(20, 6)
			w.wantHas(10, want)
			w.row(cdc.LaneNormal, 2, 10, 7) // what is left there is anybody's
			rest(time.Minute)
			w.wantNote(10, 7)
		})
	}
}

// An owner that does not name the key any more is none: a mapping that is gone, a row that
// was forgotten, one with another key.
func TestStaleOwner(t *testing.T) {
	onKeys(t, func(w *world) {
		w.store.mu.Lock()
		for k, o := range map[int]targetkey.Owner{10: {Mapping: "gone", Source: "1"}, 11: {Mapping: "deals", Source: keyOf(8)}, 12: {Mapping: "deals", Source: keyOf(9)}} {
			op := targetkey.Op{Kind: targetkey.Take, ID: targetkey.Of("Opportunity", "Ext", fmt.Sprint(k)), Owner: o, Nonce: "1"}
			w.store.owners[op.ID], _ = targetkey.Apply("", op, time.Now())
		}
		w.store.known[keyState(9)] = state.Known{Seen: at(1), Live: true, Key: sinks.Field{Name: "Ext", Value: json.RawMessage("99")}}
		w.store.mu.Unlock()
		for i := range 3 {
			w.row(cdc.LaneNormal, i, 10+i, i)
		}
		rest(time.Second)
		for i := range 3 {
			w.wantNote(10+i, i)
			w.wantOwner(10+i, i)
		}
	})
}

// foldingTarget takes texts that differ in case only for the same.
type foldingTarget struct{ *fakeTarget }

func (foldingTarget) Folds() bool { return true }
func (foldingTarget) FoldKey(_ string, key sinks.Field) string {
	return sinks.InsensitiveKey(key.Value)
}

// Keys are the same where the target takes them for the same, even if they are the keys of
// the rows. Rules about its answers make no difference.
func TestKeysFolded(t *testing.T) {
	for name, rules := range map[string][]sinks.Rule{"without rules": nil, "with rules": {{Statuses: []string{"409"}, Then: sinks.ThenRetry}}} {
		t.Run(name, func(t *testing.T) { keysFolded(t, rules) })
	}
}

func keysFolded(t *testing.T, rules []sinks.Rule) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		w.start(func(o *Options) { o.Target = sinks.WithRules(foldingTarget{w.target}, rules) })
		defer w.end()
		for i, k := range []string{`"Ärger"`, `"äRGER"`, `"b"`} {
			w.put(cdc.LaneNormal, i, "k="+k+" on=true a=1 b=2 c=1 d=1 note=1")
			rest(time.Second)
		}
		rest(2 * time.Minute)
		if len(w.store.parked) != 1 || w.store.parked[keyState(1)].Code != sinks.CodeDuplicateKey {
			t.Errorf("parked %v", w.store.parked)
		}
		w.put(cdc.LaneNormal, 0, `k="ärgeR" on=true a=1 b=2 c=1 d=1 note=2`) // no other key
		rest(time.Second)
		if n := w.deletes(); n > 0 {
			t.Errorf("%d deletes", n)
		}
	})
}

// Keys that are those of the rows cost nothing.
func TestSureKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "on=true a=1 b=2 c=1 d=1 note=1")
		rest(time.Second)
		w.put(cdc.LaneNormal, 1, "gone")
		rest(time.Second)
		w.wantHas(1, "nothing")
		if len(w.store.owners) > 0 || slices.ContainsFunc(w.store.trail[keyState(1)], func(s string) bool { return strings.Contains(s, "take") }) {
			t.Errorf("owners %v, %q", w.store.owners, w.store.trail[keyState(1)])
		}
	})
}

// The target has the record under the new key, and what lay under the old one cannot be
// removed: nothing of that is written. A session that stops then has not ended in order, and
// the next one sends nothing before it has read again what was sent.
func TestStopBetweenTheKeys(t *testing.T) {
	onKeys(t, func(w *world) {
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		var back atomic.Bool
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			if !back.Load() && b.Records[0].Op != sinks.Upsert {
				return nil, nil, &sinks.Retryable{Err: errors.New("503")}
			}
			return all(len(b.Records), true), make([]sinks.Result, len(b.Records)), nil
		})
		w.row(cdc.LaneNormal, 1, 11, 6)
		rest(time.Second)
		w.wantNote(11, 6)
		w.end()
		w.start()
		rest(time.Second)
		if !w.store.wasUnclean() {
			t.Error("the session before told that all it sent is written")
		}
		back.Store(true)
		rest(time.Minute)
		w.wantNote(11, 6)
		if n := w.deletes(); n == 0 {
			t.Error("the record under the old key was not removed")
		}
	})
}
