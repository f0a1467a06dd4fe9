package pgsource

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// tornLog loses a sweep in all of its streams but a few, and what comes after it, as a
// process does whose connection is cut in the middle.
type tornLog struct {
	cdc.Log
	streams []cdc.Stream
	torn    atomic.Bool
}

func (l *tornLog) NewAppender(ctx context.Context) (cdc.Appender, error) {
	a, err := l.Log.NewAppender(ctx)
	return &tornAppender{a, l}, err
}

type tornAppender struct {
	cdc.Appender
	log *tornLog
}

func (a *tornAppender) Append(s cdc.Stream, e *cdc.Entry) {
	if !a.log.torn.Load() {
		a.Appender.Append(s, e)
	}
}

func (a *tornAppender) AppendAll(e *cdc.Entry) {
	for _, s := range a.log.streams {
		a.Append(s, e)
	}
	a.log.torn.Store(true)
}

func (a *tornAppender) Mark(end cdc.LSN, at time.Time) {
	if !a.log.torn.Load() {
		a.Appender.Mark(end, at)
	}
}

// A sweep that a session has put into some streams only stands in all of them after the
// next, at its Position, whoever waits for it (found by nemesis, seed 411266). One of
// another bridge is passed over.
func TestSweepIsInAllStreams(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	torn := &tornLog{Log: b.log, streams: b.log.Streams()[:3]}
	b.startInto(torn)
	id := b.backfill(cdc.Backfill{Table: public("deals"), Generation: true})
	sweeps := func() map[cdc.Position]int {
		at := map[cdc.Position]int{}
		for _, s := range b.log.Streams() {
			for _, ch := range b.read(s) {
				if ch.Op == cdc.OpSweep {
					at[ch.Position]++
				}
			}
		}
		return at
	}
	until(t, "the sweep to be in some streams", func() bool {
		for _, n := range sweeps() {
			return n == len(torn.streams)
		}
		return false
	})
	b.stop()
	b.free()
	if err := b.log.WishBackfill(t.Context(), id, cdc.WishCancel); err != nil {
		t.Fatal(err)
	}
	epoch, _, err := b.log.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []sweep{{Slot: "another", Base: epoch.Base}, {Slot: b.options.Slot, Base: epoch.Base + 1}} {
		text, err := s.text()
		if err != nil {
			t.Fatal(err)
		}
		b.exec(`SELECT pg_logical_emit_message(true, $1, $2)`, Prefix, "somebody sweep "+text)
	}
	b.exec(`SELECT pg_logical_emit_message(true, $1, 'somebody sweep nonsense')`, Prefix)
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (2)`)
	b.wait(c)
	got := sweeps()
	if len(got) != 1 {
		t.Errorf("sweeps at %v, want one", got)
	}
	for at, n := range got {
		if n != len(b.log.Streams()) {
			t.Errorf("the sweep at %v is in %d of %d streams", at, n, len(b.log.Streams()))
		}
	}
}
