package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
)

type childFlags struct {
	postgres, redis, slot, profile string
	rows                           uint64
	fill                           bool
}

type childResult struct {
	Seconds   float64 `json:"seconds"`
	PeakRSSMB float64 `json:"peak_rss_mb"`
}

// measured says what a child process is to capture.
type measured struct {
	postgres, redis, slot string
	rows                  int64
	fill                  bool // instead of so many rows, the whole table is read
}

// runMeasured captures in a process of its own, so that its memory can be told
// from the benchmark's, until so many rows are in Redis.
func runMeasured(ctx context.Context, m measured) (r childResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, fmt.Errorf("find own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "child", "--postgres", m.postgres, "--redis", m.redis,
		"--slot", m.slot, "--rows", strconv.FormatInt(m.rows, 10), "--fill="+strconv.FormatBool(m.fill))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("capture in a process of its own: %w", err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("read result of the capture: %w", err)
	}
	return r, nil
}

// childCommand is the process that is measured: the capture and nothing else.
func childCommand() *cobra.Command {
	var f childFlags
	c := &cobra.Command{
		Use: "child", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runChild(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.postgres, "postgres", "", "")
	c.Flags().StringVar(&f.redis, "redis", "", "")
	c.Flags().StringVar(&f.slot, "slot", "", "")
	c.Flags().StringVar(&f.profile, "profile", os.Getenv("BENCH_PROFILE"), "")
	c.Flags().Uint64Var(&f.rows, "rows", 0, "")
	c.Flags().BoolVar(&f.fill, "fill", false, "")
	return c
}

func runChild(ctx context.Context, f childFlags) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	// As with pg_recvlogical, the clock runs from before the connection is made.
	began := time.Now()
	log, err := redislog.Open(ctx, redislog.Options{URL: f.redis, Name: f.slot, Partitions: 8, Logger: logger})
	if err != nil {
		return err
	}
	defer closing(&err, log.Close)
	src, err := pgsource.New(pgsource.Options{URL: f.postgres, Slot: f.slot, Publication: "bench",
		Tables: map[cdc.Table]pgsource.Lanes{{Schema: "public", Name: "deals"}: {Lane: cdc.LaneNormal}}, BulkAfter: 1000, Logger: logger})
	if err != nil {
		return err
	}
	if err := adopt(ctx, log, f); err != nil {
		return err
	}
	if f.profile != "" {
		file, err := os.Create(f.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	capture := pgsource.NewCapture(src, log)
	done := make(chan error, 1)
	go func() { done <- capture.Run(ctx) }()
	if f.fill {
		began, err = fill(ctx, capture, log, done)
	} else {
		err = until(done, func() bool { return capture.Stats().Rows >= f.rows && log.Stats().Entries >= f.rows })
	}
	if err != nil {
		return err
	}
	r := childResult{Seconds: time.Since(began).Seconds(), PeakRSSMB: peakRSS()}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// until waits for something that has no event.
func until(done <-chan error, f func() bool) error {
	for !f() {
		select {
		case err := <-done:
			return fmt.Errorf("capture ended early: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// fill has the table read, and tells when that was asked for.
func fill(ctx context.Context, capture *pgsource.Capture, log *redislog.Log, done <-chan error) (began time.Time, err error) {
	if err := until(done, func() bool { return capture.Stats().State == pgsource.Streaming }); err != nil {
		return began, err
	}
	began = time.Now()
	b := cdc.Backfill{ID: cdc.NewBackfillID(), Table: cdc.Table{Schema: "public", Name: "deals"}, Reason: cdc.ReasonRequest, Created: began}
	if err := log.AddBackfills(ctx, []cdc.Backfill{b}); err != nil {
		return began, err
	}
	var state cdc.BackfillState
	err = until(done, func() bool {
		for _, s := range capture.Backfills() {
			state = s.Progress.State
		}
		return state.Final()
	})
	if err == nil && state != cdc.BackfillDone {
		err = errNotDone
	}
	return began, err
}

// adopt says that the log knows the slot, which the benchmark made.
func adopt(ctx context.Context, log *redislog.Log, f childFlags) (err error) {
	conn, err := pgx.Connect(ctx, f.postgres)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer closing(&err, func() error { return conn.Close(ctx) })
	var text string
	if err := conn.QueryRow(ctx, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", f.slot).Scan(&text); err != nil {
		return fmt.Errorf("read slot: %w", err)
	}
	lsn, err := cdc.ParseLSN(text)
	if err != nil {
		return err
	}
	if err := log.SetEpoch(ctx, cdc.Epoch{Slot: f.slot}); err != nil {
		return err
	}
	return log.SetDurableMark(ctx, lsn)
}

// peakRSS reads the process's own high-water mark, in MB; zero where the system
// does not tell.
func peakRSS() float64 { return peakRSSOf("self") }

// peakRSSOf is that of a process by its number.
func peakRSSOf(pid string) float64 {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}
