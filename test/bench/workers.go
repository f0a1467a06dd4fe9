package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/state"
)

type workersFlags struct {
	json    bool
	records int
	work    time.Duration
	lease   time.Duration
	rate    int
}

func workersCommand() *cobra.Command {
	var f workersFlags
	c := &cobra.Command{
		Use:   "workers",
		Short: "Deliver by three worker processes beside one, at a target that is slow to answer; what a kill and a planned hand-over cost",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runWorkers(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.records, "records", 20_000, "changes in the log, each of a row of its own")
	c.Flags().DurationVar(&f.work, "work", 50*time.Millisecond, "how long the target works on a request")
	c.Flags().DurationVar(&f.lease, "lease", 2*time.Second, "how long a worker that is killed owns its partitions")
	c.Flags().IntVar(&f.rate, "rate", 100, "urgent changes a second while partitions are handed over")
	return c
}

// Each worker asks with so many requests at once, of so many records.
const workerInFlight, workerBatch = 2, 20

// workersBench is a log, a target, and the workers between them.
type workersBench struct {
	flags  workersFlags
	log    *filledLog
	target *slowTarget
	url    string
	next   int // row, of those that are appended meanwhile
	rows   []cdc.Change
	writer *redislog.Writer
}

func runWorkers(ctx context.Context, f workersFlags) (err error) {
	b := &workersBench{flags: f, target: newSlowTarget(f.work), rows: dealRows(f.records + 100_000), next: f.records}
	if b.log, err = fillLog(ctx, f.records, f.records, func(i int) int { return i }); err != nil {
		return err
	}
	defer closing(&err, b.log.close)
	server := httptest.NewServer(http.HandlerFunc(b.target.take))
	defer server.Close()
	b.url = server.URL
	one, _, err := b.throughput(ctx, "one", 1)
	if err != nil {
		return err
	}
	three, team, err := b.throughput(ctx, "three", 3)
	defer func() { err = errors.Join(err, team.close()) }()
	if err != nil {
		return err
	}
	for _, r := range []Result{
		{Bench: "workers", Shape: "slow", Tool: "one", Rows: int64(f.records), RowsPerS: one, Ratio: 1},
		{Bench: "workers", Shape: "slow", Tool: "three", Rows: int64(f.records), RowsPerS: three, Ratio: three / one},
	} {
		if err := r.print(f.json); err != nil {
			return err
		}
	}
	return b.writing(ctx, func(ctx context.Context) error {
		if err := b.planned(ctx, team); err != nil {
			return err
		}
		return b.killed(ctx, team)
	})
}

// throughput is how many records a second workers deliver from when each of them has its part
// on, until most of the log is delivered.
func (b *workersBench) throughput(ctx context.Context, target string, n int) (perSecond float64, t *team, err error) {
	t = &team{b: b, target: target}
	b.target.reset()
	for range n {
		if err := t.add(ctx); err != nil {
			return 0, t, err
		}
	}
	if err := t.shared(ctx, n); err != nil {
		return 0, t, err
	}
	to := int64(b.flags.records) * 7 / 10 // no worker has run dry
	began, had := time.Now(), b.target.taken.Load()
	if had > to/2 {
		return 0, t, errors.New("half of it had gone before the workers shared: ask for more with --records")
	}
	if err := b.target.await(ctx, to); err != nil {
		return 0, t, err
	}
	perSecond = float64(b.target.taken.Load()-had) / time.Since(began).Seconds()
	if err := b.target.await(ctx, int64(b.flags.records)); err != nil {
		return 0, t, err
	}
	if n == 1 {
		return perSecond, t, t.close()
	}
	return perSecond, t, nil
}

// bulkPerUrgent is how many bulk changes come with each urgent one while partitions are handed
// over.
const bulkPerUrgent = 5

// planned has one worker leave in order and another one come, again and again, while urgent
// changes arrive at a rate and bulk ones beside them, and prints how long the urgent ones took.
func (b *workersBench) planned(ctx context.Context, t *team) error {
	b.target.reset()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- b.pace(ctx, cdc.LaneUrgent, bulkPerUrgent) }()
	for range 5 {
		if err := t.leave(0); err != nil {
			return err
		}
		if err := errors.Join(t.shared(ctx, 2), t.add(ctx), t.shared(ctx, 3)); err != nil {
			return err
		}
	}
	stop()
	if err := <-sent; err != nil {
		return err
	}
	return b.target.told("urgent", "handed over", b.flags)
}

// killed kills a worker while changes arrive at a rate, and prints how long it takes until the
// first change of each of its partitions that came since is at the target.
func (b *workersBench) killed(ctx context.Context, t *team) error {
	h := hdrhistogram.New(1, 600_000_000, 3)
	for range 3 {
		b.target.reset()
		ctx, stop := context.WithCancel(ctx)
		meeting, err := t.look(ctx)
		if err == nil {
			err = t.kill(0)
		}
		if err != nil {
			stop()
			return err
		}
		at, sent := time.Now(), make(chan error, 1)
		go func() { sent <- b.pace(ctx, cdc.LaneNormal, 0) }()
		err = errors.Join(t.shared(ctx, 2), t.add(ctx), t.shared(ctx, 3))
		stop()
		if err := errors.Join(err, <-sent); err != nil {
			return err
		}
		for _, p := range t.lost(meeting) {
			first, ok := b.target.firstOf(p)
			if !ok {
				return fmt.Errorf("nothing of partition %d came after a kill", p)
			}
			if err := h.RecordValue(first.Sub(at).Microseconds()); err != nil {
				return fmt.Errorf("note a time: %w", err)
			}
		}
	}
	ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Result{Bench: "workers", Shape: "partitions", Tool: "killed", Rows: h.TotalCount(), RowsPerS: float64(b.flags.rate), Ratio: 1, P50MS: ms(50), P99MS: ms(99)}.print(b.flags.json)
}

// pace appends changes of new rows at the rate, each with some of bulk, until it is told to end.
func (b *workersBench) pace(ctx context.Context, lane string, bulk int) error {
	tick := time.NewTicker(time.Second / time.Duration(b.flags.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if b.next+bulk >= len(b.rows) {
			return errors.New("no rows are left")
		}
		now := time.Now()
		b.target.sent(b.next, b.partition(), now)
		b.append(lane, now)
		for range bulk {
			b.append(cdc.LaneBulk, now)
		}
	}
}

// partition is that of the next row.
func (b *workersBench) partition() int {
	return cdc.PartitionOf(b.rows[b.next].Table.String(), []byte(b.rows[b.next].Key), partitions)
}

// append appends a change of the next row.
func (b *workersBench) append(lane string, now time.Time) {
	row, lsn := &b.rows[b.next], cdc.LSN(1000+100*b.next)
	b.writer.Append(cdc.Stream{Lane: lane, Partition: b.partition()}, &cdc.Entry{Position: cdc.Position{LSN: lsn}, Op: row.Op, Table: row.Table.String(),
		Key: []byte(row.Key), After: []byte(row.After), Micros: now.UnixMicro(), XID: uint64(b.next + 1)})
	b.writer.Mark(lsn+50, now)
	b.next++
}

// writing runs f while the log is written to.
func (b *workersBench) writing(ctx context.Context, f func(context.Context) error) error {
	w, err := b.log.log.NewWriter(ctx)
	if err != nil {
		return err
	}
	b.writer = w
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	err = f(ctx)
	stop()
	return errors.Join(err, <-done)
}

// look tells who is there and has what.
func (t *team) look(ctx context.Context) (state.Meeting, error) {
	return state.Look(ctx, t.b.log.log.Client(), t.b.log.log.Keys(), t.target, partitions)
}
