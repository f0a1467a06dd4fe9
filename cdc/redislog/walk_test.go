package redislog

import (
	"errors"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func parsed(t *testing.T, text string) Place {
	t.Helper()
	p, err := ParsePlace(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// walked gives the LSNs of a walk.
func walked(t *testing.T, l *Log, from, to string) (out []cdc.LSN) {
	t.Helper()
	var s Span
	var err error
	if s.From, err = l.From(t.Context(), parsed(t, from)); err != nil {
		t.Fatal(err)
	}
	if s.To, err = l.UpTo(t.Context(), parsed(t, to)); err != nil {
		t.Fatal(err)
	}
	if err := l.Walk(t.Context(), s, func(m *cdc.Message) error { out = append(out, m.Change.Position.LSN); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// A walk gives every entry of the part that was named, and no other, in order over all
// streams.
func TestWalk(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	const base, n = 5000, 9000
	began := time.Now().Add(-n * time.Second).Truncate(time.Second)
	fill(t, l, base+1000, n, began, time.Second)
	if err := l.SetEpoch(t.Context(), cdc.Epoch{SystemID: "1", Slot: "s", Base: base}); err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return began.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano) }
	for _, tc := range []struct {
		from, to    string
		first, last int // of the entries, by their numbers; last is below first for none
	}{
		{"beginning", "now", 0, n - 1},
		{"now", "now", 0, -1},
		{"6500-0", "now", 500, n - 1},
		{"6500-1", "6600-0", 501, 600},
		{(cdc.LSN(1500)).String(), (cdc.LSN(1510)).String(), 500, 510},
		{at(4000), at(4007), 4000, 4007},
		{at(-10), at(3), 0, 3},
		{at(n - 3), at(n + 100), n - 3, n - 1},
	} {
		got := walked(t, l, tc.from, tc.to)
		if len(got) != tc.last-tc.first+1 {
			t.Errorf("from %s to %s: %d entries, want %d", tc.from, tc.to, len(got), tc.last-tc.first+1)
			continue
		}
		for i, lsn := range got {
			if want := cdc.LSN(base + 1000 + tc.first + i); lsn != want {
				t.Errorf("from %s to %s: entry %d is %d, want %d", tc.from, tc.to, i, lsn, want)
				break
			}
		}
	}
	for _, bad := range []string{"", "yesterday", "12", "16/XYZ", "2026-11-25 09:30:00", "-1-0", "-5m", "0s", "5 m"} {
		if _, err := ParsePlace(bad, time.Now()); err == nil {
			t.Errorf("%q is taken for a place", bad)
		}
	}
	if _, err := l.UpTo(t.Context(), parsed(t, "beginning")); err == nil {
		t.Error("something ends at the beginning")
	}
}

// A duration is that long ago.
func TestPlaceAgo(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	ago, err := ParsePlace("1h30m", now)
	at, terr := ParsePlace("2026-03-04T03:36:07Z", now)
	if err := errors.Join(err, terr); err != nil || ago.kind != at.kind || !ago.time.Equal(at.time) || ago.String() != "1h30m" {
		t.Errorf("%+v is not %+v (%v)", ago, at, err)
	}
}

// A walk that follows gives what comes, and ends once all that was meant has come.
func TestWalkFollows(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	now := time.Now()
	fill(t, l, 1000, 10, now, time.Millisecond)
	n, enough := 0, errors.New("enough")
	err := l.Walk(t.Context(), Span{Follow: true}, func(m *cdc.Message) error {
		switch n++; n {
		case 10:
			fill(t, l, 1010, 10, now, time.Millisecond)
		case 20:
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 20 {
		t.Fatalf("%d entries (%v)", n, err)
	}
	// The end is above what there is, and comes.
	n = 0
	err = l.Walk(t.Context(), Span{Follow: true, To: Bound{Position: cdc.Position{LSN: 1024}}}, func(*cdc.Message) error {
		if n++; n == 20 {
			fill(t, l, 1020, 10, now, time.Millisecond)
		}
		return nil
	})
	if err != nil || n != 25 {
		t.Fatalf("%d entries (%v), want 25", n, err)
	}
}

// What may have been trimmed above a place is known by stream, also of quiet ones.
func TestTrimmedAbove(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	fill(t, l, 1000, 6000, time.Now().Add(-time.Hour), 0)
	gone := func(at int) (n int) {
		t.Helper()
		for _, s := range l.streams {
			is, err := l.trimmedAbove(t.Context(), s, cdc.Position{LSN: cdc.LSN(at)})
			if err != nil {
				t.Fatal(err)
			}
			if is {
				n++
			}
		}
		return n
	}
	if n := gone(0); n != 0 {
		t.Fatalf("nothing was taken, and %d streams say so", n)
	}
	reads(t, l, "crm", cdc.Position{LSN: 3000})
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})
	pass(t, r)
	if a, b, c := gone(0), gone(2999), gone(3000); a != len(l.streams) || b != len(l.streams) || c != 0 {
		t.Errorf("trimmed up to 3000: above 0 %d streams lack something, above 2999 %d, above 3000 %d", a, b, c)
	}
	reads(t, l, "crm", maxPosition) // all of it
	pass(t, r)
	if a, b := gone(3000), gone(7000); a != len(l.streams) || b != 0 {
		t.Errorf("trimmed as a whole: above 3000 %d streams lack something, above the end %d", a, b)
	}
}

func TestOffsets(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	began := time.UnixMicro(1_700_000_000_000_000).UTC()
	n := len(l.streams)
	fill(t, l, 1000, 20*n, began, time.Second)
	list, err := l.Offsets(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if o := list[0]; o.Began || !o.At.IsZero() || o.Behind != 20 || o.Next != (cdc.Position{LSN: 1000}) || !o.NextTime.Equal(began) || !o.Time.IsZero() {
		t.Errorf("a reader that did not begin: %+v", o)
	}
	reads(t, l, "crm", cdc.Position{LSN: cdc.LSN(1000 + 10*n)})
	if list, err = l.Offsets(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	behind := int64(0)
	for _, o := range list {
		behind += o.Behind
	}
	o := list[0] // the entry 10*n is of the first stream
	if !o.Began || o.At.LSN != cdc.LSN(1000+10*n) || !o.Time.Equal(began.Add(time.Duration(10*n)*time.Second)) || behind != int64(20*n-10*n-1) {
		t.Errorf("%d behind, the first %+v", behind, o)
	}
	if c, more, gone, err := l.Between(t.Context(), o.Stream, o.Tail, o.At); c != 9 || more || gone || err != nil {
		t.Errorf("%d %v %v (%v) between, want 9", c, more, gone, err)
	}
}
