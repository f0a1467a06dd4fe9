package servers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func startRedis(t *testing.T, o RedisOptions) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// do runs a command on a connection of its own.
func do(ctx context.Context, t *testing.T, r *Redis, args ...any) (any, error) {
	t.Helper()
	o, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
	c := redis.NewClient(o)
	defer c.Close()
	return c.Do(ctx, args...).Result()
}

func TestRedisKeepsDataOverKillAndStop(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{AOF: "always"})
	port, first := r.Port(), r.PID()
	if _, err := do(t.Context(), t, r, "SET", "kept", "yes"); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	if r.PID() != 0 {
		t.Fatalf("killed, but the pid is %d", r.PID())
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Port() != port || r.PID() == 0 || r.PID() == first {
		t.Errorf("started again with pid %d at port %d; it was pid %d at port %d", r.PID(), r.Port(), first, port)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := do(t.Context(), t, r, "GET", "kept"); got != "yes" || err != nil {
		t.Errorf("the key is %v, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Dir()); !os.IsNotExist(err) {
		t.Errorf("closed, but the directory is there: %v", err)
	}
}

func TestRedisWithoutPersistenceForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startRedis(t, RedisOptions{Dir: dir})
	if _, err := do(t.Context(), t, r, "SET", "lost", "yes"); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := do(t.Context(), t, r, "DBSIZE"); got != int64(0) || err != nil {
		t.Errorf("the size is %v, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "server.log")); err != nil {
		t.Errorf("the directory we were given is gone: %v", err)
	}
}

func TestRedisRefusesInsteadOfEvicting(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{MaxMemory: "3mb", Extra: []string{"--hz", "20"}})
	block := strings.Repeat("x", 100_000)
	var err error
	for n := 0; n < 100 && err == nil; n++ {
		_, err = do(t.Context(), t, r, "RPUSH", "list", block)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("filling it up gave %v, want OOM", err)
	}
	if got, err := do(t.Context(), t, r, "EXISTS", "list"); got != int64(1) || err != nil {
		t.Errorf("what was there is gone: %v, %v", got, err)
	}
	if got, err := do(t.Context(), t, r, "CONFIG", "GET", "hz"); err != nil || !strings.Contains(toString(got), "20") {
		t.Errorf("the extra argument is not in force: %v, %v", got, err)
	}
}

func toString(v any) string {
	m, ok := v.(map[any]any)
	if !ok {
		return ""
	}
	s, _ := m["hz"].(string)
	return s
}

func TestFrozenServerIsThawedOrKilled(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{})
	if err := r.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := do(short, t, r, "PING"); err == nil {
		t.Errorf("a frozen server answered %v", got)
	}
	if err := r.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, err := do(t.Context(), t, r, "PING"); got != "PONG" || err != nil {
		t.Errorf("a thawed server answered %v, %v", got, err)
	}

	if err := r.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.Stop(short); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("stopping a frozen server gave %v, want that it was killed", err)
	}
	if r.PID() != 0 {
		t.Error("the frozen server still runs")
	}
}

func TestRedisTwoAtOnce(t *testing.T) {
	t.Parallel()
	a, b := startRedis(t, RedisOptions{}), startRedis(t, RedisOptions{AOF: "everysec"})
	if a.Port() == b.Port() || a.PID() == b.PID() || a.Dir() == b.Dir() {
		t.Fatalf("two servers share something: ports %d and %d, pids %d and %d", a.Port(), b.Port(), a.PID(), b.PID())
	}
	a.Kill()
	if got, err := do(t.Context(), t, b, "PING"); got != "PONG" || err != nil {
		t.Errorf("the other server answered %v, %v", got, err)
	}
}

func TestRedisBadOptions(t *testing.T) {
	t.Parallel()
	if _, err := StartRedis(t.Context(), RedisOptions{AOF: "sometimes"}); err == nil || !strings.Contains(err.Error(), "everysec") {
		t.Errorf("an unknown policy gave %v", err)
	}
	_, err := StartRedis(t.Context(), RedisOptions{Extra: []string{"--no-such-setting", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("the error does not show the server's log: %v", err)
	}
}
