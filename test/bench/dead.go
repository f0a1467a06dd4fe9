package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/test/servers"
)

type deadFlags struct {
	json    bool
	changes int64
	rate    int
	time    time.Duration
}

func deadCommand() *cobra.Command {
	var f deadFlags
	c := &cobra.Command{
		Use:   "dead",
		Short: "Memory with a dead target and a backlog for it, and what a healthy target beside it notices",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDead(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().Int64Var(&f.changes, "changes", 5_000_000, "changes that wait for the dead target, of as many records")
	c.Flags().IntVar(&f.rate, "rate", 100, "commits a second for the healthy target")
	c.Flags().DurationVar(&f.time, "for", 30*time.Second, "how long its latency is measured, before and beside")
	return c
}

// deadMostMB is the memory that is promised.
const (
	deadMostMB = 200
	deadSchema = `
CREATE TABLE small (id bigint PRIMARY KEY, n int);
CREATE PROCEDURE pile(changes bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOR t IN 0..(changes - 1) / 1000 LOOP
    INSERT INTO small SELECT i, 1 FROM generate_series(t * 1000 + 1, least(changes, t * 1000 + 1000)) i;
    COMMIT;
  END LOOP;
END $$;`
	deadFile = `name: small
from: public.small
to: gone/Small
key: {External_Id__c: id}
fields: {Count: n}
`
)

// leadTimer is a healthy target that knows when each lead was sent.
type leadTimer struct {
	mu   sync.Mutex // covers all below
	sent map[int64]time.Time
	took *hdrhistogram.Histogram // microseconds
	none chan struct{}           // holds one when the last open lead has come
}

func (l *leadTimer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var batch struct {
		Records []struct {
			Key struct {
				ID int64 `json:"External_Id__c"`
			} `json:"key"`
		} `json:"records"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, "not a batch", http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	for _, rec := range batch.Records {
		at, ok := l.sent[rec.Key.ID]
		if !ok {
			continue // it comes a second time
		}
		delete(l.sent, rec.Key.ID)
		// A time beyond the histogram's range counts as the longest there is.
		_ = l.took.RecordValue(min(now.Sub(at).Microseconds(), l.took.HighestTrackableValue()))
	}
	empty := len(l.sent) == 0
	l.mu.Unlock()
	answerAll(w, len(batch.Records))
	if empty {
		select {
		case l.none <- struct{}{}:
		default:
		}
	}
}

// deadBench is a run with both targets.
type deadBench struct {
	flags deadFlags
	leads *leadTimer
	conn  *pgx.Conn
	run   *ranBridge
	next  int64
}

// measure inserts leads at a rate for a time, and waits until all have come.
func (b *deadBench) measure(ctx context.Context) (*hdrhistogram.Histogram, error) {
	h := hdrhistogram.New(1, 600_000_000, 3)
	b.leads.mu.Lock()
	b.leads.took = h
	b.leads.mu.Unlock()
	tick := time.NewTicker(time.Second / time.Duration(b.flags.rate))
	defer tick.Stop()
	for end := time.Now().Add(b.flags.time); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		b.next++
		b.leads.mu.Lock()
		b.leads.sent[b.next] = time.Now()
		b.leads.mu.Unlock()
		if _, err := b.conn.Exec(ctx, "INSERT INTO leads VALUES ($1, 'Ada Lovelace', 'Ada@Example.com', '+43 1 234', now())", b.next); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
	}
	for {
		b.leads.mu.Lock()
		open := len(b.leads.sent)
		b.leads.mu.Unlock()
		if open == 0 {
			return h, nil
		}
		select {
		case <-b.leads.none:
		case <-b.run.ended:
			return nil, fmt.Errorf("the bridge ended early: %w", b.run.err)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d leads have not come: %w", open, ctx.Err())
		}
	}
}

// deadResult is what is printed, and judged.
type deadResult struct {
	Bench     string  `json:"bench"`
	Waiting   int64   `json:"waiting"` // entries of the log, without those of the healthy target; marks count
	PeakRSSMB float64 `json:"peak_rss_mb"`
	BeforeP50 float64 `json:"before_p50_ms"`
	BeforeP99 float64 `json:"before_p99_ms"`
	BesideP50 float64 `json:"beside_p50_ms"`
	BesideP99 float64 `json:"beside_p99_ms"`
}

func (r deadResult) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err := fmt.Printf(`dead     %d entries wait in the log, peak %.0f MB
dead     healthy target: p50 %.2f ms before, %.2f ms beside (ratio %.2f)  p99 %.2f ms before, %.2f ms beside (ratio %.2f)
`, r.Waiting, r.PeakRSSMB, r.BeforeP50, r.BesideP50, r.BesideP50/r.BeforeP50, r.BeforeP99, r.BesideP99, r.BesideP99/r.BeforeP99)
	return err
}

// judge says which promise is broken; changes is how many were to wait.
func (r deadResult) judge(changes int64) error {
	var errs []error
	if r.PeakRSSMB == 0 || r.PeakRSSMB > deadMostMB {
		errs = append(errs, fmt.Errorf("peak memory is %.0f MB, want one that is known, and at most %d MB", r.PeakRSSMB, deadMostMB))
	}
	if r.Waiting < changes {
		errs = append(errs, fmt.Errorf("only %d of %d changes waited", r.Waiting, changes))
	}
	return errors.Join(errs...)
}

func runDead(ctx context.Context, f deadFlags) (err error) {
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	for _, sql := range []string{urgentSchema, deadSchema} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	rs, err := servers.StartRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	defer closing(&err, rs.Close)
	rdb, err := redisAt(rs.URL())
	if err != nil {
		return err
	}
	defer closing(&err, rdb.Close)
	b := &deadBench{flags: f, conn: conn, leads: &leadTimer{sent: map[int64]time.Time{}, none: make(chan struct{}, 1)}}
	healthy := httptest.NewServer(b.leads)
	defer healthy.Close()
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "dead", http.StatusServiceUnavailable)
	}))
	defer gone.Close()
	b.run, err = startBridge(ctx, map[string]string{
		"walbridge.yaml": fmt.Sprintf("name: bench\npostgres: {url: %q}\nredis: {url: %q}\nmappings: [m/*.yaml]\ntargets:\n  crm: {type: http, url: %q}\n  gone: {type: http, url: %q}\nlisten: \"\"\nlog: {level: error}\n",
			pg.URL("postgres"), rs.URL(), healthy.URL, gone.URL),
		"m/leads.yaml": leadsFile, "m/small.yaml": deadFile})
	if err != nil {
		return err
	}
	defer closing(&err, b.run.close)
	ctx, stop := context.WithTimeout(ctx, 15*time.Minute)
	defer stop()
	r, err := b.drive(ctx, rdb)
	if err != nil {
		return err
	}
	if err := r.print(f.json); err != nil {
		return err
	}
	return r.judge(f.changes)
}

// drive measures the healthy target, piles up the backlog, and measures again.
func (b *deadBench) drive(ctx context.Context, rdb *redis.Client) (r deadResult, err error) {
	r.Bench = "dead"
	if err := awaitSlot(ctx, b.run, b.conn); err != nil {
		return r, err
	}
	ms := func(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	h, err := b.measure(ctx)
	if err != nil {
		return r, err
	}
	r.BeforeP50, r.BeforeP99 = ms(h, 50), ms(h, 99)
	for _, sql := range []string{"SET synchronous_commit = off", fmt.Sprintf("CALL pile(%d)", b.flags.changes), "SET synchronous_commit = on"} {
		if _, err := b.conn.Exec(ctx, sql); err != nil {
			return r, fmt.Errorf("pile up: %w", err)
		}
	}
	// The leads went to the log before, and count there as well.
	want := b.flags.changes + b.next
	err = poll(ctx, b.run, func() (bool, error) {
		n, err := countEntries(ctx, rdb)
		r.Waiting = n - b.next
		return n >= want, err
	})
	if err != nil {
		return r, err
	}
	if h, err = b.measure(ctx); err != nil {
		return r, err
	}
	r.BesideP50, r.BesideP99 = ms(h, 50), ms(h, 99)
	r.PeakRSSMB = peakRSSOf(fmt.Sprint(b.run.cmd.Process.Pid))
	return r, nil
}
