package redislog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

const partitions = 4

func open(t *testing.T, url, name string) *Log {
	t.Helper()
	return openWith(t, Options{URL: url, Name: name})
}

func openWith(t *testing.T, o Options) *Log {
	t.Helper()
	o.Partitions, o.Logger = partitions, slog.New(slog.DiscardHandler)
	l, err := Open(t.Context(), o)
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

// barrier gives a log's barrier, whose steps the test takes itself.
func barrier(t *testing.T, l *Log, w *Writer) *Barrier {
	t.Helper()
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
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
