package servers

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func startPostgres(t *testing.T, o PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// sql runs a statement; if it gives a row, its first column as text is the
// result.
func sql(t *testing.T, p *Postgres, statement string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	results, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if last := results[len(results)-1]; len(last.Rows) > 0 {
		return string(last.Rows[0][0])
	}
	return ""
}

func TestPostgresKeepsDataOverKillAndStop(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{Settings: map[string]string{
		"work_mem": "7MB", "cluster_name": `it's a \ test`,
	}})
	for name, want := range map[string]string{
		"wal_level": "logical", "fsync": "off", "work_mem": "7MB", "max_wal_senders": "20",
		"cluster_name": `it's a \ test`, "server_encoding": "UTF8", "lc_collate": "C.UTF-8",
		"data_directory": p.DataDir(),
	} {
		if got := sql(t, p, "SHOW "+name); got != want {
			t.Errorf("setting %s is %q, want %q", name, got, want)
		}
	}
	port, first := p.Port(), p.PID()
	sql(t, p, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")

	p.Kill()
	if p.PID() != 0 {
		t.Fatalf("killed, but the pid is %d", p.PID())
	}
	if err := p.Signal(os.Interrupt); err == nil {
		t.Error("a killed server took a signal")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Port() != port || p.PID() == 0 || p.PID() == first {
		t.Errorf("started again with pid %d at port %d; it was pid %d at port %d", p.PID(), p.Port(), first, port)
	}
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a second start: %v", err)
	}
	sql(t, p, "INSERT INTO kept VALUES (2)")

	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stop a stopped server: %v", err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sql(t, p, "SELECT sum(n) FROM kept"); got != "3" {
		t.Errorf("the rows sum up to %s, want 3", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.Dir()); !os.IsNotExist(err) {
		t.Errorf("closed, but the directory is there: %v", err)
	}
}

func TestPostgresTwoAtOnce(t *testing.T) {
	t.Parallel()
	a, b := startPostgres(t, PostgresOptions{Durable: true}), startPostgres(t, PostgresOptions{})
	if a.Port() == b.Port() || a.PID() == b.PID() || a.Dir() == b.Dir() {
		t.Fatalf("two servers share something: ports %d and %d, pids %d and %d", a.Port(), b.Port(), a.PID(), b.PID())
	}
	if got := sql(t, a, "SHOW fsync"); got != "on" {
		t.Errorf("fsync of a durable server is %s", got)
	}
	a.Kill()
	if got := sql(t, b, "SELECT 1"); got != "1" {
		t.Errorf("the other server answered %q", got)
	}
}

func TestPostgresThatCannotStartShowsItsLog(t *testing.T) {
	// Not parallel: it counts what the failed start leaves in its own TMPDIR.
	tmp := openDir(t)
	t.Setenv("TMPDIR", tmp)
	_, err := StartPostgres(t.Context(), PostgresOptions{Settings: map[string]string{"wal_level": "nonsense"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "wal_level"`) {
		t.Errorf("the error does not show the cause: %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("the failed start left %s behind", left[0].Name())
	}
}

// While the server is down somebody else may sit on its port for a moment.
func TestPostgresStartWaitsForItsPort(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	before := fileSize(p.LogPath())
	started := make(chan error, 1)
	go func() { started <- p.Start(t.Context()) }()
	waitFor(t, "the server to find its port taken", func() bool {
		text, err := readFrom(p.LogPath(), before)
		return err == nil && strings.Contains(text, "Address already in use")
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if got := sql(t, p, "SELECT 1"); got != "1" {
		t.Errorf("the server answered %q", got)
	}
}

func TestPostgresUsesADirectoryAgain(t *testing.T) {
	t.Parallel()
	o := PostgresOptions{Dir: openDir(t)}
	first := startPostgres(t, o)
	sql(t, first, "CREATE TABLE kept (n int)")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	o.Settings = map[string]string{"work_mem": "9MB"}
	second := startPostgres(t, o)
	if got := sql(t, second, "SELECT count(*) FROM kept"); got != "0" {
		t.Errorf("count is %s, want 0", got)
	}
	if got := sql(t, second, "SHOW work_mem"); got != "9MB" {
		t.Errorf("the new setting is not in force: work_mem is %s", got)
	}
}

// waitFor looks again and again until ok says yes.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// openDir makes a directory that other users may enter, unlike t.TempDir.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "walbridge-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
