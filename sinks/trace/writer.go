package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

const (
	// flushEvery is how long a step waits at most until it is written, flushFrom from how
	// many bytes on it is not waited for more.
	flushEvery, flushFrom = 250 * time.Millisecond, 256 << 10
	// bufferMost bounds what waits in memory: some seconds of a fast delivery.
	bufferMost = 4 << 20
	// answerTimeout bounds the wait for Redis.
	answerTimeout = 3 * time.Second
	// entryRoom is about what an entry takes beside its lines.
	entryRoom = 100
)

// Options say what a history is of, and how large it may be.
type Options struct {
	// Client says how to reach the server; the writer makes a connection of its own.
	Client     redis.UniversalClient
	Keys       redislog.Keys
	Target     string
	Partitions int
	// Bytes bounds the history of the target, about: the partitions share it evenly, and in
	// each half is for bulk.
	Bytes  int64
	Logger *slog.Logger
	// Registerer gets the metrics; it may be nil.
	Registerer prometheus.Registerer
}

// Writer writes a history. It is safe for concurrent use.
type Writer struct {
	o       Options
	rdb     redis.UniversalClient
	send    func(context.Context, []taken) (lost uint64, err error)
	prefix  string // of the ids of its requests
	last    atomic.Int64
	kick    chan struct{}
	dropped atomic.Uint64 // steps
	// Of the goroutine that flushes: whether the last time failed, and how many bytes were
	// ever written to each stream.
	failing bool
	tails   []int64

	// mu covers what is below.
	mu      sync.Mutex
	buffers []buffer // two for each partition, the second for bulk
	size    int
	batches uint64   // counted
	spare   [][]byte // room for lines
}

// buffer is what waits to be written to a stream.
type buffer struct {
	lines []byte
	steps uint64
	// The last head is of these.
	batch   uint64
	request *Request
}

// NewWriter makes one. It writes nothing until Run.
func NewWriter(o Options) (*Writer, error) {
	w := newWriter(o)
	w.rdb = redislog.Sibling(o.Client, redislog.Tuning{Timeout: answerTimeout, Connections: 1, Deadlines: true})
	w.send = w.add
	if o.Registerer != nil {
		c := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "walbridge_delivery_trace_dropped_total", ConstLabels: prometheus.Labels{"target": o.Target},
			Help: "Steps of records that are not in the history that walbridge trace reads, since Redis did not take them in time."},
			func() float64 { return float64(w.dropped.Load()) })
		if err := o.Registerer.Register(c); err != nil {
			w.rdb.Close()
			return nil, fmt.Errorf("register metrics of the history of target %s: %w", o.Target, err)
		}
	}
	return w, nil
}

func newWriter(o Options) *Writer {
	w := &Writer{o: o, prefix: strconv.FormatUint(uint64(rand.Uint32()), 36) + "-", kick: make(chan struct{}, 1),
		buffers: make([]buffer, 2*o.Partitions), tails: make([]int64, 2*o.Partitions)}
	for i := range w.tails {
		w.tails[i] = unknownTail
	}
	return w
}

// NewID gives the id of a request.
func (w *Writer) NewID() string { return w.prefix + strconv.FormatInt(w.last.Add(1), 36) }

// Record takes the steps of a batch. It does not wait, and keeps none of them.
func (w *Writer) Record(h Head, steps []Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches++
	for i := range steps {
		s := &steps[i]
		if w.size >= bufferMost {
			w.dropped.Add(uint64(len(steps) - i))
			return
		}
		at := 2 * s.Partition
		if s.Bulk {
			at++
		}
		b := &w.buffers[at]
		before := len(b.lines)
		if b.batch != w.batches || b.request != s.Request || before == 0 {
			b.lines = appendHead(b.lines, &h, s.Request)
			b.batch, b.request = w.batches, s.Request
		}
		b.lines = appendStep(b.lines, s)
		b.steps++
		w.size += len(b.lines) - before
	}
	if w.size >= flushFrom {
		select {
		case w.kick <- struct{}{}:
		default: // it is on its way
		}
	}
}

// Dropped is how many steps are not in the history.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Run writes what is recorded until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.kick:
		}
		w.flush(ctx)
	}
}

// Close writes what is left, if that goes at once, and ends the connection. Nothing may be
// recorded after it.
func (w *Writer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w.flush(ctx)
	return w.rdb.Close()
}

// tailScript tells how many bytes were ever written to a history.
//
// KEYS: the stream.
var tailScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
	if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) end
end
return 0
`)

// taken is what is on its way to a stream.
type taken struct {
	at    int // its buffer
	key   string
	lines []byte
	steps uint64
}

// take empties the buffers.
func (w *Writer) take() (all []taken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.buffers {
		b := &w.buffers[i]
		if len(b.lines) == 0 {
			continue
		}
		all = append(all, taken{i, w.o.Keys.Trace(w.o.Target, i/2, i%2 == 1), b.lines, b.steps})
		*b = buffer{}
		if n := len(w.spare); n > 0 {
			b.lines, w.spare = w.spare[n-1], w.spare[:n-1]
		}
	}
	w.size = 0
	return all
}

// giveBack keeps room for what is to come, but for what one burst took.
func (w *Writer) giveBack(all []taken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range all {
		if cap(t.lines) <= 2*flushFrom && len(w.spare) < len(w.buffers) {
			w.spare = append(w.spare, t.lines[:0])
		}
	}
}

func (w *Writer) flush(ctx context.Context) {
	all := w.take()
	if len(all) == 0 {
		return
	}
	defer w.giveBack(all)
	lost, err := w.send(ctx, all)
	w.dropped.Add(lost)
	if failing := err != nil && ctx.Err() == nil; failing != w.failing {
		if w.failing = failing; failing {
			w.o.Logger.Warn("the history of records has a gap: Redis did not take a part of it", "target", w.o.Target, "error", err)
		}
	}
}

// add appends to the streams, and tells how many steps did not get there. The first half of
// an id counts the bytes that were ever written, so that what is to go has ids below a bound.
// Where another process has written since, ours are refused; then its tail is read.
func (w *Writer) add(ctx context.Context, all []taken) (lost uint64, err error) {
	left, err := w.addOnce(ctx, all)
	if len(left) > 0 && err == nil {
		left, err = w.addOnce(ctx, left)
		if err == nil && len(left) > 0 {
			err = errors.New("others write at the same time")
		}
	}
	for _, t := range left {
		lost += t.steps
	}
	return lost, err
}

// addOnce gives what was not added; without an error, as its tail is another by now.
func (w *Writer) addOnce(ctx context.Context, all []taken) (left []taken, err error) {
	if err := w.findTails(ctx, all); err != nil {
		return all, err
	}
	most := max(1, w.o.Bytes/int64(len(w.buffers)))
	pipe := w.rdb.Pipeline()
	answers := make([]*redis.StringCmd, len(all))
	for i, t := range all {
		at := w.tails[t.at] + int64(len(t.lines)+entryRoom)
		answers[i] = pipe.XAdd(ctx, &redis.XAddArgs{Stream: t.key, ID: strconv.FormatInt(at, 10) + "-0",
			MinID: strconv.FormatInt(max(0, at-most), 10), Values: []any{"lines", t.lines}})
		w.tails[t.at] = at
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	for i, t := range all {
		fault := answers[i].Err()
		if fault == nil {
			continue
		}
		w.tails[t.at] = unknownTail
		left = append(left, t)
		if !strings.Contains(fault.Error(), "equal or smaller") {
			err = fault
		}
	}
	return left, err
}

// unknownTail is that of a stream of which it is to be read.
const unknownTail = -1

func (w *Writer) findTails(ctx context.Context, all []taken) error {
	pipe := w.rdb.Pipeline()
	answers := map[int]*redis.Cmd{}
	for _, t := range all {
		if w.tails[t.at] == unknownTail {
			answers[t.at] = tailScript.Eval(ctx, pipe, []string{t.key})
		}
	}
	if len(answers) == 0 {
		return nil
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	for at, a := range answers {
		n, err := a.Int64()
		if err != nil {
			return fmt.Errorf("read the end of the history: %w", err)
		}
		w.tails[at] = n
	}
	return nil
}
