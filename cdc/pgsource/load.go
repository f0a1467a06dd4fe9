package pgsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// chunksAtOnce is how many chunks of a load are on their way to the log: one is
	// read while others wait for their marks.
	chunksAtOnce = 3
	// chunkTime is about how long a statement may take that reads a chunk.
	chunkTime = 200 * time.Millisecond
	// leastRows and mostRows bound a chunk, firstRows is the first one.
	leastRows, firstRows, mostRows = 20, 500, 20_000
	// saveEvery is how often the progress is written.
	saveEvery = 500 * time.Millisecond
	// durableEvery is how often it is looked what is durable; no event tells of it.
	durableEvery = 50 * time.Millisecond
)

// load is one backfill at work.
type load struct {
	f        *filler
	spec     cdc.Backfill
	progress cdc.BackfillProgress
	logger   *slog.Logger
	wished   atomic.Value // cdc.BackfillWish
	woken    chan struct{}

	reader   *chunkReader
	plan     *plan
	limit    int
	before   []uint64 // that may have written what is not visible yet
	verdicts chan verdict
	waiting  map[string]*chunk // those under way
	owed     []string          // words of a mark not written yet
	spare    []rows            // memory of chunks before
	chunks   int
	readFrom time.Time // nothing is read before
	saved    time.Time
	savedRow int64
	dirty    bool
}

func newLoad(f *filler, b *cdc.BackfillStatus) *load {
	s := f.capture.source
	l := &load{f: f, spec: b.Backfill, progress: b.Progress, woken: make(chan struct{}, 1), limit: firstRows,
		logger: s.logger.With("backfill", b.ID, "table", b.Table.String()),
		reader: &chunkReader{source: s, x: f.x, table: f.stream.tables[b.Table], where: b.Where, misfit: func(string, string) { f.capture.stats.misfits.Add(1) }}}
	l.wished.Store(b.Wish)
	return l
}

func (l *load) wish(w cdc.BackfillWish) {
	if l.wished.Swap(w) != w {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	}
}

// errParked says that somebody wants the load to rest, or to end.
var errParked = errors.New("parked by wish")

// run works until the backfill has ended, is paused, or ctx ends.
func (l *load) run(ctx context.Context) {
	defer l.reader.close()
	retry := backoff.NewExponentialBackOff(backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		err := l.work(ctx)
		if ctx.Err() != nil {
			return
		}
		var fatal *fatalError
		switch {
		case err == nil:
			l.end(ctx, cdc.BackfillDone, "")
			return
		case errors.Is(err, errParked):
			l.park(ctx)
			return
		case errors.As(err, &fatal):
			l.logger.Error("backfill failed", "error", err, "hint", "mend it, then walbridge backfill resume "+l.spec.ID+"; or give it up: walbridge backfill cancel "+l.spec.ID)
			l.end(ctx, cdc.BackfillFailed, err.Error())
			return
		}
		wait := retry.NextBackOff()
		l.note(err.Error())
		l.logger.Warn("backfill interrupted; it goes on where it was", "error", err, "retry_in", wait.Round(time.Millisecond))
		l.save(ctx)
		l.reader.close()
		if !l.rest(ctx, wait) {
			return
		}
	}
}

// rest waits, but not once somebody wishes something; it is false when ctx has ended.
func (l *load) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-l.woken:
	case <-t.C:
	}
	return true
}

// fatalError is a mistake that trying again does not mend.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// weighed tells mistakes from troubles that pass.
func weighed(err error) error {
	switch c := code(err); {
	case errors.Is(err, errTableGone):
		return &fatalError{err}
	case c == forbidden:
		return &fatalError{fmt.Errorf("%w; grant it to the role of postgres.url: SELECT on the table, USAGE on its schema and on those of its types, BYPASSRLS where it has row level security", err)}
	case strings.HasPrefix(c, "42"), strings.HasPrefix(c, "22"), strings.HasPrefix(c, "23"):
		return &fatalError{withoutValues(err)}
	}
	return err
}

// work goes on from the cursor. Its errors are weighed.
func (l *load) work(ctx context.Context) error {
	if l.reader.table == 0 {
		return &fatalError{errors.New("the table is not captured: no mapping file names it")}
	}
	if err := l.reader.open(ctx); err != nil {
		return weighed(err)
	}
	if err := l.await(ctx); err != nil {
		return err
	}
	var err error
	if l.before, err = l.f.track(ctx, l.reader); err != nil {
		return err
	}
	defer l.f.untrack(ctx, l.reader)
	if !l.fits(l.progress.Cursor) { // the key was changed: from the beginning
		l.progress.Cursor = nil
	}
	l.plan = newPlan(&l.spec, l.progress.Cursor)
	l.verdicts, l.waiting, l.owed = make(chan verdict, 4*chunksAtOnce), map[string]*chunk{}, nil
	defer func() {
		for id := range l.waiting {
			l.f.x.take(id)
		}
	}()
	l.progress.State, l.progress.Note = cdc.BackfillRunning, ""
	if l.progress.Started.IsZero() {
		l.progress.Started = time.Now().UTC()
		l.progress.Estimate = l.estimate()
		l.logger.Info("backfill started", "reason", l.spec.Reason, "rows_about", l.progress.Estimate)
	}
	// Before the first row is read: who asks for the same takes one that has not begun as
	// one that will read what is there from then on.
	if l.save(ctx); l.dirty {
		return errors.New("note that the backfill begins: the log does not take it")
	}
	for !l.plan.done() {
		if err := l.step(ctx); err != nil {
			return err
		}
	}
	if l.spec.Generation {
		return l.sweep(ctx)
	}
	return nil
}

// fits tells whether a cursor is of the table's key as it is now.
func (l *load) fits(cursor []string) bool {
	return len(l.spec.Keys) > 0 || len(cursor) == 0 || len(cursor) == len(l.reader.shape.keys)
}

func (l *load) estimate() int64 {
	if n := len(l.spec.Keys); n > 0 {
		return int64(n)
	}
	return l.reader.shape.estimate
}

// step does the next thing there is to do, or waits for one.
func (l *load) step(ctx context.Context) error {
	if l.plan.durable(l.f.stream.app.Durable()) {
		l.progress.Cursor, l.dirty = l.plan.cursor, true
	}
	if l.dirty && time.Since(l.saved) >= saveEvery {
		l.save(ctx)
	}
	resting := l.wished.Load() != cdc.WishRun
	if resting && len(l.waiting) == 0 {
		return errParked
	}
	now := time.Now()
	if !resting && len(l.waiting) < chunksAtOnce && !now.Before(l.readFrom) {
		if p := l.plan.next(l.limit); p != nil {
			return l.read(ctx, p)
		}
	}
	if err := l.pay(ctx); err != nil {
		return err
	}
	wait := durableEvery
	if d := time.Until(l.readFrom); !resting && d > 0 && d < wait {
		wait = d
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case v := <-l.verdicts:
		return l.judge(v)
	case <-l.woken:
	case <-t.C:
	}
	return nil
}

// pay writes the marks that are owed. They are put off while there is another chunk to
// read, whose low mark is the same message.
func (l *load) pay(ctx context.Context, more ...string) error {
	words := append(l.owed, more...)
	if len(words) == 0 {
		return nil
	}
	l.owed = nil
	return weighed(l.reader.mark(ctx, words...))
}

// read brings a part of the plan on its way: low mark, rows, high mark.
func (l *load) read(ctx context.Context, p *part) error {
	if err := l.reader.open(ctx); err != nil {
		return weighed(err)
	}
	l.chunks++
	limit := l.limit
	if l.spec.Rate > 0 {
		limit = min(limit, max(1, l.spec.Rate))
	}
	meant, err := l.meant()
	if err != nil {
		return err
	}
	c := &chunk{id: fmt.Sprintf("%s.%d.%s", l.spec.ID, l.chunks, cdc.NewBackfillID()), table: l.reader.table, part: p,
		most: 4*limit + 1000, meant: meant, verdict: l.verdicts}
	if n := len(l.spare); n > 0 {
		c.rows, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	l.f.x.put(c)
	l.waiting[c.id] = c
	if err := l.pay(ctx, markLow, c.id); err != nil {
		return err
	}
	if err := l.settled(ctx); err != nil {
		return err
	}
	began := time.Now()
	last, more, err := l.reader.read(ctx, c, limit)
	if code(err) == queryCanceled { // it ran into the bound of its time
		l.limit = max(leastRows, l.limit/8)
	}
	if err != nil {
		return l.readFailed(err)
	}
	l.plan.read(p, last, more)
	if len(l.before) > 0 && c.snap.xmax != 0 {
		l.before = c.snap.ended(l.before)
	}
	took, n := time.Since(began), len(c.rows.list)
	l.progress.Chunks++
	l.resize(took, n, len(c.rows.arena))
	if l.spec.Rate > 0 {
		l.readFrom = began.Add(time.Duration(float64(n) / float64(l.spec.Rate) * float64(time.Second)))
	}
	l.owed = []string{markHigh, c.id}
	if l.reader.conn == nil { // the rows were cut short, and the connection with them
		if err := l.reader.open(ctx); err != nil {
			return weighed(err)
		}
		return l.pay(ctx)
	}
	return nil
}

// readFailed weighs the error of a read. A column that is gone is looked for once more:
// the table may have been altered since its shape was read.
func (l *load) readFailed(err error) error {
	if c := code(err); c == undefinedColumn && l.reader.shape != nil && l.spec.Where == "" {
		l.reader.shape = nil
		return err
	}
	return weighed(fmt.Errorf("read rows: %w", err))
}

// The server's error codes of reads.
const (
	queryCanceled   = "57014"
	undefinedColumn = "42703"
)

// resize fits the next chunk to what this one took.
func (l *load) resize(took time.Duration, n, bytes int) {
	fit := float64(l.limit) * min(2, float64(chunkTime)/float64(max(took, time.Microsecond)))
	if n > 0 { // none may have fulfilled the condition
		fit = min(fit, float64(chunkBytes)/2/(float64(bytes)/float64(n)+1))
	}
	l.limit = min(max(int(fit), leastRows), mostRows)
}

// judge takes what became of a chunk.
func (l *load) judge(v verdict) error {
	c := v.chunk
	if c == nil || l.waiting[c.id] == nil {
		return nil // of a time before
	}
	delete(l.waiting, c.id)
	if cap(c.rows.arena) <= 4*chunkBytes { // one giant row must not stay for ever
		l.spare = append(l.spare, rows{arena: c.rows.arena[:0], list: c.rows.list[:0]})
	}
	c.rows = rows{} // the stream is done with them
	if v.gone {
		return &fatalError{errors.New("the table is not captured any more")}
	}
	if l.spec.Generation && l.progress.Since.IsZero() {
		l.progress.Since = v.low
	}
	if v.again != "" {
		l.logger.Debug("chunk is read again", "why", v.again)
		l.plan.again(c.part)
		l.progress.Again++
		l.limit = max(leastRows, l.limit/2)
		l.readFrom = time.Now().Add(visiblePause)
		l.reader.shape = nil
		l.note("rows are read again: " + v.again)
		return nil
	}
	l.plan.appended(c.part, v.end, v.keys)
	l.progress.Rows += int64(v.rows)
	l.f.capture.stats.backfilled.Add(uint64(v.rows))
	l.progress.Note, l.dirty = "", true
	return nil
}
