// Command bench measures walbridge beside a reference in the same run, on
// servers that it starts and stops itself.
//
//	go run ./test/bench capture [--json] [--runs 3] [--shape NAME]
//	go run ./test/bench backfill [--json] [--rows 1000000] [--live 500] [--runs 3]
//	go run ./test/bench latency [--json] [--rate 500] [--for 20s]
//	go run ./test/bench mapping [--json] [--rows 300000] [--runs 5] [--files 100]
//	go run ./test/bench fold [--json] [--changes 500000] [--records 50000] [--runs 3] [--shape NAME]
//	go run ./test/bench deliver [--json] [--records 200000] [--runs 3]
//	go run ./test/bench urgent [--json] [--bulk 1000000] [--rate 100] [--work 20ms] [--idle 10s]
//	go run ./test/bench quota [--json] [--changes 1000000] [--records 50000]
//	go run ./test/bench dead [--json] [--changes 5000000] [--for 30s]
//	go run ./test/bench hubspot [--json] [--records 100000]
//	go run ./test/bench postgres [--json] [--records 200000] [--batch 1000] [--runs 3]
//	go run ./test/bench replay [--json] [--changes 1000000] [--runs 3]
//	go run ./test/bench salesforce [--json] [--records 100000]
//	go run ./test/bench workers [--json] [--records 20000] [--work 50ms] [--lease 2s] [--rate 100]
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
	root.AddCommand(captureCommand(), childCommand(), latencyCommand(), backfillCommand(), mappingCommand(), foldCommand(), deliverCommand(), urgentCommand(), quotaCommand(), deadCommand(), hubspotCommand(), postgresCommand(), replayCommand(), salesforceCommand(), verifyCommand(), workersCommand(), targetCommand(), workerCommand())
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
	// Records is what the rows were folded into.
	Records uint64 `json:"records,omitempty"`
	// CPUUS and RedisUS are the processor time of a row, in microseconds: of the process
	// that is measured, and of its Redis.
	CPUUS   float64 `json:"cpu_us,omitempty"`
	RedisUS float64 `json:"redis_us,omitempty"`
}

// print writes a result as JSON or for people.
func (r Result) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	line := fmt.Sprintf("%-8s %-9s %-14s %9d rows %9.0f rows/s  ratio %.2f", r.Bench, r.Shape, r.Tool, r.Rows, r.RowsPerS, r.Ratio)
	if r.Records > 0 {
		line += fmt.Sprintf("  %d records", r.Records)
	}
	if r.PeakRSSMB > 0 {
		line += fmt.Sprintf("  peak %5.0f MB", r.PeakRSSMB)
	}
	if r.P99MS > 0 {
		line += fmt.Sprintf("  p50 %.2f ms  p99 %.2f ms", r.P50MS, r.P99MS)
	}
	if r.CPUUS > 0 {
		line += fmt.Sprintf("  cpu %.1f µs a row, %.1f of Redis", r.CPUUS, r.RedisUS)
	}
	_, err := fmt.Println(line)
	return err
}
