package deliver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// otherMapper maps another table of the same target.
type otherMapper struct{ *fakeMapper }

var others = cdc.Table{Schema: "public", Name: "others"}

func (otherMapper) Table() cdc.Table { return others }

func newOther() otherMapper {
	return otherMapper{&fakeMapper{name: "others", coalesce: sinks.Coalesce{MaxBatch: 10}, filtered: map[string]bool{}}}
}

// putOther appends a row of the other table.
func (w *world) putOther(id int) {
	w.last++
	w.log.append(cdc.LaneNormal, cdc.Change{Position: at(w.last), Op: cdc.OpCreate, Table: others, Key: keyOf(id),
		After: fmt.Sprintf(`{"id":%d,"a":1,"b":1}`, id), Time: time.Now(), XID: uint64(w.last)})
}

// refuseOthers fails every batch of the other mapping.
func refuseOthers(err error) answer {
	return func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
		if b.Records[0].Mapping == "others" {
			return nil, nil, err
		}
		return acceptAll(ctx, b)
	}
}

// A mapping of which every record is refused waits alone (I6): the target's other
// mappings do not notice.
func TestRefusedMappingHarmsItself(t *testing.T) {
	run(t, func(w *world) {
		w.answers(refuseOthers(&sinks.Rejected{Code: "http_422", Err: errors.New("422")}))
		other := newOther()
		other.coalesce.Quiet, other.coalesce.MaxDelay = 100*time.Millisecond, time.Second // both in one batch
		w.start(func(o *Options) { o.Mappers = []Mapper{w.mapper, other} })
		for id := range 2 {
			w.putOther(1000 + id)
		}
		for id := range 600 {
			w.put(cdc.LaneNormal, id, "a=1 b=1")
			rest(100 * time.Millisecond)
		}
		s := w.engine.Stats()
		if l := s.Lanes[1]; s.Delivered != 600 || s.Parked != 0 || l.P100 > 100*time.Millisecond {
			t.Errorf("delivered %d, parked %d, the slowest after %v", s.Delivered, s.Parked, l.P100)
		}
		if n := w.lines.count("waits for somebody"); n != 1 {
			t.Errorf("it was said %d times:\n%s", n, w.lines.text.String())
		}
		w.answers(acceptAll)
		rest(10 * time.Minute)
		if !w.caughtUp() {
			t.Error("the mapping does not go on after it was mended")
		}
	})
}

// A record that fails alone, without others in its batch, is to blame when the
// target takes others all the time: it is parked, and the checkpoint moves.
func TestLonePoison(t *testing.T) {
	for name, err := range map[string]error{
		"500": &sinks.Retryable{Unknown: true, Err: errors.New("500")},
		"403": &sinks.Unauthorized{Forbidden: true, Err: errors.New("403")},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.answers(refuseOthers(err))
				w.start(func(o *Options) { o.Mappers, o.MaxAttempts = []Mapper{w.mapper, newOther()}, 5 })
				w.putOther(7)
				for i := range 5 * 60 {
					w.put(cdc.LaneNormal, 1, fmt.Sprintf("a=%d b=1", i))
					rest(time.Minute)
				}
				if s := w.engine.Stats(); s.Parked != 1 || !w.caughtUp() {
					t.Errorf("parked %d, caught up %v, %d requests", s.Parked, w.caughtUp(), s.Requests)
				}
			})
		})
	}
}

// A target that answers, but asks for every record to come later, is in trouble:
// it is paused, and parks none.
func TestAllLaterIsAnOutage(t *testing.T) {
	for name, results := range map[string]func(n int) []sinks.Result{
		"retryable": func(n int) []sinks.Result {
			rs := make([]sinks.Result, n)
			for i := range rs {
				rs[i].Err = &sinks.Retryable{Err: errors.New("SERVER_UNAVAILABLE")}
			}
			return rs
		},
		"no results": func(int) []sinks.Result { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					return nil, results(len(b.Records)), nil
				})
				for id := range 200 {
					w.put(cdc.LaneNormal, id, "a=1 b=1")
				}
				w.start()
				rest(24 * time.Hour)
				if s := w.engine.Stats(); s.Parked != 0 || s.Requests > 10_000 {
					t.Errorf("parked %d with %d requests", s.Parked, s.Requests)
				}
				w.answers(acceptAll)
				rest(10 * time.Minute)
				if s := w.engine.Stats(); s.Delivered != 200 || !w.caughtUp() {
					t.Errorf("delivered %d, caught up %v", s.Delivered, w.caughtUp())
				}
			})
		})
	}
}

// A request of no known outcome, whose record was parked for it, is waited out by
// the next session too (I4).
func TestHoldOutlivesTheSession(t *testing.T) {
	for name, end := range map[string]func(*world){"stop": (*world).end, "crash": (*world).crash} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				first := true
				w.answers(func(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
					if !first {
						return acceptAll(ctx, b)
					}
					first = false
					time.AfterFunc(4*time.Second, func() { // carried out late
						w.target.mu.Lock()
						defer w.target.mu.Unlock()
						w.target.apply(b.Records[0])
					})
					return nil, []sinks.Result{{Err: &sinks.Retryable{Unknown: true, Err: errors.New("504")}}}, nil
				})
				w.start(func(o *Options) { o.MaxAttempts = 1 })
				w.put(cdc.LaneNormal, 1, "a=1 b=2")
				rest(time.Second)
				end(w)
				w.start()
				w.put(cdc.LaneNormal, 1, "a=9 b=9")
				rest(time.Minute)
				w.wantHas(1, "Sum=9+9")
			})
		})
	}
}

// realMapper compiles a mapping of deals with the columns given.
func realMapper(t testing.TB, columns ...string) Mapper {
	f, err := mapping.Parse("deals.yaml", []byte("from: public.deals\nto: crm/Opportunity\nkey: {Ext: id}\nfields: {A: a, X: x}\ncoalesce: {quiet: 0s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	cat := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{deals: {{Name: "id", Type: "integer", Key: true}}}}
	for _, name := range columns {
		cat.TableColumns[deals] = append(cat.TableColumns[deals], mapping.Column{Name: name, Type: "integer"})
	}
	m, err := mapping.Compile(f, cat)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// An entry from before ALTER TABLE … ADD COLUMN has the column neither sent nor
// absent: a record that needs it is completed from the source.
func TestColumnAddedAfterTheEntry(t *testing.T) {
	run(t, func(w *world) {
		w.holds(1, `{"id":1,"a":5,"x":7}`)
		w.put(cdc.LaneNormal, 1, "a=5")
		w.start(func(o *Options) { o.Mappers = []Mapper{realMapper(t, "a", "x")} })
		rest(time.Minute)
		w.wantHas(1, "A=5 X=7")
	})
}

// A mapped column that vanished stops its mapping, and nothing is parked or lost.
func TestColumnDropped(t *testing.T) {
	run(t, func(w *world) {
		w.holds(1, `{"id":1,"a":5}`)
		w.put(cdc.LaneNormal, 1, "a=5")
		w.start(func(o *Options) { o.Mappers = []Mapper{realMapper(t, "a", "x"), newOther()} })
		w.putOther(2)
		rest(time.Hour)
		w.wantHas(1, "nothing")
		w.wantHas(2, "Sum=1+1")
		if s := w.engine.Stats(); s.Parked != 0 || w.caughtUp() || w.lines.count("has no column x any more") != 1 {
			t.Errorf("parked %d, caught up %v, log:\n%s", s.Parked, w.caughtUp(), w.lines.text.String())
		}
	})
}

// What is read at once is bounded by bytes, not only by entries (I8).
func TestLargeRowsAreReadFewAtATime(t *testing.T) {
	w := newWorld(t)
	e, err := newEngine(Options{Name: "crm", Target: w.target, Mappers: []Mapper{w.mapper}, Reader: w.log, Logger: w.logger(), Partitions: partitions}, w.store.leases())
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(e)
	s.parts = make([]*part, 8)
	for n := range 8 {
		s.own(n, &part{n: n})
	}
	share := e.o.Limits.Bytes / (8 * laneCount)
	for _, size := range []int64{1, 400, 10 << 10, 1 << 20, 1 << 30} {
		s.meanSize = size
		if most := int64(s.readMost()); most < 1 || most > readMax || most > 1 && most*size > share {
			t.Errorf("entries of %d bytes: %d are read at once", size, most)
		}
	}
}
