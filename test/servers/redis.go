package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"syscall"
)

// RedisOptions says what kind of Redis server is wanted. The zero value is one
// without persistence.
type RedisOptions struct {
	// Dir holds the server's files. Empty means a new directory, which Close
	// removes. A directory used before is used again with its data.
	Dir string
	// AOF is the fsync policy of the append-only file, "everysec" or "always".
	// Empty means no append-only file.
	AOF string
	// MaxMemory bounds the data, such as "64mb". Empty means no bound.
	MaxMemory string
	// Extra are further arguments of redis-server, such as
	// "--client-output-buffer-limit". They win over ours.
	Extra []string
	// Log gets a line at debug level for each start and stop. It may be nil.
	Log *slog.Logger
}

// Redis is a Redis server that evicts nothing and takes no snapshots.
type Redis struct{ *Server }

// redisServer is what a Server has to know about Redis.
type redisServer struct {
	bin, dir string
	args     []string
}

// StartRedis starts a Redis server. The server outlives ctx, which only bounds
// the wait.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	bin, err := FindRedis()
	if err != nil {
		return nil, err
	}
	switch o.AOF {
	case "", "everysec", "always":
	default:
		return nil, fmt.Errorf("start redis: AOF %q: want everysec, always, or nothing for no append-only file", o.AOF)
	}
	dir, made, err := serverDir(o.Dir, "redis")
	if err != nil {
		return nil, err
	}
	k := &redisServer{bin: bin, dir: dir, args: redisArgs(dir, o)}
	s := &Server{name: "redis", dir: dir, ownsDir: made, log: logger(o.Log), kind: k}
	if err := s.Start(ctx); err != nil {
		// Close has no process to end; it takes the directory away.
		return nil, errors.Join(err, s.Close())
	}
	return &Redis{Server: s}, nil
}

// URL is the server's connection URL, for database 0.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// redisArgs gives the arguments that do not change over restarts.
func redisArgs(dir string, o RedisOptions) []string {
	args := []string{
		"--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--save", "",
		"--maxmemory-policy", "noeviction",
	}
	if o.AOF != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", o.AOF)
	}
	if o.MaxMemory != "" {
		args = append(args, "--maxmemory", o.MaxMemory)
	}
	return append(args, o.Extra...)
}

func (r *redisServer) command(port int) *exec.Cmd {
	cmd := exec.Command(r.bin, append([]string{"--port", strconv.Itoa(port)}, r.args...)...)
	cmd.Dir = r.dir
	return cmd
}

// probe looks at the pid the server names, because another server may have got
// the port first. It speaks the inline form of the protocol over a plain
// connection: a client library would try again by itself and log each failure.
func (r *redisServer) probe(ctx context.Context, port, pid int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "PING\r\nINFO server\r\nQUIT\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	// PING is refused until the data is loaded.
	if !bytes.HasPrefix(answer, []byte("+PONG\r\n")) {
		first, _, _ := bytes.Cut(answer, []byte("\r\n"))
		return fmt.Errorf("it answers %q to PING", first)
	}
	if !bytes.Contains(answer, fmt.Appendf(nil, "process_id:%d\r\n", pid)) {
		return fmt.Errorf("another server has port %d", port)
	}
	return nil
}

// SIGTERM writes what is buffered for the append-only file. A Redis whose data
// is given up has nothing to give back but memory.
func (r *redisServer) stopSignal() syscall.Signal { return syscall.SIGTERM }
func (r *redisServer) quitSignal() syscall.Signal { return syscall.SIGKILL }
