package redislog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// maxBatchBytes and maxBatchEntries bound what waits while a batch is under
	// way; at twice that much the memory of a Writer ends (I8).
	maxBatchBytes   = 2 << 20
	maxBatchEntries = 4096
)

// Writer appends entries to the streams of a log. Append, Mark and Full are for
// one goroutine; Run sends from another; the rest may be called from anywhere.
type Writer struct {
	log    *Log
	rdb    redis.UniversalClient
	logger *slog.Logger

	// mu covers cur and spare.
	mu    sync.Mutex
	cur   *batch
	spare *batch
	wake  chan struct{} // holds one token when cur has something new
	space chan struct{} // holds one token when cur was taken

	// session names this writer among all. For each part of the log, rounds counts the
	// appends to it, and answered is the last that the server has for sure.
	session  string
	rounds   []uint64 // of the sending goroutine alone
	answered []atomic.Uint64

	appended   atomic.Uint64
	appendedAt atomic.Int64 // microseconds since 1970
	latest     atomic.Int64 // likewise, the highest that AppendedAt ever was
	stats      *counters    // the log's: they go on over sessions

	// Of the sending goroutine alone:
	tails []cdc.Position // last id of each stream, as last read or written
	lists [][]*pending   // entries of the batch under way, by stream
	args  args
	names []string
	left  [][]int // by part, the streams that a send is for
}

// NewWriter gives a writer that goes on where the streams of l end.
func (l *Log) NewWriter(ctx context.Context) (*Writer, error) {
	n := len(l.streams)
	w := &Writer{
		session: fmt.Sprintf("%016x", rand.Uint64()),
		log:     l, rdb: l.appendClient, logger: l.logger, stats: &l.counters,
		cur: &batch{}, spare: &batch{},
		wake: make(chan struct{}, 1), space: make(chan struct{}, 1),
		tails: make([]cdc.Position, n), lists: make([][]*pending, n), names: make([]string, n),
		rounds: make([]uint64, len(l.parts)), answered: make([]atomic.Uint64, len(l.parts)), left: make([][]int, len(l.parts)),
	}
	if err := w.begin(ctx); err != nil {
		lookAgain(ctx, w.rdb)
		return nil, err
	}
	return w, nil
}

// begin makes the connections, sets the numbers of the session and reads the tails,
// in this order: what a server loses after it, it loses with the number.
func (w *Writer) begin(ctx context.Context) error {
	pipe := w.rdb.Pipeline()
	for i := range w.log.parts {
		pipe.Eval(ctx, sessionText, []string{w.log.parts[i].number}, w.session)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("begin a session of the log: %w", err)
	}
	for i, s := range w.log.streams {
		w.names[i] = w.log.keys.Stream(s)
		tail, err := w.log.tailBy(guarded(ctx), w.rdb, s)
		if err != nil {
			return err
		}
		w.tails[i] = tail
	}
	return nil
}

// Append puts an entry into the batch that is sent next. It does not block; a
// caller that sees Full waits for Space.
func (w *Writer) Append(s cdc.Stream, e *cdc.Entry) {
	w.mu.Lock()
	first := len(w.cur.entries) == 0
	w.cur.add(w.log.index(s), e)
	w.mu.Unlock()
	if first {
		notify(w.wake)
	}
}

// AppendAll puts an entry that has no key into every stream.
func (w *Writer) AppendAll(e *cdc.Entry) {
	for _, s := range w.log.streams {
		w.Append(s, e)
	}
}

// Mark says that everything up to the source LSN end has been passed to Append,
// and up to when that was committed.
func (w *Writer) Mark(end cdc.LSN, at time.Time) {
	w.mu.Lock()
	w.cur.end, w.cur.at = end, at
	if at.After(w.cur.latest) {
		w.cur.latest = at
	}
	w.mu.Unlock()
	notify(w.wake)
}

// Full tells that no more should be appended until Space fires.
func (w *Writer) Full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.cur.arena) >= maxBatchBytes || len(w.cur.entries) >= maxBatchEntries
}

// Space gives a token whenever a batch was taken.
func (w *Writer) Space() <-chan struct{} { return w.space }

// Appended is the source LSN up to which the log holds everything, though not
// yet durably.
func (w *Writer) Appended() cdc.LSN { return cdc.LSN(w.appended.Load()) }

// AppendedAt is up to when, by the source's clock, the log holds all that was
// committed.
func (w *Writer) AppendedAt() time.Time {
	micros := w.appendedAt.Load()
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run sends batches until ctx ends, or until the log is not what it was.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		b := w.takeBatch()
		if err := w.deliver(ctx, b); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if b.end != 0 {
			w.latest.Store(max(w.latest.Load(), b.latest.UnixMicro())) // first: never behind appended
			w.appended.Store(uint64(b.end))
			w.appendedAt.Store(b.at.UnixMicro()) // second: never ahead of appended
		}
		b.reset()
		w.mu.Lock()
		w.spare = b
		w.mu.Unlock()
	}
}

func (w *Writer) takeBatch() *batch {
	w.mu.Lock()
	b := w.cur
	w.cur, w.spare = w.spare, nil
	w.mu.Unlock()
	notify(w.space)
	return b
}

// deliver brings every entry of b into its stream, however often it takes.
func (w *Writer) deliver(ctx context.Context, b *batch) error {
	left := w.sort(b)
	retry := w.log.newBackOff()
	for len(left) > 0 || w.unanswered() {
		failed, err := w.send(ctx, b, left)
		if err != nil {
			return err
		}
		if len(failed) == 0 {
			break
		}
		if err := w.pause(ctx, failed, retry); err != nil {
			return err
		}
		if left, err = w.resume(ctx, failed); err != nil {
			return err
		}
	}
	w.log.took() // nothing waits any more
	return nil
}

// unanswered tells whether some number may not have come to its server.
func (w *Writer) unanswered() bool {
	for i := range w.rounds {
		if w.answered[i].Load() < w.rounds[i] {
			return true
		}
	}
	return false
}

// pause waits after a failure before the next try; not where nothing failed but that
// the connection is a new one.
func (w *Writer) pause(ctx context.Context, failed []failure, retry backoff.BackOff) error {
	isNew := func(f failure) bool { return errors.Is(f.err, errNewConnection) }
	i := slices.IndexFunc(failed, func(f failure) bool { return !isNew(f) })
	if i < 0 {
		return nil
	}
	lookAgain(ctx, w.rdb)
	level := w.log.refused(failed[i].err)
	w.stats.retries.Add(1)
	wait := retry.NextBackOff()
	w.logger.Log(ctx, level, "append refused", "streams", len(failed), "error", failed[i].err, "retry_in", wait.Round(time.Millisecond))
	return cdc.Sleep(ctx, wait)
}

// sort deals the entries of a batch to the lists of their streams, leaving out
// those that a stream held already when the writer began.
func (w *Writer) sort(b *batch) []int {
	var touched []int
	for i := range b.entries {
		p := &b.entries[i]
		if !w.tails[p.stream].Before(p.pos) {
			w.stats.held.Add(1)
			continue
		}
		if len(w.lists[p.stream]) == 0 {
			touched = append(touched, p.stream)
		}
		w.lists[p.stream] = append(w.lists[p.stream], p)
	}
	return touched
}

// failure is a stream whose batch was refused or has no answer; noStream stands
// for the number of the round.
type failure struct {
	stream int
	err    error
}

const noStream = -1

// resume reads the tails of the failed streams again and drops from their lists
// what they turn out to hold. It waits until the servers answer.
func (w *Writer) resume(ctx context.Context, failed []failure) ([]int, error) {
	retry := w.log.newBackOff()
	for {
		left, err := w.lookUp(ctx, failed)
		var passing *passingError
		if !errors.As(err, &passing) {
			return left, err
		}
		lookAgain(ctx, w.rdb)
		wait := retry.NextBackOff()
		w.logger.Warn("redis is not reachable", "error", err, "retry_in", wait.Round(time.Millisecond))
		if err := cdc.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// passingError is one of a request that is to be made again.
type passingError struct{ error }

func (e *passingError) Unwrap() error { return e.error }

func (w *Writer) lookUp(ctx context.Context, failed []failure) (left []int, err error) {
	if err := w.verify(ctx); err != nil {
		return nil, err
	}
	for _, f := range failed {
		if f.stream == noStream {
			continue
		}
		s := w.log.streams[f.stream]
		tail, err := w.log.tailBy(guarded(ctx), w.rdb, s)
		if err != nil {
			return nil, &passingError{err}
		}
		known := w.tails[f.stream]
		if tail.Before(known) {
			return nil, &RolledBackError{Stream: s, Want: known, Have: tail}
		}
		list := w.lists[f.stream]
		n := 0
		for n < len(list) && !tail.Before(list[n].pos) {
			n++
		}
		if tail != known && (n == 0 || list[n-1].pos != tail) {
			return nil, &ForeignWriterError{Stream: s, Want: known, Have: tail}
		}
		w.tails[f.stream] = tail
		w.stats.entries.Add(uint64(n))
		w.lists[f.stream] = append(list[:0], list[n:]...)
		if len(w.lists[f.stream]) > 0 {
			left = append(left, f.stream)
		}
	}
	return left, nil
}

// verify makes sure that every server has the appends that it answered. It alone
// makes new connections, and looks at all parts of the log, since a connection
// serves every part that its server holds.
func (w *Writer) verify(ctx context.Context) error {
	pipe := w.rdb.Pipeline()
	answers := make([]*redis.StringCmd, len(w.log.parts))
	for i := range w.log.parts {
		answers[i] = pipe.Get(ctx, w.log.parts[i].number)
	}
	// Each answer is looked at below.
	_, _ = pipe.Exec(ctx)
	for i, a := range answers {
		have, err := a.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return &passingError{fmt.Errorf("read number of the last append: %w", err)}
		}
		session, text, _ := strings.Cut(have, " ")
		n, err := strconv.ParseUint(text, 10, 64)
		if session != w.session || err != nil || n < w.answered[i].Load() {
			return &SessionLostError{Want: fmt.Sprintf("%s %d", w.session, w.answered[i].Load()), Have: have}
		}
	}
	return nil
}

var errNoAnswer = errors.New("no answer from the server")
