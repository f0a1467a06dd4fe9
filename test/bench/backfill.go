package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/test/servers"
)

type backfillFlags struct {
	json bool
	rows int64
	live int
	runs int
}

func backfillCommand() *cobra.Command {
	var f backfillFlags
	c := &cobra.Command{
		Use:   "backfill",
		Short: "Read a table into Redis beside live changes, and COPY the same table to nowhere",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runBackfill(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().Int64Var(&f.rows, "rows", 1_000_000, "rows of the table, of about 400 bytes")
	c.Flags().IntVar(&f.live, "live", 500, "updates of the table a second meanwhile")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often; the median counts")
	return c
}

// keptEntries bounds a stream of the benchmark, so that tables larger than the memory
// can pass; what is cut off was counted before.
const keptEntries = 100_000

func runBackfill(ctx context.Context, f backfillFlags) (err error) {
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	const once = 100_000
	if _, err := conn.Exec(ctx, fmt.Sprintf("CALL load(%d, %d)", max(1, f.rows/once), min(f.rows, once))); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE deals"); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	var copies, fills []time.Duration
	var peak float64
	for run := range f.runs {
		began := time.Now()
		if _, err := conn.PgConn().CopyTo(ctx, io.Discard, "COPY deals TO STDOUT"); err != nil {
			return fmt.Errorf("copy the table: %w", err)
		}
		copies = append(copies, time.Since(began))
		r, err := fillOnce(ctx, pg, conn, fmt.Sprintf("fill_%d", run), f)
		if err != nil {
			return err
		}
		fills = append(fills, time.Duration(r.Seconds*float64(time.Second)))
		peak = max(peak, r.PeakRSSMB)
	}
	perSecond := func(d time.Duration) float64 { return float64(f.rows) / d.Seconds() }
	ref, own := median(copies), median(fills)
	if err := (Result{Bench: "backfill", Shape: "table", Tool: "COPY TO STDOUT", Rows: f.rows, Seconds: ref.Seconds(), RowsPerS: perSecond(ref), Ratio: 1}).print(f.json); err != nil {
		return err
	}
	return Result{Bench: "backfill", Shape: "table", Tool: "walbridge", Rows: f.rows, Seconds: own.Seconds(), RowsPerS: perSecond(own),
		Ratio: perSecond(own) / perSecond(ref), PeakRSSMB: peak}.print(f.json)
}

// fillOnce reads the table with a slot and a Redis of its own, beside updates.
func fillOnce(ctx context.Context, pg *servers.Postgres, conn *pgx.Conn, slot string, f backfillFlags) (r childResult, err error) {
	rs, err := servers.StartRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return r, err
	}
	defer closing(&err, rs.Close)
	rdb, err := redisAt(rs.URL())
	if err != nil {
		return r, err
	}
	defer closing(&err, rdb.Close)
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot); err != nil {
		return r, fmt.Errorf("make slot: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	var read int64
	g.Go(func() error { return updates(gctx, pg.URL("postgres"), f) })
	g.Go(func() (err error) {
		read, err = countRead(gctx, rdb)
		return err
	})
	g.Go(func() (err error) {
		defer stop()
		r, err = runMeasured(gctx, measured{postgres: pg.URL("postgres"), redis: rs.URL(), slot: slot, fill: true})
		return err
	})
	if err := g.Wait(); err != nil {
		return r, err
	}
	// What changed while its chunk was read is not there as read, and few do.
	if read < f.rows*99/100 {
		return r, fmt.Errorf("%d rows of %d are in Redis", read, f.rows)
	}
	return r, dropSlot(context.WithoutCancel(ctx), conn, slot)
}

// updates changes rows of the table at a rate until ctx ends.
func updates(ctx context.Context, url string, f backfillFlags) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer closing(&err, func() error { return conn.Close(context.WithoutCancel(ctx)) })
	tick := time.NewTicker(time.Second / time.Duration(f.live))
	defer tick.Stop()
	for i := int64(0); ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := conn.Exec(ctx, "UPDATE deals SET amount = amount + 1 WHERE id = $1", i*7919%f.rows+1); err != nil && ctx.Err() == nil {
			return fmt.Errorf("update: %w", err)
		}
	}
}

// countRead counts the entries of the bulk lane as they come, and cuts the streams.
func countRead(ctx context.Context, rdb *redis.Client) (int64, error) {
	var total int64
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		last := ctx.Err() != nil
		keys, err := rdb.Keys(context.WithoutCancel(ctx), "walbridge:*:log:bulk").Result()
		if err != nil {
			return 0, fmt.Errorf("list streams: %w", err)
		}
		total = 0
		for _, k := range keys {
			info, err := rdb.XInfoStream(context.WithoutCancel(ctx), k).Result()
			if err != nil && !strings.Contains(err.Error(), "no such key") {
				return 0, fmt.Errorf("count entries: %w", err)
			}
			if err != nil {
				continue
			}
			total += info.EntriesAdded
			if err := rdb.XTrimMaxLenApprox(context.WithoutCancel(ctx), k, keptEntries, 0).Err(); err != nil {
				return 0, fmt.Errorf("cut stream: %w", err)
			}
		}
		if last {
			return total, nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

var errNotDone = errors.New("the backfill did not end well")
