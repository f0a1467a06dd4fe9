package pgsource

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// fillEvery is how often it is looked what backfills are asked for.
	fillEvery = 500 * time.Millisecond
	// fillsAtOnce is how many tables are read at once.
	fillsAtOnce = 4
)

// filler works on the backfills of the log for as long as a session lasts.
type filler struct {
	capture *Capture
	stream  *stream
	x       *exchange
	ended   chan *load

	// Of the filler's goroutine alone:
	active  map[string]*load // by id
	version string           // of the backfills, when nothing was left to do
	idle    bool

	mu     sync.Mutex // covers tracks and before
	tracks int        // how many loads want transactions to be tracked
	// before are the transactions that ran when that began: what they wrote may have
	// been streamed before, and not be visible yet.
	before []uint64
}

// fill works on backfills until ctx ends. What fails is tried again: it never ends the
// capture.
func (c *Capture) fill(ctx context.Context, st *stream) error {
	f := &filler{capture: c, stream: st, x: st.injector.x, ended: make(chan *load), active: map[string]*load{}}
	var work sync.WaitGroup
	defer work.Wait()
	tick := time.NewTicker(fillEvery)
	defer tick.Stop()
	failing := false
	for {
		err := f.look(ctx, &work)
		if err != nil && ctx.Err() == nil && !failing {
			c.source.logger.Warn("the backfills that are asked for cannot be read", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case l := <-f.ended:
			delete(f.active, l.spec.ID)
		case <-tick.C:
		}
	}
}

// look starts what is asked for, as far as there is room, and hands on what is wished.
func (f *filler) look(ctx context.Context, work *sync.WaitGroup) error {
	version, err := f.capture.log.BackfillsVersion(ctx)
	if err != nil || f.idle && version == f.version {
		return err
	}
	list, err := f.capture.log.Backfills(ctx)
	if err != nil {
		return err
	}
	if len(f.stream.starter.waiting) > 0 && version != f.version {
		if err := f.startWaiting(ctx); err != nil {
			return err
		}
	}
	f.version, f.idle = version, true
	f.capture.setBackfills(list)
	busy := map[cdc.Table]bool{}
	for _, l := range f.active {
		busy[l.spec.Table] = true
	}
	for i := range list {
		b := &list[i]
		if l := f.active[b.ID]; l != nil {
			l.wish(b.Wish)
			f.idle = false
			continue
		}
		if b.Progress.State.Final() || b.Wish == cdc.WishPause && b.Progress.State == cdc.BackfillPaused {
			continue
		}
		f.idle = false
		if b.Wish == cdc.WishCancel && b.Progress.State == cdc.BackfillWaiting {
			b.Progress.State = cdc.BackfillCancelled
			if err := f.capture.log.SetBackfillProgress(ctx, b.ID, b.Progress); err != nil {
				return err
			}
			continue
		}
		if parent := waitsBehind(b, list); parent != nil {
			if err := f.tellBehind(ctx, b, parent); err != nil {
				return err
			}
			continue
		}
		if busy[b.Table] || len(f.active) >= fillsAtOnce {
			continue
		}
		b.Progress.Note = ""
		l := newLoad(f, b)
		busy[b.Table], f.active[b.ID] = true, l
		work.Go(func() {
			l.run(ctx)
			select {
			case f.ended <- l:
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// waitsBehind gives the backfill that one has to wait for; nil if there is none. One that
// nobody remembers any more has ended.
func waitsBehind(b *cdc.BackfillStatus, list []cdc.BackfillStatus) *cdc.BackfillStatus {
	for i := range list {
		if o := &list[i]; slices.Contains(b.Behind, o.ID) && !o.Progress.State.Final() {
			return o
		}
	}
	return nil
}

// tellBehind notes what a backfill waits for, where that is news.
func (f *filler) tellBehind(ctx context.Context, b, parent *cdc.BackfillStatus) error {
	note := fmt.Sprintf("waits for backfill %s of %s, whose rows are referred to", parent.ID, parent.Table)
	if b.Progress.Note == note {
		return nil
	}
	b.Progress.Note = note
	return f.capture.log.SetBackfillProgress(ctx, b.ID, b.Progress)
}

// startWaiting looks whether the delivery knows by now the mappings that wait for it.
func (f *filler) startWaiting(ctx context.Context) error {
	conn, err := f.capture.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	return f.stream.starter.start(ctx, conn)
}

// track sees to it that transactions are tracked from now on, and gives those that ran
// when that began.
func (f *filler) track(ctx context.Context, r *chunkReader) ([]uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tracks == 0 {
		if err := r.mark(ctx, markTrack, "on"); err != nil {
			return nil, err
		}
		// A snapshot lists only what began before the last transaction that has ended.
		if _, err := nextXID(ctx, r.conn); err != nil {
			return nil, err
		}
		s, err := r.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		f.before = s.running
	}
	f.tracks++
	return slices.Clone(f.before), nil
}

// untrack gives up what track began. A mark that cannot be written costs a little
// memory, no more.
func (f *filler) untrack(ctx context.Context, r *chunkReader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tracks--; f.tracks > 0 || r.conn == nil {
		return
	}
	if err := r.mark(ctx, markTrack, "off"); err != nil {
		f.capture.source.logger.Debug("end the tracking of transactions", "error", err)
	}
}

// setBackfills keeps the backfills for who asks the capture.
func (c *Capture) setBackfills(list []cdc.BackfillStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backfills = list
}

// Backfills lists the backfills as of late.
func (c *Capture) Backfills() []cdc.BackfillStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.backfills)
}

// nextXID takes a transaction id: all that were given out before are lower. The end of a
// snapshot is not that: it lies just above the last transaction that has ended.
func nextXID(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	var xid int64
	if err := conn.QueryRow(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&xid); err != nil {
		return 0, fmt.Errorf("take transaction id: %w", err)
	}
	return uint64(xid), nil
}
