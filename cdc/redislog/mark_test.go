package redislog

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// waitMark reads the durable mark once the server answers.
func waitMark(t *testing.T, l *Log) (mark cdc.LSN) {
	t.Helper()
	waitFor(t, func() bool {
		var ok bool
		var err error
		mark, ok, err = l.DurableMark(t.Context())
		if err == nil && !ok {
			t.Fatal("the mark is gone")
		}
		return err == nil
	})
	return mark
}

func TestForeignWriterIsSeen(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	w, stop := running(t, l)
	e := cdc.Entry{Position: cdc.Position{LSN: 5}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
	s := cdc.Stream{Lane: cdc.LaneNormal}
	appendOne(t, w, s, e)
	if err := l.Client().Do(t.Context(), "xadd", l.keys.Stream(s), "9-0", "op", "c").Err(); err != nil {
		t.Fatal(err)
	}
	e.Position.LSN = 10
	w.Append(s, &e)
	var foreign *ForeignWriterError
	if err := stop(false); !errors.As(err, &foreign) {
		t.Fatalf("error %v, want a ForeignWriterError", err)
	}
	// It may be the last batch of the process before us: a new session looks again.
	if _, err := l.NewAppender(t.Context()); err != nil {
		t.Errorf("a new session: %v", err)
	}
}

// A stream that is shorter under an open connection, as after a failover to a
// replica that was behind: the log is marked, and nobody uses it as if whole.
func TestRolledBackLogIsSeenAndMarked(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	w, stop := running(t, l)
	e := cdc.Entry{Position: cdc.Position{LSN: 5}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
	s := cdc.Stream{Lane: cdc.LaneNormal}
	appendOne(t, w, s, e)
	if err := l.Client().Del(t.Context(), l.keys.Stream(s)).Err(); err != nil {
		t.Fatal(err)
	}
	e.Position.LSN = 10
	w.Append(s, &e)
	var rolled *RolledBackError
	if err := stop(false); !errors.As(err, &rolled) || rolled.Want.LSN != 5 {
		t.Fatalf("error %v, want a RolledBackError from 5-0", err)
	}
	// A new session of this process and a new process see it.
	for _, l := range []*Log{l, open(t, k.Server.URL(), k.Name)} {
		if what, err := l.Broken(t.Context()); err != nil || !strings.Contains(what, "has lost part of the log") {
			t.Fatalf("the log is broken by %q, error %v", what, err)
		}
	}
	epoch := cdc.Epoch{SystemID: "7", Timeline: 2, Slot: "s", Base: 100}
	if err := l.Renew(t.Context(), epoch, 50); err != nil {
		t.Fatal(err)
	}
	if have, ok, err := l.Epoch(t.Context()); err != nil || !ok || have != epoch {
		t.Fatalf("epoch %+v, %v, %v", have, ok, err)
	}
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 50 {
		t.Fatalf("mark %v, %v, %v", mark, ok, err)
	}
	if what, err := l.Broken(t.Context()); err != nil || what != "" {
		t.Fatalf("in a new epoch the log is broken by %q, error %v", what, err)
	}
}

// What the description keeps comes back as it was.
func TestDescription(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	ctx := t.Context()
	if list, err := l.Routings(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new log has the routings %v, error %v", list, err)
	}
	odd := cdc.Table{Schema: "public", Name: `De"als`}
	want := []cdc.Routing{{BulkAfter: 7}, {Above: cdc.Position{LSN: 1 << 60, Ordinal: 1<<64 - 1}, BulkAfter: 1000,
		Tables: []cdc.RoutedTable{{OID: 1<<32 - 1, Name: odd, Lane: cdc.LaneBulk, Rules: "urgent: a > 1\n", Key: []string{"a", "b"}}}}}
	if err := l.SetRoutings(ctx, want); err != nil {
		t.Fatal(err)
	}
	if have, err := l.Routings(ctx); err != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("routings %+v, error %v, want %+v", have, err, want)
	}
	if err := l.SetStopped(ctx, odd, "it was dropped"); err != nil {
		t.Fatal(err)
	}
	if have, err := l.Stopped(ctx); err != nil || !maps.Equal(have, map[cdc.Table]string{odd: "it was dropped"}) {
		t.Errorf("stopped tables %v, error %v", have, err)
	}
	if err := l.SetStopped(ctx, odd, ""); err != nil {
		t.Fatal(err)
	}
	if have, err := l.Stopped(ctx); err != nil || len(have) != 0 {
		t.Errorf("stopped tables %v, error %v, want none", have, err)
	}
	w, stop := running(t, l)
	for i, s := range []cdc.Stream{{Lane: cdc.LaneBulk, Partition: 3}, {Lane: cdc.LaneUrgent}} {
		appendOne(t, w, s, cdc.Entry{Position: cdc.Position{LSN: cdc.LSN(10 - i)}, Op: cdc.OpTruncate, Table: "public.deals"})
	}
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	if have, err := l.Tail(ctx); err != nil || have != (cdc.Position{LSN: 10}) {
		t.Errorf("the tail of all streams is %v, error %v", have, err)
	}
	if at := w.AppendedAt(); at != time.UnixMicro(7).UTC() {
		t.Errorf("appended up to %v", at)
	}
}

// running starts a writer; stop waits for its end, or ends it.
func running(t *testing.T, l *Log) (w *Writer, stop func(cancel bool) error) {
	t.Helper()
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, func(now bool) error {
		if now {
			cancel()
		}
		defer cancel()
		return <-done
	}
}

func appendOne(t *testing.T, w *Writer, s cdc.Stream, e cdc.Entry) {
	t.Helper()
	w.Append(s, &e)
	w.Mark(e.Position.LSN+1, time.UnixMicro(7))
	for w.Appended() <= e.Position.LSN {
		select {
		case <-t.Context().Done():
			t.Fatal("the entry was not appended")
		case <-time.After(time.Millisecond):
		}
	}
}

// What is not on the disk is not durable: with appendfsync everysec the mark
// follows the appends by two seconds at least.
func TestBarrierWaitsForTheDisk(t *testing.T) {
	for _, tc := range []struct {
		aof  string
		mode Durability
		wait time.Duration
	}{{"", DurableNone, 0}, {"always", DurableAlways, 0}, {"everysec", DurableAge, barrierAge + barrierAgain}} {
		t.Run(string(tc.mode), func(t *testing.T) {
			s := servertest.Redis(t, servers.RedisOptions{AOF: tc.aof})
			l := open(t, s.URL(), "barrier")
			w, stop := running(t, l)
			if err := l.SetDurableMark(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			b, err := l.NewBarrier(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if b.Mode() != tc.mode {
				t.Fatalf("mode %s, want %s", b.Mode(), tc.mode)
			}
			appendOne(t, w, cdc.Stream{Lane: cdc.LaneNormal}, cdc.Entry{Position: cdc.Position{LSN: 5}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)})
			began := time.Now()
			waitFor(t, func() bool {
				if err := b.step(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				if b.Durable() >= 6 && time.Since(began) < tc.wait {
					t.Fatalf("durable after %v", time.Since(began))
				}
				return b.Durable() >= 6
			})
			if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 6 {
				t.Errorf("mark %v %v (%v), want 6", mark, ok, err)
			}
			if err := stop(true); err != nil {
				t.Error(err)
			}
		})
	}
}

// The number of the last append rises: a late copy of an earlier one, from a connection
// that was given up, does not look like a loss.
func TestNumbersOnlyRise(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		session         string
		answered, round int
		have, after     string
	}{
		{w.session, 0, 1, "", w.session + " 1"},
		{w.session, 1, 3, "", w.session + " 3"},
		{w.session, 1, 2, "", w.session + " 3"}, // late
		{w.session, 4, 5, w.session + " 3", w.session + " 3"},
		{"other", 0, 1, w.session + " 3", w.session + " 3"},
	} {
		have, err := l.Client().Eval(t.Context(), roundText, []string{l.Keys().Appended()}, tc.session, tc.answered, tc.round).Text()
		if err != nil || have != tc.have {
			t.Errorf("round %d after %d: %q (%v), want %q", tc.round, tc.answered, have, err, tc.have)
		}
		if after, err := l.Client().Get(t.Context(), l.Keys().Appended()).Result(); err != nil || after != tc.after {
			t.Errorf("round %d after %d left %q (%v), want %q", tc.round, tc.answered, after, err, tc.after)
		}
	}
}

// A server that came back without its newest writes is known by the mark alone,
// where no stream shows it: the barrier says so and leaves the proof standing.
func TestLostMarkIsSaidAndKept(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	w, stop := running(t, l)
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	s := cdc.Stream{Lane: cdc.LaneNormal}
	e := cdc.Entry{Position: cdc.Position{LSN: 5}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
	appendOne(t, w, s, e)
	if err := b.step(t.Context(), time.Now()); err != nil || b.Durable() != 6 {
		t.Fatalf("durable %v (%v), want 6", b.Durable(), err)
	}
	if err := l.SetDurableMark(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	e.Position.LSN = 10
	appendOne(t, w, s, e)
	var lost *MarkLostError
	if err := b.step(t.Context(), time.Now()); !errors.As(err, &lost) {
		t.Fatalf("error %v, want a MarkLostError", err)
	}
	if mark, _, err := l.DurableMark(t.Context()); err != nil || mark != 3 || b.Durable() != 6 {
		t.Errorf("mark %v, durable %v (%v), want 3 and 6", mark, b.Durable(), err)
	}
	if err := stop(true); err != nil {
		t.Error(err)
	}
}
