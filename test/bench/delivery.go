package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/trace"
	"github.com/walbridge/walbridge/test/servers"
)

// partitions is how many the configuration gives by default.
const partitions = 8

// quiet tells of mistakes only.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// filledLog is a server with a log that is full of changes.
type filledLog struct {
	server  *servers.Redis
	log     *redislog.Log
	changes int
	// traced is how many bytes of history the deliveries write; none if zero.
	traced int64
}

// fillLog appends changes of rows to the normal lane of a new log, as the capture does:
// change number i is of row of(i), in a transaction of its own.
func fillLog(ctx context.Context, changes, records int, of func(i int) int) (f *filledLog, err error) {
	f = &filledLog{changes: changes}
	if f.server, err = servers.StartRedis(ctx, servers.RedisOptions{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.log, err = redislog.Open(ctx, redislog.Options{URL: f.server.URL(), Name: "bench", Partitions: partitions, Logger: quiet()}); err != nil {
		return f, err
	}
	w, err := f.log.NewWriter(ctx)
	if err != nil {
		return f, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	err = appendRows(ctx, w, dealRows(records), changes, of)
	stop()
	return f, errors.Join(err, <-done)
}

func appendRows(ctx context.Context, w *redislog.Writer, rows []cdc.Change, changes int, of func(i int) int) error {
	at := time.Now().UnixMicro()
	for i := range changes {
		for w.Full() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-w.Space():
			}
		}
		row := &rows[of(i)]
		key := []byte(row.Key)
		w.Append(cdc.Stream{Lane: cdc.LaneNormal, Partition: cdc.PartitionOf(row.Table.String(), key, partitions)}, &cdc.Entry{
			Position: cdc.Position{LSN: cdc.LSN(1000 + 100*i)}, Op: row.Op, Table: row.Table.String(), Key: key, After: []byte(row.After),
			Micros: at + int64(i), XID: uint64(i + 1)})
		w.Mark(cdc.LSN(1000+100*i+50), time.UnixMicro(at+int64(i)))
	}
	for end := cdc.LSN(1000 + 100*(changes-1) + 50); w.Appended() < end; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond): // it has no event of its own
		}
	}
	return nil
}

func (f *filledLog) close() error {
	var errs []error
	if f.log != nil {
		errs = append(errs, f.log.Close())
	}
	return errors.Join(append(errs, f.server.Close())...)
}

// drained says what a worker did with a log.
type drained struct {
	took  time.Duration
	spent spent
	stats deliver.Stats
}

// drain delivers the whole log to a target by a worker of that name, with the bounds that
// a bridge has by default. The clock runs until the last change is dealt with, and that is
// written.
func (f *filledLog) drain(ctx context.Context, name string, target sinks.Target) (d drained, err error) {
	m, err := dealMapper()
	if err != nil {
		return d, err
	}
	return f.drainBy(ctx, name, target, m)
}

// drainBy is drain with a mapping that the target knows the fields of.
func (f *filledLog) drainBy(ctx context.Context, name string, target sinks.Target, m deliver.Mapper) (d drained, err error) {
	store := state.New(state.Options{Client: f.log.Client(), Keys: f.log.Keys(), Target: name, Partitions: partitions})
	defer closing(&err, store.Close)
	reader := f.log.NewReader(partitions)
	defer closing(&err, reader.Close)
	o := deliver.Options{Name: name, Target: target, Mappers: []deliver.Mapper{m}, Reader: reader, State: store,
		Partitions: partitions, Logger: quiet(), Limits: queue.Limits{Entries: 100_000 / 3, Bytes: 128 << 20 / 3}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if f.traced > 0 {
		w, err := trace.NewWriter(trace.Options{Client: f.log.Client(), Keys: f.log.Keys(), Target: name, Partitions: partitions, Bytes: f.traced, Logger: quiet()})
		if err != nil {
			return d, err
		}
		written := make(chan error, 1)
		go func() { written <- w.Run(ctx) }()
		defer func() { err = errors.Join(err, <-written, w.Close()) }()
		o.Trace = w
	}
	e, err := deliver.New(o)
	if err != nil {
		return d, err
	}
	done := make(chan error, 1)
	before, err := spentBy(ctx, f.log.Client())
	if err != nil {
		return d, err
	}
	began := time.Now()
	go func() { done <- e.Run(ctx) }()
	if err = until(done, func() bool { return e.Stats().Released >= uint64(f.changes) }); err != nil {
		return d, err
	}
	d = drained{took: time.Since(began), stats: e.Stats()}
	after, err := spentBy(ctx, f.log.Client())
	if err != nil {
		return d, err
	}
	d.spent = after.since(before)
	stop()
	if err := <-done; err != nil {
		return d, err
	}
	// Each of the changes is released; some rows came back to what they were, and made no request.
	if d.stats.Parked > 0 || d.stats.Stale > 0 || d.stats.Delivered == 0 {
		return d, fmt.Errorf("of %d changes %d records were parked, %d stale and %d delivered", f.changes, d.stats.Parked, d.stats.Stale, d.stats.Delivered)
	}
	return d, nil
}

func dealMapper() (*mapping.Mapping, error) {
	_, all, err := loadFiles(1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// profiled writes a CPU profile of f to the file that BENCH_PROFILE names.
func profiled(f func() error) (err error) {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return f()
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	defer closing(&err, file.Close)
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return f()
}

// readPlainly is the reference of all that reads a log: one connection, which asks for the
// entries of all partitions. each gets the row of every entry.
func (f *filledLog) readPlainly(ctx context.Context, each func(after string) error) (err error) {
	rdb, err := redisAt(f.server.URL())
	if err != nil {
		return err
	}
	defer closing(&err, rdb.Close)
	streams := make([]string, 2*partitions)
	at := map[string]int{}
	for p := range partitions {
		streams[p], streams[partitions+p] = f.log.Keys().Stream(cdc.Stream{Lane: cdc.LaneNormal, Partition: p}), "0"
		at[streams[p]] = partitions + p
	}
	for {
		res, err := rdb.XRead(ctx, &redis.XReadArgs{Streams: streams, Count: 500, Block: -1}).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		for _, s := range res {
			for _, m := range s.Messages {
				streams[at[s.Stream]] = m.ID
				after, _ := m.Values["after"].(string)
				if err := each(after); err != nil {
					return fmt.Errorf("read row: %w", err)
				}
			}
		}
	}
}
