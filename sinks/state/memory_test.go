package state

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// perPartition is a partition's share of a million records over the usual eight.
const perPartition = 125_000

// A record takes no more than 100 bytes of a Redis with its usual settings, all included:
// docs/delivery.md says so. WALBRIDGE_STATE_PARTITIONS=8 measures it with a million of
// them; a single partition has the same share of each.
func TestMemoryOfARecord(t *testing.T) {
	partitions := 1
	if n, err := strconv.Atoi(os.Getenv("WALBRIDGE_STATE_PARTITIONS")); err == nil {
		partitions = n
	}
	for _, tc := range []struct {
		name string
		key  func(r *rand.Rand, i int) (source, target string)
		most int
	}{
		{"integers", func(_ *rand.Rand, i int) (string, string) {
			return fmt.Sprintf(`{"id":%d}`, 1_000_000+i), fmt.Sprintf(`"%d"`, 1_000_000+i)
		}, 75},
		{"uuids", func(r *rand.Rand, _ int) (string, string) {
			id := fmt.Sprintf(`"%08x-%04x-4%03x-8%03x-%012x"`, r.Uint32(), r.Uint32()>>16, r.Uint32()>>20, r.Uint32()>>20, r.Uint64()>>16)
			return `{"id":` + id + `}`, id
		}, 100},
		{"own target keys", func(_ *rand.Rand, i int) (string, string) {
			return fmt.Sprintf(`{"id":%d}`, 1_000_000+i), fmt.Sprintf(`"ACME-%010d"`, i)
		}, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts, err := redis.ParseURL(servertest.Redis(t).URL())
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, opts)
			s := New(Options{Client: b.rdb, Keys: b.keys, Target: "crm", Partitions: partitions, Owner: "one", TTL: ttl})
			defer func() { b.must(s.Close()) }()
			c, err := s.Claim(t.Context())
			b.must(err)
			for p := range partitions {
				_, err := c.Open(t.Context(), p)
				b.must(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			before := b.usedMemory()
			for p := range partitions {
				for done := 0; done < perPartition; {
					w := Commit{ID: uint64(done + 1)}
					for range 500 {
						source, target := tc.key(r, p*perPartition+done)
						w.Writes = append(w.Writes, Write{Key: Key{"deals-to-crm", source}, Known: Known{
							Seen: at(1<<40+r.Uint64N(1<<40), 2*r.Uint64N(100)), Live: true, Key: sinks.Field{Name: "Walbridge_Id__c", Value: json.RawMessage(target)}}})
						done++
					}
					b.must(c.Renew(t.Context()))
					b.must(c.Commit(t.Context(), p, w))
				}
			}
			each := float64(b.usedMemory()-before) / float64(partitions*perPartition)
			t.Logf("%.1f bytes for each of %d records", each, partitions*perPartition)
			if each > float64(tc.most) {
				t.Errorf("a record takes %.1f bytes, want at most %d", each, tc.most)
			}
		})
	}
}

// usedMemory is what the server says it uses, less what it uses for connections.
func (b *bench) usedMemory() int {
	b.Helper()
	info, err := b.rdb.Info(b.Context(), "memory").Result()
	b.must(err)
	used := 0
	for _, line := range strings.Fields(info) {
		if n, ok := strings.CutPrefix(line, "used_memory:"); ok {
			used, err = strconv.Atoi(n)
			b.must(err)
		}
	}
	return used
}

// A state that lies otherwise is not misread: it is said what to do.
func TestOtherLayouts(t *testing.T) {
	onBoth(t, func(b *bench) {
		for says, marks := range map[string][]any{
			"was written by an older version":                       {"deals\x00{\"id\":1}", "7-4 l", commitField, "1 one 1"},
			"was being forgotten, but not to the end":               {layoutField, "forgetting"},
			`lies in "buckets 16", where this version has "buckets`: {layoutField, "buckets 16"},
		} {
			key := b.keys.State("crm", 0)
			b.must(b.rdb.HSet(b.Context(), key, marks...).Err())
			c, err := b.store("one").Claim(b.Context())
			b.must(err)
			if _, err = c.Open(b.Context(), 0); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "walbridge target forget --force crm") {
				b.Errorf("opened with %v", err)
			}
			if _, err := c.Load(b.Context(), []Place{{Key{"deals", "1"}, 0}}); err == nil {
				b.Error("it was read all the same")
			}
			b.must(b.rdb.Del(b.Context(), key).Err())
		}
	})
}

// A server that lost the numbers of names is not written to: another name may get them.
func TestNamesLost(t *testing.T) {
	onBoth(t, func(b *bench) {
		c := b.claim("one")
		b.must(c.Commit(b.Context(), 0, commitAt(1, 10, whole)))
		key := b.keys.State("crm", 0)
		b.must(b.rdb.HDel(b.Context(), key, namesField, nameField+"mdeals\x00", nameField+"fExt").Err())
		write := Write{Key: Key{"deals", "1"}, Known: whole}
		for what, err := range map[string]error{
			"a note":     c.Prepare(b.Context(), 0, Intent{Writes: []Write{write}}),
			"a commit":   c.Commit(b.Context(), 0, commitAt(2, 20, whole)),
			"a new name": c.Prepare(b.Context(), 0, Intent{Writes: []Write{{Key: Key{"others", "1"}}}}),
		} {
			if err == nil || !strings.Contains(err.Error(), ErrRolledBack.Error()) {
				b.Errorf("%s: %v", what, err)
			}
		}
		again := b.claim("one")
		b.must(again.Commit(b.Context(), 0, Commit{ID: 1, Writes: []Write{{Key: Key{"others", "1"}, Known: Known{Seen: at(7, 0)}}}}))
		got, err := again.Load(b.Context(), []Place{{Key{"others", "1"}, 0}})
		if err != nil || got[0].Seen != at(7, 0) {
			b.Errorf("loaded %+v, %v", got, err)
		}
	})
}

// Forgetting a target takes its state along, all of it.
func TestNothingIsLeftOfAForgottenState(t *testing.T) {
	opts, err := redis.ParseURL(servertest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, opts)
	log := b.log(opts)
	c := b.claim("one")
	var writes []Write
	for i := range 3000 {
		writes = append(writes, Write{Key: Key{"deals", fmt.Sprintf(`{"id":%q}`, strings.Repeat("x", i%100)+strconv.Itoa(i))}, Known: whole})
	}
	b.must(c.Commit(b.Context(), 1, Commit{ID: 1, Writes: writes, Checkpoints: map[string]cdc.Position{cdc.LaneBulk: at(3, 4)}}))
	b.must(c.Release(b.Context(), true))
	b.must(log.Forget(b.Context(), "crm"))
	left, err := b.rdb.Keys(b.Context(), "*:crm*").Result()
	if err != nil || len(left) > 0 {
		t.Errorf("%d keys are left, such as %q (%v)", len(left), left[:min(3, len(left))], err)
	}
}

// log is the log beside the state.
func (b *bench) log(opts *redis.Options) *redislog.Log {
	b.Helper()
	l, err := redislog.Open(b.Context(), redislog.Options{URL: "redis://" + opts.Addr, Name: b.keys.Name, Partitions: 2, Logger: slog.New(slog.DiscardHandler)})
	b.must(err)
	b.Cleanup(func() { b.must(l.Close()) })
	return l
}
