package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walbridge/walbridge/sinks"
)

// Deliver writes a batch in one round trip, and in a few more if the data of a record is refused.
func (t *Target) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	c, err := t.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	if tab := t.known(b.Object); tab != nil {
		results, err := t.write(ctx, c, tab, &b)
		if !outdated(results, err) {
			return results, err
		}
		// What is remembered of the table may be old: it is looked up, and tried once more. What
		// was written is written again, with the same Position.
		t.remember(b.Object, nil)
	}
	tab, err := t.look(ctx, c, b.Object)
	if err != nil {
		return nil, err
	}
	results, err := t.write(ctx, c, tab, &b)
	if !outdated(results, err) {
		t.remember(b.Object, tab)
	}
	return results, err
}

// outdated tells whether something went wrong that may be due to a table that has changed.
func outdated(results []sinks.Result, err error) bool {
	is := func(err error) bool {
		var mis *sinks.Misconfigured
		return errors.As(err, &mis)
	}
	return is(err) || slices.ContainsFunc(results, func(r sinks.Result) bool { return is(r.Err) })
}

// look reads a table from the catalog, and makes what it lacks, if that is wanted.
func (t *Target) look(ctx context.Context, c *pgxpool.Conn, object string) (*table, error) {
	tab, err := t.load(ctx, c.Conn(), object)
	if err != nil || !t.o.Create {
		return tab, err
	}
	made, err := t.create(ctx, c.Conn(), object, tab)
	if err != nil || !made {
		return tab, err
	}
	return t.load(ctx, c.Conn(), object)
}

// write sends the statements of a batch, and again those that were refused for one of their rows,
// in smaller parts (I6). The error is about all records.
func (t *Target) write(ctx context.Context, c *pgxpool.Conn, tab *table, b *sinks.Batch) ([]sinks.Result, error) {
	results := make([]sinks.Result, len(b.Records))
	parts, err := tab.parts(b.Records, results)
	if err != nil {
		return nil, err
	}
	for len(parts) > 0 {
		var again []*part
		for i, err := range t.send(ctx, c.Conn().PgConn(), parts) {
			p := parts[i]
			if one(err) && len(p.rows) > 1 {
				again = append(again, p.split()...)
				continue
			}
			for _, at := range p.at {
				results[at].Err = err
			}
		}
		parts = again
	}
	return results, nil
}

// send sends statements in one round trip, each a transaction of its own, and gives what came of
// each.
func (t *Target) send(ctx context.Context, c *pgconn.PgConn, parts []*part) []error {
	errs := make([]error, len(parts))
	all := func(from int, err error) []error {
		for i := from; i < len(errs); i++ {
			errs[i] = err
		}
		return errs
	}
	if c.IsClosed() { // by what came before in this batch
		return all(0, t.failed(errors.New("the connection has ended"), false))
	}
	pl := c.StartPipeline(ctx)
	for _, p := range parts {
		values, oids, formats := p.params()
		pl.SendQueryParams(p.sql, values, oids, formats, nil)
		pl.SendPipelineSync()
	}
	if err := pl.Flush(); err != nil {
		sent := !pgconn.SafeToRetry(err)
		// A connection that cannot be written to is closed by the driver, and says the same.
		_ = pl.Close()
		return all(0, t.failed(err, sent))
	}
	for i, p := range parts {
		errs[i] = t.finish(pl, p)
		if gone(errs[i]) {
			all(i+1, t.failed(errors.New("the connection has ended"), true))
			break
		}
	}
	// Each statement has had its answer. An error here is of the connection, which the pool then
	// does not use again.
	_ = pl.Close()
	return errs
}

// finish reads what came of one statement, up to the end of its transaction: only then is it
// kept, and a deferred constraint may refuse it as late as that.
func (t *Target) finish(pl *pgconn.Pipeline, p *part) error {
	var first error
	for {
		res, err := pl.GetResults()
		if r, ok := res.(*pgconn.ResultReader); ok && err == nil {
			_, err = r.Close()
		}
		var pe *pgconn.PgError
		switch {
		case err == nil && res == nil:
			return t.failed(&goneError{errors.New("the answer ended before its time")}, true)
		case errors.As(err, &pe):
			if first == nil || fatal(pe) {
				first = p.blame(t.answered(pe, true))
			}
			if fatal(pe) {
				return first
			}
		case err != nil:
			return t.failed(&goneError{err}, true)
		}
		if _, ok := res.(*pgconn.PipelineSync); ok {
			return first
		}
	}
}

// blame says of a row that others refer to, and that therefore cannot be deleted, that it may be
// later: those others may be about to go.
func (p *part) blame(err error) error {
	var wait *sinks.WaitForParent
	if p.deletes && errors.As(err, &wait) {
		return &sinks.Retryable{Err: wait.Err}
	}
	return err
}
