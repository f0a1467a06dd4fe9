package redislog

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Whatever the clock of the source does, and however many points are dropped: what
// was committed at or after a time lies above the Position of that time. A clock that
// goes as it should is known to within the distance of two points.
func TestPositionAtMissesNothing(t *testing.T) {
	k := servertest.SharedRedis(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		l, err := openPlain(t.Context(), k.Server.URL(), fmt.Sprintf("%s_%d", k.Name, n))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		base := cdc.LSN(rapid.SampledFrom([]uint64{0, 1 << 40}).Draw(t, "base"))
		x := &timeIndex{log: l, base: base, most: rapid.SampledFrom([]int{3, 10, timeMost}).Draw(t, "most")}
		jumps := rapid.Bool().Draw(t, "jumps")
		type commit struct {
			at   cdc.Position
			time time.Time
		}
		var commits []commit
		lsn, clock, latest := cdc.LSN(100), time.UnixMicro(1_700_000_000_000_000), time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "commits") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			if jumps && rapid.IntRange(0, 9).Draw(t, "jump") == 0 {
				clock = clock.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "by")) * time.Second)
			}
			commits = append(commits, commit{cdc.Position{LSN: base + lsn, Ordinal: 4}, clock})
			lsn += cdc.LSN(rapid.IntRange(1, 1000).Draw(t, "bytes")) // the end, where the next may be
			if clock.After(latest) {
				latest = clock
			}
			if rapid.IntRange(0, 2).Draw(t, "noted") > 0 {
				if rapid.IntRange(0, 20).Draw(t, "restart") == 0 {
					x.last = time.Time{}
				}
				if err := x.note(t.Context(), lsn, latest); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 10 {
			when := commits[rapid.IntRange(0, len(commits)-1).Draw(t, "of")].time.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "off")) * time.Microsecond)
			at, ok, err := l.PositionAt(t.Context(), when)
			if err != nil || ok == at.IsZero() {
				t.Fatalf("position at %v: %v %v %v", when, at, ok, err)
			}
			for _, c := range commits {
				if !c.time.Before(when) && !at.Before(c.at) {
					t.Fatalf("%v was committed at %v, and does not lie above %v, the position of %v", c.at, c.time, at, when)
				}
			}
		}
		points, err := l.Client().ZCard(t.Context(), l.keys.Times()).Result()
		if err != nil || points > int64(x.most) {
			t.Fatalf("the index has %d points of at most %d (%v)", points, x.most, err)
		}
	})
}

// The barrier notes times, a second apart at the least, and tells nothing of what is
// to come.
func TestBarrierNotesTimes(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	if err := l.SetEpoch(t.Context(), cdc.Epoch{SystemID: "7", Timeline: 1, Slot: "s", Base: 1000}); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	s := cdc.Stream{Lane: cdc.LaneNormal}
	began := time.Now()
	for i, after := range []time.Duration{0, 10 * time.Second, 10*time.Second + time.Millisecond, 5 * time.Second, 20 * time.Second} {
		lsn := cdc.LSN(10 + 10*i)
		w.Append(s, &cdc.Entry{Position: cdc.Position{LSN: 1000 + lsn}, Op: cdc.OpTruncate, Table: "public.deals"})
		w.Mark(lsn+5, began.Add(after))
		waitFor(t, func() bool { return w.Appended() == lsn+5 })
		if err := b.step(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		after time.Duration
		want  cdc.LSN // the first that may lie above, by its source LSN
	}{{0, 0}, {time.Second, 15}, {10 * time.Second, 15}, {11 * time.Second, 25}, {time.Minute, 55}} {
		at, ok, err := l.PositionAt(t.Context(), began.Add(tc.after))
		want := cdc.Position{}
		if tc.want != 0 {
			want = cdc.Position{LSN: 1000 + tc.want}.Prev()
		}
		if err != nil || at != want || ok != (tc.want != 0) {
			t.Errorf("after %v: %v %v (%v), want %v", tc.after, at, ok, err, want)
		}
	}
	if err := stop(true); err != nil {
		t.Error(err)
	}
}

func TestTimeEvery(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: time.Second, time.Hour: time.Second, 72 * time.Hour: 25920 * time.Millisecond, 10_000 * time.Hour: time.Minute} {
		if have := TimeEvery(age); have != want {
			t.Errorf("for an age of %v: %v, want %v", age, have, want)
		}
	}
}
