package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walbridge/walbridge/sinks"
)

// Target writes to a database. It is safe for concurrent use.
type Target struct {
	o    Options
	host string
	pool *pgxpool.Pool

	mu     sync.Mutex // covers what follows; not held during I/O
	tables map[string]*table
	expect map[string]Table
}

var (
	_ sinks.Target    = (*Target)(nil)
	_ sinks.Able      = (*Target)(nil)
	_ sinks.Collation = (*Target)(nil)
	_ sinks.Describer = (*Target)(nil)
	_ sinks.Prober    = (*Target)(nil)
	_ sinks.ReadBack  = (*Target)(nil)
)

// New makes a target. It does not connect.
func New(o Options) (*Target, error) {
	o.defaults()
	cfg, err := o.pool()
	if err != nil {
		return nil, err
	}
	t := &Target{o: o, tables: make(map[string]*table), expect: o.Tables}
	t.host = net.JoinHostPort(cfg.ConnConfig.Host, strconv.Itoa(int(cfg.ConnConfig.Port)))
	if t.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		return nil, fmt.Errorf("make connections: the url is not valid")
	}
	return t, nil
}

// Close ends the connections.
func (t *Target) Close() { t.pool.Close() }

// String names the target without its secrets (I14).
func (t *Target) String() string { return "postgres target at " + t.host }

// GoString is the same, for %#v.
func (t *Target) GoString() string { return t.String() }

// LogValue is the same, for a log.
func (t *Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Limits tells the engine how to cut batches.
func (t *Target) Limits() sinks.Limits {
	return sinks.Limits{MaxBatch: t.o.MaxBatch, MaxInFlight: t.o.MaxInFlight, Timeout: t.o.Timeout}
}

// Abilities tells that rows are upserted in part, cleared, deleted, may refer to others, and
// keep their Position. There is no archive.
func (t *Target) Abilities(string) sinks.Abilities {
	return sinks.Abilities{Delete: true, Partial: true, Clear: true, Parents: true, Ordered: true}
}

// Folds tells whether key values that differ in case only are the same.
func (t *Target) Folds() bool { return t.o.IgnoreKeyCase }

// FoldKey gives what key values have in common that are the same.
func (t *Target) FoldKey(_ string, key sinks.Field) string {
	if t.o.IgnoreKeyCase {
		return sinks.InsensitiveKey(key.Value)
	}
	return sinks.ExactKey(key.Value)
}

// Probe connects, and asks nothing.
func (t *Target) Probe(ctx context.Context) error {
	c, err := t.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if err := c.Ping(ctx); err != nil {
		return t.connectError(err)
	}
	return nil
}

func (t *Target) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := t.pool.Acquire(ctx)
	if err != nil {
		return nil, t.connectError(err)
	}
	return c, nil
}

// Expect tells what records of each object have, in place of Options.Tables. It is called before
// the first Deliver.
func (t *Target) Expect(tables map[string]Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expect = tables
}

func (t *Target) expected(object string) Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.expect[object]
}

// known gives what is remembered of a table; nil if nothing is.
func (t *Target) known(object string) *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tables[object]
}

func (t *Target) remember(object string, tab *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tab == nil {
		delete(t.tables, object)
		return
	}
	t.tables[object] = tab
}
