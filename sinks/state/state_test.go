package state

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

const ttl = 20 * time.Second

// bench is a server of one kind with a way to let a lease run out.
type bench struct {
	*testing.T
	rdb    *redis.Client
	keys   redislog.Keys
	expire func(key string)
}

// onBoth runs a test on a real server and on the embedded one of the demo.
func onBoth(t *testing.T, f func(b *bench)) {
	t.Run("redis", func(t *testing.T) {
		opts, err := redis.ParseURL(servertest.Redis(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, opts)
		b.expire = func(key string) {
			if err := b.rdb.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		f(b)
	})
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		b := newBench(t, &redis.Options{Addr: m.Addr()})
		b.expire = func(string) { m.FastForward(ttl) }
		f(b)
	})
}

func newBench(t *testing.T, o *redis.Options) *bench {
	o.DisableIdentity = true
	b := &bench{T: t, rdb: redis.NewClient(o), keys: redislog.Keys{Name: "sales"}}
	t.Cleanup(func() {
		if err := b.rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) store(owner string) *Store {
	s := New(Options{Client: b.rdb, Keys: b.keys, Target: "crm", Partitions: 2, Owner: owner, TTL: ttl})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (b *bench) claim(owner string) *Claim {
	b.Helper()
	c, err := b.store(owner).Claim(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for p := range 2 {
		if _, err := c.Open(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func at(lsn, ord uint64) cdc.Position { return cdc.Position{LSN: cdc.LSN(lsn), Ordinal: ord} }

func TestLease(t *testing.T) {
	onBoth(t, func(b *bench) {
		first := b.claim("one")
		_, err := b.store("two").Claim(b.Context())
		var held *HeldError
		if !errors.As(err, &held) || held.Owner != "one" || held.Partition != 0 {
			b.Fatalf("a second owner got %v", err)
		}
		b.must(first.Renew(b.Context()))
		b.expire(b.keys.Lease("crm", 0))
		second := b.claim2("two")
		var lost *LostError
		if err := first.Renew(b.Context()); !errors.As(err, &lost) || lost.Partition != 0 {
			b.Fatalf("renewing a lost lease: %v", err)
		}
		// The old owner writes nothing.
		if err := first.Commit(b.Context(), 0, Commit{ID: 1, Writes: []Write{{Key: Key{"m", "k"}, Known: Known{Seen: at(9, 0)}}}}); !errors.As(err, &lost) {
			b.Fatalf("commit under a lost lease: %v", err)
		}
		if err := first.Prepare(b.Context(), 0, Intent{Sent: map[string]cdc.Position{cdc.LaneBulk: at(9, 0)}}); !errors.As(err, &lost) {
			b.Fatalf("prepare under a lost lease: %v", err)
		}
		b.must(first.Release(b.Context(), false)) // does not take the second's away
		b.must(second.Renew(b.Context()))
		if got, err := second.Load(b.Context(), []Place{{Key{"m", "k"}, 0}}); err != nil || got[0].Text != "" {
			b.Fatalf("state was written: %v %v", got, err)
		}
		if start, err := second.Open(b.Context(), 0); err != nil || !start.Sent[cdc.LaneBulk].IsZero() {
			b.Fatalf("a mark was written: %v %v", start, err)
		}
		b.must(second.Release(b.Context(), false))
		b.must(b.claim("three").Renew(b.Context()))
	})
}

// claim2 claims after a lease of partition 0 ran out; the other partitions may
// still be held by the old owner.
func (b *bench) claim2(owner string) *Claim {
	b.Helper()
	b.expire(b.keys.Lease("crm", 1))
	return b.claim(owner)
}

// An owner whose answer was lost does not wait for its own lease.
func TestLeaseAgain(t *testing.T) {
	onBoth(t, func(b *bench) {
		first, again := b.claim("one"), b.claim("one")
		b.must(again.Renew(b.Context()))
		var lost *LostError
		if err := first.Renew(b.Context()); !errors.As(err, &lost) {
			b.Fatalf("the older token still holds: %v", err)
		}
	})
}

// A claim that gets only some of the partitions keeps none.
func TestClaimAllOrNone(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.must(b.rdb.Set(b.Context(), b.keys.Lease("crm", 1), "7 other", 0).Err())
		var held *HeldError
		if _, err := b.store("one").Claim(b.Context()); !errors.As(err, &held) || held.Partition != 1 || held.Owner != "other" {
			b.Fatalf("claim: %v", err)
		}
		if n, err := b.rdb.Exists(b.Context(), b.keys.Lease("crm", 0)).Result(); err != nil || n != 0 {
			b.Fatal("partition 0 is still held")
		}
	})
}

func TestOpenAndCheckpoint(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		start, err := c.Open(b.Context(), 1)
		b.must(err)
		for _, lane := range cdc.Lanes() {
			if !start.Checkpoint[lane].IsZero() || !start.Sent[lane].IsZero() {
				b.Fatalf("a new target starts at %+v", start)
			}
		}
		high := at(1<<63+5, 1<<62) // above what a Lua number holds
		b.must(c.Commit(b.Context(), 1, Commit{ID: 1, Checkpoints: map[string]cdc.Position{cdc.LaneUrgent: high, cdc.LaneBulk: at(3, 4)}}))
		for _, sent := range []cdc.Position{at(9, 5), at(10, 3), at(10, 2), at(9, 100), high, at(1<<63+4, 9)} {
			b.must(c.Prepare(b.Context(), 1, Intent{Sent: map[string]cdc.Position{cdc.LaneNormal: sent}}))
			if start, err = c.Open(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
			if start.Sent[cdc.LaneNormal].Before(sent) {
				b.Fatalf("sent is %v after %v", start.Sent[cdc.LaneNormal], sent)
			}
		}
		want := map[string]cdc.Position{cdc.LaneUrgent: high, cdc.LaneNormal: {}, cdc.LaneBulk: at(3, 4)}
		if !reflect.DeepEqual(start.Checkpoint, want) || start.Sent[cdc.LaneNormal] != high {
			b.Fatalf("opened at %+v", start)
		}
		groups, err := b.rdb.XInfoGroups(b.Context(), b.keys.Stream(cdc.Stream{Lane: cdc.LaneBulk, Partition: 1})).Result()
		if err != nil || len(groups) != 1 || groups[0].Name != "crm" || groups[0].LastDeliveredID != "3-4" {
			b.Fatalf("groups %+v %v", groups, err)
		}
	})
}

// On a real server a group that was removed is an error of its own, and nothing
// is taken as written that was not.
func TestGroupGone(t *testing.T) {
	opts, err := redis.ParseURL(servertest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, opts)
	c := b.claim("one")
	_, err = c.Open(b.Context(), 0)
	b.must(err)
	moved := Commit{ID: 1, Checkpoints: map[string]cdc.Position{cdc.LaneBulk: at(1, 0)}}
	stream := b.keys.Stream(cdc.Stream{Lane: cdc.LaneBulk, Partition: 0})
	b.must(b.rdb.XGroupDestroy(b.Context(), stream, "crm").Err())
	if err := c.Commit(b.Context(), 0, moved); !errors.Is(err, ErrGroupGone) {
		t.Fatalf("commit without a group: %v", err)
	}
	b.must(b.rdb.Del(b.Context(), stream).Err())
	if err := c.Commit(b.Context(), 0, moved); !errors.Is(err, ErrGroupGone) {
		t.Fatalf("commit without a stream: %v", err)
	}
}

func TestCommitAndLoad(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		live := Known{Seen: at(5, 2), Live: true, Sent: "aB3_,x-9", Key: sinks.Field{Name: "Ext__c", Value: json.RawMessage(`"a\u0000b"`)}}
		k0, k1 := Key{"deals", `{"id":1}`}, Key{"deals", `{"id":2}`}
		w := Commit{ID: 1, Writes: []Write{{Key: k0, Known: live}}, Dead: []deadletter.Letter{{
			Mapping: k0.Mapping, Key: k0.Source, Table: cdc.Table{Schema: "public", Name: "deals"}, Op: "upsert", Code: "TOO_LONG", Error: "too long", Detail: "x is",
			Attempts: 3, Position: at(5, 2), Payload: `{"x":1}`, Time: time.UnixMicro(77),
		}}}
		b.must(c.Commit(b.Context(), 1, w))
		b.must(c.Commit(b.Context(), 1, w)) // the answer was lost: once more
		dead, err := b.rdb.XRange(b.Context(), b.keys.DeadLetters("crm", 1), "-", "+").Result()
		b.must(err)
		want := map[string]any{"mapping": "deals", "key": `{"id":1}`, "table": "public.deals", "op": "upsert", "code": "TOO_LONG",
			"error": "too long", "detail": "x is", "attempts": "3", "position": "5-2", "payload": `{"x":1}`, "ts": "77"}
		if len(dead) != 1 || !reflect.DeepEqual(dead[0].Values, want) {
			b.Fatalf("dead letters %+v", dead)
		}
		got, err := c.Load(b.Context(), []Place{{k1, 1}, {k0, 1}, {k0, 0}, {k0, 1}})
		b.must(err)
		whole := Loaded{Known: live, Text: `5-2L=aB3_,x-9 2:"a\u0000b"`}
		if !reflect.DeepEqual(got, []Loaded{{}, whole, {}, whole}) {
			b.Fatalf("loaded %+v", got)
		}
		var many []Write
		for i := range 3000 {
			many = append(many, Write{Key: Key{"deals", string(rune('a' + i))}, Known: live})
		}
		b.must(c.Commit(b.Context(), 0, Commit{ID: 2, Writes: many}))
		places := make([]Place, len(many))
		for i := range many {
			places[i] = Place{many[i].Key, 0}
		}
		got, err = c.Load(b.Context(), places)
		b.must(err)
		for i := range many {
			many[i].Was = got[i].Text
		}
		b.must(c.Prepare(b.Context(), 0, Intent{Writes: many}))
		if got, err := c.Load(b.Context(), []Place{{many[2999].Key, 0}}); err != nil || !got[0].Live {
			b.Fatalf("loaded %+v %v", got, err)
		}
	})
}

// A scan gives every key, and none of the marks.
func TestScan(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		var writes []Write
		for i := range 1500 {
			writes = append(writes, Write{Key: Key{"deals", string(rune('a' + i))}, Known: Known{Seen: at(uint64(i+1), 0), Live: i%2 == 0}})
		}
		b.must(c.Commit(b.Context(), 0, Commit{ID: 1, Writes: writes}))
		b.must(c.Prepare(b.Context(), 0, Intent{Sent: map[string]cdc.Position{cdc.LaneBulk: at(9, 5)}}))
		got := map[string]Found{}
		for cursor, pages := uint64(0), 0; pages == 0 || cursor != 0; pages++ {
			var page []Found
			page, cursor, err = c.Scan(b.Context(), 0, cursor, 100)
			b.must(err)
			for _, f := range page {
				got[f.Key.Source] = f
			}
		}
		if len(got) != len(writes) {
			b.Fatalf("%d keys, want %d", len(got), len(writes))
		}
		for _, w := range writes {
			if f := got[w.Key.Source]; f.Err != nil || f.Key != w.Key || f.Known.Seen != w.Known.Seen || f.Known.Live != w.Known.Live {
				b.Fatalf("%v is %+v", w, f)
			}
		}
	})
}
