package redislog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Pitfall 23: a server that comes back without its last writes, but with the
// durable mark, which was written before them. Nobody appends to the stream that
// lost an entry; all the same the mark is not moved over the loss, and the entry
// is appended again by the next session (I1, I2).
func TestLostTailBehindTheMark(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := servertest.Redis(t, servers.RedisOptions{Dir: dir, AOF: "always"})
	l := open(t, r.URL(), "tail")
	if err := l.SetDurableMark(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	first, second := cdc.Stream{Lane: cdc.LaneNormal, Partition: 0}, cdc.Stream{Lane: cdc.LaneNormal, Partition: 1}
	entry := func(lsn cdc.LSN) cdc.Entry {
		return cdc.Entry{Position: cdc.Position{LSN: lsn}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
	}
	appendOne(t, w, first, entry(10))
	if err := b.step(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	if b.Durable() != 11 {
		t.Fatalf("durable up to %v", b.Durable())
	}
	file := filepath.Join(dir, "appendonlydir", "appendonly.aof.1.incr.aof")
	kept := sizeOf(t, file)
	appendOne(t, w, second, entry(20))
	r.Kill()
	if err := os.Truncate(file, kept); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	var lost *SessionLostError
	err = b.step(ctx, time.Now())
	for err != nil && !errors.As(err, &lost) { // the connections of before have to notice
		err = b.step(ctx, time.Now())
	}
	if lost == nil || b.Durable() != 11 {
		t.Fatalf("error %v, durable up to %v; want a SessionLostError and 0/B", err, b.Durable())
	}
	// The writer sees it as well, whatever stream it appends to.
	e := entry(30)
	w.Append(first, &e)
	if err := <-done; !errors.As(err, &lost) {
		t.Fatalf("the writer ended with %v", err)
	}
	mark, ok, err := l.DurableMark(ctx)
	if err != nil || !ok || mark != 11 {
		t.Fatalf("the mark is %v, %v, %v", mark, ok, err)
	}
	// The next session is sent everything from the mark on.
	w2, stop := running(t, l)
	appendOne(t, w2, second, entry(20))
	appendOne(t, w2, first, entry(30))
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[cdc.Stream]int64{first: 2, second: 1} {
		if n, err := l.Client().XLen(ctx, l.Keys().Stream(s)).Result(); err != nil || n != want {
			t.Errorf("stream %v has %d entries, %v; want %d", s, n, err, want)
		}
	}
}

func sizeOf(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
