package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// edit is what somebody does at the target by hand.
func (w *world) edit(id int, field, value string) {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	w.target.rows[strconv.Itoa(id)].fields[field] = value
}

// next is a target that answers the next batch so, and accepts all others.
func (w *world) next(apply bool, err error) {
	first := true
	w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		if !first {
			return acceptAll(ctx, b)
		}
		first = false
		return all(len(b.Records), apply), nil, err
	})
}

var (
	errTimeout error = &sinks.Retryable{Unknown: true, Err: errors.New("timeout")}
	errBusy    error = &sinks.Retryable{Err: errors.New("503")}
)

// A field that is only written when it changes leaves alone what somebody made of it at
// the target, until its own value changes; a stop and a start make no difference.
func TestUnchangedIsNotSentAgain(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 d=1")
		w.start()
		rest(time.Second)
		w.wantHas(1, "C=1 D=1 Sum=1+1")
		w.edit(1, "C", "mine")
		w.put(cdc.LaneNormal, 1, "a=2 b=1 c=1 d=?")
		rest(time.Second)
		w.wantHas(1, "C=mine D=1 Sum=2+1")
		w.end()
		w.start()
		w.put(cdc.LaneNormal, 1, "a=3 b=1 c=1 d=2")
		rest(time.Second)
		w.wantHas(1, "C=mine D=2 Sum=3+1")
		w.put(cdc.LaneNormal, 1, "a=3 b=1 c=2 d=2")
		rest(time.Second)
		w.wantHas(1, "C=2 D=2 Sum=3+1")
	})
}

// A value of which the target may have heard is not taken for the one before it, though
// the row goes back to that: neither where delivery goes on, nor after a crash, nor where
// the log has lost the change meanwhile. A field that was not on its way is left alone.
func TestBackAndForth(t *testing.T) {
	for name, between := range map[string]func(*world){
		"goes on": func(w *world) {},
		"crash":   func(w *world) { w.crash(); w.start() },
		"lost": func(w *world) {
			w.crash()
			w.log.mu.Lock()
			clear(w.log.streams)
			w.log.mu.Unlock()
			w.start()
			rest(2 * time.Minute) // from then on changes are certainly newer than the crash
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 d=1")
				w.start()
				rest(time.Second)
				w.edit(1, "D", "mine")
				w.next(true, errTimeout)
				w.put(cdc.LaneNormal, 1, "a=2 b=1 c=2 d=1")
				rest(time.Millisecond)
				w.wantHas(1, "C=2 D=mine Sum=2+1")
				between(w)
				w.put(cdc.LaneNormal, 1, "a=3 b=1 c=1 d=1")
				rest(time.Minute)
				if name == "crash" { // the change is read again: its key is in doubt
					w.wantHas(1, "C=1 D=1 Sum=3+1")
				} else {
					w.wantHas(1, "C=1 D=mine Sum=3+1")
				}
			})
		})
	}
}

// A request that was certainly not carried out takes no other field along when it is
// made again.
func TestTryAgainSendsWhatChanged(t *testing.T) {
	run(t, func(w *world) {
		w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 d=1")
		w.start()
		rest(time.Second)
		w.edit(1, "D", "mine")
		w.next(false, errBusy)
		w.put(cdc.LaneNormal, 1, "a=1 b=1 c=2 d=1")
		rest(time.Minute)
		w.wantHas(1, "C=2 D=mine Sum=1+1")
	})
}

// What the server forgot by a failover does not count: the target has heard of more.
func TestRolledBackIsSentAgain(t *testing.T) {
	run(t, func(w *world) {
		w.start()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1")
		rest(time.Second)
		w.store.mu.Lock()
		known, checkpoints, last := maps.Clone(w.store.known), maps.Clone(w.store.checkpoints), w.store.last
		w.store.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=2 b=1 c=2")
		rest(time.Second)
		w.wantHas(1, "C=2 Sum=2+1")
		w.store.mu.Lock()
		w.store.known, w.store.checkpoints, w.store.last = known, checkpoints, last
		w.store.mu.Unlock()
		w.put(cdc.LaneNormal, 1, "a=3 b=1 c=1")
		rest(time.Minute)
		w.wantHas(1, "C=1 Sum=3+1")
		if w.lines.count("starts over") == 0 {
			t.Error("the loss was not seen")
		}
	})
}

// What made a record another one, or may have, makes all its fields come again.
func TestMadeWholeAgain(t *testing.T) {
	seven := func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		return []bool{false}, []sinks.Result{{Err: &sinks.Rejected{Code: "NO", Err: errors.New("no")}}}, nil
	}
	for name, meanwhile := range map[string]func(w *world){
		"deleted": func(w *world) { w.put(cdc.LaneNormal, 1, "gone") },
		"deleted without an answer": func(w *world) {
			w.next(true, errTimeout)
			w.put(cdc.LaneNormal, 1, "gone")
		},
		"marked": func(w *world) {
			w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 on=false")
		},
		"marked without an answer": func(w *world) {
			w.next(true, errTimeout)
			w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 on=false")
		},
		"parked": func(w *world) {
			w.answers(seven)
			w.put(cdc.LaneNormal, 1, "a=7 b=1 c=2")
			w.edit(1, "C", "2")
		},
		"parked and applied": func(w *world) {
			w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
				return []bool{true}, []sinks.Result{{Err: errTimeout}}, nil
			})
			w.put(cdc.LaneNormal, 1, "a=7 b=1 c=2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				if strings.HasPrefix(name, "marked") {
					w.mapper.gone, w.mapper.set = "set", []sinks.Field{{Name: "C", Value: json.RawMessage("-1")}}
				}
				w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1")
				w.start(func(o *Options) {
					if name == "parked and applied" {
						o.MaxAttempts = 1
					}
				})
				rest(time.Second)
				w.holds(1, `{"id":1,"a":3,"b":1,"c":1}`)
				meanwhile(w)
				rest(10 * time.Millisecond)
				if w.has(1) == "C=1 Sum=1+1" {
					t.Error("nothing happened")
				}
				if strings.HasPrefix(name, "parked") {
					w.answers(acceptAll)
				}
				w.put(cdc.LaneNormal, 1, "a=3 b=1 c=1")
				rest(time.Minute)
				w.wantHas(1, "C=1 Sum=3+1")
			})
		})
	}
}

// A row that took the place of another, and did not send a column, is read, although null
// for it would be what was sent before.
func TestReplacedWithoutTheColumn(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.coalesce = sinks.Coalesce{Quiet: time.Second, MaxDelay: time.Minute, MaxBatch: 10}
		w.put(cdc.LaneNormal, 1, "a=1 b=1 d=null")
		w.start()
		rest(2 * time.Second)
		w.wantHas(1, "D=null Sum=1+1")
		w.holds(1, `{"id":1,"a":2,"b":2,"d":5}`)
		w.put(cdc.LaneNormal, 1, "gone")
		w.put(cdc.LaneNormal, 1, "a=2 b=2 d=?")
		rest(time.Minute)
		w.wantHas(1, "D=5 Sum=2+2")
	})
}

// A row that goes to another record of the target takes all its columns along, those too
// that did not change and were not sent.
func TestOtherRecord(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.key = "k"
		w.put(cdc.LaneNormal, 1, "k=1 a=1 b=1 note=5 c=1")
		w.start()
		rest(time.Second)
		w.wantHas(1, "C=1 Note=5 Sum=1+1")
		w.holds(1, `{"id":1,"k":2,"a":1,"b":1,"note":5,"c":1}`)
		w.put(cdc.LaneNormal, 1, "k=2 a=1 b=1 note=? c=1")
		rest(time.Second)
		w.wantHas(2, "C=1 Note=5 Sum=1+1")
	})
}

// Of a record of which nothing changed that is to be written there is no request, and it
// counts as dealt with; the next is not made whole for it.
func TestNothingChanged(t *testing.T) {
	run(t, func(w *world) {
		w.mapper.slim = true
		w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 d=1")
		w.start()
		rest(time.Second)
		w.edit(1, "D", "mine")
		w.put(cdc.LaneNormal, 1, "a=2 b=1 c=1 d=?")
		rest(time.Second)
		if s := w.engine.Stats(); s.Requests != 1 || s.Filtered != 1 || !w.caughtUp() {
			t.Errorf("caught up %v, %+v", w.caughtUp(), s)
		}
		w.put(cdc.LaneNormal, 1, "a=2 b=1 c=2 d=1")
		rest(time.Second)
		w.wantHas(1, "C=2 D=mine")
	})
}

// A delete without an answer leaves in doubt whether there is a record: what is written
// when one comes into being is written again.
func TestDeleteInDoubt(t *testing.T) {
	for name, attempts := range map[string]int{"tried again": 5, "parked": 1} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.put(cdc.LaneNormal, 1, "a=1 b=1")
				w.start(func(o *Options) { o.MaxAttempts = attempts })
				rest(time.Second)
				w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					return []bool{true}, []sinks.Result{{Err: errTimeout}}, nil
				})
				w.put(cdc.LaneNormal, 1, "gone")
				rest(10 * time.Millisecond)
				w.store.mu.Lock()
				defer w.store.mu.Unlock()
				if p := w.store.known[keyState(1)].Prior(); !p.Live || !p.Doubt || string(p.Key.Value) != "1" {
					t.Errorf("prior is %+v", p)
				}
			})
		})
	}
}

func TestCommon(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""}, {"", "x", ""}, {"x", "", ""}, {"x,y", "x,y", "x,y"}, {"x,y,z", "z,q,x", "x,z"}, {"x1", "x", ""},
	} {
		if got := common(c.a, c.b); got != c.want {
			t.Errorf("common(%q, %q) is %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

// A refusal may come after something of the record was carried out, as of an association of
// one that was made: then it goes when its row does.
func TestRefusedInDoubt(t *testing.T) {
	run(t, func(w *world) {
		w.next(true, &sinks.Rejected{Code: "NO_LINK", Err: &sinks.Answer{Unknown: true, Err: errors.New("no")}})
		w.put(cdc.LaneNormal, 1, "a=1 b=1")
		w.start()
		rest(time.Second)
		if s := w.engine.Stats(); s.Parked != 1 {
			t.Errorf("stats %+v", s)
		}
		w.put(cdc.LaneNormal, 1, "gone")
		rest(time.Minute) // no sooner, since the request may still be under way
		w.wantHas(1, "nothing")
	})
}
