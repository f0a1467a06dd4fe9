package pgsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// runningPause is how often it is looked whether a transaction has ended.
const runningPause = 100 * time.Millisecond

// await waits until every transaction has ended that the backfill must not begin
// before: those that ran when its table came into the publication.
func (l *load) await(ctx context.Context) error {
	for began := time.Now(); l.spec.After > 0; {
		s, err := l.reader.snapshot(ctx)
		if err != nil {
			return err
		}
		if s.xmin >= l.spec.After {
			l.note("")
			return nil
		}
		if l.wished.Load() != cdc.WishRun {
			return errParked
		}
		if time.Since(began) > time.Second {
			if err := l.tellWait(ctx, uint32(s.xmin)); err != nil {
				return err
			}
		}
		if err := cdc.Sleep(ctx, runningPause); err != nil {
			return err
		}
	}
	return nil
}

// runnerQuery tells who runs a transaction. Locks are for everybody to see; a prepared
// transaction has no process.
const runnerQuery = `
SELECT COALESCE(l.pid, 0), COALESCE(a.application_name, ''), COALESCE(a.state, ''), COALESCE(extract(epoch FROM now() - a.xact_start), 0)::float8
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid::text::bigint = $1`

// tellWait says which process's transaction is waited for, where that is news.
func (l *load) tellWait(ctx context.Context, xid uint32) error {
	var pid int32
	var name, state string
	var age float64
	err := l.reader.conn.QueryRow(ctx, runnerQuery, int64(xid)).Scan(&pid, &name, &state, &age)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it has just ended
	}
	if err != nil {
		return fmt.Errorf("read who runs a transaction: %w", err)
	}
	who := fmt.Sprintf("pid %d", pid)
	if pid == 0 {
		who = "a prepared transaction"
	}
	note := fmt.Sprintf("waits for transaction %d of %s to end", xid, who)
	if l.progress.Note == note {
		return nil
	}
	l.note(note)
	l.logger.Warn("the backfill waits for a transaction to end", "pid", pid, "application", name, "state", state, "age", time.Duration(age*float64(time.Second)).Round(time.Second))
	l.save(ctx)
	return nil
}

// writersQuery finds the transactions that may have written to a table or a partition
// of it. Their locks last until what they wrote is visible.
const writersQuery = `
SELECT DISTINCT x.transactionid::text::bigint FROM pg_catalog.pg_locks x JOIN pg_catalog.pg_locks r ON r.virtualtransaction = x.virtualtransaction
WHERE x.locktype = 'transactionid' AND x.granted AND x.mode = 'ExclusiveLock'
  AND r.locktype = 'relation' AND r.granted AND r.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND r.relation IN (SELECT $1::oid UNION ALL SELECT relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass))
  AND r.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`

// settled waits until no transaction from before the tracking can have written to the
// table and not be visible yet. It is called before the rows are read: such a one holds
// its lock until after that.
func (l *load) settled(ctx context.Context) error {
	for began := time.Now(); len(l.before) > 0; {
		rows, err := l.reader.conn.Query(ctx, writersQuery, l.reader.table)
		if err != nil {
			return fmt.Errorf("read locks: %w", err)
		}
		writers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("read locks: %w", err)
		}
		writer := writes(l.before, writers)
		if writer == 0 {
			return nil
		}
		if l.wished.Load() != cdc.WishRun {
			return errParked
		}
		if time.Since(began) > time.Second {
			if err := l.tellWait(ctx, uint32(writer)); err != nil {
				return err
			}
		}
		if err := cdc.Sleep(ctx, visiblePause); err != nil {
			return err
		}
		s, err := l.reader.snapshot(ctx)
		if err != nil {
			return err
		}
		l.before = s.ended(l.before)
		l.f.x.observe(&s) // the tracker may be filling up meanwhile
	}
	return nil
}

// writes gives a transaction of a list that is among the writers, which have only the
// lower half of their ids; zero if none is.
func writes(list []uint64, writers []int64) uint64 {
	for _, x := range list {
		for _, w := range writers {
			if uint32(x) == uint32(w) {
				return x
			}
		}
	}
	return 0
}

// meant gives the mappings that the backfill is for as its entries say it; nil for all.
func (l *load) meant() ([]byte, error) {
	if len(l.spec.For) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(l.spec.For)
	if err != nil {
		return nil, fmt.Errorf("encode for of backfill: %w", err)
	}
	return text, nil
}

// sweep ends a generation: it puts a sweep into the log, and waits until that is
// durable.
func (l *load) sweep(ctx context.Context) error {
	if l.progress.Since.IsZero() { // the first mark was of an attempt before this one
		return errors.New("the start of the generation is not known")
	}
	meant, err := l.meant()
	if err != nil {
		return err
	}
	s := &sweep{ID: "sweep-" + cdc.NewBackfillID(), Slot: l.f.capture.source.options.Slot, Base: l.f.stream.decoder.Base(),
		Table: l.reader.table, Since: l.progress.Since, Meant: meant, verdict: l.verdicts}
	text, err := s.text()
	if err != nil {
		return fmt.Errorf("encode sweep: %w", err)
	}
	l.f.x.putSweep(s)
	defer l.f.x.takeSweep(s.ID)
	if err := l.pay(ctx, markSweep, text); err != nil {
		return err
	}
	tick := time.NewTicker(durableEvery)
	defer tick.Stop()
	end := cdc.LSN(0)
	for end == 0 || l.f.stream.app.Durable() < end {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v := <-l.verdicts:
			if v.sweep == s {
				if end = v.end; v.gone {
					return &fatalError{errors.New("the table is not captured any more")}
				}
			}
		case <-tick.C:
		}
	}
	return nil
}

// note says what the backfill waits for.
func (l *load) note(text string) {
	if l.progress.Note != text {
		l.progress.Note, l.dirty = text, true
	}
}

// save writes the progress. What cannot be written now is written later: until then the
// cursor in the log is an older one, from which the same rows would be read again.
func (l *load) save(ctx context.Context) {
	now := time.Now().UTC()
	if d := now.Sub(l.saved).Seconds(); !l.saved.IsZero() && d >= saveEvery.Seconds() {
		rate := float64(l.progress.Rows-l.savedRow) / d
		l.progress.RowsPerSecond = (l.progress.RowsPerSecond + rate) / 2
		l.savedRow = l.progress.Rows
	} else if l.saved.IsZero() {
		l.savedRow = l.progress.Rows
	}
	l.progress.Updated, l.saved = now, now
	if err := l.f.capture.log.SetBackfillProgress(ctx, l.spec.ID, l.progress); err != nil {
		if l.dirty = true; ctx.Err() == nil {
			l.logger.Warn("the progress of the backfill cannot be written", "error", err)
		}
		return
	}
	l.dirty = false
}

// end writes how the backfill ended, however often it takes.
func (l *load) end(ctx context.Context, state cdc.BackfillState, note string) {
	l.progress.State, l.progress.Note, l.dirty = state, note, true
	for l.save(ctx); l.dirty; l.save(ctx) {
		if cdc.Sleep(ctx, saveEvery) != nil {
			return
		}
	}
	l.logger.Info("backfill ended", "state", string(state), "rows", l.progress.Rows, "chunks", l.progress.Chunks, "read_again", l.progress.Again)
}

// park leaves the backfill as somebody wished.
func (l *load) park(ctx context.Context) {
	if l.wished.Load() == cdc.WishCancel {
		l.end(ctx, cdc.BackfillCancelled, "")
		return
	}
	l.end(ctx, cdc.BackfillPaused, "")
}
