package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

type replayFlags struct {
	json    bool
	changes int
	runs    int
}

func replayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay",
		Short: "Replay a log of records that did not change, beside a loop that reads the same log and decodes its rows",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runReplay(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.changes, "changes", 1_000_000, "changes in the log, each of a record of its own")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each; the median counts")
	return c
}

func runReplay(ctx context.Context, f replayFlags) (err error) {
	log, err := fillLog(ctx, f.changes, f.changes, func(i int) int { return i })
	if err != nil {
		return err
	}
	defer closing(&err, log.close)
	if _, err := log.drain(ctx, "crm", taker{}); err != nil {
		return err
	}
	var ref, own []time.Duration
	for run := range f.runs {
		began, n := time.Now(), 0
		err := log.readPlainly(ctx, func(after string) error {
			n++
			var row map[string]any
			return json.Unmarshal([]byte(after), &row)
		})
		if err != nil || n != f.changes {
			return fmt.Errorf("the plain loop read %d of %d changes (%w)", n, f.changes, err)
		}
		ref = append(ref, time.Since(began))
		err = profiled(func() error {
			took, err := log.replay(ctx, fmt.Sprint("run", run))
			own = append(own, took)
			return err
		})
		if err != nil {
			return err
		}
	}
	r, o := median(ref), median(own)
	for _, res := range []Result{
		{Bench: "replay", Shape: "unchanged", Tool: "XREAD + JSON", Rows: int64(f.changes), Seconds: r.Seconds(), RowsPerS: float64(f.changes) / r.Seconds(), Ratio: 1},
		{Bench: "replay", Shape: "unchanged", Tool: "walbridge", Rows: int64(f.changes), Seconds: o.Seconds(), RowsPerS: float64(f.changes) / o.Seconds(), Ratio: r.Seconds() / o.Seconds()},
	} {
		if err := res.print(f.json); err != nil {
			return err
		}
	}
	return nil
}

// replaysOf is where the worker of a bench finds its replays.
type replaysOf struct {
	*redislog.Reader
	log *redislog.Log
}

// Version is that of the log.
func (r *replaysOf) Version(ctx context.Context) (string, error) { return r.log.ReplaysVersion(ctx) }

// Running gives what is to run.
func (r *replaysOf) Running(ctx context.Context) (out []cdc.Replay, err error) {
	list, err := r.log.Replays(ctx)
	for i := range list {
		if list[i].State == cdc.ReplayRunning {
			out = append(out, list[i].Replay)
		}
	}
	return out, err
}

// Place is that of the log.
func (r *replaysOf) Place(ctx context.Context, id string, partition int) (map[string]cdc.Position, cdc.ReplayProgress, error) {
	at, err := r.log.ReplayPlace(ctx, id, partition)
	if err != nil {
		return nil, cdc.ReplayProgress{}, err
	}
	p, err := r.log.ReplayProgress(ctx, id, partition)
	return at, p, err
}

// Finish is that of the log.
func (r *replaysOf) Finish(ctx context.Context, id string) (bool, error) {
	return r.log.FinishReplay(ctx, id)
}

// replay replays all of a log by a worker that has delivered it. The clock runs from when it
// is asked for until it has ended.
func (f *filledLog) replay(ctx context.Context, id string) (took time.Duration, err error) {
	m, err := dealMapper()
	if err != nil {
		return 0, err
	}
	store := state.New(state.Options{Client: f.log.Client(), Keys: f.log.Keys(), Target: "crm", Partitions: partitions})
	defer closing(&err, store.Close)
	reader := f.log.NewReader(partitions)
	defer closing(&err, reader.Close)
	replays := &replaysOf{Reader: f.log.NewReader(partitions), log: f.log}
	defer closing(&err, replays.Close)
	e, err := deliver.New(deliver.Options{Name: "crm", Target: taker{}, Mappers: []deliver.Mapper{m}, Reader: reader, Replays: replays, State: store,
		Partitions: partitions, Logger: quiet(), Limits: queue.Limits{Entries: 100_000 / 3, Bytes: 128 << 20 / 3}})
	if err != nil {
		return 0, err
	}
	tail, err := f.log.Tail(ctx)
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	began := time.Now()
	if err := f.log.AddReplay(ctx, cdc.Replay{ID: id, Target: "crm", To: tail, Created: began}); err != nil {
		return 0, err
	}
	go func() { done <- e.Run(ctx) }()
	var last cdc.ReplayStatus
	for last.State != cdc.ReplayDone {
		if err := cdc.Sleep(ctx, 50*time.Millisecond); err != nil {
			return 0, errors.Join(err, <-done)
		}
		list, err := f.log.Replays(ctx)
		if err != nil {
			return 0, err
		}
		for i := range list {
			if list[i].ID == id {
				last = list[i]
			}
		}
	}
	took = last.Ended.Sub(began)
	stop()
	if err := <-done; err != nil {
		return 0, err
	}
	if n := e.Stats().Requests; n > 0 || last.Progress.Same != int64(f.changes) {
		return 0, fmt.Errorf("a replay of what did not change made %d requests, %+v", n, last.Progress)
	}
	return took, nil
}
