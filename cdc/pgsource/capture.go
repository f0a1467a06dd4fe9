package pgsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	// unsettled is the reason of a loss that is being settled; empty once a stream goes on.
	unsettled string
	// names are those of the captured tables at the source, when the last session of
	// this process began.
	names map[uint32]cdc.Table

	mu        sync.Mutex // covers losses and backfills
	losses    map[string]uint64
	backfills []cdc.BackfillStatus
	// misfits are the columns that were told of. Only the goroutine that reads
	// the stream uses it.
	misfits map[misfit]bool
}

// misfit is a column with values that do not fit their composite type.
type misfit struct{ table, column string }

// NewCapture puts a source and a log together.
func NewCapture(s *Source, l cdc.Log) *Capture {
	return &Capture{source: s, log: l, losses: map[string]uint64{}, misfits: map[misfit]bool{}}
}

// State is what a capture is at.
type State int32

// The states.
const (
	// Connecting: there is no stream yet, or not any more.
	Connecting State = iota
	// Standby: another process has the slot, and this one waits for its end.
	Standby
	// Streaming: changes are being captured.
	Streaming
)

// String gives the word for people.
func (s State) String() string { return [...]string{"connecting", "standby", "streaming"}[s] }

func (c *Capture) state(s State) { c.stats.state.Store(int32(s)) }

// Stats is what a capture has done and where it stands.
type Stats struct {
	Rows, Filtered, Transactions, Bytes uint64
	// Misfits counts values of composite types that were left out of their row
	// as absent, because they do not fit the type as the catalog has it. Those
	// that the server sends again are counted again. In an update such a column
	// looks unchanged, so that what the target holds of it may be old.
	Misfits uint64
	// Appended and Confirmed are source LSNs: what the log holds, and what the
	// server was told it may forget.
	Appended, Confirmed cdc.LSN
	// ServerEnd is the end of the server's WAL as it last said.
	ServerEnd cdc.LSN
	State     State
	// Progress is when something last arrived from the server.
	Progress time.Time
	// CompleteUntil is up to when, by the source's clock, the log holds all that was
	// committed.
	CompleteUntil time.Time
	// Retained are the bytes of WAL that the slot keeps, as last measured.
	Retained int64
	// Losses counts what was lost, by reason.
	Losses map[string]uint64
	// Backfilled counts rows that backfills put into the log.
	Backfilled uint64
	// Keyless counts rows that had no key and so are not in the log.
	Keyless uint64
}

type stats struct {
	rows, filtered, transactions, bytes, keyless, misfits, backfilled atomic.Uint64
	appended, confirmed, serverEnd, seen                              atomic.Uint64
	retained, completeUntil                                           atomic.Int64
	state                                                             atomic.Int32
}

// Stats gives the counters; it may be called from anywhere.
func (c *Capture) Stats() Stats {
	c.mu.Lock()
	losses := maps.Clone(c.losses)
	c.mu.Unlock()
	out := Stats{
		Rows: c.stats.rows.Load(), Filtered: c.stats.filtered.Load(),
		Transactions: c.stats.transactions.Load(), Bytes: c.stats.bytes.Load(),
		Misfits:  c.stats.misfits.Load(),
		Appended: cdc.LSN(c.stats.appended.Load()), Confirmed: cdc.LSN(c.stats.confirmed.Load()),
		ServerEnd: cdc.LSN(c.stats.serverEnd.Load()), State: State(c.stats.state.Load()),
		Progress: time.Unix(0, int64(c.stats.seen.Load())),
		Retained: c.stats.retained.Load(), Losses: losses, Keyless: c.stats.keyless.Load(),
		Backfilled: c.stats.backfilled.Load(),
	}
	if micros := c.stats.completeUntil.Load(); micros != 0 {
		out.CompleteUntil = time.UnixMicro(micros).UTC()
	}
	return out
}

// misfit counts a value that the decoder left out, and tells of its column once:
// the rows of a backlog from before an ALTER TYPE may all be like that.
func (c *Capture) misfit(table, column string) {
	c.stats.misfits.Add(1)
	if m := (misfit{table, column}); !c.misfits[m] {
		c.misfits[m] = true
		c.source.logger.Warn("composite does not fit its type as the catalog has it now; left out as absent",
			"table", table, "column", column)
	}
}

// Prepare checks the source and, for a log that is new, makes publication and slot:
// what is wrong with the setting up is told at once, not after the first back-off.
// Of a log that is in use nothing is touched: another capture of the bridge may be
// at work.
func (c *Capture) Prepare(ctx context.Context) error {
	conn, err := c.source.firstConnection(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := c.source.Check(ctx, conn); err != nil {
		return err
	}
	l, err := ReadLog(ctx, c.log)
	if err != nil {
		return err
	}
	if l.Described && l.Marked {
		if err := c.source.checkSlot(ctx, conn); err != nil {
			return err
		}
		return c.alone(ctx)
	}
	f, err := c.source.Facts(ctx, conn)
	for told := false; err == nil && f.Making; f, err = c.source.Facts(ctx, conn) {
		if !told {
			told = true
			c.source.logger.Info("the slot is being made by another process, which is waited for", "slot", c.source.options.Slot, "pid", f.Active)
		}
		if err := cdc.Sleep(ctx, slotPoll); err != nil {
			return err
		}
	}
	if errors.Is(err, errStandbyServer) {
		return &cdc.SetupError{What: fmt.Sprintf("postgres at %s is a standby, in recovery", c.source.where), Hint: "set postgres.url to the primary"}
	}
	if err != nil {
		return err
	}
	return c.begin(ctx, conn, &f, l.Described)
}

// begin makes the slot of a new log. The order lets a crash between the steps be
// told from a loss: the description of the log comes first, then the publication,
// then the slot, which decodes no WAL from before it, then the mark.
func (c *Capture) begin(ctx context.Context, conn *pgx.Conn, f *Facts, described bool) error {
	if !described && f.HasSlot {
		if another, err := c.another(ctx, conn); err != nil || another {
			return err
		}
		return c.settle(ctx, &Loss{Reason: LossLogWiped, What: fmt.Sprintf("slot %s exists, but the log has no record of it: the log was wiped, or the slot belongs to something else", c.source.options.Slot)})
	}
	if !described && f.Publication.Exists && (f.Publication.Changed != "" || !f.Publication.has(c.source.tables())) {
		return &cdc.SetupError{What: fmt.Sprintf("publication %s exists already and is not what this bridge would make", c.source.options.Publication),
			Hint: fmt.Sprintf("set postgres.publication to a name of its own, or, if nobody uses it, DROP PUBLICATION %s", cdc.QuoteIdent(c.source.options.Publication))}
	}
	if !described {
		if err := c.log.SetEpoch(ctx, cdc.Epoch{Slot: c.source.options.Slot}); err != nil {
			return err
		}
	} else if tail, err := c.log.Tail(ctx); err != nil {
		return err
	} else if !tail.IsZero() {
		return c.settle(ctx, &Loss{Reason: LossLogWiped, What: "the log has entries but no durable mark"})
	}
	if err := c.source.setPublication(ctx, conn); err != nil {
		return err
	}
	from := f.Confirmed
	if !f.HasSlot {
		var err error
		from, err = c.source.createSlot(ctx)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == duplicateObject {
			return nil // another capture of this bridge was faster; it writes the mark
		}
		if err != nil {
			return err
		}
	}
	return c.log.SetDurableMark(ctx, from)
}

// another tells whether the slot of a log that knows nothing of it is at work for another
// capture of this bridge, which has described the log meanwhile. One that goes on without
// doing so fills another log: it is left alone, and its publication as it is.
func (c *Capture) another(ctx context.Context, conn *pgx.Conn) (bool, error) {
	deadline := time.Now().Add(c.source.options.SlotWait)
	for {
		pid, holder, err := c.source.holder(ctx, conn)
		if err != nil || pid == 0 {
			return false, err
		}
		if _, described, err := c.log.Epoch(ctx); err != nil || described {
			return described, err
		}
		if !time.Now().Before(deadline) {
			return false, &cdc.SetupError{What: fmt.Sprintf("slot %s is being read by pid %d, which calls itself %q and fills another log than the one that redis.url leads to", c.source.options.Slot, pid, holder),
				Hint: "give this bridge a name of its own, or the redis.url of the other process; or stop that one, if its log is lost"}
		}
		if err := cdc.Sleep(ctx, slotPoll); err != nil {
			return false, err
		}
	}
}

// Run captures until ctx ends. A lost connection, to either side, is made again
// with back-off; what a person must change ends it with a SetupError.
func (c *Capture) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = 100*time.Millisecond, 10*time.Second, 0
	retry.Reset()
	for settled := false; ; {
		began := time.Now()
		err := c.session(ctx)
		c.state(Connecting)
		if ctx.Err() != nil {
			return nil
		}
		if settled = err == nil && !settled; settled {
			continue // a loss was settled: the next session goes on after it
		}
		if err == nil {
			err = errors.New("a loss was settled, and there is another")
		}
		var se *cdc.SetupError
		if errors.As(err, &se) {
			return err
		}
		if time.Since(began) > time.Minute {
			retry.Reset()
		}
		wait := retry.NextBackOff()
		c.source.logger.Warn("capture interrupted", "error", err, "retry_in", wait.Round(time.Millisecond))
		if cdc.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}
