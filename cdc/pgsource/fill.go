package pgsource

import (
	"context"
	"fmt"
	"maps"
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
		if busy[b.Table] || len(f.active) >= fillsAtOnce {
			continue
		}
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

// track sees to it that transactions are tracked from now on, and gives those that ran
// when that began.
func (f *filler) track(ctx context.Context, r *chunkReader) ([]uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tracks == 0 {
		if err := r.mark(ctx, markTrack, "on"); err != nil {
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

// startMappings asks for the backfills that mappings start with which the log does not
// know yet. Tables that were not captured before wait for the transactions of now: what
// those write to the table is in neither chunk nor stream (design, section 4; tried).
func (c *Capture) startMappings(ctx context.Context, conn *pgx.Conn, r *router) error {
	started, err := c.log.Started(ctx)
	if err != nil {
		return err
	}
	var begun []string
	loads := map[cdc.Table][]string{}
	shared := map[cdc.Table]bool{} // with a mapping that needs no rows
	for _, m := range c.source.options.Mappings {
		if started[m.Name] {
			shared[m.Table] = true
			continue
		}
		begun = append(begun, m.Name)
		if m.Now {
			shared[m.Table] = true
			continue
		}
		loads[m.Table] = append(loads[m.Table], m.Name)
	}
	if len(begun) == 0 {
		return nil
	}
	after, err := nextXID(ctx, conn)
	if err != nil {
		return err
	}
	var list []cdc.Backfill
	for _, t := range slices.SortedFunc(maps.Keys(loads), cdc.Table.Compare) {
		b := cdc.Backfill{ID: cdc.NewBackfillID(), Table: r.nameOf(t), Reason: cdc.ReasonStart, Created: time.Now().UTC()}
		if r.fresh[b.Table] {
			b.After = after
		}
		if shared[t] {
			b.For = loads[t]
		}
		list = append(list, b)
	}
	return c.log.StartMappings(ctx, begun, list)
}

// nextXID reads the first transaction id that was not given out yet.
func nextXID(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	var xid int64
	if err := conn.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&xid); err != nil {
		return 0, fmt.Errorf("read transaction id: %w", err)
	}
	return uint64(xid), nil
}
