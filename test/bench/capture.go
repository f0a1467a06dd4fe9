package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/test/servers"
)

type captureFlags struct {
	json  bool
	runs  int
	shape string
	aof   string
}

func captureCommand() *cobra.Command {
	var f captureFlags
	c := &cobra.Command{
		Use:   "capture",
		Short: "Drain a backlog into Redis beside pg_recvlogical -f /dev/null",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCapture(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each tool drains each backlog; the median counts")
	c.Flags().StringVar(&f.shape, "shape", "", "only this shape: one, hundred, bulk, million or two_million (one transaction of so many rows)")
	c.Flags().StringVar(&f.aof, "aof", "", "appendfsync of Redis: everysec or always; default no persistence")
	return c
}

type captureBench struct {
	flags captureFlags
	pg    *servers.Postgres
	conn  *pgx.Conn
	redis *servers.Redis
	rdb   *redis.Client
	recv  string
}

func runCapture(ctx context.Context, f captureFlags) (err error) {
	b := &captureBench{flags: f}
	chosen, err := choose(f.shape)
	if err != nil {
		return err
	}
	if b.recv, err = findReference(); err != nil {
		return err
	}
	if b.pg, b.conn, err = startSource(ctx); err != nil {
		return err
	}
	defer closing(&err, b.pg.Close)
	if b.redis, err = servers.StartRedis(ctx, servers.RedisOptions{AOF: f.aof}); err != nil {
		return err
	}
	defer closing(&err, b.redis.Close)
	if b.rdb, err = redisAt(b.redis.URL()); err != nil {
		return err
	}
	defer closing(&err, b.rdb.Close)
	for _, sh := range chosen {
		if err := b.shape(ctx, sh); err != nil {
			return err
		}
	}
	return nil
}

func choose(name string) ([]shape, error) {
	if name == "" {
		return shapes, nil
	}
	for _, sh := range slices.Concat(shapes, largeShapes) {
		if sh.name == name {
			return []shape{sh}, nil
		}
	}
	return nil, fmt.Errorf("--shape %s: want one, hundred, bulk, million or two_million", name)
}

// findReference finds pg_recvlogical beside the server's programs, which may be
// links to where the package put them, or on the PATH.
func findReference() (string, error) {
	const name = "pg_recvlogical"
	bin, err := servers.FindPostgres("")
	if err != nil {
		return "", err
	}
	if server, err := filepath.EvalSymlinks(filepath.Join(bin, "postgres")); err == nil {
		bin = filepath.Dir(server)
	}
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if path, err = exec.LookPath(name); err != nil {
		return "", fmt.Errorf("find the reference: %w; install PostgreSQL's client programs", err)
	}
	return path, nil
}

func closing(err *error, f func() error) {
	if e := f(); *err == nil {
		*err = e
	}
}

// shape drains one backlog with both tools in turn, so that what drifts on the
// machine drifts for both.
func (b *captureBench) shape(ctx context.Context, sh shape) error {
	base, end, err := backlog(ctx, b.conn, sh)
	if err != nil {
		return err
	}
	var ref, own []time.Duration
	var peak float64
	for run := range b.flags.runs {
		d, err := b.reference(ctx, base, end)
		if err != nil {
			return fmt.Errorf("run pg_recvlogical: %w", err)
		}
		ref = append(ref, d)
		r, err := b.own(ctx, base, sh, run)
		if err != nil {
			return fmt.Errorf("run walbridge: %w", err)
		}
		own = append(own, time.Duration(r.Seconds*float64(time.Second)))
		peak = max(peak, r.PeakRSSMB)
	}
	if err := dropSlot(ctx, b.conn, base); err != nil {
		return err
	}
	perSecond := func(d time.Duration) float64 { return float64(sh.total()) / d.Seconds() }
	r, o := median(ref), median(own)
	if err := (Result{Bench: "capture", Shape: sh.name, Tool: "pg_recvlogical", Rows: sh.total(), Seconds: r.Seconds(),
		RowsPerS: perSecond(r), Ratio: 1}).print(b.flags.json); err != nil {
		return err
	}
	return Result{Bench: "capture", Shape: sh.name, Tool: "walbridge", Rows: sh.total(), Seconds: o.Seconds(),
		RowsPerS: perSecond(o), Ratio: r.Seconds() / o.Seconds(), PeakRSSMB: peak}.print(b.flags.json)
}

func median(d []time.Duration) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[len(s)/2]
}

func (b *captureBench) reference(ctx context.Context, base, end string) (time.Duration, error) {
	const slot = "reference"
	if err := copySlot(ctx, b.conn, base, slot); err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := exec.CommandContext(ctx, b.recv, "-d", b.pg.URL("postgres"), "-S", slot, "--start", "-f", os.DevNull,
		"--endpos", end, "-o", "proto_version=1", "-o", "publication_names=bench", "-o", "messages=true").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	took := time.Since(began)
	return took, dropSlot(ctx, b.conn, slot)
}

// own drains with walbridge in a process of its own, whose memory is measured,
// and counts what Redis then holds.
func (b *captureBench) own(ctx context.Context, base string, sh shape, run int) (childResult, error) {
	if err := b.rdb.FlushAll(ctx).Err(); err != nil {
		return childResult{}, fmt.Errorf("empty redis: %w", err)
	}
	slot := fmt.Sprintf("walbridge_%s_%d", sh.name, run)
	if err := copySlot(ctx, b.conn, base, slot); err != nil {
		return childResult{}, err
	}
	r, err := runMeasured(ctx, measured{postgres: b.pg.URL("postgres"), redis: b.redis.URL(), slot: slot, rows: sh.total()})
	if err != nil {
		return r, err
	}
	held, err := countEntries(ctx, b.rdb)
	if err != nil {
		return r, err
	}
	if held != sh.total() {
		return r, fmt.Errorf("redis holds %d entries of %d rows", held, sh.total())
	}
	return r, dropSlot(ctx, b.conn, slot)
}

// redisAt gives a client for an address.
func redisAt(url string) (*redis.Client, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read address of redis: %w", err)
	}
	return redis.NewClient(opts), nil
}

// countEntries counts what the log holds.
func countEntries(ctx context.Context, rdb *redis.Client) (int64, error) {
	keys, err := rdb.Keys(ctx, "walbridge:*:log:*").Result()
	if err != nil {
		return 0, fmt.Errorf("list streams: %w", err)
	}
	var n int64
	for _, k := range keys {
		l, err := rdb.XLen(ctx, k).Result()
		if err != nil {
			return 0, fmt.Errorf("count entries: %w", err)
		}
		n += l
	}
	return n, nil
}
