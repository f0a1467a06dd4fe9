package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

var deals = cdc.Table{Schema: "public", Name: "deals"}

func letter(id int) deadletter.Letter {
	return deadletter.Letter{
		Mapping: "deals", Key: fmt.Sprintf(`{"id":%d}`, id), Table: deals, Op: "update", Code: "NO", Error: "refused", Detail: "x is long",
		Attempts: 3, Position: cdc.Position{LSN: 7, Ordinal: 1}, Payload: `{"x":1.50}`, Time: time.UnixMicro(77).UTC(),
	}
}

// fixture is a worker's claim and what a person sees.
type fixture struct {
	t     *testing.T
	rdb   *redis.Client
	store *state.Store
	claim *state.Claim
	box   deadletter.Box
	id    uint64
}

func newFixture(t *testing.T, rdb *redis.Client, bounds deadletter.Bounds) *fixture {
	keys := redislog.Keys{Name: "sales"}
	f := &fixture{t: t, rdb: rdb, box: deadletter.Box{Client: rdb, Keys: keys, Target: "crm", Partitions: 1}}
	f.store = state.New(state.Options{Client: rdb, Keys: keys, Target: "crm", Partitions: 1, Owner: "one", DeadLetters: bounds})
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
	f.reclaim()
	return f
}

func (f *fixture) reclaim() {
	f.t.Helper()
	var err error
	if f.claim, err = f.store.Claim(f.t.Context()); err == nil {
		_, err = f.claim.Open(f.t.Context(), 0)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.id = 0
}

func (f *fixture) park(from, to int) {
	f.t.Helper()
	w := state.Commit{}
	for id := from; id < to; id++ {
		l := letter(id)
		w.Dead = append(w.Dead, l)
		w.Writes = append(w.Writes, state.Write{Key: state.Key{Mapping: l.Mapping, Source: l.Key}, Known: state.Known{Seen: l.Position}})
	}
	f.id++
	w.ID = f.id
	if err := f.claim.Commit(f.t.Context(), 0, w); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) list(filter deadletter.Filter) (out []deadletter.Entry) {
	f.t.Helper()
	if err := f.box.Each(f.t.Context(), filter, func(e deadletter.Entry) error {
		out = append(out, e)
		return nil
	}); err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fixture) tend(now time.Time) (deadletter.Totals, bool) {
	f.t.Helper()
	totals, more, err := f.claim.Tend(f.t.Context(), 0, now, deadletter.Totals{})
	if err != nil {
		f.t.Fatal(err)
	}
	return totals, more
}

// The letter of one key is found without a look at the others.
func TestFind(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{})
		f.park(0, 3)
		f.park(1, 2) // in place of the one before
		e, ok, err := f.box.Find(t.Context(), 0, "deals", `{"id":1}`)
		if err != nil || !ok || !reflect.DeepEqual(e.Letter, letter(1)) || e.Target != "crm" || e.ID != f.list(deadletter.Filter{Key: "1"})[0].ID {
			t.Errorf("found %v %+v, %v", ok, e, err)
		}
		for mapping, key := range map[string]string{"deals": `{"id":7}`, "others": `{"id":1}`} {
			if e, ok, err := f.box.Find(t.Context(), 0, mapping, key); ok || err != nil {
				t.Errorf("found %+v, %v", e, err)
			}
		}
		if err := rdb.XDel(t.Context(), f.box.Keys.DeadLetters("crm", 0), e.ID).Err(); err != nil {
			t.Fatal(err)
		}
		if e, ok, err := f.box.Find(t.Context(), 0, "deals", `{"id":1}`); ok || err != nil {
			t.Errorf("found one that is gone: %+v, %v", e, err)
		}
	})
}

// What was written is what is read, over several pages.
func TestLetterComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{})
		f.park(0, 350)
		got := f.list(deadletter.Filter{})
		if len(got) != 350 {
			t.Fatalf("%d entries", len(got))
		}
		for i, e := range got {
			if !reflect.DeepEqual(e.Letter, letter(i)) || e.Target != "crm" || e.Partition != 0 {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
		if e := f.list(deadletter.Filter{Key: "17"}); len(e) != 1 || e[0].Key != `{"id":17}` {
			t.Errorf("by key: %+v", e)
		}
		if n, err := f.box.Discard(t.Context(), got); err != nil || n != 350 {
			t.Errorf("discarded %d: %v", n, err)
		}
	})
}

// Entries that are too old go, and after a bound was lowered those that are too many: the
// oldest, some at a time.
func TestBounds(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{Age: time.Hour})
		f.park(0, 250)
		now := time.Now()
		if totals, more := f.tend(now.Add(59 * time.Minute)); totals.Parked != 250 || more {
			t.Errorf("before their time: %+v %v", totals, more)
		}
		totals, more := f.tend(now.Add(61 * time.Minute))
		if totals.Parked != 150 || totals.Old != 100 || !more {
			t.Errorf("the first page: %+v %v", totals, more)
		}
		for more {
			totals, more = f.tend(now.Add(61 * time.Minute))
		}
		if totals.Parked != 0 || totals.Old != 250 {
			t.Errorf("in the end: %+v", totals)
		}
		if fields, err := rdb.HKeys(t.Context(), f.box.Keys.Parked("crm", 0)).Result(); err != nil || len(fields) != 1 {
			t.Errorf("the index has %d fields: %v", len(fields), err)
		}
		f.park(0, 300)
		if err := f.claim.Release(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		f = newFixture(t, rdb, deadletter.Bounds{Count: 10})
		f.park(300, 302) // no more than came
		if totals, err := f.box.Totals(t.Context()); err != nil || totals.Parked != 300 || totals.Full != 2 {
			t.Errorf("%+v %v", totals, err)
		}
		for more = true; more; {
			totals, more = f.tend(now)
		}
		if left := f.list(deadletter.Filter{}); totals.Full != 292 || len(left) != 10 || left[0].Key != `{"id":292}` {
			t.Errorf("%+v, left are %d", totals, len(left))
		}
	})
}

// Nobody but the owner of the lease looks after the letters.
func TestTendIsFenced(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{Age: time.Hour})
		f.park(0, 1)
		if err := rdb.Del(t.Context(), f.box.Keys.Lease("crm", 0)).Err(); err != nil {
			t.Fatal(err)
		}
		var lost *state.LostError
		if _, _, err := f.claim.Tend(t.Context(), 0, time.Now().Add(2*time.Hour), deadletter.Totals{}); !errors.As(err, &lost) {
			t.Errorf("tended under a lost lease: %v", err)
		}
		if n := len(f.list(deadletter.Filter{})); n != 1 {
			t.Errorf("%d letters", n)
		}
	})
}

// What was logged of dropped letters is remembered for the next owner.
func TestToldIsRemembered(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{Count: 1})
		f.park(0, 3)
		told := deadletter.Totals{ToldFull: 2, ToldOld: 5}
		for _, told := range []deadletter.Totals{told, {}} { // a new owner does not know yet
			if _, _, err := f.claim.Tend(t.Context(), 0, time.Now(), told); err != nil {
				t.Fatal(err)
			}
		}
		start, err := f.claim.Open(t.Context(), 0)
		if want := (deadletter.Totals{Parked: 1, Full: 2, ToldFull: 2, ToldOld: 5}); err != nil || start.Dead != want {
			t.Errorf("%+v, want %+v (%v)", start.Dead, want, err)
		}
	})
}

// A letter that is replaced while somebody lists comes once, and one that is parked again
// between the look and the discard stays.
func TestBesideAWorker(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{})
		f.park(0, 150)
		seen := map[string]int{}
		err := f.box.Each(t.Context(), deadletter.Filter{}, func(e deadletter.Entry) error {
			if len(seen) == 0 {
				f.park(0, 1)     // read already
				f.park(149, 150) // not yet
			}
			seen[e.Key]++
			return nil
		})
		if err != nil || len(seen) != 150 {
			t.Errorf("%d keys: %v", len(seen), err)
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", key, n)
			}
		}
		before := f.list(deadletter.Filter{})
		f.park(5, 6)
		if n, err := f.box.Discard(t.Context(), before); err != nil || n != 149 {
			t.Errorf("discarded %d: %v", n, err)
		}
		if left := f.list(deadletter.Filter{}); len(left) != 1 || left[0].Key != `{"id":5}` {
			t.Errorf("left are %+v", left)
		}
		f.park(5, 6)
		if totals, err := f.box.Totals(t.Context()); err != nil || totals.Parked != 1 || totals.Replaced != 4 || totals.Discarded != 149 {
			t.Errorf("%+v %v", totals, err)
		}
	})
}

// With a full memory letters can be discarded, which frees some.
func TestDiscardInFullMemory(t *testing.T) {
	o, err := redis.ParseURL(servertest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer rdb.Close()
	f := newFixture(t, rdb, deadletter.Bounds{})
	f.park(0, 10)
	all := f.list(deadletter.Filter{})
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Set(t.Context(), "a", "b", 0).Err(); err == nil {
		t.Fatal("the memory is not full")
	}
	if n, err := f.box.Discard(t.Context(), all); err != nil || n != 10 {
		t.Errorf("discarded %d: %v", n, err)
	}
	if totals, _ := f.tend(time.Now()); totals.Discarded != 10 {
		t.Errorf("%+v", totals)
	}
}

// What somebody spoilt is listed and can be discarded.
func TestSpoiltEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{Count: 1})
		for range 2 {
			if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: f.box.Keys.DeadLetters("crm", 0), Values: []any{"table", "a.b.c"}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		list := f.list(deadletter.Filter{})
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		if n, err := f.box.Discard(t.Context(), list[:1]); err != nil || n != 1 {
			t.Errorf("discarded %d: %v", n, err)
		}
		f.park(0, 2)
		if totals, _ := f.tend(time.Now()); totals.Parked != 1 {
			t.Errorf("%+v", totals)
		}
	})
}

// The end of a listing is the end of the context.
func TestEachEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		f := newFixture(t, rdb, deadletter.Bounds{})
		f.park(0, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.box.Each(ctx, deadletter.Filter{}, func(deadletter.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		stop := errors.New("enough")
		if err := f.box.Each(t.Context(), deadletter.Filter{}, func(deadletter.Entry) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
	})
}

func TestFilter(t *testing.T) {
	l := letter(7)
	l.Time = time.Unix(1000, 0)
	two := l
	two.Key = `{"region":"süd","quarter":3}`
	for _, c := range []struct {
		f    deadletter.Filter
		l    deadletter.Letter
		want bool
	}{
		{deadletter.Filter{}, l, true},
		{deadletter.Filter{Mapping: "deals", Code: "NO", Key: "7"}, l, true},
		{deadletter.Filter{Mapping: "deal"}, l, false},
		{deadletter.Filter{Code: "YES"}, l, false},
		{deadletter.Filter{Key: `{"id": 7}`}, l, true},
		{deadletter.Filter{Key: `{"id": "7"}`}, l, true},
		{deadletter.Filter{Key: `{"nr":7}`}, l, false},
		{deadletter.Filter{Key: `{"id":7,"x":1}`}, l, false},
		{deadletter.Filter{Key: `{`}, l, false},
		{deadletter.Filter{Key: "77"}, l, false},
		{deadletter.Filter{Key: "3"}, two, false},
		{deadletter.Filter{Key: `{"quarter":3,"region":"süd"}`}, two, true},
		{deadletter.Filter{Before: time.Unix(1000, 0)}, l, false},
		{deadletter.Filter{Before: time.Unix(1001, 0)}, l, true},
		{deadletter.Filter{After: time.Unix(1000, 0)}, l, false},
		{deadletter.Filter{After: time.Unix(999, 0)}, l, true},
	} {
		if got := c.f.Match(&c.l); got != c.want {
			t.Errorf("%+v takes %s: %v", c.f, c.l.Key, got)
		}
	}
}

// Groups tell errors apart, not values, and are bounded.
func TestGroups(t *testing.T) {
	var g deadletter.Groups
	add := func(code, text string, at int64) {
		l := letter(1)
		l.Code, l.Error, l.Time = code, text, time.Unix(at, 0).UTC()
		g.Add(&deadletter.Entry{Letter: l, Target: "crm"})
	}
	add("B", "b", 5)
	add("A", "a", 3)
	add("A", "a", 9)
	add("A", "a", 4)
	want := []deadletter.Group{
		{Target: "crm", Mapping: "deals", Code: "A", Error: "a", Count: 3, Oldest: time.Unix(3, 0).UTC(), Newest: time.Unix(9, 0).UTC()},
		{Target: "crm", Mapping: "deals", Code: "B", Error: "b", Count: 1, Oldest: time.Unix(5, 0).UTC(), Newest: time.Unix(5, 0).UTC()},
	}
	if got := g.List(); !reflect.DeepEqual(got, want) {
		t.Errorf("groups %+v", got)
	}
	for i := range 5000 {
		add("C", fmt.Sprint(i), 1)
	}
	list, sum := g.List(), int64(0)
	for _, v := range list {
		sum += v.Count
	}
	if len(list) != 1001 || sum != 5004 {
		t.Errorf("%d groups of %d", len(list), sum)
	}
}

// An entry is exported whole, its numbers as they are.
func TestJSON(t *testing.T) {
	e := deadletter.Entry{Letter: letter(7), Target: "crm", Partition: 1, ID: "5-0"}
	b, err := json.Marshal(e)
	const want = `{"target":"crm","mapping":"deals","key":{"id":7},"table":"public.deals","op":"update","code":"NO","error":"refused","detail":"x is long",` +
		`"attempts":3,"position":"7-1","time":"1970-01-01T00:00:00.000077Z","payload":{"x":1.50},"partition":1,"id":"5-0"}`
	if err != nil || string(b) != want {
		t.Errorf("%s %v", b, err)
	}
	e.Payload = "no JSON"
	if b, err := json.Marshal(e); err != nil || !json.Valid(b) {
		t.Errorf("%s %v", b, err)
	}
}
