// Command bench measures walbridge beside a reference in the same run, on
// servers that it starts and stops itself.
//
//	go run ./test/bench capture [--json] [--runs 3] [--shape NAME]
//	go run ./test/bench backfill [--json] [--rows 1000000] [--live 500] [--runs 3]
//	go run ./test/bench latency [--json] [--rate 500] [--for 20s]
//	go run ./test/bench mapping [--json] [--rows 300000] [--runs 5] [--files 100]
//
// It counts at the destination: the entries that Redis holds, not what
// walbridge says it sent. Timings depend on the machine; ratios within one run
// are what counts.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "bench", Short: "Measure walbridge beside a reference", SilenceUsage: true}
	root.AddCommand(captureCommand(), childCommand(), latencyCommand(), backfillCommand(), mappingCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

// Result is a line of output.
type Result struct {
	Bench     string  `json:"bench"`
	Shape     string  `json:"shape"`
	Tool      string  `json:"tool"`
	Rows      int64   `json:"rows"`
	Seconds   float64 `json:"seconds,omitempty"`
	RowsPerS  float64 `json:"rows_per_s"`
	Ratio     float64 `json:"ratio"`
	PeakRSSMB float64 `json:"peak_rss_mb,omitempty"`
	P50MS     float64 `json:"p50_ms,omitempty"`
	P99MS     float64 `json:"p99_ms,omitempty"`
}

// print writes a result as JSON or for people.
func (r Result) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err := fmt.Printf("%-8s %-8s %-14s %9d rows %9.0f rows/s  ratio %.2f  peak %5.0f MB  p50 %.2f ms  p99 %.2f ms\n",
		r.Bench, r.Shape, r.Tool, r.Rows, r.RowsPerS, r.Ratio, r.PeakRSSMB, r.P50MS, r.P99MS)
	return err
}
