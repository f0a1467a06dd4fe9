package redislog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// fill appends n entries with ids from LSN first on, each committed step after the one
// before, dealt over all streams, and notes their times as the barrier does.
func fill(t *testing.T, l *Log, first cdc.LSN, n int, began time.Time, step time.Duration) {
	t.Helper()
	x, err := l.newTimeIndex(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 250)
	for from := 0; from < n; from += 1000 {
		pipe := l.Client().Pipeline()
		last := cdc.LSN(0)
		at := began
		for i := from; i < min(from+1000, n); i++ {
			last, at = first+cdc.LSN(i), began.Add(time.Duration(i)*step)
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: l.keys.Stream(l.streams[i*7%len(l.streams)]), ID: fmt.Sprintf("%d-0", last),
				Values: []any{"op", "u", "table", "public.deals", "key", fmt.Sprintf(`{"id":%d}`, i), "after", pad, "ts", at.UnixMicro(), "xid", 7}})
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := x.note(t.Context(), last+1, at); err != nil {
			t.Fatal(err)
		}
	}
}

// reads sets how far a target has read all streams.
func reads(t *testing.T, l *Log, target string, at cdc.Position) {
	t.Helper()
	for _, s := range l.streams {
		key := l.keys.Stream(s)
		err := l.Client().XGroupCreateMkStream(t.Context(), key, target, at.String()).Err()
		if err != nil && strings.Contains(err.Error(), "BUSYGROUP") {
			err = l.Client().XGroupSetID(t.Context(), key, target, at.String()).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func pass(t *testing.T, r *Trimmer) TrimStats {
	t.Helper()
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Stats()
}

func survey(t *testing.T, l *Log) *Survey {
	t.Helper()
	s, err := l.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Survey) entries() (n int64, first cdc.Position) {
	first = maxPosition
	for i := range s.Streams {
		st := &s.Streams[i]
		n += st.Entries
		if st.Entries > 0 && st.First.Before(first) {
			first = st.First
		}
	}
	return n, first
}

// logged opens a log whose words are kept.
func logged(t *testing.T, url, name string) (*Log, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	l, err := Open(t.Context(), Options{URL: url, Name: name, Partitions: partitions, TimeEvery: time.Second,
		Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, &out
}

func openPlain(ctx context.Context, url, name string) (*Log, error) {
	return Open(ctx, Options{URL: url, Name: name, Partitions: 1, TimeEvery: time.Second, Logger: slog.New(slog.DiscardHandler)})
}

// An hour of entries with an age of half an hour: what is older goes, to within a
// second of the index, however small the streams; and not before all have read it.
func TestAgeIsHeld(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	const n = 36_000 // one each 100 ms
	began := time.Now().Add(-time.Hour)
	fill(t, l, 1000, n, began, 100*time.Millisecond)
	reads(t, l, "crm", cdc.Position{LSN: 1000 + n/4})
	r := l.NewTrimmer(TrimOptions{Retention: Retention{Age: 30 * time.Minute}, Targets: []string{"crm", "forecast"}})
	if pass(t, r); r.Stats().Trimmed != 0 {
		t.Fatal("entries went although forecast has read nothing")
	}
	reads(t, l, "forecast", maxPosition)
	pass(t, r)
	if _, first := survey(t, l).entries(); first != (cdc.Position{LSN: 1000 + n/4 + 1}) {
		t.Fatalf("the log begins with %v, crm has read up to %d", first, 1000+n/4)
	}
	reads(t, l, "crm", maxPosition)
	s := pass(t, r)
	left, first := survey(t, l).entries()
	oldest := began.Add(time.Duration(first.LSN-1000) * 100 * time.Millisecond)
	// Points lie as far apart as a batch of fill: 100 s, of 1800.
	if age := time.Since(oldest); age < 30*time.Minute || age > 30*time.Minute+101*time.Second {
		t.Errorf("the oldest entry is %v old, want 30 min", age)
	}
	if want := int64(1000+n) - int64(first.LSN); left != want || s.Trimmed != uint64(n-left) {
		t.Errorf("%d entries are left, %d were counted as trimmed; want %d left", left, s.Trimmed, want)
	}
	pass(t, r) // the index follows the log
	points, err := l.Client().ZRange(t.Context(), l.keys.Times(), 0, -1).Result()
	if err != nil || len(points) > 20 || len(points) < 18 {
		t.Errorf("%d points of the index are left (%v), for 19 of the log", len(points), err)
	}
	if at, err := l.Tail(t.Context()); err != nil || at.LSN != 1000+n-1 {
		t.Errorf("the tail is %v (%v)", at, err)
	}
}

// A log that has become empty keeps its tails.
func TestEmptiedLogKeepsItsTails(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	f := newFeed(6, 3000)
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	reads(t, l, "crm", maxPosition)
	want, err := l.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := pass(t, l.NewTrimmer(TrimOptions{Targets: []string{"crm"}}))
	if n, _ := survey(t, l).entries(); n != 0 || s.Trimmed != uint64(len(f.entries)) {
		t.Errorf("%d entries are left, %d went", n, s.Trimmed)
	}
	if at, err := l.Tail(t.Context()); err != nil || at != want {
		t.Errorf("the tail is %v (%v), want %v", at, err, want)
	}
	// The source sends all of it again: the log has it.
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	if n, _ := survey(t, l).entries(); n != 0 {
		t.Errorf("%d entries were appended twice", n)
	}
}

// The memory of the streams stays within a few per cent of its bound while the log
// grows, and what was not read stays above it.
func TestBytesAreHeld(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, out := logged(t, k.Server.URL(), k.Name)
	const bound = 8 << 20
	r := l.NewTrimmer(TrimOptions{Retention: Retention{Age: time.Hour, Bytes: bound, Wait: true}, Targets: []string{"crm"}})
	next := cdc.LSN(1000)
	grow := func(n int, read bool) int64 {
		fill(t, l, next, n, time.Now(), 0)
		next += cdc.LSN(n)
		if read {
			reads(t, l, "crm", cdc.Position{LSN: next})
		}
		pass(t, r)
		return survey(t, l).Bytes()
	}
	grow(30_000, true)
	for range 10 {
		if have := grow(2000, true); have > bound || have < bound-bound/20 {
			t.Fatalf("%d bytes of %d", have, bound)
		}
	}
	first := next
	have := grow(30_000, false)
	n, begins := survey(t, l).entries()
	if begins != (cdc.Position{LSN: first + 1}) || n != 29_999 { // crm has read the first
		t.Errorf("the log has %d entries from %v on, want 29,999 from %v", n, begins, first+1)
	}
	if have < bound || r.Stats().Over < have-bound {
		t.Errorf("%d bytes, %d of them said to be too many", have, r.Stats().Over)
	}
	pass(t, r)
	if text := out.String(); strings.Count(text, "the log is above its bound") != 1 || !strings.Contains(text, "holds_most=crm") {
		t.Errorf("said %q", text)
	}
}

// A Redis that something else fills is not said to be full of what is unread.
func TestFullOfOtherThings(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, out := logged(t, k.Server.URL(), k.Name)
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})
	for range 2 {
		r.warn(survey(t, l), plan{over: 5})
	}
	if text := out.String(); strings.Count(text, "redis is above its high mark, and not by the log") != 1 || strings.Contains(text, "unread") {
		t.Errorf("said %q", text)
	}
}

// A cut that was decided on what has changed since takes nothing from a reader.
func TestLateCutIsRefused(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	fill(t, l, 1000, 5000, time.Now(), 0)
	reads(t, l, "crm", maxPosition)
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})
	reads(t, l, "replay:1", cdc.Position{LSN: 3000})
	var cuts []cut
	for _, s := range l.streams {
		cuts = append(cuts, cut{stream: s, upTo: cdc.Position{LSN: 3001}}, cut{stream: s, upTo: maxPosition, most: 10})
	}
	if n, err := r.cut(t.Context(), cuts); n != 0 || err != nil {
		t.Errorf("%d entries went (%v)", n, err)
	}
	for i := range cuts {
		cuts[i].upTo = cdc.Position{LSN: 3000}
	}
	if n, err := r.cut(t.Context(), cuts); n != 2001 || err != nil {
		t.Errorf("%d entries went (%v), want 2001", n, err)
	}
}

// A server that is full, or nearly: the dead target is detached, the log goes on for
// the other, and the dead one comes back by a backfill.
func TestDetachAndReturn(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{MaxMemory: "24mb"})
	l, out := logged(t, s.URL(), "detach")
	ctx := t.Context()
	targets := []string{"crm", "forecast"}
	if err := l.EnsureGroups(ctx, targets); err != nil {
		t.Fatal(err)
	}
	o := TrimOptions{Retention: Retention{Age: time.Hour, HighMark: 0.8}, Targets: targets}
	r := l.NewTrimmer(o)
	next := cdc.LSN(1000)
	grow := func(n int) {
		fill(t, l, next, n, time.Now(), 0)
		next += cdc.LSN(n)
		reads(t, l, "forecast", cdc.Position{LSN: next})
	}
	for survey(t, l).Memory.fill() < 0.8 {
		if pass(t, r); len(survey(t, l).Detached) > 0 {
			t.Fatalf("detached below the mark:\n%s", out)
		}
		grow(2000)
	}
	// As full as can be: nothing is taken any more, but this is.
	if err := l.Client().ConfigSet(ctx, "maxmemory", "16mb").Err(); err != nil {
		t.Fatal(err)
	}
	pass(t, r)
	now := survey(t, l)
	d, ok := now.Detached["crm"]
	if !ok || d.Entries < 10_000 || d.Bytes == 0 || !d.Position.IsZero() || len(now.Detached) != 1 {
		t.Fatalf("detached %+v:\n%s", now.Detached, out)
	}
	if fill := now.Memory.fill(); fill > 0.805 || fill < 0.7 {
		t.Errorf("the memory is full to %.3f", fill)
	}
	if text := out.String(); strings.Count(text, "target_detached") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "target=crm") {
		t.Errorf("said %q", text)
	}
	grow(3000)
	pass(t, r)

	// The capture starts again: crm stays detached.
	if err := l.EnsureGroups(ctx, targets); err != nil {
		t.Fatal(err)
	}
	if now := survey(t, l); slices.ContainsFunc(now.Streams, func(st StreamSurvey) bool { _, ok := st.Groups["crm"]; return ok }) {
		t.Fatal("crm has groups again")
	}
	tail, err := l.Tail(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := cdc.Backfill{ID: cdc.NewBackfillID(), Table: cdc.Table{Schema: "public", Name: "deals"}, For: []string{"crm"}, Generation: true, Reason: cdc.ReasonDetached}
	if back, err := l.Return(ctx, "crm", []cdc.Backfill{want}); err != nil || !back {
		t.Fatalf("return: %v, %v", back, err)
	}
	if last, err := l.returned(ctx, "crm"); err != nil || last.Count != 1 {
		t.Errorf("returned %+v (%v)", last, err)
	}
	if back, err := l.Return(ctx, "crm", []cdc.Backfill{{ID: "again"}}); err != nil || back {
		t.Errorf("a second return: %v, %v", back, err)
	}
	if v, err := l.Client().HGet(ctx, l.keys.Backfills(), backfillVersion).Int(); err != nil || v != 1 {
		t.Errorf("the number that the capture looks at is %d (%v)", v, err)
	}
	list, err := l.Backfills(ctx)
	if err != nil || len(list) != 1 || list[0].ID != want.ID || !list[0].Generation {
		t.Errorf("backfills %+v (%v)", list, err)
	}
	grow(1000)
	pass(t, r)
	now = survey(t, l)
	for i := range now.Streams {
		if at := now.Streams[i].Groups["crm"]; at.IsZero() || tail.Before(at) {
			t.Errorf("crm begins stream %v at %v, the log ended at %v", now.Streams[i].Stream, at, tail)
		}
	}
	if len(now.Detached) != 0 {
		t.Errorf("still detached: %v", now.Detached)
	}
}

// A target that fills the log again and again comes back later each time.
func TestReturnFrom(t *testing.T) {
	at := time.Now()
	for _, tc := range []struct {
		again   int
		failing bool
		want    time.Duration
	}{{0, false, 0}, {0, true, time.Minute}, {1, false, time.Minute}, {1, true, 2 * time.Minute}, {3, false, 4 * time.Minute}, {90, true, time.Hour}} {
		d := Detached{At: at, Again: tc.again}
		if have := d.ReturnFrom(tc.failing).Sub(at); have != tc.want {
			t.Errorf("detached %d times before, failing %v: after %v, want %v", tc.again, tc.failing, have, tc.want)
		}
	}
}

// What a detachment left undone is done by the next pass, and in the meantime the
// groups that are left hold the log.
func TestHalfDetachmentIsFinished(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	fill(t, l, 1000, 1000, time.Now(), 0)
	reads(t, l, "crm", cdc.Position{})
	reads(t, l, "forecast", maxPosition)
	if err := l.detach(t.Context(), "crm", Detached{}); err != nil {
		t.Fatal(err)
	}
	reads(t, l, "crm", cdc.Position{})
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm", "forecast"}})
	if s := pass(t, r); s.Trimmed != 1000 {
		t.Errorf("%d entries went, want all", s.Trimmed)
	}
}

// A group of nobody holds the log, and is named once. Forgetting it frees the log and
// leaves nothing behind.
func TestForget(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, out := logged(t, k.Server.URL(), k.Name)
	ctx := t.Context()
	fill(t, l, 1000, 1000, time.Now(), 0)
	reads(t, l, "crm", maxPosition)
	reads(t, l, "gone", cdc.Position{LSN: 1001})
	c := l.Client()
	if err := errors.Join(l.StartMappings(ctx, []string{"gone/deals", "crm/deals"}, nil),
		l.SetReader(ctx, "gone", []string{"deals"}), l.SetReader(ctx, "crm", []string{"deals"})); err != nil {
		t.Fatal(err)
	}
	kept := []string{l.keys.Fence("gone", 1), l.keys.State("gone", 2), l.keys.DeadLetters("gone", 3), l.keys.Parked("gone", 2), l.keys.Deferred("gone", 0), l.keys.TargetKeys("gone", 1), l.keys.NoteSpace("gone", "ids"), l.keys.Notes("gone"),
		l.keys.Trace("gone", 1, false), l.keys.Trace("gone", 2, true)}
	if err := errors.Join(c.Set(ctx, kept[0], 1, 0).Err(), c.HSet(ctx, kept[1], "a", "b").Err(),
		c.XAdd(ctx, &redis.XAddArgs{Stream: kept[2], Values: []any{"a", "b"}}).Err(), c.HSet(ctx, kept[3], "a", "b").Err(), c.HSet(ctx, kept[4], "a", "b").Err(), c.HSet(ctx, kept[5], "a", "b").Err(), c.HSet(ctx, kept[6], "a", "b").Err(), c.HSet(ctx, kept[7], "ids", 1).Err(),
		c.XAdd(ctx, &redis.XAddArgs{Stream: kept[8], Values: []any{"a", "b"}}).Err(), c.XAdd(ctx, &redis.XAddArgs{Stream: kept[9], Values: []any{"a", "b"}}).Err(),
		c.Set(ctx, l.keys.Lease("gone", 3), "7 some host", 0).Err()); err != nil {
		t.Fatal(err)
	}
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})
	pass(t, r)
	if s := pass(t, r); s.Trimmed != 2 {
		t.Errorf("%d entries went", s.Trimmed)
	}
	if text := out.String(); strings.Count(text, "walbridge target forget gone") != 1 {
		t.Errorf("said %q", text)
	}
	var owned *OwnedError
	if err := l.Forget(ctx, "gone"); !errors.As(err, &owned) || owned.Owner != "some host" {
		t.Errorf("forget a target in use: %v", err)
	}
	if is, err := l.Traces(ctx, "gone"); err != nil || !is {
		t.Errorf("traces of it: %v, %v", is, err)
	}
	if err := errors.Join(c.Del(ctx, l.keys.Lease("gone", 3)).Err(), l.Forget(ctx, "gone")); err != nil {
		t.Fatal(err)
	}
	if is, err := l.Traces(ctx, "gone"); err != nil || is {
		t.Errorf("traces of it after: %v, %v", is, err)
	}
	started, err := l.Started(ctx)
	if readers, rerr := l.Readers(ctx); errors.Join(err, rerr) != nil || len(started) != 1 || !started["crm/deals"] || len(readers) != 1 {
		t.Errorf("mappings that are known after: %v, readers %v (%v, %v)", started, readers, err, rerr)
	}
	if n, err := c.Exists(ctx, kept...).Result(); err != nil || n != 0 {
		t.Errorf("%d keys are left (%v)", n, err)
	}
	if s := pass(t, r); s.Trimmed != 1000 {
		t.Errorf("%d entries went, want all", s.Trimmed)
	}
}

// A full server takes nothing: that is said once, counted, and said once when it is
// over.
func TestBlockedIsCounted(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{})
	l, out := logged(t, s.URL(), "blocked")
	w, stop := running(t, l)
	e := cdc.Entry{Position: cdc.Position{LSN: 5}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
	appendOne(t, w, cdc.Stream{Lane: cdc.LaneNormal}, e)
	if now, why, total := l.Blocked(); now != 0 || why != "" || total != 0 {
		t.Errorf("blocked for %v of %v, %q", now, total, why)
	}
	if err := l.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	e.Position.LSN = 10
	w.Append(cdc.Stream{Lane: cdc.LaneNormal}, &e)
	w.Mark(11, time.UnixMicro(8))
	waitFor(t, func() bool { now, _, _ := l.Blocked(); return now > 2*blockedSay })
	if now, why, total := l.Blocked(); total < now || !strings.Contains(why, "OOM") {
		t.Errorf("blocked for %v of %v, %q", now, total, why)
	}
	if err := l.Client().ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return w.Appended() == 11 })
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	now, _, total := l.Blocked()
	if now != 0 || total < 2*blockedSay {
		t.Errorf("after it: blocked for %v, in all %v", now, total)
	}
	for _, want := range []string{"the log takes nothing", "give Redis more memory", "the log takes changes again"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not said once in %s", want, out)
		}
	}
}

// waitFor waits for what has no event of its own.
func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !f() {
		if cdc.Sleep(ctx, 5*time.Millisecond) != nil {
			t.Fatal("it did not come in 30 s")
		}
	}
}
