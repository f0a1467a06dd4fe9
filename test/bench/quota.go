package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
)

type quotaFlags struct {
	json    bool
	changes int64
	records int64
}

func quotaCommand() *cobra.Command {
	var f quotaFlags
	c := &cobra.Command{
		Use:   "quota",
		Short: "Requests for many changes of few records at a target that allows 100 a second, and for reading all of it again",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runQuota(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().Int64Var(&f.changes, "changes", 1_000_000, "how many changes are committed, in transactions of 100")
	c.Flags().Int64Var(&f.records, "records", 50_000, "how many records they are of, one after the other")
	return c
}

const (
	quotaPerSecond = 100
	quotaRows      = 100 // of a transaction
	quotaSchema    = `
CREATE TABLE counters (id bigint PRIMARY KEY, n bigint);
CREATE PROCEDURE work(changes bigint, records bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOR t IN 0..changes / 100 - 1 LOOP
    INSERT INTO counters SELECT (t * 100 + i) % records, 1 FROM generate_series(0, 99) i
      ON CONFLICT (id) DO UPDATE SET n = counters.n + 1;
    COMMIT;
  END LOOP;
END $$;`
	// Without a first load: it would read the rows while they change, and what it read last
	// may still be on its way when the target equals the source.
	quotaFile = `name: counters
from: public.counters
to: crm/Counter
start: now
key: {External_Id__c: id}
fields: {Count: n}
`
)

// quotaTarget allows so many requests a second, refuses those above with 429, and keeps
// what it was sent.
type quotaTarget struct {
	changed chan struct{} // holds one when there is something new

	mu      sync.Mutex // covers all below
	tokens  float64
	at      time.Time
	count   quotaCount
	content map[int64]int64
}

// quotaCount is what reached the target.
type quotaCount struct {
	Requests int64 `json:"requests"` // with records, and not refused
	Refused  int64 `json:"refused"`  // with 429
	Empty    int64 `json:"empty"`    // without records: it looks whether the target is there
	Records  int64 `json:"records"`
}

// allow takes a token of the bucket, which holds those of a second.
func (t *quotaTarget) allow(now time.Time) bool {
	if !t.at.IsZero() {
		t.tokens += now.Sub(t.at).Seconds() * quotaPerSecond
	}
	t.at = now
	t.tokens = min(t.tokens, quotaPerSecond)
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

func (t *quotaTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch struct {
		Records []struct {
			Key struct {
				ID int64 `json:"External_Id__c"`
			} `json:"key"`
			Fields struct {
				Count int64 `json:"Count"`
			} `json:"fields"`
		} `json:"records"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, "not a batch", http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	ok := t.allow(time.Now())
	switch n := len(batch.Records); {
	case !ok:
		t.count.Refused++
	case n == 0:
		t.count.Empty++
	default:
		t.count.Requests++
		t.count.Records += int64(n)
		for _, rec := range batch.Records {
			t.content[rec.Key.ID] = rec.Fields.Count
		}
	}
	t.mu.Unlock()
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	answerAll(w, len(batch.Records))
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *quotaTarget) counted() quotaCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// await waits until the target holds just what is wanted.
func (t *quotaTarget) await(ctx context.Context, run *ranBridge, want map[int64]int64) error {
	for {
		t.mu.Lock()
		equal := maps.Equal(t.content, want)
		t.mu.Unlock()
		if equal {
			return nil
		}
		select {
		case <-t.changed:
		case <-run.ended:
			return fmt.Errorf("the bridge ended early: %w", run.err)
		case <-ctx.Done():
			return fmt.Errorf("the target does not equal the source: %w", ctx.Err())
		}
	}
}

// quotaResult is what is printed, and judged.
type quotaResult struct {
	Bench   string  `json:"bench"`
	Changes int64   `json:"changes"`
	Held    int64   `json:"held"` // entries in the log when it is read again
	Work    float64 `json:"work_seconds"`
	Seconds float64 `json:"seconds"` // from the first change until target equals source
	quotaCount
	Again quotaCount `json:"again"`
}

func (r quotaResult) print(asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err := fmt.Printf(`quota    naive      %9d requests  %9d records  %8.1f s at %d/s
quota    walbridge  %9d requests  %9d records  %8.1f s until equal (%.1f s of it the changes were made), %.3f %% of the changes, %d times 429
quota    again      %9d requests  %9d records  over %d entries, %d times 429
`, r.Changes, r.Changes, float64(r.Changes)/quotaPerSecond, quotaPerSecond,
		r.Requests, r.Records, r.Seconds, r.Work, 100*float64(r.Requests)/float64(r.Changes), r.Refused,
		r.Again.Requests, r.Again.Records, r.Held, r.Again.Refused)
	return err
}

// judge says which promise is broken. A refused request was made as well.
func (r quotaResult) judge() error {
	var errs []error
	if made := r.Requests + r.Refused; made*100 > r.Changes {
		errs = append(errs, fmt.Errorf("%d requests for %d changes: more than 1 %%", made, r.Changes))
	}
	if made := r.Again.Requests + r.Again.Refused; made != 0 {
		errs = append(errs, fmt.Errorf("%d requests when all is read again, not 0", made))
	}
	if r.Held < r.Changes {
		errs = append(errs, fmt.Errorf("only %d entries of %d changes were there to read again", r.Held, r.Changes))
	}
	return errors.Join(errs...)
}

func runQuota(ctx context.Context, f quotaFlags) (err error) {
	if f.records < quotaRows || f.changes < f.records || f.changes%quotaRows != 0 {
		return fmt.Errorf("--changes %d --records %d: want at least %d records, and as many changes or more, in hundreds", f.changes, f.records, quotaRows)
	}
	pg, conn, err := startSource(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, pg.Close)
	for _, sql := range []string{quotaSchema, "SET synchronous_commit = off"} {
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
	t := &quotaTarget{changed: make(chan struct{}, 1), tokens: quotaPerSecond, content: map[int64]int64{}}
	server := httptest.NewServer(t)
	defer server.Close()
	files := map[string]string{
		"walbridge.yaml": fmt.Sprintf("name: bench\npostgres: {url: %q}\nredis: {url: %q}\nmappings: [m/*.yaml]\ntargets:\n  crm: {type: http, url: %q, max_batch: 200, rate: {per_second: %d}}\nlisten: \"\"\nlog: {level: warn}\n",
			pg.URL("postgres"), rs.URL(), server.URL, quotaPerSecond),
		"m/counters.yaml": quotaFile}
	ctx, stop := context.WithTimeout(ctx, 20*time.Minute)
	defer stop()
	r := quotaResult{Bench: "quota", Changes: f.changes}
	if err := r.first(ctx, f, files, conn, t); err != nil {
		return err
	}
	r.quotaCount = t.counted()
	if err := r.again(ctx, files, rdb, t); err != nil {
		return err
	}
	if err := r.print(f.json); err != nil {
		return err
	}
	return r.judge()
}

// first makes the changes, and waits until the target equals the source.
func (r *quotaResult) first(ctx context.Context, f quotaFlags, files map[string]string, conn *pgx.Conn, t *quotaTarget) (err error) {
	run, err := startBridge(ctx, files)
	if err != nil {
		return err
	}
	defer closing(&err, run.close)
	if err := awaitSlot(ctx, run, conn); err != nil {
		return err
	}
	began := time.Now()
	if _, err := conn.Exec(ctx, fmt.Sprintf("CALL work(%d, %d)", f.changes, f.records)); err != nil {
		return fmt.Errorf("make changes: %w", err)
	}
	r.Work = time.Since(began).Seconds()
	want := map[int64]int64{}
	rows, err := conn.Query(ctx, "SELECT id, n FROM counters")
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	var id, n int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { want[id] = n; return nil }); err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	err = t.await(ctx, run, want)
	r.Seconds = time.Since(began).Seconds()
	return err
}

// again sets the target's checkpoints back to the beginning while no bridge runs, and
// waits until all of the log has been read once more.
func (r *quotaResult) again(ctx context.Context, files map[string]string, rdb *redis.Client, t *quotaTarget) (err error) {
	keys, err := rdb.Keys(ctx, "walbridge:*:log:*").Result()
	if err != nil {
		return fmt.Errorf("list streams: %w", err)
	}
	ends := map[string]cdc.Position{}
	for _, k := range keys {
		last, err := rdb.XRevRangeN(ctx, k, "+", "-", 1).Result()
		if err != nil {
			return fmt.Errorf("find the end: %w", err)
		}
		if len(last) == 0 {
			continue
		}
		if ends[k], err = cdc.ParsePosition(last[0].ID); err != nil {
			return fmt.Errorf("find the end: %w", err)
		}
		n, err := rdb.XLen(ctx, k).Result()
		if err != nil {
			return fmt.Errorf("count entries: %w", err)
		}
		r.Held += n
		if err := rdb.XGroupSetID(ctx, k, "crm", "0-0").Err(); err != nil {
			return fmt.Errorf("set the checkpoint back: %w", err)
		}
	}
	had := t.counted()
	run, err := startBridge(ctx, files)
	if err != nil {
		return err
	}
	err = awaitRead(ctx, run, rdb, ends)
	// What it still sends when it ends counts as well.
	err = errors.Join(err, run.close())
	now := t.counted()
	r.Again = quotaCount{now.Requests - had.Requests, now.Refused - had.Refused, now.Empty - had.Empty, now.Records - had.Records}
	return err
}

// awaitRead waits until the target's checkpoints are at the ends of the streams.
func awaitRead(ctx context.Context, run *ranBridge, rdb *redis.Client, ends map[string]cdc.Position) error {
	return poll(ctx, run, func() (bool, error) {
		for k, end := range ends {
			groups, err := rdb.XInfoGroups(ctx, k).Result()
			if err != nil {
				return false, fmt.Errorf("read checkpoints: %w", err)
			}
			i := slices.IndexFunc(groups, func(g redis.XInfoGroup) bool { return g.Name == "crm" })
			if i < 0 {
				return false, fmt.Errorf("read checkpoints: nobody reads %s", k)
			}
			at, err := cdc.ParsePosition(groups[i].LastDeliveredID)
			if err != nil || at.Before(end) {
				return false, err
			}
		}
		return true, nil
	})
}

// awaitSlot waits until the bridge reads the source.
func awaitSlot(ctx context.Context, run *ranBridge, conn *pgx.Conn) error {
	return poll(ctx, run, func() (ok bool, err error) {
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE active)").Scan(&ok)
		return ok, err
	})
}

// poll asks until it is done: another process has no event for us.
func poll(ctx context.Context, run *ranBridge, done func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-run.ended:
			return fmt.Errorf("the bridge ended early: %w", run.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
