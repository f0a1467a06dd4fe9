package servers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions says what kind of PostgreSQL server is wanted. The zero value
// is a good one for tests.
type PostgresOptions struct {
	// Dir holds the server's files. Empty means a new directory, which Close
	// removes. A directory used before is used again with its data.
	Dir string
	// Settings are settings of postgresql.conf. They win over ours, which make
	// the server ready for logical replication.
	Settings map[string]string
	// Durable keeps fsync on. Without it an answered commit outlives the server,
	// but not the machine.
	Durable bool
	// BinDir is where the server's programs are. Empty means FindPostgres.
	BinDir string
	// Log gets a line at debug level for each start and stop. It may be nil.
	Log *slog.Logger
}

// Postgres is a PostgreSQL server with a superuser postgres that needs no
// password.
type Postgres struct {
	*Server
	cluster *cluster
}

// cluster is what a Server has to know about PostgreSQL.
type cluster struct {
	dir, bin string
	as       *account
}

// StartPostgres makes a database cluster and starts a server on it. The server
// outlives ctx, which only bounds the wait.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	bin, err := FindPostgres(o.BinDir)
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, made, err := serverDir(o.Dir, "postgres")
	if err != nil {
		return nil, err
	}
	k := &cluster{dir: dir, bin: bin, as: as}
	s := &Server{name: "postgres", dir: dir, ownsDir: made, log: logger(o.Log), kind: k}
	err = k.prepare(ctx, o)
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		// Close has no process to end; it takes the directory away.
		return nil, errors.Join(err, s.Close())
	}
	return &Postgres{Server: s, cluster: k}, nil
}

// URL is a connection URL of one of the server's databases, for the superuser.
func (p *Postgres) URL(database string) string { return postgresURL(p.Port(), database) }

// DataDir is the directory of the database cluster.
func (p *Postgres) DataDir() string { return p.cluster.dataDir() }

// BinDir is the directory of the server's programs.
func (p *Postgres) BinDir() string { return p.cluster.bin }

func postgresURL(port int, database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database)
}

// prepare makes the cluster, if there is none, and writes the settings.
func (c *cluster) prepare(ctx context.Context, o PostgresOptions) error {
	if err := errors.Join(c.as.reach(c.dir), c.as.reach(c.bin)); err != nil {
		return err
	}
	for _, d := range []string{c.dataDir(), c.socketDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make a directory for postgres: %w", err)
		}
		if err := c.as.own(d); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(c.dataDir(), "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := c.initdb(ctx); err != nil {
			return err
		}
	}
	// Not in the data directory, which belongs to the server's user.
	if err := os.WriteFile(c.settingsFile(), []byte(c.settings(o)), 0o644); err != nil {
		return fmt.Errorf("write the settings of postgres: %w", err)
	}
	return nil
}

// initdb makes the cluster and has its configuration include our settings.
func (c *cluster) initdb(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"),
		"--pgdata", c.dataDir(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	cmd.Dir = c.dir
	c.as.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	conf := filepath.Join(c.dataDir(), "postgresql.conf")
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open postgresql.conf: %w", err)
	}
	_, err = fmt.Fprintf(f, "\ninclude %s\n", quoteSetting(c.settingsFile()))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write postgresql.conf: %w", err)
	}
	return nil
}

func (c *cluster) dataDir() string      { return filepath.Join(c.dir, "data") }
func (c *cluster) settingsFile() string { return filepath.Join(c.dir, "settings.conf") }
func (c *cluster) socketDir() string    { return filepath.Join(c.dir, "socket") }

// settings gives the text of the settings file.
func (c *cluster) settings(o PostgresOptions) string {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": c.socketDir(),
		"wal_level":               "logical",
		"max_wal_senders":         "20",
		"max_replication_slots":   "20",
		// In files of the data directory, which go with it: a killed server
		// gives no shared memory back.
		"dynamic_shared_memory_type": "mmap",
	}
	// The path of a socket has room for about a hundred characters, and the
	// server does not start with a longer one.
	if len(c.socketDir()) > 80 {
		all["unix_socket_directories"] = ""
	}
	if !o.Durable {
		all["fsync"] = "off"
		all["full_page_writes"] = "off"
	}
	maps.Copy(all, o.Settings)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(all[name]))
	}
	return b.String()
}

// quoteSetting quotes a value for postgresql.conf.
func quoteSetting(v string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(v) + "'"
}

func (c *cluster) command(port int) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.dataDir(), "-p", strconv.Itoa(port))
	cmd.Dir = c.dir
	c.as.apply(cmd)
	return cmd
}

// probe looks at the data directory the server names, because another server
// may have got the port first.
func (c *cluster) probe(ctx context.Context, port, _ int) (err error) {
	conn, err := pgx.Connect(ctx, postgresURL(port, "postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var dir string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return err
	}
	if dir != c.dataDir() {
		return fmt.Errorf("another server has port %d, its data directory is %s", port, dir)
	}
	return nil
}

// SIGINT is the fast shutdown, SIGQUIT the immediate one: it also ends the
// server's children and gives its shared memory back, which SIGKILL does not.
func (c *cluster) stopSignal() syscall.Signal { return syscall.SIGINT }
func (c *cluster) quitSignal() syscall.Signal { return syscall.SIGQUIT }
