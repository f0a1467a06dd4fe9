package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sandbox/captivateiq"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
	"github.com/walbridge/walbridge/test/servers"
)

// stage is what the bridge is shown between: a database, a Redis, targets.
type stage struct {
	name        string // of the bridge
	postgresURL string
	redisURL    string
	targets     string // base URL of the sandbox
	sandbox     *sandbox.Server
	org         *salesforce.Server  // the CRM, served by the sandbox
	plan        *captivateiq.Server // the commission plan, likewise
	conn        *pgx.Conn
	lines       []string // what was started, for people

	undo []func() error
}

// prefix is that of the names of the demo's bridges, and so of their slots.
const prefix = "demo"

// raise starts or finds the servers.
func raise(ctx context.Context, d *demo) (_ *stage, err error) {
	s := &stage{name: fmt.Sprintf("%s_%d", prefix, d.started.UnixMilli())}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.postgres(ctx, d); err != nil {
		return nil, err
	}
	if err := s.redis(ctx, d); err != nil {
		return nil, err
	}
	return s, s.serveTargets()
}

// close undoes in the opposite order.
func (s *stage) close() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}

func (s *stage) started(what, where string) {
	s.lines = append(s.lines, fmt.Sprintf("  %-12s %s", what, where))
}

func (s *stage) postgres(ctx context.Context, d *demo) error {
	s.postgresURL = d.options.Postgres
	where := "your server"
	if s.postgresURL == "" {
		bin, err := servers.EnsurePostgres(ctx, d.options.Out)
		if err != nil {
			return fmt.Errorf("find PostgreSQL: %w", err)
		}
		pg, err := servers.StartPostgres(ctx, servers.PostgresOptions{BinDir: bin, Dir: filepath.Join(d.dir, "postgres"), Log: d.logger})
		if err != nil {
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		s.undo = append(s.undo, pg.Close)
		s.postgresURL = pg.URL("postgres")
		where = fmt.Sprintf("throw-away, psql %q", s.postgresURL)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	s.undo = append(s.undo, func() error {
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(s.dropSlots(end, d.options.Postgres != ""), conn.Close(end))
	})
	s.started("PostgreSQL "+strings.Fields(conn.PgConn().ParameterStatus("server_version"))[0], where)
	return s.dropSlots(ctx, d.options.Postgres != "")
}

func (s *stage) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.postgresURL)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w; check --postgres", err)
	}
	return conn, nil
}

// dropSlots drops the slots and publications of the demo's own bridges on a
// server that stays: of this one at the end, and of an earlier one that was
// killed before its end. One that is in use is left alone.
func (s *stage) dropSlots(ctx context.Context, stays bool) error {
	if !stays {
		return nil
	}
	const mine = `'^walbridge_` + prefix + `_[0-9]+$'`
	if _, err := s.conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name ~ `+mine+` AND NOT active AND database = current_database()`); err != nil {
		return fmt.Errorf("drop slot of the demo: %w", err)
	}
	rows, err := s.conn.Query(ctx, `SELECT quote_ident(pubname) FROM pg_publication WHERE pubname ~ `+mine+`
AND NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = pubname)`)
	if err != nil {
		return fmt.Errorf("list publications of the demo: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list publications of the demo: %w", err)
	}
	for _, n := range names {
		if _, err := s.conn.Exec(ctx, "DROP PUBLICATION "+n); err != nil {
			return fmt.Errorf("drop publication of the demo: %w", err)
		}
	}
	return nil
}

func (s *stage) redis(ctx context.Context, d *demo) error {
	if s.redisURL = d.options.Redis; s.redisURL != "" {
		o, err := redis.ParseURL(s.redisURL)
		if err != nil {
			return errors.New("--redis is not a Redis URL; write redis://[user:password@]host:port/db")
		}
		s.undo = append(s.undo, func() error { return s.deleteKeys(o) })
		s.started("Redis", "your server, keys walbridge:{"+s.name+"…")
		return nil
	}
	if _, ok := servers.EnsureRedis(); ok {
		r, err := servers.StartRedis(ctx, servers.RedisOptions{Dir: filepath.Join(d.dir, "redis"), Log: d.logger})
		if err != nil {
			return fmt.Errorf("start Redis: %w", err)
		}
		s.undo = append(s.undo, r.Close)
		s.redisURL = r.URL()
		s.started("Redis", "throw-away, redis-cli -u "+s.redisURL)
		return nil
	}
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return fmt.Errorf("start embedded Redis: %w", err)
	}
	s.undo = append(s.undo, func() error { m.Close(); return nil })
	s.redisURL = "redis://" + m.Addr() + "/0"
	s.started("Redis", "embedded (redis-server was not found), "+s.redisURL)
	return nil
}

// deleteKeys deletes what the demo's bridge keeps on a server that stays.
func (s *stage) deleteKeys(o *redis.Options) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := redis.NewClient(o)
	defer func() { err = errors.Join(err, c.Close()) }()
	for it := c.Scan(ctx, 0, "walbridge:{"+s.name+"[:}]*", 1000).Iterator(); ; {
		if !it.Next(ctx) {
			if err := it.Err(); err != nil {
				return fmt.Errorf("list keys of the demo: %w", err)
			}
			return nil
		}
		if err := c.Unlink(ctx, it.Val()).Err(); err != nil {
			return fmt.Errorf("delete keys of the demo: %w", err)
		}
	}
}

func (s *stage) serveTargets() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for sandbox targets: %w", err)
	}
	s.org = salesforce.New(salesforce.Options{Objects: org()})
	s.plan = captivateiq.New(captivateiq.Options{Worksheets: worksheets()})
	s.sandbox = sandbox.New(sandbox.Options{History: 1 << 20, Simulations: map[string]sim.Simulation{"salesforce": s.org, "captivateiq": s.plan}})
	srv := &http.Server{Handler: s.sandbox, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	s.undo = append(s.undo, func() error {
		err := srv.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
	s.targets = "http://" + l.Addr().String()
	s.started("targets", s.targets+"/  a Salesforce org, a forecast API, CaptivateIQ for commissions")
	return nil
}
