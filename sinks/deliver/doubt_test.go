package deliver

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

const rowA, rowB = "a=1 b=1 c=1 d=1", "a=2 b=2 c=2 d=2"

const hasA, hasB = "C=1 D=1 Sum=1+1", "C=2 D=2 Sum=2+2"

// whole makes a mapping that writes all its fields always, and the target have row A.
func (w *world) whole(change ...func(*Options)) {
	w.mapper.always = true
	w.put(cdc.LaneNormal, 1, rowA)
	w.start(change...)
	rest(time.Second)
	w.wantHas(1, hasA)
}

// asks wants that so many requests were made in f.
func (w *world) asks(want uint64, f func()) {
	w.Helper()
	was := w.engine.Stats().Requests
	f()
	rest(time.Second)
	if got := w.engine.Stats().Requests - was; got != want {
		w.Errorf("%d requests, want %d", got, want)
	}
}

// What the target has already makes no request, and after a stop in order neither; but what
// a backfill read does, and what another mapping file makes of the same row.
func TestRepeatsAreNotSent(t *testing.T) {
	run(t, func(w *world) {
		w.whole()
		w.asks(0, func() { w.put(cdc.LaneUrgent, 1, rowA) })
		w.asks(1, func() { w.put(cdc.LaneBulk, 1, rowB) })
		if s := w.engine.Stats(); s.Suppressed != 1 || s.Filtered != 1 || !w.caughtUp() {
			t.Errorf("stats %+v", s)
		}
		w.end()
		w.start()
		w.asks(0, func() { w.put(cdc.LaneNormal, 1, rowB) })
		w.asks(1, func() {
			w.last++
			w.log.append(cdc.LaneBulk, cdc.Change{Position: at(w.last), Op: cdc.OpRead, Table: deals, Key: keyOf(1), After: `{"id":1,"a":2,"b":2,"c":2,"d":2}`, Time: time.Now()})
		})
		w.asks(2, func() { w.put(cdc.LaneNormal, 1, "gone"); rest(time.Second); w.put(cdc.LaneNormal, 1, rowB) })
		w.end()
		w.mapper.slim = true
		w.start()
		w.asks(1, func() { w.put(cdc.LaneNormal, 1, rowB) })
		w.asks(0, func() { w.put(cdc.LaneNormal, 1, rowB) })
	})
}

// Fields that are not always written do not make a difference.
func TestRepeatsOfSelectiveMappings(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		w.asks(1, func() { w.put(cdc.LaneNormal, 1, rowA) }) // all fields
		w.asks(0, func() { w.put(cdc.LaneNormal, 1, rowA) }) // those that changed are left out
		w.asks(1, func() { w.put(cdc.LaneNormal, 1, "a=1 b=1 c=2 d=1") })
		w.asks(0, func() { w.put(cdc.LaneNormal, 1, "a=1 b=1 c=2 d=1") })
		w.wantHas(1, "C=2 D=1 Sum=1+1")
	})
}

// A goes to B and back to A, and the target may have B without our knowing: A is sent.
func TestBackToWhatWas(t *testing.T) {
	for name, story := range map[string]func(w *world, lane string){
		"goes on": func(*world, string) {},
		"crash":   func(w *world, _ string) { w.crash(); w.start() },
		"crash, and the clock of the source is ahead": func(w *world, _ string) {
			w.slack = -time.Hour
			w.crash()
			w.start()
		},
		"lease lost": func(w *world, _ string) {
			w.store.steal()
			rest(time.Second)
		},
		"put aside": func(w *world, _ string) {
			w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
				rs := make([]sinks.Result, len(b.Records))
				for i := range rs {
					rs[i].Err = &sinks.Retryable{After: time.Minute, Err: errBusy}
				}
				return all(len(rs), false), rs, nil
			})
			rest(30 * time.Second)
			w.answers(acceptAll)
		},
	} {
		for _, lane := range []string{cdc.LaneUrgent, cdc.LaneBulk} {
			t.Run(name+"/"+lane, func(t *testing.T) {
				run(t, func(w *world) {
					w.whole(func(o *Options) { o.Hold = time.Second })
					w.next(true, errTimeout)
					w.put(lane, 1, rowB)
					rest(time.Millisecond)
					w.wantHas(1, hasB)
					story(w, lane)
					w.put(cdc.LaneNormal, 1, rowA)
					rest(10 * time.Minute)
					w.wantHas(1, hasA)
					w.asks(0, func() { w.put(lane, 1, rowA) })
				})
			})
		}
	}
}

// A goes to B, and the target may have B without our knowing; then to A with a reference to a
// record that the target does not have, and is refused for that. Nothing of the refusal is
// written in the state, which says A still: A is sent, as soon as it may be.
func TestBackToWhatWasForWantOfAParent(t *testing.T) {
	const refers = rowA + " parent=100"
	for name, story := range map[string]func(w *world){
		"the parent comes":  func(w *world) { w.putIn(accounts, cdc.LaneBulk, 100, "a=9 b=9") },
		"it refers to none": func(w *world) { w.put(cdc.LaneNormal, 1, rowA) },
		"after an hour":     func(w *world) { w.answers(acceptAll); rest(time.Hour) },
		"refused once more": func(w *world) { w.put(cdc.LaneNormal, 1, refers); rest(time.Minute); w.put(cdc.LaneNormal, 1, rowA) },
		"the next has no answer": func(w *world) {
			w.next(false, errTimeout)
			w.put(cdc.LaneNormal, 1, rowA)
		},
		"crash": func(w *world) {
			w.crash()
			w.start(w.withAccounts)
			w.put(cdc.LaneNormal, 1, rowA)
		},
		"stop": func(w *world) {
			w.end()
			w.start(w.withAccounts)
			w.put(cdc.LaneNormal, 1, rowA)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.slack = -time.Hour // the time of the commit alone makes no doubt
				w.whole(w.withAccounts)
				w.next(true, errTimeout)
				w.put(cdc.LaneBulk, 1, rowB)
				rest(time.Millisecond)
				w.wantHas(1, hasB)
				w.strict(errNoParent)
				w.put(cdc.LaneNormal, 1, refers)
				rest(time.Minute)
				if w.wantHas(1, hasB); w.letter(1) != codeWaiting || w.aside() != 1 {
					t.Fatalf("parked as %q, %d aside", w.letter(1), w.aside())
				}
				story(w)
				rest(time.Minute)
				if w.wantHas(1, hasA); !w.caughtUp() || w.aside() != 0 || w.letter(1) != "" {
					t.Errorf("caught up %v, %d aside, parked as %q", w.caughtUp(), w.aside(), w.letter(1))
				}
				w.asks(0, func() { w.put(cdc.LaneNormal, 1, rowA) })
			})
		})
	}
}

// handedOver is as if the session before had handed the last entry of the bulk lane over:
// the target has B.
func (w *world) handedOver(pos cdc.Position) {
	w.store.mu.Lock()
	w.store.sent[cdc.Stream{Lane: cdc.LaneBulk, Partition: partitionOf(keyOf(1))}] = pos
	w.store.mu.Unlock()
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	w.target.rows["1"] = held{fields: map[string]string{"C": "2", "D": "2", "Sum": `"2+2"`}, pos: pos}
}

// others puts changes of other rows of the same partition into the bulk lane.
func (w *world) others(n int) {
	for id := 10; n > 0; id++ {
		if partitionOf(keyOf(id)) == partitionOf(keyOf(1)) {
			w.put(cdc.LaneBulk, id, rowA)
			n--
		}
	}
}

// Where sending begins before all is read that may have been handed over, nothing is taken
// for known: B may be further behind.
func TestBackToWhatWasWithASmallQueue(t *testing.T) {
	run(t, func(w *world) {
		w.whole()
		w.end() // in order: nothing but the mark tells
		w.others(2500)
		w.handedOver(w.put(cdc.LaneBulk, 1, rowB))
		w.target.order = map[string]cdc.Position{} // B is not ours to judge
		w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			time.Sleep(time.Second)
			return acceptAll(ctx, b)
		})
		w.start(func(o *Options) { o.Limits = queue.Limits{Entries: 1, Bytes: 1 << 30} })
		rest(time.Second)
		if w.lines.count("sending begins before all is read") != 1 {
			t.Fatalf("it holds still:\n%s", w.lines.text.String())
		}
		w.put(cdc.LaneUrgent, 1, rowA)
		rest(w.target.limits.Timeout - 2*time.Second)
		if sent := w.sentOf(1); len(sent) > 1 {
			t.Errorf("a request of the session before may be under way, and %q was sent", sent)
		}
		rest(time.Hour)
		if w.wantHas(1, hasA); !w.caughtUp() {
			t.Error("not all is dealt with")
		}
		w.asks(0, func() { w.put(cdc.LaneUrgent, 1, rowA) })
	})
}

// A server that lost the last second has lost the state of B and the note that it was on
// its way. The session that made both ended with it.
func TestBackToWhatTheServerHas(t *testing.T) {
	const folded = "folded"
	for name, later := range map[string]time.Duration{"at once": 0, folded: 0, "later, while the other lane is behind": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				if w.whole(); name == folded {
					w.mapper.coalesce = sinks.Coalesce{Quiet: 5 * time.Second, MaxDelay: time.Minute, MaxBatch: 10}
				}
				w.store.mu.Lock()
				known, checkpoints, sent, last := maps.Clone(w.store.known), maps.Clone(w.store.checkpoints), maps.Clone(w.store.sent), w.store.last
				w.store.mu.Unlock()
				if later > 0 {
					w.others(50)
				}
				w.put(cdc.LaneBulk, 1, rowB)
				rest(time.Minute)
				w.wantHas(1, hasB)
				w.crash()
				w.store.mu.Lock()
				w.store.known, w.store.checkpoints, w.store.sent, w.store.last = known, checkpoints, sent, last
				w.store.mu.Unlock()
				w.target.order = map[string]cdc.Position{} // the others come again
				w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					if later > 0 {
						time.Sleep(4 * time.Second)
					}
					return acceptAll(ctx, b)
				})
				limit := 10
				if name != folded {
					limit, w.target.limits.MaxBatch, w.target.limits.MaxInFlight = 1, 1, 1
				}
				w.giveAtMost(1)
				w.start(func(o *Options) { o.Limits = queue.Limits{Entries: limit, Bytes: 1 << 30} })
				if rest(later); name == folded {
					rest(4 * time.Second) // the lanes were read to their ends
				}
				w.put(cdc.LaneUrgent, 1, rowA)
				rest(time.Hour)
				w.wantHas(1, hasA)
				w.asks(0, func() { w.put(cdc.LaneUrgent, 1, rowA); rest(10 * time.Second) })
				w.end()
				if w.store.open != ([partitions]bool{}) {
					t.Error("it did not end in order though all is dealt with")
				}
			})
		})
	}
}

// A delete that overtakes an older row in the bulk lane, of which nothing was delivered:
// the row is not made when it comes.
func TestDeleteOvertakesWhatNeverCame(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		old := cdc.Change{Position: at(5), Op: cdc.OpCreate, Table: deals, Key: keyOf(1), After: `{"id":1,"a":1,"b":1,"c":1,"d":1}`, Time: time.Now()}
		w.last = 9
		w.put(cdc.LaneUrgent, 1, "gone")
		rest(time.Minute)
		w.log.append(cdc.LaneBulk, old)
		rest(time.Minute)
		if w.wantHas(1, "nothing"); len(w.target.batches) > 0 || !w.caughtUp() {
			t.Errorf("requests %q", w.target.batches)
		}
	})
}

// The hash tells apart all that is sent.
func TestHashOf(t *testing.T) {
	seen := map[uint64]string{}
	field := func(name, value string) sinks.Field { return sinks.Field{Name: name, Value: []byte(value)} }
	for _, r := range []sinks.Record{
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1")},
		{Object: "P", Op: sinks.Upsert, Key: field("k", "1")},
		{Object: "O", Op: sinks.Delete, Key: field("k", "1")},
		{Object: "O", Op: sinks.Upsert, Key: field("k", `"1"`)},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("a", "1")}},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("a", "null")}},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("a", "1"), field("b", "2")}},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("b", "2"), field("a", "1")}},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("a1", "1"), field("b", "2")}},
		{Object: "O", Op: sinks.Upsert, Key: field("k", "1"), Fields: []sinks.Field{field("a", "11"), field("b", "2")}},
	} {
		h, text := hashOf(&r), fmt.Sprintf("%+v", r)
		if other, ok := seen[h]; ok || h == 0 {
			t.Errorf("%s and %s have the hash %x", text, other, h)
		}
		r.Position, r.Source = at(7), "x" // are not sent as such
		if hashOf(&r) != h {
			t.Error("the position makes a difference")
		}
		seen[h] = text
	}
}

// sentOf gives what was sent of a row, in order.
func (w *world) sentOf(id int) (out []string) {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	for _, b := range w.target.batches {
		for _, r := range b {
			if strings.Contains(r, keyOf(id)) {
				out = append(out, r)
			}
		}
	}
	return out
}
