package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/test/servers"
)

type urgentFlags struct {
	json bool
	bulk int
	rate int
	work time.Duration
	idle time.Duration
}

func urgentCommand() *cobra.Command {
	var f urgentFlags
	c := &cobra.Command{
		Use:   "urgent",
		Short: "Time from sending an INSERT to its record at a target over HTTP, while a backlog goes out in bulk, beside the same when it has gone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runUrgent(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.bulk, "bulk", 1_000_000, "rows of the table that is read at the start, and goes out in bulk")
	c.Flags().IntVar(&f.rate, "rate", 100, "urgent commits per second")
	c.Flags().DurationVar(&f.work, "work", 20*time.Millisecond, "how long the target works on a request of bulk")
	c.Flags().DurationVar(&f.idle, "idle", 10*time.Second, "how long it goes on when the backlog has gone")
	return c
}

// The mappings: a table of leads that is urgent, and deals that are read at the start.
const (
	urgentSchema = `
CREATE TABLE leads (id bigint PRIMARY KEY, name text, email text, phone text, created_at timestamptz);
ALTER TABLE leads REPLICA IDENTITY DEFAULT;`
	leadsFile = `name: leads
from: public.leads
to: crm/Lead
key: {External_Id__c: id}
fields: {Name: name, Email: lower(email), Phone: phone}
lane: urgent
coalesce: {quiet: 0s, max_delay: 0s}
`
	bulkFile = `name: deals
from: public.deals
to: crm/Opportunity
key: {External_Id__c: id}
fields:
  Name: name
  Stage: stage
  Amount: amount * 2
  Probability: probability
  CloseDate: format_date(close_date, 'DD.MM.YYYY')
  Region: upper(region)
  Currency: currency
  Email: lower(email)
  Phone: phone
  Note: note
`
)

// urgentBench is what both ends of the way know.
type urgentBench struct {
	flags urgentFlags
	taken atomic.Int64 // records of bulk at the target

	mu      sync.Mutex // covers all below
	sent    map[int64]time.Time
	open    int
	stopped bool
	all     chan struct{}           // closed when nothing that was sent is open, and no more is to come
	beside  *hdrhistogram.Histogram // microseconds, while bulk goes out
	alone   *hdrhistogram.Histogram
	insert  *hdrhistogram.Histogram
}

func runUrgent(ctx context.Context, f urgentFlags) (err error) {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }
	b := &urgentBench{flags: f, sent: map[int64]time.Time{}, all: make(chan struct{}), beside: h(), alone: h(), insert: h()}
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	const once = 100_000
	for _, sql := range []string{urgentSchema, "SET synchronous_commit = off",
		fmt.Sprintf("CALL load(%d, %d)", max(1, f.bulk/once), min(f.bulk, once)), "VACUUM ANALYZE deals", "SET synchronous_commit = on"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	rs, err := servers.StartRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	defer closing(&err, rs.Close)
	target := httptest.NewServer(http.HandlerFunc(b.take))
	defer target.Close()
	run, err := startBridge(ctx, map[string]string{
		"walbridge.yaml": fmt.Sprintf("name: bench\npostgres: {url: %q}\nredis: {url: %q}\nmappings: [m/*.yaml]\ntargets: {crm: {type: http, url: %q}}\nlisten: \"\"\nlog: {level: warn}\n",
			pg.URL("postgres"), rs.URL(), target.URL),
		"m/leads.yaml": leadsFile, "m/deals.yaml": bulkFile})
	if err != nil {
		return err
	}
	defer closing(&err, run.close)
	if err := b.drive(ctx, run, conn, rs.URL()); err != nil {
		return err
	}
	return b.report()
}

// drive waits until all of the table is in the log, then inserts leads at a rate until
// the target has all of it, and for a while more.
func (b *urgentBench) drive(ctx context.Context, run *ranBridge, conn *pgx.Conn, redisURL string) (err error) {
	rdb, err := redisAt(redisURL)
	if err != nil {
		return err
	}
	defer closing(&err, rdb.Close)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { // a bridge that ends early ends all
		select {
		case <-run.ended:
			return fmt.Errorf("the bridge ended early: %w", run.err)
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error {
		defer stop()
		if err := b.awaitLog(ctx, run, rdb); err != nil {
			return err
		}
		left := int64(b.flags.bulk) - b.taken.Load()
		if left < int64(b.flags.bulk)/4 {
			return fmt.Errorf("only %d of %d records are left when the table is in the log: ask for more with --bulk or --work", left, b.flags.bulk)
		}
		if err := b.write(ctx, conn); err != nil {
			return err
		}
		select {
		case <-b.all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

// awaitLog waits until the whole table is in the bulk lane. It asks for the streams by name:
// to list the keys would keep Redis from anything else, and be measured.
func (b *urgentBench) awaitLog(ctx context.Context, run *ranBridge, rdb *redis.Client) error {
	return poll(ctx, run, func() (bool, error) {
		total := int64(0)
		for p := range partitions {
			info, err := rdb.XInfoStream(ctx, fmt.Sprintf("walbridge:{bench:%d}:log:bulk", p)).Result()
			if err != nil && !strings.Contains(err.Error(), "no such key") {
				return false, fmt.Errorf("count entries: %w", err)
			}
			if err == nil {
				total += info.EntriesAdded
			}
		}
		return total >= int64(b.flags.bulk), nil
	})
}

// write inserts leads, one transaction each, paced by the clock.
func (b *urgentBench) write(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(time.Second / time.Duration(b.flags.rate))
	defer tick.Stop()
	var gone time.Time
	for id := int64(1); gone.IsZero() || time.Since(gone) < b.flags.idle; id++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if gone.IsZero() && b.drained() {
			gone = time.Now()
		}
		at := time.Now()
		b.mu.Lock()
		b.sent[id] = at
		b.open++
		b.mu.Unlock()
		if _, err := conn.Exec(ctx, "INSERT INTO leads VALUES ($1, 'Ada Lovelace', 'Ada@Example.com', '+43 1 234', now())", id); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := b.insert.RecordValue(time.Since(at).Microseconds()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.endIfDone()
	return nil
}

func (b *urgentBench) drained() bool { return b.taken.Load() >= int64(b.flags.bulk) }

func (b *urgentBench) endIfDone() {
	if b.stopped && b.open == 0 {
		close(b.all)
	}
}

// take is the target: requests of bulk take their time, leads are timed.
func (b *urgentBench) take(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	n := bytes.Count(body, []byte(`{"op":`))
	if !bytes.HasPrefix(body, []byte(`{"object":"Lead"`)) {
		if n > 0 {
			time.Sleep(b.flags.work)
		}
		b.taken.Add(int64(n))
		answerAll(w, n)
		return
	}
	var batch struct {
		Records []struct {
			Key struct {
				ID int64 `json:"External_Id__c"`
			} `json:"key"`
		} `json:"records"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		http.Error(w, "not a batch", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	for _, rec := range batch.Records {
		at, ok := b.sent[rec.Key.ID]
		if !ok {
			continue // it comes a second time
		}
		delete(b.sent, rec.Key.ID)
		h := b.beside
		if b.drained() {
			h = b.alone
		}
		// A time beyond the histogram's range counts as the longest there is.
		_ = h.RecordValue(min(now.Sub(at).Microseconds(), h.HighestTrackableValue()))
		b.open--
	}
	b.endIfDone()
	b.mu.Unlock()
	answerAll(w, n)
}

func (b *urgentBench) report() error {
	if b.beside.TotalCount() < int64(b.flags.rate) {
		return errors.New("the backlog had gone within a second: ask for more with --bulk or --work")
	}
	ms := func(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	for _, l := range []struct {
		tool string
		h    *hdrhistogram.Histogram
	}{{"insert alone", b.insert}, {"no backlog", b.alone}, {"beside backlog", b.beside}} {
		err := Result{Bench: "urgent", Shape: fmt.Sprintf("%d/s", b.flags.rate), Tool: l.tool, Rows: l.h.TotalCount(), RowsPerS: float64(b.flags.rate),
			Ratio: ms(l.h, 99) / ms(b.alone, 99), P50MS: ms(l.h, 50), P99MS: ms(l.h, 99)}.print(b.flags.json)
		if err != nil {
			return err
		}
	}
	return nil
}

// ranBridge is `walbridge run` in a process of its own.
type ranBridge struct {
	cmd   *exec.Cmd
	dir   string
	ended chan struct{}
	err   error // once ended
}

// startBridge builds walbridge and runs it with some files.
func startBridge(ctx context.Context, files map[string]string) (r *ranBridge, err error) {
	dir, remove, err := tempDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
		if err := writeFile(path, text); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(dir, "walbridge")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/walbridge/walbridge/cmd/walbridge")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build walbridge: %w", err)
	}
	r = &ranBridge{dir: dir, ended: make(chan struct{}), cmd: exec.CommandContext(ctx, program, "run", "-c", filepath.Join(dir, "walbridge.yaml"))}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run walbridge: %w", err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	return r, nil
}

func (r *ranBridge) close() error {
	err := r.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-r.ended
	return errors.Join(err, os.RemoveAll(r.dir))
}
