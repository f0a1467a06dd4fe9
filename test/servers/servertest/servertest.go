package servertest

import (
	"os"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/test/servers"
)

// Postgres starts a server for this test alone and closes it when the test
// ends. Options may be given once. When the test fails, the end of the server's
// log is shown.
func Postgres(t testing.TB, options ...servers.PostgresOptions) *servers.Postgres {
	t.Helper()
	o := atMostOne(t, options)
	p, err := servers.StartPostgres(t.Context(), withBin(o))
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, p.Server)
	return p
}

// Redis starts a server for this test alone and closes it when the test ends.
// Options may be given once. When the test fails, the end of the server's log
// is shown.
func Redis(t testing.TB, options ...servers.RedisOptions) *servers.Redis {
	t.Helper()
	r, err := servers.StartRedis(t.Context(), atMostOne(t, options))
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r.Server)
	return r
}

// Sentinel starts a sentinel for this test alone and closes it when the test ends.
func Sentinel(t testing.TB, o servers.SentinelOptions) *servers.Sentinel {
	t.Helper()
	s, err := servers.StartSentinel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s.Server)
	return s
}

// RedisCluster starts a cluster for this test alone and closes it when the test ends.
func RedisCluster(t testing.TB, o servers.ClusterOptions) *servers.RedisCluster {
	t.Helper()
	c, err := servers.StartRedisCluster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		closeAfter(t, n.Server)
	}
	return c
}

// Valkey gives the program of a Valkey server, whose version is newer than that of
// the Redis which the packages of Linux distributions have.
func Valkey(t testing.TB) string {
	t.Helper()
	program, err := servers.EnsureValkey(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func atMostOne[O any](t testing.TB, options []O) (o O) {
	t.Helper()
	switch len(options) {
	case 0:
	case 1:
		o = options[0]
	default:
		t.Fatalf("servertest: options were given %d times; give them once", len(options))
	}
	return o
}

// withBin chooses the PostgreSQL version that the environment asks for.
func withBin(o servers.PostgresOptions) servers.PostgresOptions {
	if o.BinDir == "" {
		o.BinDir = os.Getenv("WALBRIDGE_TEST_POSTGRES_BIN")
	}
	return o
}

func closeAfter(t testing.TB, s *servers.Server) {
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// showLog shows the last lines of a server's log.
func showLog(t testing.TB, s *servers.Server) {
	text, err := os.ReadFile(s.LogPath())
	if err != nil {
		t.Errorf("read the server's log: %v", err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if over := len(lines) - 20; over > 0 {
		lines = lines[over:]
	}
	t.Logf("the end of %s:\n%s", s.LogPath(), strings.Join(lines, "\n"))
}
