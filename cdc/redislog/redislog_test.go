package redislog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/fault"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

const partitions = 4

func open(t *testing.T, url, name string) *Log {
	t.Helper()
	l, err := Open(t.Context(), Options{URL: url, Name: name, Partitions: partitions, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// feed is a made-up source: entry n is row n%keys, in transactions of random size.
type feed struct {
	streams []cdc.Stream
	entries []cdc.Entry
	ends    []cdc.LSN // for each entry, the end of its transaction, or 0 within one
}

func newFeed(seed uint64, n int) *feed {
	rng := rand.New(rand.NewPCG(seed, 2))
	f := &feed{}
	lsn := cdc.LSN(1000)
	for len(f.entries) < n {
		lsn += cdc.LSN(1 + rng.IntN(500))
		for i, size := 0, 1+rng.IntN(40); i < size; i++ {
			key := fmt.Appendf(nil, `{"id":%d}`, rng.IntN(50))
			f.entries = append(f.entries, cdc.Entry{
				Position: cdc.Position{LSN: lsn, Ordinal: uint64(2 * i)}, Op: cdc.OpUpdate, Table: "public.deals", Key: key,
				After:  fmt.Appendf(nil, `{"id":1,"n":%d,"pad":%q}`, len(f.entries), strings.Repeat("x", rng.IntN(300))),
				Micros: 1_700_000_000_000_000 + int64(lsn), XID: 77,
			})
			lane := cdc.Lanes()[rng.IntN(3)]
			f.streams = append(f.streams, cdc.Stream{Lane: lane, Partition: cdc.PartitionOf("public.deals", key, partitions)})
			f.ends = append(f.ends, 0)
		}
		f.ends[len(f.ends)-1] = lsn + 10
	}
	return f
}

// pass hands the entries of all transactions that end after from to an appender,
// as a source does that was confirmed up to there, and waits until they are in.
func (f *feed) pass(ctx context.Context, a *Writer, from cdc.LSN) error {
	var last cdc.LSN
	for i := range f.entries {
		if f.entries[i].Position.LSN < from {
			continue
		}
		for a.Full() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-a.Space():
			}
		}
		a.Append(f.streams[i], &f.entries[i])
		if f.ends[i] != 0 {
			last = f.ends[i]
			a.Mark(last, time.UnixMicro(int64(last)))
		}
	}
	for a.Appended() < last {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.Space():
		case <-time.After(time.Millisecond): // Appended has no event of its own
		}
	}
	return nil
}

// run passes the feed through a writer of its own.
func (f *feed) run(t *testing.T, l *Log, from cdc.LSN) error {
	t.Helper()
	w, err := l.NewWriter(t.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		err := w.Run(ctx)
		if err != nil {
			cancel(err)
		}
		done <- err
	}()
	err = f.pass(ctx, w, from)
	cancel(nil)
	return errors.Join(<-done, err)
}

// check holds I2: every stream has exactly the feed's entries, in order, whole.
func (f *feed) check(t *testing.T, l *Log) {
	t.Helper()
	r := l.NewReader(1)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := map[cdc.Stream][]int{}
	for i, s := range f.streams {
		want[s] = append(want[s], i)
	}
	for s, list := range want {
		have, err := l.Client().XLen(t.Context(), l.keys.Stream(s)).Result()
		if err != nil || have != int64(len(list)) {
			t.Errorf("stream %v has %d entries (%v), want %d", s, have, err, len(list))
		}
	}
	for p := range partitions {
		from := map[string]cdc.Position{}
		left := 0
		for _, lane := range cdc.Lanes() {
			from[lane] = cdc.Position{}
			left += len(want[cdc.Stream{Lane: lane, Partition: p}])
		}
		for left > 0 {
			msgs, err := r.Read(t.Context(), p, from, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(msgs) == 0 {
				t.Fatalf("partition %d lacks %d entries", p, left)
			}
			left -= len(msgs)
			for _, m := range msgs {
				from[m.Stream.Lane] = m.Change.Position
				f.compare(t, want, m)
			}
		}
	}
}

// compare takes the next entry off the wanted ones of its stream.
func (f *feed) compare(t *testing.T, want map[cdc.Stream][]int, m cdc.Message) {
	t.Helper()
	if len(want[m.Stream]) == 0 {
		t.Fatalf("stream %v has entry %v, which was not passed to it", m.Stream, m.Change.Position)
	}
	e := f.entries[want[m.Stream][0]]
	want[m.Stream] = want[m.Stream][1:]
	c := m.Change
	if c.Position != e.Position || c.After != string(e.After) || c.Key != string(e.Key) || c.Op != e.Op ||
		c.Table.String() != e.Table || c.Time.UnixMicro() != e.Micros || c.XID != e.XID {
		t.Fatalf("stream %v has %+v, want %v (the one before it is missing, or twice)", m.Stream, c, e.Position)
	}
}

func TestAppendAndRead(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	f := newFeed(1, 5000)
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
}

// The demo falls back to an embedded server, which knows fewer commands.
func TestEmbeddedServerServes(t *testing.T) {
	m := miniredis.RunT(t)
	l := open(t, "redis://"+m.Addr()+"/0", "embedded")
	for _, s := range l.Streams() { // as a delivery does that starts before the capture
		if err := l.Client().XGroupCreateMkStream(t.Context(), l.keys.Stream(s), "crm", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	f := newFeed(5, 2000)
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil || b.Mode() != DurableNone {
		t.Errorf("durability %v (%v), want none", b, err)
	}
	if began, err := l.GroupBegan(t.Context(), "crm"); err != nil || began {
		t.Errorf("a group that read nothing began: %v (%v)", began, err)
	}
}

func TestResentEntriesAreHeldOnce(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	f := newFeed(2, 3000)
	for _, from := range []cdc.LSN{0, f.entries[1000].Position.LSN, 0} {
		if err := f.run(t, l, from); err != nil {
			t.Fatal(err)
		}
	}
	f.check(t, l)
	if l.Stats().Held == 0 {
		t.Error("nothing was held, so nothing was sent twice")
	}
}

// Connections are cut in the middle of requests and of answers: an append whose
// answer is lost is looked up, not repeated blindly and not taken for done.
func TestLostAnswersLeaveNoHole(t *testing.T) {
	k := servertest.SharedRedis(t)
	for seed := range uint64(4) {
		p, err := fault.NewProxy(k.Server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, "redis://"+p.Addr()+"/0", fmt.Sprintf("%s_%d", k.Name, seed))
		f := newFeed(seed, 4000)
		p.CutRandomly(seed, 400_000)
		if err := f.run(t, l, 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cuts := p.Cuts()
		p.CutRandomly(0, 0)
		p.CutAll()
		f.check(t, l)
		if cuts == 0 {
			t.Errorf("seed %d: no connection was cut", seed)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The server refuses writes for want of memory again and again while a backlog
// drains (pitfall 24: a refused entry sent after a later one was taken is lost).
func TestFullServerLeavesNoHole(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{})
	l := open(t, s.URL(), "full")
	f := newFeed(3, 20_000)
	stop := make(chan struct{})
	toggled := make(chan error, 1)
	go func() {
		rng := rand.New(rand.NewPCG(3, 3))
		for n := 0; ; n++ {
			limit := "0"
			if n%2 == 0 {
				limit = "1mb" // less than an empty server takes
			}
			if err := l.Client().ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
				toggled <- err
				return
			}
			select {
			case <-stop:
				toggled <- l.Client().ConfigSet(t.Context(), "maxmemory", "0").Err()
				return
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			}
		}
	}()
	err := f.run(t, l, 0)
	close(stop)
	if err := errors.Join(err, <-toggled); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
	if l.Stats().Retries == 0 {
		t.Error("nothing was refused")
	}
}

// The server is killed in mid-drain and comes back with what its append-only
// file holds. The source sends again from the durable mark, and nothing is
// missing or twice.
func TestKilledServerLosesNothingDurable(t *testing.T) {
	for _, aof := range []string{"always", "everysec"} {
		t.Run(aof, func(t *testing.T) {
			s := servertest.Redis(t, servers.RedisOptions{AOF: aof})
			l := open(t, s.URL(), "killed")
			f := newFeed(4, 30_000)
			if err := l.SetDurableMark(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			killed := make(chan error, 1)
			go func() {
				for i := range 3 {
					for l.Stats().Entries < uint64(i+1)*6000 {
						time.Sleep(time.Millisecond)
					}
					s.Kill()
					if err := s.Start(t.Context()); err != nil {
						killed <- err
						return
					}
				}
				killed <- nil
			}()
			for {
				mark := waitMark(t, l)
				err := f.run(t, l, mark)
				if err == nil {
					break
				}
				var rolled *RolledBackError
				if !errors.As(err, &rolled) {
					t.Fatal(err)
				}
				if rolled.Appended {
					t.Fatalf("entries were appended above the hole: %v", err)
				}
			}
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			// The last kill may have come after the last entry was passed.
			if err := f.run(t, l, waitMark(t, l)); err != nil {
				t.Fatal(err)
			}
			f.check(t, l)
		})
	}
}

// waitMark reads the durable mark once the server answers.
func waitMark(t *testing.T, l *Log) cdc.LSN {
	t.Helper()
	for {
		mark, ok, err := l.DurableMark(t.Context())
		if err == nil {
			if !ok {
				t.Fatal("the mark is gone")
			}
			return mark
		}
		time.Sleep(10 * time.Millisecond)
	}
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
		Tables: []cdc.RoutedTable{{OID: 1<<32 - 1, Name: odd, Lane: cdc.LaneBulk, Key: []string{"a", "b"}}}}}
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

func TestOpenRefuses(t *testing.T) {
	evicting := servertest.Redis(t, servers.RedisOptions{Extra: []string{"--maxmemory-policy", "allkeys-lru"}})
	k := servertest.SharedRedis(t)
	made := open(t, k.Server.URL(), k.Name)
	ofVersion := func(v string) string {
		keys := Keys{Name: k.Name + "_version_" + v}
		if err := made.Client().HSet(t.Context(), keys.Meta(), "version", v).Err(); err != nil {
			t.Fatal(err)
		}
		return keys.Name
	}
	for _, tc := range []struct {
		name string
		o    Options
		want []string
	}{
		{"a newer version", Options{URL: k.Server.URL(), Name: ofVersion("2"), Partitions: 4}, []string{"is of version 2, this walbridge knows version 1", "run the version of walbridge that made the log"}},
		{"no number for a version", Options{URL: k.Server.URL(), Name: ofVersion("x"), Partitions: 4}, []string{"is of version x"}},
		{"an evicting policy", Options{URL: evicting.URL(), Name: "a", Partitions: 4}, []string{"maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction"}},
		{"another number of partitions", Options{URL: k.Server.URL(), Name: k.Name, Partitions: 8}, []string{"made with 4 partitions, the configuration says 8", "set redis.partitions: 4"}},
		{"a server that is not there", Options{URL: "redis://127.0.0.1:1/0", Name: "a", Partitions: 4}, []string{"127.0.0.1:1 cannot be used", "check that the server runs"}},
		{"no URL", Options{URL: "http://user:secret@host", Name: "a", Partitions: 4}, []string{"redis.url is not a Redis URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.Logger = slog.New(slog.DiscardHandler)
			_, err := Open(t.Context(), tc.o)
			var se *cdc.SetupError
			if !errors.As(err, &se) {
				t.Fatalf("error %v, want a SetupError", err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q has the password", err)
			}
		})
	}
}

// A log says which version it is of; one from before that is of the first.
func TestOpenSaysTheVersion(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	for range 2 {
		if v, err := l.Client().HGet(t.Context(), l.Keys().Meta(), "version").Result(); err != nil || v != "1" {
			t.Errorf("version %q, %v, want 1", v, err)
		}
		if err := l.Client().HDel(t.Context(), l.Keys().Meta(), "version").Err(); err != nil {
			t.Fatal(err)
		}
		open(t, k.Server.URL(), k.Name)
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
			for b.Durable() < 6 {
				if err := b.step(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				if b.Durable() >= 6 && time.Since(began) < tc.wait {
					t.Fatalf("durable after %v", time.Since(began))
				}
				time.Sleep(barrierEvery / 4)
			}
			if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 6 {
				t.Errorf("mark %v %v (%v), want 6", mark, ok, err)
			}
			if err := stop(true); err != nil {
				t.Error(err)
			}
		})
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
