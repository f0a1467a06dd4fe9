package servertest

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/test/servers"
)

func TestMain(m *testing.M) { os.Exit(Run(m)) }

// text runs a query that gives one text.
func text(t *testing.T, url, query string, args ...any) (s string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(t.Context(), query, args...).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOwnServers(t *testing.T) {
	t.Parallel()
	var dirs []string
	t.Run("inner", func(t *testing.T) {
		p := Postgres(t, servers.PostgresOptions{Settings: map[string]string{"work_mem": "5MB"}})
		if got := text(t, p.URL("postgres"), "SHOW work_mem"); got != "5MB" {
			t.Errorf("the options were not heeded: work_mem is %s", got)
		}
		r := Redis(t)
		dirs = []string{p.Dir(), r.Dir()}
		if p.PID() == 0 || r.PID() == 0 {
			t.Error("a server is not running")
		}
	})
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the test ended, but %s is there: %v", dir, err)
		}
	}
}

func TestSharedPostgresGivesADatabaseEach(t *testing.T) {
	t.Parallel()
	a, b := SharedPostgres(t), SharedPostgres(t)
	if a.Server != b.Server || a.Name == b.Name {
		t.Errorf("want one server and two databases; got %s at %s and %s at %s", a.Name, a.Server.Addr(), b.Name, b.Server.Addr())
	}
	if got := text(t, a.URL, "SELECT current_database()"); got != a.Name {
		t.Errorf("the URL leads to %s, want %s", got, a.Name)
	}
}

// A slot that is being read keeps PostgreSQL from dropping its database.
func TestSharedPostgresDropsADatabaseInUse(t *testing.T) {
	t.Parallel()
	outer := SharedPostgres(t)
	var name string
	var conn *pgconn.PgConn
	t.Run("inner", func(t *testing.T) {
		d := SharedPostgres(t)
		name = d.Name
		text(t, d.URL, "SELECT slot_name::text FROM pg_create_logical_replication_slot($1, 'test_decoding')", "idle_"+name)
		var err error
		if conn, err = pgconn.Connect(t.Context(), d.URL+"&replication=database"); err != nil {
			t.Fatal(err)
		}
		slot := "busy_" + name
		if _, err := pglogrepl.CreateReplicationSlot(t.Context(), conn, slot, "test_decoding", pglogrepl.CreateReplicationSlotOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := pglogrepl.StartReplication(t.Context(), conn, slot, 0, pglogrepl.StartReplicationOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	// The server has ended the connection; only our half is left.
	conn.Close(context.Background())
	if got := text(t, outer.URL, "SELECT count(*)::text FROM pg_database WHERE datname = $1", name); got != "0" {
		t.Errorf("database %s is still there", name)
	}
	if got := text(t, outer.URL, "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name LIKE '%'||$1", name); got != "0" {
		t.Errorf("%s of its slots are still there", got)
	}
}

func TestSharedRedisGivesANameEach(t *testing.T) {
	t.Parallel()
	outer := SharedRedis(t)
	c := redis.NewClient(&redis.Options{Addr: outer.Server.Addr()})
	defer c.Close()
	if err := c.Set(t.Context(), "walbridge:{"+outer.Name+":0}:x", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	var inner string
	t.Run("inner", func(t *testing.T) {
		k := SharedRedis(t)
		inner = k.Name
		if k.Server != outer.Server || inner == outer.Name {
			t.Errorf("want one server and two names; got %s and %s", inner, outer.Name)
		}
		for _, key := range []string{inner, "walbridge:{" + inner + ":3}:log:urgent"} {
			if err := c.Set(t.Context(), key, 1, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if keys, err := c.Keys(t.Context(), "*"+inner+"*").Result(); len(keys) > 0 || err != nil {
		t.Errorf("keys %q of the ended test are there, %v", keys, err)
	}
	if keys, err := c.Keys(t.Context(), "*"+outer.Name+"*").Result(); len(keys) != 1 || err != nil {
		t.Errorf("keys of the other test are %q, %v", keys, err)
	}
}

func TestNamesFitPostgres(t *testing.T) {
	t.Parallel()
	t.Run("A long name, with Ünïcode/and signs and more of them", func(t *testing.T) {
		name := uniqueName(t)
		if len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("the name is %q", name)
		}
		if again := uniqueName(t); again == name {
			t.Errorf("the same name twice: %q", name)
		}
	})
}

// recorder is a test whose failure is wanted.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Fatal(args ...any) {
	r.said, _ = args[0].(string)
	runtime.Goexit()
}

func TestSharingNeedsRun(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		new(sharedServers).startRedis(r)
	}()
	<-ended
	if !strings.Contains(r.said, "servertest.Run(m)") {
		t.Errorf("sharing without Run said %q", r.said)
	}
}

// someTests stands for testing.M.
type someTests func() int

func (f someTests) Run() int { return f() }

// Not parallel: it looks at all goroutines of the process.
func TestRunStopsServersAndFindsLeaks(t *testing.T) {
	others := goleak.IgnoreCurrent()
	var s sharedServers
	var pid int
	code := s.run(someTests(func() int {
		pid = s.startRedis(t).PID()
		return 0
	}), others)
	if code != 0 || pid == 0 || s.redis != nil || s.open {
		t.Errorf("clean tests: code %d, pid %d, afterwards %+v", code, pid, s.redis)
	}
	if code := s.run(someTests(func() int { return 3 }), others); code != 3 {
		t.Errorf("tests that fail with 3 gave %d", code)
	}
	end := make(chan struct{})
	if code := s.run(someTests(func() int {
		go func() { <-end }()
		return 0
	}), others); code != 1 {
		t.Errorf("tests that leave a goroutine gave %d", code)
	}
	close(end)
}
