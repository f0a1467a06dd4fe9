package deliver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks/state"
)

// TestShareBecomesEven has workers come, go in order, and die, each of which sees the others
// when it happens to look. Whatever they have seen: nothing is ever owned twice, and once
// nobody comes or goes any more everything is owned, evenly, and stays where it is.
func TestShareBecomesEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "partitions")
		owners := make([]string, n)
		hands := map[string][]hand{}
		var workers []state.Worker
		came := 0
		look := func(me string) (moved int) {
			m := state.Meeting{Workers: slices.Clone(workers), Owners: slices.Clone(owners)}
			mine := hands[me]
			take, give, _ := share(&m, me, mine)
			for _, p := range take {
				if owners[p] != "" && owners[p] != me {
					t.Fatalf("%s takes %d of %s", me, p, owners[p])
				}
				owners[p], mine[p] = me, isOurs
			}
			for _, p := range give {
				if owners[p] != me {
					t.Fatalf("%s gives %d, which is %s's", me, p, owners[p])
				}
				owners[p], mine[p] = "", notOurs
			}
			return len(take) + len(give)
		}
		names := func() (out []string) {
			for _, w := range workers {
				out = append(out, w.Name)
			}
			return out
		}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				came++
				w := state.Worker{Name: fmt.Sprint("w", came), Since: time.Unix(int64(came), 0)}
				workers, hands[w.Name] = append(workers, w), make([]hand, n)
			},
			"go": func(t *rapid.T) {
				if len(workers) < 2 {
					t.Skip("nobody")
				}
				i := rapid.IntRange(0, len(workers)-1).Draw(t, "who")
				for p := range owners {
					if owners[p] == workers[i].Name {
						owners[p] = ""
					}
				}
				delete(hands, workers[i].Name)
				workers = slices.Delete(workers, i, i+1)
			},
			"look": func(t *rapid.T) {
				if len(workers) > 0 {
					look(rapid.SampledFrom(names()).Draw(t, "who"))
				}
			},
		})
		if len(workers) == 0 {
			return
		}
		for range 2 { // all give what is over, then all take what there is
			for _, name := range names() {
				look(name)
			}
		}
		count := map[string]int{}
		for p, o := range owners {
			if o == "" {
				t.Fatalf("%d belongs to nobody of %v: %v", p, names(), owners)
			}
			count[o]++
		}
		for _, name := range names() {
			if c := count[name]; c < n/len(workers) || c > (n+len(workers)-1)/len(workers) {
				t.Fatalf("%s has %d of %d partitions, of %d workers: %v", name, c, n, len(workers), owners)
			}
			if moved := look(name); moved > 0 {
				t.Fatalf("%s goes on moving %d", name, moved)
			}
		}
	})
}

// TestShare holds single cases of it.
func TestShare(t *testing.T) {
	workers := []state.Worker{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for _, c := range []struct {
		name       string
		workers    []state.Worker
		owners     string
		hands      []hand
		take, give []int
		hungry     bool
	}{
		{"alone takes all", workers[1:2], "----", []hand{0, 0, 0, 0}, []int{0, 1, 2, 3}, nil, false},
		{"what another has is not taken", workers[:2], "aaaa", []hand{0, 0, 0, 0}, nil, nil, true},
		{"no more than its part", workers[:2], "----", []hand{0, 0, 0, 0}, []int{2, 3}, nil, false},
		{"what is over is given, the last first", workers[:2], "bbbb", []hand{isOurs, isOurs, isOurs, isOurs}, nil, []int{3, 2}, false},
		{"what leaves is not counted", workers[:2], "bbbb", []hand{isOurs, isOurs, onItsWay, onItsWay}, nil, nil, false},
		{"what is asked for is, and is not given", workers[:2], "bb--", []hand{isOurs, isOurs, askedFor, askedFor}, nil, []int{1, 0}, false},
		{"a lease of its own whose answer was lost is taken again", workers[:2], "abaa", []hand{0, 0, 0, 0}, []int{1}, nil, true},
		{"one that is not there has no part", []state.Worker{{Name: "a"}, {Name: "c"}}, "---", []hand{0, 0, 0}, nil, nil, false},
		{"one that lacks a mapping gives all", []state.Worker{{Name: "b"}, {Name: "c", Mappings: []string{"m"}}}, "bb-", []hand{isOurs, isOurs, 0}, nil, []int{1, 0}, false},
		{"one that has more takes all", []state.Worker{{Name: "a"}, {Name: "b", Mappings: []string{"m"}}}, "a--", []hand{0, 0, 0}, []int{1, 2}, nil, true},
		{"where nobody has all it is the youngest's", []state.Worker{{Name: "b", Mappings: []string{"m"}}, {Name: "a", Mappings: []string{"n"}}}, "b--", []hand{isOurs, 0, 0}, nil, []int{0}, false},
	} {
		m := state.Meeting{Workers: c.workers}
		for _, o := range c.owners {
			m.Owners = append(m.Owners, map[rune]string{'-': "", 'a': "a", 'b': "b"}[o])
		}
		take, give, hungry := share(&m, "b", c.hands)
		if !slices.Equal(take, c.take) || !slices.Equal(give, c.give) || hungry != c.hungry {
			t.Errorf("%s: take %v, give %v, hungry %v, want %v, %v and %v", c.name, take, give, hungry, c.take, c.give, c.hungry)
		}
	}
}

// TestAgreed has a mapping count only when all who deliver know it.
func TestAgreed(t *testing.T) {
	all := []string{"deals", "leads"}
	old, fresh := state.Worker{Name: "old", Mappings: []string{"leads"}}, state.Worker{Name: "new", Mappings: all}
	for _, c := range []struct {
		workers []state.Worker
		owners  []string
		want    []string
	}{
		{[]state.Worker{fresh}, []string{"", "new"}, all},
		{[]state.Worker{old, fresh}, []string{"old", "new"}, []string{"leads"}},
		{[]state.Worker{old, fresh}, []string{"", "new"}, all}, // it takes nothing any more
		{[]state.Worker{fresh}, []string{"old", "new"}, nil},   // it may be at work still
	} {
		got := agreed(&state.Meeting{Workers: c.workers, Owners: c.owners}, all)
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v with owners %v agree on %v, want %v", c.workers, c.owners, got, c.want)
		}
	}
}
