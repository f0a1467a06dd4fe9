package state

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// TestShare has two workers share the partitions of a target: each writes its own only, and
// reads what the other has written, also under names that it had not seen before.
func TestShare(t *testing.T) {
	onBoth(t, func(b *bench) {
		one, two := b.share("one", 0), b.share("two", 1)
		if got, err := two.Take(b.Context(), []int{0, 1}); err != nil || !slices.Equal(got, []int{1}) {
			b.Fatalf("the second took %v and %v, of which one is the first's", got, err)
		}
		if _, err := two.Open(b.Context(), 1); err != nil { // its lease has another token now
			b.Fatal(err)
		}
		for i, mapping := range []string{"deals", "leads"} {
			k := Key{mapping, `{"id":7}`}
			known := Known{Seen: at(uint64(10+i), 0), Live: true, Key: sinks.Field{Name: "ExtId" + mapping, Value: []byte("7")}}
			b.must(one.Commit(b.Context(), 0, Commit{ID: uint64(i + 1), Writes: []Write{{Key: k, Known: known}}}))
			got, err := two.Load(b.Context(), []Place{{Key: k, Partition: 0}, {Key: k, Partition: 1}})
			b.must(err)
			if got[0].Err != nil || got[0].Seen != known.Seen || got[0].Known.Key.Name != known.Key.Name || got[1].Text != "" {
				b.Fatalf("the other reads %+v", got)
			}
		}
		if err := two.Commit(b.Context(), 0, Commit{ID: 1}); !isLost(err) {
			b.Fatalf("a partition of the other could be written: %v", err)
		}
		b.must(two.Renew(b.Context()))
		b.must(one.Release(b.Context(), true, 0))
		if err := one.Commit(b.Context(), 0, Commit{ID: 3}); !isLost(err) {
			b.Fatalf("what was given back could be written: %v", err)
		}
		got, err := two.Take(b.Context(), []int{0})
		if b.must(err); !slices.Equal(got, []int{0}) {
			b.Fatalf("what was given back could not be taken: %v", got)
		}
		start, err := two.Open(b.Context(), 0)
		if b.must(err); start.Unclean {
			b.Fatal("what was given back in order is taken for left behind")
		}
		b.expire(b.keys.Lease("crm", 1))
		if err := two.Renew(b.Context()); !isLost(err) {
			b.Fatalf("one of two leases is lost, and renewing them says %v", err)
		}
	})
}

func isLost(err error) bool {
	var lost *LostError
	return errors.As(err, &lost)
}

func (b *bench) share(owner string, partitions ...int) *Claim {
	b.Helper()
	c := b.store(owner).NewClaim()
	got, err := c.Take(b.Context(), partitions)
	if b.must(err); len(got) != len(partitions) {
		b.Fatalf("%s took %v of %v", owner, got, partitions)
	}
	for _, p := range got {
		_, err := c.Open(b.Context(), p)
		b.must(err)
	}
	return c
}

// TestMeet has workers come, be seen, and go.
func TestMeet(t *testing.T) {
	onBoth(t, func(b *bench) {
		since := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
		one, two := b.store("one"), b.store("two")
		meet := func(s *Store, since time.Time, mappings ...string) Meeting {
			m, err := s.Meet(b.Context(), Worker{Since: since, Mappings: mappings, Address: "127.0.0.1:8080"})
			b.must(err)
			return m
		}
		meet(two, since.Add(time.Second), "deals")
		claim := b.share("one", 1)
		m := meet(one, since, "deals", "leads")
		want := []Worker{
			{Name: "one", Since: since, Mappings: []string{"deals", "leads"}, Address: "127.0.0.1:8080", Lease: ttl},
			{Name: "two", Since: since.Add(time.Second), Mappings: []string{"deals"}, Address: "127.0.0.1:8080", Lease: ttl},
		}
		equal(b, m, Meeting{Workers: want, Owners: []string{"", "one"}})
		look := func() Meeting {
			m, err := Look(b.Context(), b.rdb, b.keys, "crm", 2)
			b.must(err)
			for i := range m.Workers {
				if quiet := &m.Workers[i].Quiet; *quiet > ttl/2 {
					b.Errorf("heard of %s ago, want just now", *quiet)
				} else {
					*quiet = 0
				}
			}
			return m
		}
		equal(b, look(), m)
		// Five seconds later nothing more was heard of the second.
		text, err := b.rdb.HGet(b.Context(), b.keys.Workers("crm"), "two").Result()
		b.must(err)
		till, about, _ := strings.Cut(text, " ")
		ms, err := strconv.ParseInt(till, 10, 64)
		b.must(err)
		b.must(b.rdb.HSet(b.Context(), b.keys.Workers("crm"), "two", fmt.Sprintf("%d %s", ms-5000, about)).Err())
		later, err := Look(b.Context(), b.rdb, b.keys, "crm", 2)
		if b.must(err); len(later.Workers) != 2 || later.Workers[0].Quiet > 4*time.Second || later.Workers[1].Quiet < 5*time.Second || later.Workers[1].Quiet > 9*time.Second {
			b.Errorf("five seconds later: %+v", later.Workers)
		}
		b.must(claim.Release(b.Context(), true))
		b.must(one.Leave(b.Context()))
		equal(b, meet(two, since.Add(time.Second), "deals"), Meeting{Workers: want[1:], Owners: []string{"", ""}})
		// One that is heard of no more is passed over.
		b.must(b.rdb.HSet(b.Context(), b.keys.Workers("crm"), "dead", `1 {"since":"2026-11-29T08:00:00Z"}`).Err())
		seen := look()
		equal(b, seen, Meeting{Workers: want[1:], Owners: []string{"", ""}})
		equal(b, meet(two, since.Add(time.Second), "deals"), seen)
	})
}

func equal(b *bench, got, want Meeting) {
	b.Helper()
	if !reflect.DeepEqual(got, want) {
		b.Fatalf("met %+v\nwant %+v", got, want)
	}
}
