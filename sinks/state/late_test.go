package state

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func commitAt(id uint64, lsn uint64, k Known) Commit {
	k.Seen = at(lsn, 0)
	return Commit{ID: id, Writes: []Write{{Key: Key{"deals", "1"}, Known: k}}, Checkpoints: map[string]cdc.Position{cdc.LaneNormal: at(lsn, 0)}}
}

var whole = Known{Live: true, Key: sinks.Field{Name: "Ext", Value: []byte("1")}}

// A copy of an older commit that comes late sets nothing back.
func TestLateCommit(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		for _, w := range []Commit{commitAt(1, 10, Known{}), commitAt(2, 20, whole), commitAt(1, 10, Known{})} {
			b.must(c.Commit(b.Context(), 0, w))
		}
		got, err := c.Load(b.Context(), []Place{{Key{"deals", "1"}, 0}})
		b.must(err)
		start, err := c.Open(b.Context(), 0)
		b.must(err)
		if got[0].Seen != at(20, 0) || !got[0].Live || start.Checkpoint[cdc.LaneNormal] != at(20, 0) {
			b.Fatalf("set back to %+v, %v", got[0], start.Checkpoint)
		}
	})
}

// A copy of a note that comes late does not undo what was written since.
func TestLatePrepare(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		doubt := whole
		doubt.Live, doubt.Doubt = false, true
		note := Intent{Writes: []Write{{Key: Key{"deals", "1"}, Known: doubt}}}
		b.must(c.Prepare(b.Context(), 0, note))
		b.must(c.Commit(b.Context(), 0, commitAt(1, 10, whole)))
		if err := c.Prepare(b.Context(), 0, note); !errors.Is(err, ErrMoved) {
			b.Fatalf("a late note: %v", err)
		}
		got, err := c.Load(b.Context(), []Place{{Key{"deals", "1"}, 0}})
		b.must(err)
		if !got[0].Live || got[0].Doubt {
			b.Fatalf("loaded %+v", got)
		}
	})
}

// A server that lost writes under a living lease is found out at the next commit.
func TestRolledBack(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		b.must(c.Commit(b.Context(), 0, commitAt(1, 10, whole)))
		key := b.keys.State("crm", 0)
		before, err := b.rdb.HGetAll(b.Context(), key).Result()
		b.must(err)
		b.must(c.Commit(b.Context(), 0, commitAt(2, 20, whole)))
		b.must(b.rdb.HSet(b.Context(), key, before).Err())
		if err := c.Commit(b.Context(), 0, commitAt(3, 30, whole)); !errors.Is(err, ErrRolledBack) {
			b.Fatalf("commit after a loss: %v", err)
		}
		// The next session goes on from what is there.
		again := b.claim("one")
		_, err = again.Open(b.Context(), 0)
		b.must(err)
		b.must(again.Commit(b.Context(), 0, commitAt(1, 20, whole)))
	})
}

// One text that cannot be read is a trouble of that key, and is not told.
func TestUnreadable(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		_, err := c.Open(b.Context(), 0)
		b.must(err)
		b.must(c.Commit(b.Context(), 0, commitAt(1, 10, whole)))
		at := spotOf(1, "bad") // as the other key of the mapping
		b.must(b.rdb.HSet(b.Context(), b.keys.StateBucket("crm", 0, at.bucket), at.field, "secret!").Err())
		got, err := c.Load(b.Context(), []Place{{Key{"deals", "bad"}, 0}, {Key{"deals", "1"}, 0}})
		b.must(err)
		if got[0].Err == nil || strings.Contains(got[0].Err.Error(), "secret") || got[1].Err != nil || !got[1].Live {
			b.Fatalf("loaded %+v", got)
		}
	})
}

// A stop in order forgets how far entries, and rows that a sweep found, were handed over;
// another does not. Neither mark goes back.
func TestCleanRelease(t *testing.T) {
	onBoth(t, func(b *bench) {
		sent := Intent{Sent: map[string]cdc.Position{cdc.LaneBulk: at(9, 0)}, Swept: at(7, 0)}
		for _, clean := range []bool{false, true} {
			c := b.claim("one")
			b.must(c.Prepare(b.Context(), 1, sent))
			b.must(c.Prepare(b.Context(), 1, Intent{Swept: at(6, 9)}))
			b.must(c.Release(b.Context(), clean))
			next := b.claim("two")
			start, err := next.Open(b.Context(), 1)
			b.must(err)
			want := Start{Sent: sent.Sent, Swept: sent.Swept}
			if clean {
				want = Start{}
			}
			if start.Sent[cdc.LaneBulk] != want.Sent[cdc.LaneBulk] || start.Swept != want.Swept || start.Unclean == clean {
				b.Fatalf("clean %v: %+v", clean, start)
			}
			if start, err = next.Open(b.Context(), 1); err != nil || start.Unclean == clean { // an answer was lost
				b.Fatalf("clean %v, opened again: %+v, %v", clean, start, err)
			}
			b.must(next.Release(b.Context(), false))
		}
	})
}

// A server whose memory is full still takes all that empties it.
func TestFullMemory(t *testing.T) {
	opts, err := redis.ParseURL(servertest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, opts)
	c := b.claim("one")
	for p := range 2 {
		_, err := c.Open(b.Context(), p)
		b.must(err)
	}
	b.must(b.rdb.ConfigSet(b.Context(), "maxmemory", "100kb").Err())
	b.Cleanup(func() { b.must(b.rdb.ConfigSet(context.Background(), "maxmemory", "0").Err()) })
	if err := b.rdb.Set(b.Context(), "x", "y", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("the memory is not full: %v", err)
	}
	b.must(c.Prepare(b.Context(), 0, Intent{Sent: map[string]cdc.Position{cdc.LaneNormal: at(50, 0)}}))
	b.must(c.Commit(b.Context(), 0, commitAt(1, 10, whole)))
	b.must(c.Renew(b.Context()))
	c = b.claim("one")
	start, err := c.Open(b.Context(), 0)
	b.must(err)
	if start.Checkpoint[cdc.LaneNormal] != at(10, 0) {
		t.Fatalf("opened at %+v", start)
	}
	b.must(c.Release(b.Context(), true))
}
