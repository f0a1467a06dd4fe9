package e2e

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
	"github.com/walbridge/walbridge/test/judge"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// partitions and bulkAfter are small, so that a test sees all of them and rows
// reach the bulk lane.
const (
	partitions = 4
	bulkAfter  = 40
)

// schema has a table with a value that is stored apart and so is not sent when
// it did not change, and one whose key has two columns.
const schema = `
CREATE TABLE deals (id bigint PRIMARY KEY, owner int, name text, stage text, amount numeric(14,2), note text, updated_at timestamptz);
ALTER TABLE deals ALTER COLUMN note SET STORAGE EXTERNAL;
CREATE TABLE forecasts (region text, quarter int, amount numeric, remark text, PRIMARY KEY (region, quarter));`

// mappingFiles are the mappings, by file name.
var mappingFiles = map[string]string{
	"deals-to-crm.yaml": `from: public.deals
to: crm/Deal
key: {id: id}
fields: {owner: owner, name: name, stage: stage, amount: amount, note: note, updated_at: updated_at}
coalesce: {quiet: 50ms, max_delay: 500ms}
`,
	"won-to-commission.yaml": `from: public.deals
when: stage == 'won'
to: commission/Deal
key: {deal: id}
fields:
  owner: owner
  amount: amount
  label: "name + ' #' + string(id)"
lane: urgent
coalesce: {quiet: 10ms, max_delay: 100ms}
`,
	"forecasts.yaml": `from: public.forecasts
to: forecast/Forecast
key: {id: "region + '/' + string(quarter)"}
fields: {region: region, quarter: quarter, total: amount, remark: remark}
coalesce: {quiet: 50ms, max_delay: 500ms}
`,
}

// targets are the names of the targets.
var targets = []string{"crm", "commission", "forecast"}

// options say what is special about a bridge. The zero value is a bridge on the
// servers that the tests share.
type options struct {
	ownServers bool // servers that may be killed, Redis with an AOF synced always
	lease      time.Duration
	shutdown   time.Duration
	timeout    time.Duration     // of requests
	inFlight   int               // requests at once, of each target
	headers    map[string]string // of requests to all targets
	quietCRM   time.Duration     // of the mapping to crm; 50ms if zero
	cluster    *servers.RedisCluster
	rewrite    func(config string) string
}

// bridge is what a test needs around the processes: servers, targets, files.
type bridge struct {
	t     testing.TB
	name  string
	dir   string
	pg    *servers.Postgres
	pgURL string
	redis *servers.Redis
	rdb   redis.UniversalClient
	apps  *apps

	witnessed []judge.Fact // what the witness has told so far
}

// newBridge starts or shares servers, makes the tables and writes the
// configuration. No process runs yet.
func newBridge(t testing.TB, o options) *bridge {
	t.Helper()
	b := &bridge{t: t, dir: t.TempDir(), apps: newApps(t)}
	if o.ownServers {
		b.name = "e2e"
		b.pg = servertest.Postgres(t)
		b.pgURL = b.pg.URL("postgres")
		b.redis = servertest.Redis(t, servers.RedisOptions{AOF: "always"})
	} else {
		db, ks := servertest.SharedPostgres(t), servertest.SharedRedis(t)
		b.pg, b.pgURL, b.redis, b.name = db.Server, db.URL, ks.Server, ks.Name
	}
	if o.cluster != nil {
		b.rdb = redis.NewClusterClient(&redis.ClusterOptions{Addrs: o.cluster.Addrs(), ClusterStateReloadInterval: time.Second})
	} else {
		b.rdb = redis.NewClient(&redis.Options{Addr: b.redis.Addr()})
	}
	t.Cleanup(func() {
		if err := b.rdb.Close(); err != nil {
			t.Errorf("close redis client: %v", err)
		}
	})
	b.exec(schema)
	b.writeConfig("walbridge.yaml", o)
	for name, text := range mappingFiles {
		if name == "deals-to-crm.yaml" && o.quietCRM > 0 {
			text = strings.Replace(text, "{quiet: 50ms, max_delay: 500ms}", fmt.Sprintf("{quiet: %s, max_delay: %s}", o.quietCRM, 10*o.quietCRM), 1)
		}
		b.write(filepath.Join("mappings", name), text)
	}
	return b
}

// writeConfig writes a configuration file of the bridge.
func (b *bridge) writeConfig(name string, o options) {
	b.t.Helper()
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.lease, 2*time.Second)
	set(&o.shutdown, 5*time.Second)
	set(&o.timeout, time.Second)
	if o.inFlight == 0 {
		o.inFlight = 4
	}
	log := fmt.Sprintf("url: %q", b.redis.URL())
	if o.cluster != nil {
		log = fmt.Sprintf("cluster: [%q, %q], replicas: 1", o.cluster.Nodes[0].Addr(), o.cluster.Nodes[1].Addr())
	}
	var text strings.Builder
	fmt.Fprintf(&text, `name: %s
postgres: {url: %q, heartbeat: 250ms}
redis: {%s, partitions: %d, bulk_after: %d}
mappings: [mappings/*.yaml]
listen: ""
delivery: {lease: %s, shutdown: %s}
targets:
`, b.name, b.pgURL, log, partitions, bulkAfter, o.lease, o.shutdown)
	for _, name := range targets {
		fmt.Fprintf(&text, "  %s:\n    type: http\n    url: %q\n    timeout: %s\n    max_in_flight: %d\n    headers: {X-Test: e2e", name, b.apps.url(name), o.timeout, o.inFlight)
		for k, v := range o.headers {
			fmt.Fprintf(&text, ", %s: %q", k, v)
		}
		text.WriteString("}\n")
	}
	config := text.String()
	if o.rewrite != nil {
		config = o.rewrite(config)
	}
	b.write(name, config)
}

// write writes a file below the bridge's directory.
func (b *bridge) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// start starts a process on the bridge's configuration.
func (b *bridge) start(args ...string) *process {
	b.t.Helper()
	return start(b.t, launch{dir: b.dir, args: append(args, "-c", "walbridge.yaml")})
}

// connect makes a connection to the database, in UTC.
func (b *bridge) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(b.pgURL)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["TimeZone"] = "UTC"
	return pgx.ConnectConfig(ctx, cfg)
}

// execAt runs statements on another server.
func (b *bridge) execAt(url, sql string) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), url)
	if err == nil {
		_, err = conn.Exec(b.t.Context(), sql)
		err = errors.Join(err, conn.Close(b.t.Context()))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// inDatabase runs f on a connection of its own.
func (b *bridge) inDatabase(f func(context.Context, *pgx.Conn) error) error {
	// Long enough for a log of a hundred thousand entries to be judged beside other work.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, conn), conn.Close(ctx))
}

// exec runs statements.
func (b *bridge) exec(sql string, args ...any) {
	b.t.Helper()
	if err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	}); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// text reads one text; an error where there is no row.
func (b *bridge) text(sql string, args ...any) (s string, err error) {
	err = b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, sql, args...).Scan(&s)
	})
	return s, err
}

func (b *bridge) slot() string        { return "walbridge_" + b.name }
func (b *bridge) publication() string { return "walbridge_" + b.name }
func (b *bridge) witness() string     { return "witness_" + b.name }
func (b *bridge) durableKey() string  { return fmt.Sprintf("walbridge:{%s}:durable", b.name) }

func (b *bridge) streamKey(partition int, lane string) string {
	return fmt.Sprintf("walbridge:{%s:%d}:log:%s", b.name, partition, lane)
}

// waitSlot waits until the capture has made its slot, and makes the witness. No
// row may have been written before.
func (b *bridge) waitSlot(capture *process) {
	b.t.Helper()
	until(b.t, 20*time.Second, func() string {
		capture.mustRun()
		n, err := b.rdb.Exists(b.t.Context(), b.durableKey()).Result()
		return unless(err == nil && n == 1, fmt.Sprintf("the capture has not made its slot, %v", err))
	})
	b.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", b.witness())
}

// durable is the LSN that the log says it holds durably.
func (b *bridge) durable() (cdc.LSN, error) {
	s, err := b.rdb.Get(context.Background(), b.durableKey()).Result()
	if err != nil {
		return 0, err
	}
	return cdc.ParseLSN(s)
}

// drain waits until the log holds all that is committed, and the checkpoint of
// every target is at the end of every stream.
func (b *bridge) drain(within time.Duration, running ...*process) {
	b.t.Helper()
	at, err := b.text("SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		b.t.Fatal(err)
	}
	end, err := cdc.ParseLSN(at)
	if err != nil {
		b.t.Fatal(err)
	}
	until(b.t, within, func() string {
		for _, p := range running {
			p.mustRun()
		}
		if d, err := b.durable(); err != nil || d < end {
			return fmt.Sprintf("the log is durable up to %v of %v, %v", d, end, err)
		}
		return b.undelivered()
	})
}

// undelivered names a stream that a target has not dealt with to its end.
func (b *bridge) undelivered() string {
	ctx := context.Background()
	for p := range partitions {
		for _, lane := range cdc.Lanes() {
			key := b.streamKey(p, lane)
			info, err := b.rdb.XInfoStream(ctx, key).Result()
			if err != nil {
				return fmt.Sprintf("%s: %v", key, err)
			}
			groups, err := b.rdb.XInfoGroups(ctx, key).Result()
			if err != nil {
				return fmt.Sprintf("%s: %v", key, err)
			}
			at := map[string]string{}
			for _, g := range groups {
				at[g.Name] = g.LastDeliveredID
			}
			for _, target := range targets {
				if at[target] != info.LastGeneratedID {
					return fmt.Sprintf("the checkpoint of %s in %s is %q, the stream ends at %s", target, key, at[target], info.LastGeneratedID)
				}
			}
		}
	}
	return ""
}
