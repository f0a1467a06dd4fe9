package rate

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// use is a request that was made: with a grant of a step, or beyond one, as was told by it.
type use struct {
	at   time.Time
	step int
	more bool
}

// grants are those that a worker has in hand, and what it made beyond them and has not told.
type grants struct {
	at   time.Time
	n    int
	hour int64
	step int
	more [laneCount]int
}

// schedule runs several workers on one account: they ask, use what they have within its
// life, make some more than that, give back some, and lose answers.
func schedule(t *rapid.T, s Settings, steps int, pauses func(t *rapid.T) time.Duration) (uses []use) {
	a, now := &account{}, start
	hands := make([]grants, 3)
	most := rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "most more")
	for step := range steps {
		now = now.Add(pauses(t))
		w := &hands[rapid.IntRange(0, 2).Draw(t, "worker")]
		q := ask{lane: queue.Lane(rapid.IntRange(0, 2).Draw(t, "lane")), want: rapid.IntRange(0, 5).Draw(t, "want")}
		if w.n > 0 {
			used := rapid.IntRange(0, w.n).Draw(t, "used")
			late := min(now.Sub(w.at), life)
			for range used {
				uses = append(uses, use{at: w.at.Add(time.Duration(rapid.Int64Range(0, int64(late)).Draw(t, "late"))), step: w.step})
				w.more[rapid.IntRange(0, 2).Draw(t, "led by")] += rapid.IntRange(0, most).Draw(t, "more")
			}
			q.back, q.backOf = w.n-used, w.hour
		}
		if rapid.IntRange(0, 3).Draw(t, "told") > 0 {
			for lane, n := range w.more {
				q.more[lane] = n
				uses = append(uses, slices.Repeat([]use{{at: now, step: step, more: true}}, n)...)
			}
			w.more = [laneCount]int{}
		}
		b, err := parse(a.String()) // as it goes through the store
		if err != nil {
			t.Fatal(err)
		}
		r := b.step(now, s, q)
		a, *w = b, grants{now, r.granted, r.hour, step, w.more}
		if r.granted > q.want || r.granted > 0 && r.lowest < q.lane {
			t.Fatalf("asked %+v, got %+v", q, r)
		}
		if q.want > 0 && r.granted == 0 && r.again <= 0 {
			t.Fatalf("got nothing, and nobody knows until when: %+v", r)
		}
		if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
			w.n = 0 // the answer is lost, and with it what it gave
		}
	}
	slices.SortStableFunc(uses, func(a, b use) int { return a.at.Compare(b.at) })
	return uses
}

// untilGrants counts, for each request of a grant, those of any time before it, as far as they
// were told when it was granted.
func untilGrants(uses []use, check func(n int, d time.Duration)) {
	for j, last := range uses {
		if last.more {
			continue
		}
		n := 0
		for i := j; i >= 0; i-- {
			if u := uses[i]; !u.more || u.step <= last.step {
				n++
				check(n, last.at.Sub(u.at))
			}
		}
	}
}

// In any time no more are made than the burst and what the rate gives in it; but for what is
// made beyond grants, for which the next grant waits.
func TestNeverAboveTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{PerSecond: rapid.SampledFrom([]float64{0.5, 3, 20, 100}).Draw(t, "rate"),
			Burst: rapid.SampledFrom([]float64{0, 1, 4, 50}).Draw(t, "burst"), BulkFloor: 0.05}
		uses := schedule(t, s, 150, func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond
		})
		burst := s.Burst
		if burst == 0 {
			burst = max(1, s.PerSecond)
		}
		untilGrants(uses, func(n int, d time.Duration) {
			if most := max(burst, 1+s.PerSecond*life.Seconds()) + s.PerSecond*d.Seconds(); float64(n) > most+1e-6 {
				t.Fatalf("%d requests in %v, at most %.3f: %+v", n, d, most, s)
			}
		})
	})
}

// In any 24 hours no more are granted than the budget less what is for people, and nothing
// once more than that was made.
func TestNeverAboveTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{Daily: rapid.Int64Range(1, 60).Draw(t, "daily"), KeepShare: rapid.SampledFrom([]float64{0, 0.2}).Draw(t, "share"),
			Keep: rapid.Int64Range(0, 3).Draw(t, "keep"), BulkFloor: 0.05}
		uses := schedule(t, s, 200, func(t *rapid.T) time.Duration {
			return time.Duration(rapid.SampledFrom([]int{0, 1, 30, 60, 7200, 40000}).Draw(t, "s")) * time.Second
		})
		most := max(0, s.Daily-max(s.Keep, int64(float64(s.Daily)*s.KeepShare)))
		untilGrants(uses, func(n int, d time.Duration) {
			// A grant may be used a moment after the day ended that it was counted in.
			if d < 24*time.Hour-life && int64(n) > most {
				t.Fatalf("%d requests in a day of %d", n, most)
			}
		})
	})
}

// What is lost counts, so the budget is used up and no more; then it goes on.
func TestBudgetGoesOn(t *testing.T) {
	s := Settings{Daily: 100, KeepShare: 0.2, BulkFloor: 0.05}
	a := &account{}
	get := func(now time.Time, lane queue.Lane, want int) (int, time.Duration) {
		r := a.step(now, s, ask{lane: lane, want: want})
		return r.granted, r.again
	}
	if n, _ := get(start, queue.Bulk, 1000); n != 72 { // a tenth of 80 is left to the others
		t.Fatalf("bulk got %d", n)
	}
	if n, again := get(start, queue.Bulk, 1); n != 0 || start.Add(again) != start.Add(25*time.Hour) {
		t.Fatalf("bulk got %d, again after %v", n, again)
	}
	if r := a.step(start, s, ask{lane: queue.Urgent, want: 3}); r.granted != 3 || r.lowest != queue.Normal {
		t.Fatalf("urgent got %+v", r)
	}
	if n, _ := get(start.Add(time.Hour), queue.Normal, 1000); n != 5 {
		t.Fatalf("the rest is %d", n)
	}
	v := a.view(start.Add(time.Hour), s)
	if !v.Budget || v.Daily != 100 || v.Kept != 20 || v.Left != 0 || !v.SpentUntil.Equal(start.Add(25*time.Hour)) {
		t.Fatalf("view %+v", v)
	}
	if n, again := get(start.Add(24*time.Hour), queue.Urgent, 1); n != 0 || again != time.Hour {
		t.Fatalf("urgent got %d, again after %v", n, again)
	}
	if n, _ := get(start.Add(25*time.Hour), queue.Urgent, 1000); n != 75 {
		t.Fatalf("a day later %d", n)
	}
}

// The target's own count goes before ours, until it is old; then one request asks for a
// new word.
func TestTheTargetsCount(t *testing.T) {
	day := func(limit, left int64, reset time.Duration) sinks.Quota {
		return sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: limit, Left: left, Reset: reset}}
	}
	s := Settings{Daily: 1000, Keep: 100}
	a := &account{}
	if r := a.step(start, s, ask{want: 2000, quota: day(5000, 4300, 0)}); r.granted != 200 { // 700 of 1000 are used
		t.Fatalf("got %+v", r)
	}
	if r := a.step(start.Add(20*time.Minute), s, ask{want: 2000}); r.granted != 700 { // by our count
		t.Fatalf("got %+v", r)
	}
	// Known to the target only, and nothing kept: nothing is asked for until the last tenth.
	a, s = &account{}, Settings{}
	if r := a.step(start, s, ask{want: 1, quota: day(5000, 700, 0)}); !r.free {
		t.Fatalf("got %+v", r)
	}
	if r := a.step(start, s, ask{want: 1, quota: day(5000, 400, 0)}); r.free || r.granted != 1 || r.lowest != queue.Normal {
		t.Fatalf("got %+v", r)
	}
	if r := a.step(start, s, ask{want: 1, quota: day(5000, 0, 0)}); r.granted != 0 || r.again != 15*time.Minute {
		t.Fatalf("got %+v", r)
	}
	for minute, want := range map[int]int{15: 1} {
		at := start.Add(time.Duration(minute) * time.Minute)
		if r := a.step(at, s, ask{want: 50}); r.granted != want {
			t.Fatalf("after %d minutes %+v", minute, r)
		}
		if r := a.step(at.Add(time.Second), s, ask{want: 50}); r.granted != 0 {
			t.Fatalf("a second later %+v", r)
		}
	}
	// With a time at which the day begins anew.
	if r := a.step(start.Add(time.Hour), s, ask{want: 1, quota: day(5000, 0, 2*time.Hour)}); r.granted != 0 || r.again != 2*time.Hour {
		t.Fatalf("got %+v", r)
	}
	if r := a.step(start.Add(3*time.Hour), s, ask{want: 1}); !r.free {
		t.Fatalf("the day after: %+v", r)
	}
}

func TestPauseOfAll(t *testing.T) {
	a := &account{}
	a.step(start, Settings{}, ask{throttled: true, after: 10 * time.Second})
	if r := a.step(start.Add(time.Second), Settings{}, ask{want: 1}); r.granted != 0 || r.free || r.again != 9*time.Second {
		t.Errorf("got %+v", r)
	}
	a.step(start.Add(2*time.Second), Settings{}, ask{quota: sinks.Quota{Window: sinks.Allowance{Known: true, Reset: 20 * time.Second}}})
	if v := a.view(start.Add(3*time.Second), Settings{}); !v.PausedUntil.Equal(start.Add(22 * time.Second)) {
		t.Errorf("view %+v", v)
	}
}

// Requests that were under way together lower the rate once.
func TestLoweredOnce(t *testing.T) {
	s := Settings{PerSecond: 100}
	a := &account{}
	g := a.step(start, s, ask{want: 4}).generation
	for i := range 4 {
		a.step(start.Add(time.Duration(i)*700*time.Millisecond), s, ask{throttled: true, generation: g})
	}
	if a.Rate != 50 {
		t.Errorf("rate %v", a.Rate)
	}
	a.step(start.Add(3*time.Second), s, ask{throttled: true, generation: a.Generation})
	if a.Rate != 25 {
		t.Errorf("rate %v", a.Rate)
	}
	for i := range 40 { // and it comes back, evenly
		a.step(start.Add(4*time.Second+time.Duration(i)*500*time.Millisecond), s, ask{ok: true})
	}
	if a.Rate != 100 {
		t.Errorf("rate %v", a.Rate)
	}
}

// serves is a target that takes so many requests a second, in buckets of a second.
type serves struct {
	most, n int
	second  int64
}

func (s *serves) take(now time.Time) bool {
	if now.Unix() != s.second {
		s.second, s.n = now.Unix(), 0
	}
	s.n++
	return s.n <= s.most
}

// The rate comes to what the target takes, whatever is configured.
func TestConverges(t *testing.T) {
	for _, s := range []Settings{{}, {PerSecond: 400}, {PerSecond: 60}} {
		a, target, rng := &account{}, &serves{most: 40}, rand.New(rand.NewPCG(1, 2))
		taken, refused := 0, 0
		until := start.Add(5 * time.Minute)
		pending := ask{}
		for now := start; now.Before(until); now = now.Add(time.Duration(4+rng.IntN(4)) * time.Millisecond) {
			q := pending
			q.want, pending = 1, ask{}
			r := a.step(now, s, q)
			if !r.free && r.granted == 0 {
				continue
			}
			if r.free {
				pending.made = 1
			}
			if target.take(now) {
				taken++
				pending.ok = true
			} else {
				refused++
				pending.throttled, pending.generation = true, r.generation
			}
		}
		if least := 300 * 40 * 6 / 10; taken < least || refused > taken/10 {
			t.Errorf("%+v: taken %d of %d, refused %d", s, taken, 300*40, refused)
		}
	}
}

// Urgent goes first, and nobody starves: of the requests, however many each grant leads to.
func TestFloor(t *testing.T) {
	s := Settings{PerSecond: 50, Burst: 1, BulkFloor: 0.05}
	for _, each := range [][laneCount]int{{1, 1, 1}, {1, 1, 4}, {4, 1, 1}, {3, 2, 3}} {
		a := &account{}
		var got [laneCount]int
		next := [laneCount]time.Time{start, start, start}
		step := func(now time.Time, l queue.Lane) {
			r := a.step(now, s, ask{lane: l, want: 1})
			if next[l] = now.Add(r.again); r.granted > 0 {
				got[l] += each[l]
				q := ask{}
				q.more[l] = each[l] - 1
				a.step(now.Add(time.Millisecond/2), s, q)
			}
		}
		for now := start; now.Before(start.Add(2 * time.Minute)); now = now.Add(time.Millisecond) {
			for _, l := range []queue.Lane{queue.Bulk, queue.Normal, queue.Urgent} { // each as eager as can be
				if !now.Before(next[l]) {
					step(now, l)
				}
			}
		}
		all := got[0] + got[1] + got[2]
		if all < 5900 || all > 6010 || got[0] < all*88/100 || got[1] < all*4/100 || got[2] < all*4/100 {
			t.Errorf("with %v for a grant urgent, normal, bulk got %v of %d", each, got, all)
		}
		// Without the urgent ones the others have it all.
		got = [laneCount]int{}
		for now := start.Add(3 * time.Minute); now.Before(start.Add(4 * time.Minute)); now = now.Add(time.Millisecond) {
			step(now, queue.Bulk)
		}
		if got[2] < 2950 {
			t.Errorf("with %v bulk alone got %d", each, got[2])
		}
		// And when they are back, what bulk had alone is not held against it.
		got, next = [laneCount]int{}, [laneCount]time.Time{}
		for now := start.Add(4 * time.Minute); now.Before(start.Add(5 * time.Minute)); now = now.Add(time.Millisecond) {
			for _, l := range []queue.Lane{queue.Bulk, queue.Urgent} {
				if !now.Before(next[l]) {
					step(now, l)
				}
			}
		}
		if all := got[0] + got[2]; got[2] < all*4/100 || got[2] > all*7/100 {
			t.Errorf("with %v bulk got %d of %d beside urgent", each, got[2], all)
		}
	}
}

// A lane that asks again only after a while is held to its part all the same.
func TestFloorOfTheSlow(t *testing.T) {
	s := Settings{PerSecond: 50, Burst: 1, BulkFloor: 0.05}
	a := &account{}
	got, bulk := [laneCount]int{}, start
	for now := start; now.Before(start.Add(2 * time.Minute)); now = now.Add(time.Millisecond) {
		got[queue.Urgent] += a.step(now, s, ask{lane: queue.Urgent, want: 1}).granted
		if now.Before(bulk) {
			continue
		}
		if r := a.step(now, s, ask{lane: queue.Bulk, want: 1}); r.granted > 0 {
			got[queue.Bulk] += 4
			a.step(now, s, ask{more: [laneCount]int{0, 0, 3}})
			bulk = now.Add(500 * time.Millisecond)
		}
	}
	if all := got[0] + got[2]; got[2] < all*4/100 || got[2] > all*6/100 {
		t.Errorf("bulk got %d of %d", got[2], all)
	}
}
