package pgsource

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
)

// Capture carries the changes of a source into a log.
type Capture struct {
	source *Source
	log    cdc.Log
	stats  stats
	// streamed tells that a session of this process had the slot. One that is
	// held after that is held by our own connection, which the server has not
	// missed yet, and is waited for.
	streamed bool
}

// NewCapture puts a source and a log together.
func NewCapture(s *Source, l cdc.Log) *Capture { return &Capture{source: s, log: l} }

// Stats is what a capture has done and where it stands.
type Stats struct {
	Rows, Filtered, Transactions, Bytes uint64
	// Appended and Confirmed are source LSNs: what the log holds, and what the
	// server was told it may forget.
	Appended, Confirmed cdc.LSN
	// ServerEnd is the end of the server's WAL as it last said.
	ServerEnd cdc.LSN
	Connected bool
	// Progress is when something last arrived from the server.
	Progress time.Time
}

type stats struct {
	rows, filtered, transactions, bytes  atomic.Uint64
	appended, confirmed, serverEnd, seen atomic.Uint64
	connected                            atomic.Bool
}

// Stats gives the counters; it may be called from anywhere.
func (c *Capture) Stats() Stats {
	return Stats{
		Rows: c.stats.rows.Load(), Filtered: c.stats.filtered.Load(),
		Transactions: c.stats.transactions.Load(), Bytes: c.stats.bytes.Load(),
		Appended: cdc.LSN(c.stats.appended.Load()), Confirmed: cdc.LSN(c.stats.confirmed.Load()),
		ServerEnd: cdc.LSN(c.stats.serverEnd.Load()), Connected: c.stats.connected.Load(),
		Progress: time.Unix(0, int64(c.stats.seen.Load())),
	}
}

// Prepare checks the source, makes what is missing and ends: what is wrong with
// the setting up is told at once, not after the first back-off.
func (c *Capture) Prepare(ctx context.Context) error {
	conn, err := c.source.firstConnection(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := c.source.Check(ctx, conn); err != nil {
		return err
	}
	if err := c.source.ensurePublication(ctx, conn); err != nil {
		return err
	}
	f, err := c.source.facts(ctx, conn)
	if err != nil {
		return err
	}
	return c.ensureSlot(ctx, f)
}

// Run captures until ctx ends. A lost connection, to either side, is made again
// with back-off; what a person must change ends it with a SetupError.
func (c *Capture) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = 100*time.Millisecond, 10*time.Second, 0
	retry.Reset()
	for {
		began := time.Now()
		err := c.session(ctx)
		c.stats.connected.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		var se *cdc.SetupError
		if errors.As(err, &se) {
			return err
		}
		if time.Since(began) > time.Minute {
			retry.Reset()
		}
		wait := retry.NextBackOff()
		c.source.logger.Warn("capture interrupted", "error", err, "retry_in", wait)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// session is one replication connection, from its making to its end.
func (c *Capture) session(ctx context.Context) error {
	if err := c.prepareSession(ctx); err != nil {
		return err
	}
	repl, err := c.source.connectReplication(ctx)
	if err != nil {
		return err
	}
	defer closeConn(repl)
	f, epoch, err := c.identify(ctx, repl)
	if err != nil {
		return err
	}
	app, err := c.log.NewAppender(ctx)
	if err != nil {
		return err
	}
	if err := c.start(ctx, repl); err != nil {
		return err
	}
	c.streamed = true
	c.stats.confirmed.Store(uint64(f.Confirmed))
	c.stats.connected.Store(true)
	c.source.logger.Info("capture started", "slot", c.source.options.Slot, "from", f.Confirmed.String())
	g, gctx := errgroup.WithContext(ctx)
	st := newStream(c, repl, app, streamStart{base: epoch.Base, xid: f.XID, confirmed: f.Confirmed})
	g.Go(func() error { return app.Run(gctx) })
	g.Go(func() error { return c.source.heartbeat(gctx) })
	g.Go(func() error { return st.run(gctx) })
	return g.Wait()
}

// prepareSession sees to the publication again: it may have been changed while
// the capture was away, and so may the tables.
func (c *Capture) prepareSession(ctx context.Context) error {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := c.source.Check(ctx, conn); err != nil {
		return err
	}
	return c.source.ensurePublication(ctx, conn)
}

// identify holds the server and its slot against what the log was filled from.
func (c *Capture) identify(ctx context.Context, repl *pgconn.PgConn) (Facts, cdc.Epoch, error) {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return Facts{}, cdc.Epoch{}, err
	}
	defer closeConn(conn)
	f, err := c.source.facts(ctx, conn)
	if err != nil {
		return f, cdc.Epoch{}, err
	}
	sys, err := pglogrepl.IdentifySystem(ctx, repl)
	if err != nil {
		return f, cdc.Epoch{}, fmt.Errorf("identify postgres: %w", err)
	}
	epoch, ok, err := c.log.Epoch(ctx)
	if err != nil {
		return f, epoch, err
	}
	mark, marked, err := c.log.DurableMark(ctx)
	if err != nil {
		return f, epoch, err
	}
	if !ok || !marked {
		return f, epoch, c.lost("the log has no record of this bridge any more: it was wiped, or Redis came back without its data")
	}
	now := cdc.Epoch{SystemID: sys.SystemID, Timeline: sys.Timeline, Slot: c.source.options.Slot, Base: epoch.Base}
	if epoch.SystemID == "" { // the log was made before the first session
		epoch = now
		return f, epoch, c.log.SetEpoch(ctx, epoch)
	}
	if epoch != now {
		return f, epoch, c.lost(fmt.Sprintf("the log was filled from system %s timeline %d, this server is system %s timeline %d: it was restored or failed over",
			epoch.SystemID, epoch.Timeline, now.SystemID, now.Timeline))
	}
	if !f.HasSlot {
		return f, epoch, c.lost(fmt.Sprintf("slot %s is gone from the server", c.source.options.Slot))
	}
	if f.Confirmed > mark {
		return f, epoch, c.lost(fmt.Sprintf("the slot was confirmed up to %v, but the log holds changes only up to %v", f.Confirmed, mark))
	}
	return f, epoch, nil
}

// lost is the one place that says that changes are gone (I12).
func (c *Capture) lost(what string) error {
	return &cdc.SetupError{What: "data_loss: " + what,
		Hint: fmt.Sprintf("give the bridge a new name in the configuration, which starts a new log and slot, load the rows anew, and drop the old slot: SELECT pg_drop_replication_slot('%s')", c.source.options.Slot)}
}

// ensureSlot makes the slot of a new log. The order lets a crash between the
// steps be told from a loss: the description of the log comes first, then the
// slot, then the mark.
func (c *Capture) ensureSlot(ctx context.Context, f Facts) error {
	_, described, err := c.log.Epoch(ctx)
	if err != nil {
		return err
	}
	_, marked, err := c.log.DurableMark(ctx)
	if err != nil {
		return err
	}
	switch {
	case described && marked:
		return nil // a session looks at the rest
	case !described && f.HasSlot:
		return c.lost(fmt.Sprintf("slot %s exists, but the log has no record of it: the log was wiped, or the slot belongs to something else", c.source.options.Slot))
	case !described:
		if err := c.log.SetEpoch(ctx, cdc.Epoch{Slot: c.source.options.Slot}); err != nil {
			return err
		}
	default:
		empty, err := c.log.Empty(ctx)
		if err != nil {
			return err
		}
		if !empty {
			return c.lost("the log has entries but no durable mark")
		}
	}
	from := f.Confirmed
	if !f.HasSlot {
		if from, err = c.source.createSlot(ctx); err != nil {
			return err
		}
	}
	return c.log.SetDurableMark(ctx, from)
}

// start begins the stream where the server says the slot was confirmed. It
// waits for a slot that is still held, as by the connection of a process that
// was killed and whose death the server has not noticed yet.
func (c *Capture) start(ctx context.Context, repl *pgconn.PgConn) error {
	o := c.source.options
	deadline := time.Now().Add(o.SlotWait)
	held := ""
	for {
		err := pglogrepl.StartReplication(ctx, repl, o.Slot, 0, pglogrepl.StartReplicationOptions{
			Mode: pglogrepl.LogicalReplication,
			PluginArgs: []string{"proto_version '1'", "messages 'true'",
				"publication_names '" + cdc.QuoteIdent(o.Publication) + "'"},
		})
		var pe *pgconn.PgError
		if err == nil || !errors.As(err, &pe) || pe.Code != "55006" {
			if err != nil {
				return fmt.Errorf("start replication from slot %s: %w", o.Slot, err)
			}
			return nil
		}
		if !c.streamed && time.Now().After(deadline) {
			return &cdc.SetupError{What: fmt.Sprintf("slot %s is in use by another process", o.Slot), Err: errors.New(pe.Message),
				Hint: "stop the other process (SELECT * FROM pg_stat_activity WHERE pid = that PID), or set postgres.slot to a name of its own"}
		}
		if said := pe.Message; said != held {
			held = said
			c.source.logger.Info("waiting for the slot", "slot", o.Slot, "held", said)
		}
		t := time.NewTimer(500 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}
