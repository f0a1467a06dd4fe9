package deadletter_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

const partitions = 2

// model is what must be there: the letter of each key that has one, by the naive rule.
type model struct {
	parked   [partitions][]deadletter.Letter // the oldest first
	totals   deadletter.Totals
	everPark int64
}

func (m *model) take(p int, key state.Key) bool {
	n := len(m.parked[p])
	m.parked[p] = slices.DeleteFunc(m.parked[p], func(l deadletter.Letter) bool { return l.Mapping == key.Mapping && l.Key == key.Source })
	return len(m.parked[p]) < n
}

func (m *model) list() (out []string) {
	for p := range m.parked {
		for _, l := range m.parked[p] {
			out = append(out, fmt.Sprintf("%d %s %s %v", p, l.Mapping, l.Key, l.Position))
		}
	}
	return out
}

// onBoth runs a test on a real server and on the embedded one of the demo.
func onBoth(t *testing.T, f func(t *testing.T, rdb *redis.Client)) {
	client := func(t *testing.T, o *redis.Options) *redis.Client {
		o.DisableIdentity = true
		rdb := redis.NewClient(o)
		t.Cleanup(func() {
			if err := rdb.Close(); err != nil {
				t.Error(err)
			}
		})
		return rdb
	}
	t.Run("redis", func(t *testing.T) {
		o, err := redis.ParseURL(servertest.Redis(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		f(t, client(t, o))
	})
	t.Run("miniredis", func(t *testing.T) { f(t, client(t, &redis.Options{Addr: miniredis.RunT(t).Addr()})) })
}

// owner opens the state of a new bridge, as a worker does.
func owner(t *testing.T, rt *rapid.T, rdb *redis.Client, keys redislog.Keys, bounds deadletter.Bounds) *state.Claim {
	s := state.New(state.Options{Client: rdb, Keys: keys, Target: "crm", Partitions: partitions, Owner: "one", DeadLetters: bounds})
	rt.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := s.Claim(t.Context())
	for p := 0; p < partitions && err == nil; p++ {
		_, err = c.Open(t.Context(), p)
	}
	if err != nil {
		rt.Fatal(err)
	}
	return c
}

// However keys are parked, superseded, parked again and discarded, by commits that are
// repeated or not: what is parked and not superseded is listed, exactly once and with its
// newest refusal, and each letter that went is counted for a reason.
func TestWhatIsParkedIsListedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		bridges := 0
		rapid.Check(t, func(rt *rapid.T) {
			bridges++
			keys := redislog.Keys{Name: fmt.Sprintf("b%d", bridges)}
			most := rapid.IntRange(2, 6).Draw(rt, "most") // of a partition
			c := owner(t, rt, rdb, keys, deadletter.Bounds{Count: partitions * most})
			box := deadletter.Box{Client: rdb, Keys: keys, Target: "crm", Partitions: partitions}
			m := &model{}
			var ids [partitions]uint64
			var pos uint64
			list := func(f deadletter.Filter) (out []deadletter.Entry) {
				if err := box.Each(t.Context(), f, func(e deadletter.Entry) error {
					out = append(out, e)
					return nil
				}); err != nil {
					rt.Fatal(err)
				}
				return out
			}
			rt.Repeat(map[string]func(*rapid.T){
				"commit": func(rt *rapid.T) {
					p := rapid.IntRange(0, partitions-1).Draw(rt, "partition")
					ids[p]++
					w := state.Commit{ID: ids[p]}
					some := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 1, 5, rapid.ID[int]).Draw(rt, "keys")
					for _, id := range some {
						pos++
						at := cdc.Position{LSN: cdc.LSN(pos)}
						key := state.Key{Mapping: []string{"deals", "won"}[id%2], Source: fmt.Sprintf(`{"id":%d}`, id/2)}
						w.Writes = append(w.Writes, state.Write{Key: key, Known: state.Known{Seen: at}})
						if rapid.Bool().Draw(rt, "park") {
							l := deadletter.Letter{Mapping: key.Mapping, Key: key.Source, Table: cdc.Table{Schema: "public", Name: "deals"},
								Code: "NO", Position: at, Payload: "{}", Time: time.UnixMicro(int64(pos))}
							w.Dead = append(w.Dead, l)
							m.everPark++
							if m.take(p, key) {
								m.totals.Replaced++
							}
							m.parked[p] = append(m.parked[p], l)
						} else if m.take(p, key) {
							m.totals.Resolved++
						}
					}
					if over := len(m.parked[p]) - most; over > 0 {
						m.parked[p] = m.parked[p][over:]
						m.totals.Full += int64(over)
					}
					for range rapid.IntRange(1, 2).Draw(rt, "times") { // the answer was lost
						if err := c.Commit(t.Context(), p, w); err != nil {
							rt.Fatal(err)
						}
					}
				},
				"discard": func(rt *rapid.T) {
					all := list(deadletter.Filter{})
					var some []deadletter.Entry
					for _, e := range all {
						if rapid.Bool().Draw(rt, "discard") {
							some = append(some, e)
							m.take(e.Partition, state.Key{Mapping: e.Mapping, Source: e.Key})
						}
					}
					if n, err := box.Discard(t.Context(), some); err != nil || n != int64(len(some)) {
						rt.Fatalf("discarded %d of %d: %v", n, len(some), err)
					}
					m.totals.Discarded += int64(len(some))
					if n, err := box.Discard(t.Context(), some); err != nil || n != 0 {
						rt.Fatalf("discarded %d that were gone: %v", n, err)
					}
				},
				"tend": func(rt *rapid.T) {
					p := rapid.IntRange(0, partitions-1).Draw(rt, "partition")
					if _, more, err := c.Tend(t.Context(), p, time.Now(), deadletter.Totals{}); err != nil || more {
						rt.Fatal(err, more)
					}
				},
				"": func(rt *rapid.T) {
					var got []string
					for _, e := range list(deadletter.Filter{}) {
						got = append(got, fmt.Sprintf("%d %s %s %v", e.Partition, e.Mapping, e.Key, e.Position))
					}
					if want := m.list(); !slices.Equal(got, want) {
						rt.Fatalf("listed are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
					want := m.totals
					want.Parked = int64(len(got))
					totals, err := box.Totals(t.Context())
					if err != nil || totals != want {
						rt.Fatalf("totals %+v, want %+v (%v)", totals, want, err)
					}
					if sum := totals.Parked + totals.Resolved + totals.Replaced + totals.Discarded + totals.Full; sum != m.everPark {
						rt.Fatalf("%d are accounted for, %d were parked", sum, m.everPark)
					}
					// The index has no key but those of the letters.
					for p := range partitions {
						fields, err := rdb.HGetAll(t.Context(), keys.Parked("crm", p)).Result()
						if err != nil {
							rt.Fatal(err)
						}
						n := 0
						for f := range maps.Keys(fields) {
							if !strings.HasPrefix(f, "\x00") {
								n++
							}
						}
						if n != len(m.parked[p]) {
							rt.Fatalf("the index has %d keys for %d letters", n, len(m.parked[p]))
						}
					}
				},
			})
		})
	})
}
