package redislog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// maxBatchBytes and maxBatchEntries bound what waits while a batch is under
	// way; at twice that much the memory of a Writer ends (I8).
	maxBatchBytes   = 2 << 20
	maxBatchEntries = 4096
)

// RolledBackError says that a stream ends before the entry that was last
// appended to it: the server lost part of the log.
type RolledBackError struct {
	Stream     cdc.Stream
	Want, Have cdc.Position
	// Appended tells that entries were appended above the hole before it was seen.
	Appended bool
}

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("stream %v ends at %v, but %v was appended: the Redis server has lost part of the log (restarted without its last writes, or failed over)",
		e.Stream, e.Have, e.Want)
}

// ForeignWriterError says that somebody else appended to a stream.
type ForeignWriterError struct {
	Stream     cdc.Stream
	Want, Have cdc.Position
}

func (e *ForeignWriterError) Error() string {
	return fmt.Sprintf("stream %v ends at %v, but %v was appended last: another process writes to this log; give each bridge a name of its own",
		e.Stream, e.Have, e.Want)
}

// SessionLostError says that the number of the last append is not where it was
// left.
type SessionLostError struct{ Want, Have string }

func (e *SessionLostError) Error() string {
	have := e.Have
	if have == "" {
		have = "nothing"
	}
	return fmt.Sprintf("the last append to the log is %s, not %s: the Redis server has lost part of the log (restarted without its last writes, or failed over), or another process writes to it", have, e.Want)
}

// RefusedEntryError says that the server took a batch but refused one entry of
// it. The entries after it may be in the stream, so the log has a hole.
type RefusedEntryError struct {
	Stream   cdc.Stream
	Position cdc.Position
	Err      error
}

func (e *RefusedEntryError) Error() string {
	return fmt.Sprintf("stream %v refused entry %v within a batch it took: %v", e.Stream, e.Position, e.Err)
}

// Unwrap gives the server's own error.
func (e *RefusedEntryError) Unwrap() error { return e.Err }

// Writer appends entries to the streams of a log. Append, Mark and Full are for
// one goroutine; Run sends from another; the rest may be called from anywhere.
type Writer struct {
	log    *Log
	rdb    *redis.Client
	logger *slog.Logger

	// mu covers cur and spare.
	mu    sync.Mutex
	cur   *batch
	spare *batch
	wake  chan struct{} // holds one token when cur has something new
	space chan struct{} // holds one token when cur was taken

	// session names this writer among all, answered is its last round that the server
	// has for sure.
	session  string
	round    uint64 // of the sending goroutine alone
	answered atomic.Uint64

	appended   atomic.Uint64
	appendedAt atomic.Int64 // microseconds since 1970
	latest     atomic.Int64 // likewise, the highest that AppendedAt ever was
	stats      *counters    // the log's: they go on over sessions

	// Of the sending goroutine alone:
	tails []cdc.Position // last id of each stream, as last read or written
	lists [][]*pending   // entries of the batch under way, by stream
	args  args
	names []string
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
	}
	for i, s := range l.streams {
		w.names[i] = l.keys.Stream(s)
		tail, err := l.TailOf(ctx, s)
		if err != nil {
			return nil, err
		}
		w.tails[i] = tail
	}
	if err := l.client.Eval(ctx, sessionText, []string{l.keys.Appended()}, w.session).Err(); err != nil {
		return nil, fmt.Errorf("begin a session of the log: %w", err)
	}
	return w, nil
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
	for len(left) > 0 || w.answered.Load() < w.round {
		failed, err := w.send(ctx, b, left)
		if err != nil {
			return err
		}
		if len(failed) == 0 {
			break
		}
		level := w.log.refused(failed[0].err)
		w.stats.retries.Add(1)
		wait := retry.NextBackOff()
		w.logger.Log(ctx, level, "append refused", "streams", len(failed), "error", failed[0].err, "retry_in", wait)
		if err := cdc.Sleep(ctx, wait); err != nil {
			return err
		}
		if left, err = w.resume(ctx, failed); err != nil {
			return err
		}
	}
	w.log.took() // nothing waits any more
	return nil
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
// what they turn out to hold. It waits until the server answers.
func (w *Writer) resume(ctx context.Context, failed []failure) ([]int, error) {
	var left []int
	retry := w.log.newBackOff()
	for _, f := range failed {
		if f.stream == noStream {
			continue
		}
		s := w.log.streams[f.stream]
		tail, err := w.log.TailOf(ctx, s)
		for err != nil {
			wait := retry.NextBackOff()
			w.logger.Warn("redis is not reachable", "error", err, "retry_in", wait)
			if err := cdc.Sleep(ctx, wait); err != nil {
				return nil, err
			}
			tail, err = w.log.TailOf(ctx, s)
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

var errNoAnswer = errors.New("no answer from the server")
