package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/test/servers"
)

// cleanTimeout bounds what is done after a test in a shared server.
const cleanTimeout = 20 * time.Second

// shared are the servers of this process. There can be only one such set, since
// TestMain has no other way to hand something to the tests.
var shared sharedServers

// names counts the names given to tests, so that each is new.
var names atomic.Int64

type sharedServers struct {
	mu       sync.Mutex // covers all below
	open     bool       // between the start and the end of Run
	postgres *servers.Postgres
	redis    *servers.Redis
}

// passing are goroutines of go-redis that end by themselves a moment after their client
// was closed: one tries a server that is down once a second, one looks at a cluster.
var passing = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
	goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*clusterStateHolder).LazyReload.func1"),
}

// Run runs the tests of a package and then closes the servers they shared. If
// all went well it also looks for goroutines left behind, but for those it is
// told to ignore. Its result is the exit status:
//
//	func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }
func Run(m *testing.M, ignore ...goleak.Option) int { return shared.run(m, ignore...) }

func (s *sharedServers) run(m interface{ Run() int }, ignore ...goleak.Option) int {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	code := m.Run()
	err := s.close()
	if err == nil && code == 0 {
		err = goleak.Find(append(ignore, passing...)...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "servertest:", err)
		return max(code, 1)
	}
	return code
}

func (s *sharedServers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	var errs []error
	if s.postgres != nil {
		errs = append(errs, s.postgres.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	s.postgres, s.redis = nil, nil
	return errors.Join(errs...)
}

// checkOpenLocked makes sure that somebody will close what is about to be started;
// mu must be held.
func (s *sharedServers) checkOpenLocked(t testing.TB) {
	t.Helper()
	if !s.open {
		t.Fatal("servertest: nobody would close the shared server; add to the package: func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }")
	}
}

// Database is a database of a shared PostgreSQL server.
type Database struct {
	// Server is shared: a test must not stop it or change its settings.
	Server *servers.Postgres
	// Name is unique. It has only small letters, digits and underscores.
	Name string
	// URL connects the superuser to the database.
	URL string
}

// SharedPostgres gives the test a new, empty database in the server this
// process shares. When the test ends the database is dropped, with the
// replication slots in it.
func SharedPostgres(t testing.TB) *Database {
	t.Helper()
	server := shared.startPostgres(t)
	d := &Database{Server: server, Name: uniqueName(t)}
	d.URL = server.URL(d.Name)
	if err := inAdmin(t.Context(), server, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.Name}.Sanitize())
		return err
	}); err != nil {
		t.Fatalf("servertest: create database %s: %v", d.Name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, server.Server)
		}
		ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
		defer cancel()
		if err := inAdmin(ctx, server, d.drop); err != nil {
			t.Errorf("servertest: drop database %s: %v", d.Name, err)
		}
	})
	return d
}

func (s *sharedServers) startPostgres(t testing.TB) *servers.Postgres {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkOpenLocked(t)
	if s.postgres == nil {
		p, err := servers.StartPostgres(t.Context(), withBin(servers.PostgresOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		s.postgres = p
	}
	return s.postgres
}

// inAdmin runs f with a connection to the server's own database.
func inAdmin(ctx context.Context, p *servers.Postgres, f func(context.Context, *pgx.Conn) error) (err error) {
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	return f(ctx, c)
}

// drop drops the database. A slot goes only once its walsender has ended, so
// that is ended and waited for.
func (d *Database) drop(ctx context.Context, c *pgx.Conn) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.Exec(ctx, `SELECT pg_terminate_backend(active_pid)
			FROM pg_replication_slots WHERE database = $1 AND active`, d.Name); err != nil {
			return fmt.Errorf("end the replication connections: %w", err)
		}
		// A slot may be taken between the two statements: the next round sees it.
		_, err := c.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name)
			FROM pg_replication_slots WHERE database = $1 AND NOT active`, d.Name)
		if err == nil {
			_, err = c.Exec(ctx, "DROP DATABASE "+pgx.Identifier{d.Name}.Sanitize()+" WITH (FORCE)")
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Keyspace is a part of a shared Redis server: the keys whose names contain
// Name.
type Keyspace struct {
	// Server is shared: a test must not stop it, flush it or change its
	// settings.
	Server *servers.Redis
	// Name is unique. It has only small letters, digits and underscores.
	Name string
	// URL connects to the server.
	URL string
}

// SharedRedis gives the test a name of its own in the server this process
// shares. When the test ends the keys that contain the name are deleted.
func SharedRedis(t testing.TB) *Keyspace {
	t.Helper()
	server := shared.startRedis(t)
	k := &Keyspace{Server: server, Name: uniqueName(t), URL: server.URL()}
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, server.Server)
		}
		ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
		defer cancel()
		if err := k.clear(ctx); err != nil {
			t.Errorf("servertest: delete the keys of %s: %v", k.Name, err)
		}
	})
	return k
}

func (s *sharedServers) startRedis(t testing.TB) *servers.Redis {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkOpenLocked(t)
	if s.redis == nil {
		r, err := servers.StartRedis(t.Context(), servers.RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.redis = r
	}
	return s.redis
}

// clear deletes the keys.
func (k *Keyspace) clear(ctx context.Context) (err error) {
	c := redis.NewClient(&redis.Options{Addr: k.Server.Addr(), MaxRetries: -1, PoolSize: 1})
	defer func() { err = errors.Join(err, c.Close()) }()
	for at := uint64(0); ; {
		keys, next, err := c.Scan(ctx, at, "*"+k.Name+"*", 1000).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := c.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if at = next; at == 0 {
			return nil
		}
	}
}

// uniqueName makes a name from a counter and the test's name. The counter comes
// first, so that no name begins with another.
func uniqueName(t testing.TB) string {
	const most = 40 // of the 63 bytes PostgreSQL has for a name
	test := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, t.Name())
	if len(test) > most {
		test = test[:most]
	}
	return fmt.Sprintf("t%d_%s", names.Add(1), test)
}
