package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/sinks"
)

type foldFlags struct {
	json    bool
	changes int
	records int
	runs    int
	shape   string
}

func foldCommand() *cobra.Command {
	var f foldFlags
	c := &cobra.Command{
		Use:   "fold",
		Short: "Fold a log into a target that takes everything at once, beside a loop that reads the same log and decodes its rows",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runFold(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.changes, "changes", 500_000, "changes in the log")
	c.Flags().IntVar(&f.records, "records", 50_000, "rows that they are of")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each; the median counts")
	c.Flags().StringVar(&f.shape, "shape", "", "only this shape: edits or spread")
	return c
}

// taker takes every record at once.
type taker struct{}

func (taker) Limits() sinks.Limits {
	return sinks.Limits{MaxBatch: 200, MaxInFlight: 4, Timeout: 15 * time.Second}
}

func (taker) Deliver(_ context.Context, b sinks.Batch) ([]sinks.Result, error) {
	return make([]sinks.Result, len(b.Records)), nil
}

// foldShapes say which row a change is of. With edits, twenty rows at a time are edited
// ten times each, as people do; with spread, a row comes again when all others have come,
// so that nothing folds.
var foldShapes = []struct {
	name string
	of   func(i, records int) int
}{
	{"edits", func(i, records int) int { return (i/200*20 + i%20) % records }},
	{"spread", func(i, records int) int { return i * 7919 % records }},
}

func runFold(ctx context.Context, f foldFlags) error {
	for _, sh := range foldShapes {
		if f.shape != "" && f.shape != sh.name {
			continue
		}
		if err := foldShape(ctx, f, sh.name, func(i int) int { return sh.of(i, f.records) }); err != nil {
			return err
		}
	}
	return nil
}

func foldShape(ctx context.Context, f foldFlags, name string, of func(i int) int) (err error) {
	log, err := fillLog(ctx, f.changes, f.records, of)
	if err != nil {
		return err
	}
	defer closing(&err, log.close)
	var ref, own []time.Duration
	var last drained
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
		err = profiled(func() (err error) {
			last, err = log.drain(ctx, fmt.Sprintf("crm%d", run), taker{})
			return err
		})
		if err != nil {
			return err
		}
		own = append(own, last.took)
	}
	perSecond := func(d time.Duration) float64 { return float64(f.changes) / d.Seconds() }
	r, o := median(ref), median(own)
	if err := (Result{Bench: "fold", Shape: name, Tool: "XREAD + JSON", Rows: int64(f.changes), Seconds: r.Seconds(), RowsPerS: perSecond(r), Ratio: 1}).print(f.json); err != nil {
		return err
	}
	cpu, redis := last.spent.each(f.changes)
	return Result{Bench: "fold", Shape: name, Tool: "walbridge", Rows: int64(f.changes), Records: last.stats.Delivered, Seconds: o.Seconds(), RowsPerS: perSecond(o),
		Ratio: perSecond(o) / perSecond(r), CPUUS: cpu, RedisUS: redis}.print(f.json)
}
