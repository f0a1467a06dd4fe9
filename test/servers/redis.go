package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	// ReplicaOf is the address of the server that this one copies. Empty means none.
	ReplicaOf string
	// TLS makes the server speak only TLS. Nil means none.
	TLS *RedisTLS
	// Program is the server to run, such as valkey-server. Empty means redis-server.
	Program string
	// Extra are further arguments of redis-server, such as
	// "--client-output-buffer-limit". They win over ours.
	Extra []string
	// Log gets a line at debug level for each start and stop. It may be nil.
	Log *slog.Logger
}

// RedisTLS are files in PEM form.
type RedisTLS struct {
	// CA is of the certificates that the server trusts, Cert and Key are its own. The
	// look whether it answers shows the same, so it must do for a client too.
	CA, Cert, Key string
	// AskClients makes the server ask clients for a certificate.
	AskClients bool
}

// Redis is a Redis server that evicts nothing and takes no snapshots.
type Redis struct{ *Server }

// redisServer is what a Server has to know about Redis.
type redisServer struct {
	bin, dir string
	args     []string
	tls      *tls.Config // nil without TLS
}

// StartRedis starts a Redis server. The server outlives ctx, which only bounds
// the wait.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	bin, err := o.program()
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
	if o.TLS != nil {
		pair, err := tls.LoadX509KeyPair(o.TLS.Cert, o.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("start redis: %w", err)
		}
		// It only looks who answers, and shows the server's own certificate.
		k.tls = &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	}
	s := &Server{name: "redis", dir: dir, ownsDir: made, log: logger(o.Log), kind: k}
	if err := s.Start(ctx); err != nil {
		// Close has no process to end; it takes the directory away.
		return nil, errors.Join(err, s.Close())
	}
	return &Redis{Server: s}, nil
}

// program finds the server to run.
func (o *RedisOptions) program() (string, error) {
	if o.Program == "" {
		return FindRedis()
	}
	return filepath.Abs(o.Program)
}

// URL is the server's connection URL, for database 0.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// redisArgs gives the arguments that do not change over restarts.
func redisArgs(dir string, o RedisOptions) []string {
	args := []string{
		"--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--save", "",
		"--maxmemory-policy", "noeviction",
		"--repl-diskless-sync-delay", "0", // a replica is there at once
	}
	if o.AOF != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", o.AOF)
	}
	if o.MaxMemory != "" {
		args = append(args, "--maxmemory", o.MaxMemory)
	}
	if host, port, err := net.SplitHostPort(o.ReplicaOf); err == nil {
		args = append(args, "--replicaof", host, port)
	}
	if o.TLS != nil {
		ask := "no"
		if o.TLS.AskClients {
			ask = "yes"
		}
		args = append(args, "--tls-ca-cert-file", o.TLS.CA, "--tls-cert-file", o.TLS.Cert, "--tls-key-file", o.TLS.Key, "--tls-auth-clients", ask)
	}
	return append(args, o.Extra...)
}

func (r *redisServer) command(port int) *exec.Cmd {
	args := []string{"--port", strconv.Itoa(port)}
	if r.tls != nil {
		args = []string{"--port", "0", "--tls-port", strconv.Itoa(port)}
	}
	cmd := exec.Command(r.bin, append(args, r.args...)...)
	cmd.Dir = r.dir
	return cmd
}

// probe looks at the pid the server names, because another server may have got
// the port first. It speaks the inline form of the protocol over a plain
// connection: a client library would try again by itself and log each failure.
func (r *redisServer) probe(ctx context.Context, port, pid int) error {
	answer, err := r.ask(ctx, port, "PING\r\nINFO server\r\nQUIT\r\n")
	if err != nil {
		return err
	}
	// PING is refused until the data is loaded.
	if !bytes.HasPrefix(answer, []byte("+PONG\r\n")) {
		first, _, _ := bytes.Cut(answer, []byte("\r\n"))
		return fmt.Errorf("it answers %q to PING", first)
	}
	return isProcess(answer, port, pid)
}

// isProcess tells whether an answer to INFO is of the process with the pid; nil if so.
func isProcess(answer []byte, port, pid int) error {
	if !bytes.Contains(answer, fmt.Appendf(nil, "process_id:%d\r\n", pid)) {
		return fmt.Errorf("another server has port %d", port)
	}
	return nil
}

// AwaitReplicas waits until the server streams to so many replicas. Server and replica
// both call their link up a second before; what is written until then only the server
// has.
func (r *Redis) AwaitReplicas(ctx context.Context, n int) error {
	return r.awaitReplicas(ctx, n, "PUBLISH walbridge replicas") // goes to replicas and changes no data
}

// awaitReplicas has replicas acknowledge a command, on the connection it was sent on.
func (r *Redis) awaitReplicas(ctx context.Context, n int, command string) error {
	k, ok := r.kind.(*redisServer)
	if !ok {
		return errors.New("wait for replicas: it is no redis server")
	}
	for {
		answer, err := k.ask(ctx, r.Port(), fmt.Sprintf("%s\r\nWAIT %d 100\r\nQUIT\r\n", command, n))
		if lines := strings.Split(string(answer), "\r\n"); err == nil && len(lines) == 4 {
			if have, e := strconv.Atoi(strings.TrimPrefix(lines[1], ":")); e == nil && have >= n {
				return nil
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for %d replicas, the last answer was %q: %w", n, answer, err)
		}
	}
}

// Await waits until a section of the server's INFO has all the texts, such as
// "master_link_status:up" in the section replication.
func (r *Redis) Await(ctx context.Context, section string, texts ...string) error {
	k, ok := r.kind.(*redisServer)
	if !ok {
		return errors.New("wait for a redis server: it is none")
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		answer, err := k.ask(ctx, r.Port(), "INFO "+section+"\r\nQUIT\r\n")
		missing := ""
		for _, text := range texts {
			if !bytes.Contains(answer, []byte(text)) {
				missing = text
			}
		}
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %q in the section %s of INFO: %w", missing, section, context.Cause(ctx)), err)
		}
	}
}

// ask sends commands in the inline form, the last of them QUIT, and gives all that
// the server answers.
func (r *redisServer) ask(ctx context.Context, port int, commands string) ([]byte, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn := raw
	if r.tls != nil {
		conn = tls.Client(raw, r.tls)
	}
	if _, err := io.WriteString(conn, commands); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		part := make([]byte, 16<<10)
		n, err := conn.Read(part)
		answer = append(answer, part[:n]...)
		switch {
		case bytes.Contains(answer, []byte("unknown command 'QUIT'")): // a sentinel
			return answer, nil
		case errors.Is(err, io.EOF), err != nil && r.tls != nil && len(answer) > 0: // TLS ends without a word
			return answer, nil
		case err != nil:
			return answer, err
		}
	}
}

// SIGTERM writes what is buffered for the append-only file. A Redis whose data
// is given up has nothing to give back but memory.
func (r *redisServer) stopSignal() syscall.Signal { return syscall.SIGTERM }
func (r *redisServer) quitSignal() syscall.Signal { return syscall.SIGKILL }
