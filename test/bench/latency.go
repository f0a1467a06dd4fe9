package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers"
)

type latencyFlags struct {
	json bool
	rate int
	time time.Duration
}

func latencyCommand() *cobra.Command {
	var f latencyFlags
	c := &cobra.Command{
		Use:   "latency",
		Short: "Time from sending an INSERT to its entry in Redis, beside the INSERT alone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runLatency(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.rate, "rate", 500, "commits per second")
	c.Flags().DurationVar(&f.time, "for", 20*time.Second, "how long")
	return c
}

// latencyBench keeps when each row was sent; rows are numbered from 1.
type latencyBench struct {
	flags     latencyFlags
	sent      []time.Time
	insert    *hdrhistogram.Histogram // microseconds
	toEntry   *hdrhistogram.Histogram
	peakRSSMB float64
}

func runLatency(ctx context.Context, f latencyFlags) (err error) {
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	rs, err := servers.StartRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	defer closing(&err, rs.Close)
	opts, err := redis.ParseURL(rs.URL())
	if err != nil {
		return err
	}
	opts.Protocol = 2
	rdb := redis.NewClient(opts)
	defer closing(&err, rdb.Close)
	const slot = "latency"
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot); err != nil {
		return fmt.Errorf("make slot: %w", err)
	}
	n := int(f.time.Seconds() * float64(f.rate))
	b := &latencyBench{flags: f, sent: make([]time.Time, n+1),
		insert: hdrhistogram.New(1, 60_000_000, 3), toEntry: hdrhistogram.New(1, 60_000_000, 3)}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r, err := runMeasured(gctx, measured{postgres: pg.URL("postgres"), redis: rs.URL(), slot: slot, rows: int64(n)})
		b.peakRSSMB = r.PeakRSSMB
		return err
	})
	g.Go(func() error { return b.write(gctx, conn) })
	g.Go(func() error { return b.read(gctx, rdb, redislog.Keys{Name: slot}) })
	if err := g.Wait(); err != nil {
		return err
	}
	return b.report()
}

// write sends rows one transaction each, paced by the clock.
func (b *latencyBench) write(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	tick := time.NewTicker(time.Second / time.Duration(b.flags.rate))
	defer tick.Stop()
	for i := 1; i < len(b.sent); i++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		b.sent[i] = time.Now()
		if _, err := conn.Exec(ctx, "INSERT INTO deals (id, name, amount, created_at) VALUES ($1, 'latency', 1.5, now())", i); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := b.insert.RecordValue(time.Since(b.sent[i]).Microseconds()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// read follows the streams with a blocking read, as a consumer would.
func (b *latencyBench) read(ctx context.Context, rdb *redis.Client, keys redislog.Keys) error {
	const partitions = 8
	streams := make([]string, 0, 2*partitions)
	last := map[string]string{}
	for p := range partitions {
		k := keys.Stream(cdc.Stream{Lane: cdc.LaneNormal, Partition: p})
		streams = append(streams, k)
		last[k] = "0"
	}
	for seen := 0; seen < len(b.sent)-1; {
		args := append([]string{}, streams...)
		for _, k := range streams {
			args = append(args, last[k])
		}
		res, err := rdb.XRead(ctx, &redis.XReadArgs{Streams: args, Block: time.Second}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		now := time.Now()
		for _, s := range res {
			for _, m := range s.Messages {
				last[s.Stream] = m.ID
				var key struct{ ID int }
				text, _ := m.Values["key"].(string)
				if err := json.Unmarshal([]byte(text), &key); err != nil {
					return fmt.Errorf("read key: %w", err)
				}
				if err := b.toEntry.RecordValue(now.Sub(b.sent[key.ID]).Microseconds()); err != nil {
					return fmt.Errorf("read: %w", err)
				}
				seen++
			}
		}
	}
	return nil
}

func (b *latencyBench) report() error {
	line := func(tool string, h *hdrhistogram.Histogram, rss float64) error {
		ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
		return Result{Bench: "latency", Shape: fmt.Sprintf("%d/s", b.flags.rate), Tool: tool, Rows: h.TotalCount(),
			RowsPerS: float64(h.TotalCount()) / b.flags.time.Seconds(), Ratio: ms(50) / (float64(b.insert.ValueAtQuantile(50)) / 1000),
			P50MS: ms(50), P99MS: ms(99), PeakRSSMB: rss}.print(b.flags.json)
	}
	if err := line("insert alone", b.insert, 0); err != nil {
		return err
	}
	return line("walbridge", b.toEntry, b.peakRSSMB)
}
