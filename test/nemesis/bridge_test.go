package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/fault"
	"github.com/walbridge/walbridge/test/judge"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

const (
	name       = "nemesis"
	slot       = "walbridge_nemesis"
	witness    = "witness_nemesis"
	partitions = 4
)

// bridge is what a test needs around the processes: servers, and a network to each
// that can be hurt.
type bridge struct {
	t     testing.TB
	dir   string
	pg    *servers.Postgres
	redis *servers.Redis
	rdb   *redis.Client
	// net has the ways of the processes to the servers. The test itself goes to
	// them directly.
	pgNet, redisNet *fault.Proxy
	deeds           *deeds
	captures        []*keeper
	slotSamples     int // by watchSlot, until it has ended
}

// options say what is special about a bridge.
type options struct {
	aof      string // always or everysec
	captures int    // processes: all but one wait
	archived int    // rows of the table archive, for backfills
}

// newBridge starts servers and processes, and makes the witness before any row is
// written.
func newBridge(t testing.TB, o options) *bridge {
	t.Helper()
	b := &bridge{t: t, dir: t.TempDir(), deeds: &deeds{counts: map[string]int{}}}
	b.pg = servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{
		// A slot whose client is frozen or cut off is soon free for another.
		"wal_sender_timeout": "3s", "deadlock_timeout": "50ms", "checkpoint_timeout": "30s",
		"logical_decoding_work_mem": "64kB", "max_connections": "60",
	}})
	b.redis = servertest.Redis(t, servers.RedisOptions{AOF: o.aof})
	b.rdb = redis.NewClient(&redis.Options{Addr: b.redis.Addr()})
	t.Cleanup(func() {
		if err := b.rdb.Close(); err != nil {
			t.Errorf("close redis client: %v", err)
		}
	})
	b.pgNet, b.redisNet = b.proxy(b.pg.Addr()), b.proxy(b.redis.Addr())
	b.exec(schema)
	b.exec(strings.ReplaceAll(preload, "$1", fmt.Sprint(o.archived)))
	b.writeConfig("walbridge.yaml", b.pgNet.Addr(), b.redisNet.Addr())
	b.writeConfig("direct.yaml", b.pg.Addr(), b.redis.Addr())
	for i := range tables {
		b.write(filepath.Join("mappings", tables[i].name+".yaml"), tables[i].mapping())
	}
	b.start(o)
	return b
}

func (b *bridge) writeConfig(file, pg, redis string) {
	b.t.Helper()
	b.write(file, fmt.Sprintf(`name: %s
postgres: {url: "postgres://postgres@%s/postgres?sslmode=disable", heartbeat: 250ms}
redis: {url: "redis://%s/0", partitions: %d, bulk_after: %d}
mappings: [mappings/*.yaml]
listen: ""
targets:
  nobody: {type: http, url: "http://127.0.0.1:9/"}
`, name, pg, redis, partitions, bulkAfter))
}

// start starts the processes, one after another, and makes the witness.
func (b *bridge) start(o options) {
	b.t.Helper()
	b.captures = append(b.captures, b.keep("capture", "capture", "-c", "walbridge.yaml"))
	b.until(30*time.Second, func() string {
		if _, err := b.durable(); err != nil {
			b.captures[0].mustStart()
			return fmt.Sprintf("the capture has not made its slot: %v", err)
		}
		return ""
	})
	b.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", witness)
	for i := 1; i < o.captures; i++ {
		b.captures = append(b.captures, b.keep(fmt.Sprint("capture ", i+1), "capture", "-c", "walbridge.yaml"))
	}
}

func (b *bridge) proxy(addr string) *fault.Proxy {
	b.t.Helper()
	p, err := fault.NewProxy(addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Errorf("close proxy: %v", err)
		}
	})
	return p
}

// write writes a file below the bridge's directory.
func (b *bridge) write(file, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// connect makes a connection to the database itself, in UTC.
func (b *bridge) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(b.pg.URL("postgres"))
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["TimeZone"] = "UTC"
	return pgx.ConnectConfig(ctx, cfg)
}

// inDatabase runs f on a connection of its own.
func (b *bridge) inDatabase(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, conn), conn.Close(context.WithoutCancel(ctx)))
}

// exec runs statements on a server that is well.
func (b *bridge) exec(sql string, args ...any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.inDatabase(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	}); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// lsn reads an LSN by a query.
func (b *bridge) lsn(ctx context.Context, sql string, args ...any) (lsn cdc.LSN, err error) {
	err = b.inDatabase(ctx, func(ctx context.Context, c *pgx.Conn) error {
		var text string
		if err := c.QueryRow(ctx, sql, args...).Scan(&text); err != nil {
			return err
		}
		lsn, err = cdc.ParseLSN(text)
		return err
	})
	return lsn, err
}

// end is the end of what is written to the WAL by now.
func (b *bridge) end() cdc.LSN {
	b.t.Helper()
	lsn, err := b.lsn(context.Background(), "SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		b.t.Fatalf("read the end of the WAL: %v", err)
	}
	return lsn
}

// durable is the LSN that the log says it holds durably.
func (b *bridge) durable() (cdc.LSN, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := b.rdb.Get(ctx, fmt.Sprintf("walbridge:{%s}:durable", name)).Result()
	if err != nil {
		return 0, err
	}
	return cdc.ParseLSN(s)
}

// catchUp waits until the log durably holds what is committed by now, and gives how
// long that took.
func (b *bridge) catchUp(within time.Duration) time.Duration {
	b.t.Helper()
	began, end := time.Now(), b.end()
	b.until(within, func() string {
		if d, err := b.durable(); err != nil || d < end {
			return fmt.Sprintf("the log is durable up to %v of %v, %v", d, end, err)
		}
		return ""
	})
	return time.Since(began)
}

// until looks again and again until look says nothing, and fails with what it said
// last when that takes too long, or when a process did what it must not.
func (b *bridge) until(within time.Duration, look func() string) {
	b.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := look()
		if left == "" {
			return
		}
		b.mustBeSound()
		select {
		case <-deadline.C:
			b.t.Fatalf("after %s: %s\n%s", within, left, b.deeds.last(15))
		case <-tick.C:
		}
	}
}

// mustBeSound ends the test when a process did what it must not.
func (b *bridge) mustBeSound() {
	b.t.Helper()
	for _, k := range b.captures {
		if wrong := k.findings(); len(wrong) > 0 {
			b.t.Fatalf("%s: %v\n%s", k.name, wrong, b.deeds.last(15))
		}
	}
}

// judge drains the bridge, with the writers at rest, and judges the log.
func (b *bridge) judge() {
	b.t.Helper()
	b.endBackfills()
	b.exec("INSERT INTO marks SELECT coalesce(max(id), 0) + 1 FROM marks") // the last change of all
	b.catchUp(90 * time.Second)
	b.mustBeSound()
	w := judge.Witness{Slot: witness, Publication: slot, Keys: map[string][]string{}}
	for i := range tables {
		if tables[i].full {
			w.Keys["public."+tables[i].name] = tables[i].key
		}
	}
	log := &judge.Log{Client: b.rdb, Name: name, Partitions: partitions}
	var v *judge.Verdict
	err := b.inDatabase(context.Background(), func(ctx context.Context, c *pgx.Conn) error {
		rows, err := readTables(ctx, c)
		if err != nil {
			return err
		}
		facts, err := w.Read(ctx, c)
		if err != nil {
			return err
		}
		v, err = judge.Compare(ctx, log, facts, rows)
		return err
	})
	if err != nil {
		b.t.Fatalf("judge the log: %v", err)
	}
	b.t.Logf("%d entries (lanes %v, ops %v), %d lack columns; the source made %d; %d rows checked in %d tables",
		v.Entries, v.Lanes, v.Ops, v.Absent, len(v.Witness), v.Rows, len(tables))
	const stories = 3
	for i, f := range v.Findings {
		if i >= stories {
			b.t.Errorf("… and %d findings more, the last: %s", len(v.Findings)-stories, v.Findings[len(v.Findings)-1].What)
			break
		}
		text, err := v.Story(context.Background(), log, f, b.deeds.all())
		if err != nil {
			b.t.Errorf("%s; its story: %v", f.What, err)
			continue
		}
		b.t.Error(text)
	}
}
