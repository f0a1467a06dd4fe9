package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/test/servers"
)

type verifyFlags struct {
	json bool
	rows int64
	runs int
}

func verifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare a table with what was delivered of it, beside a plain SELECT of its rows as JSON that decodes each",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().Int64Var(&f.rows, "rows", 500_000, "rows of the table, of about 400 bytes")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each; the median counts")
	return c
}

const verifyMapping = `name: deals
from: public.deals
to: crm/Opportunity
key: {External_Id__c: id}
fields: {Name: name, StageName: stage, Amount: amount, Probability: probability, CloseDate: close_date, Region: upper(region), Email: lower(email), Open: is_open, Score: score, Note: note}
`

func runVerify(ctx context.Context, f verifyFlags) (err error) {
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	const once = 100_000
	for _, sql := range []string{"SET synchronous_commit = off", fmt.Sprintf("CALL load(%d, %d)", max(1, f.rows/once), min(f.rows, once)), "VACUUM ANALYZE deals"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	rs, err := servers.StartRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	defer closing(&err, rs.Close)
	var delivered atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch struct{ Records []struct{} }
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			http.Error(w, "not a batch", http.StatusBadRequest)
			return
		}
		answerAll(w, len(batch.Records))
		delivered.Add(int64(len(batch.Records)))
	}))
	defer target.Close()
	run, err := startBridge(ctx, map[string]string{
		"walbridge.yaml": fmt.Sprintf("name: bench\npostgres: {url: %q}\nredis: {url: %q}\nmappings: [m/*.yaml]\ntargets:\n  crm: {type: http, url: %q}\nlisten: \"\"\nlog: {level: warn}\n", pg.URL("postgres"), rs.URL(), target.URL),
		"m/deals.yaml":   verifyMapping})
	if err != nil {
		return err
	}
	defer closing(&err, run.close)
	if err := poll(ctx, run, func() (bool, error) { return delivered.Load() >= f.rows, nil }); err != nil {
		return err
	}
	var copies, own []time.Duration
	var peak float64
	for range f.runs {
		took, err := readPlainly(ctx, conn, f.rows)
		if err != nil {
			return err
		}
		copies = append(copies, took)
		took, rss, right, err := verifyOnce(ctx, run)
		if err != nil || right != f.rows {
			return fmt.Errorf("%d rows of %d are right (%w)", right, f.rows, err)
		}
		own, peak = append(own, took), max(peak, rss)
	}
	perSecond := func(d time.Duration) float64 { return float64(f.rows) / d.Seconds() }
	ref, mine := median(copies), median(own)
	if err := (Result{Bench: "verify", Shape: "state", Tool: "SELECT + JSON", Rows: f.rows, Seconds: ref.Seconds(), RowsPerS: perSecond(ref), Ratio: 1}).print(f.json); err != nil {
		return err
	}
	return Result{Bench: "verify", Shape: "state", Tool: "walbridge", Rows: f.rows, Seconds: mine.Seconds(), RowsPerS: perSecond(mine),
		Ratio: perSecond(mine) / perSecond(ref), PeakRSSMB: peak}.print(f.json)
}

// verifyOnce runs the command, and gives how long that took, its peak of memory in MB, and
// how many rows are right.
func verifyOnce(ctx context.Context, run *ranBridge) (took time.Duration, rss float64, right int64, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(run.dir, "walbridge"), "verify", "--json", "-c", filepath.Join(run.dir, "walbridge.yaml"))
	cmd.Stderr = os.Stderr
	began := time.Now()
	out, _ := cmd.Output() // its status is 1 while something is missing
	took = time.Since(began)
	var told struct{ Mappings []struct{ Right int64 } }
	if err := json.Unmarshal(out, &told); err != nil || len(told.Mappings) != 1 {
		return took, 0, 0, fmt.Errorf("read what verify says: %w", err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = float64(u.Maxrss) / 1024
	}
	return took, rss, told.Mappings[0].Right, nil
}

// readPlainly reads the rows as JSON and decodes each, as the plainest check would.
func readPlainly(ctx context.Context, conn *pgx.Conn, rows int64) (time.Duration, error) {
	began, n := time.Now(), int64(0)
	found, err := conn.Query(ctx, "SELECT to_jsonb(d)::text FROM deals d")
	if err != nil {
		return 0, fmt.Errorf("read rows: %w", err)
	}
	var text []byte
	if _, err := pgx.ForEachRow(found, []any{&text}, func() error {
		var row map[string]any
		n++
		return json.Unmarshal(text, &row)
	}); err != nil || n != rows {
		return 0, fmt.Errorf("%d rows of %d were read (%w)", n, rows, err)
	}
	return time.Since(began), nil
}
