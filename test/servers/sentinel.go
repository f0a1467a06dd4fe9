package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// SentinelOptions says what a sentinel looks after.
type SentinelOptions struct {
	// Master is the name of the master, Addr its address at the start.
	Master, Addr string
	// Quorum is how many sentinels must agree that it is down.
	Quorum int
	// Replicas is how many replicas the sentinel must know before it counts as started.
	// It learns them from the master alone: if that dies first there is never a failover.
	Replicas int
	// DownAfter is after how long without an answer it is down.
	DownAfter time.Duration
	// Password is that of the sentinel itself. Empty means none.
	Password string
	// Log gets a line at debug level for each start and stop. It may be nil.
	Log *slog.Logger
}

// Sentinel is a Redis Sentinel.
type Sentinel struct{ *Server }

// sentinelServer is what a Server has to know about Sentinel. It keeps what it
// learns in its configuration file.
type sentinelServer struct {
	redisServer
	conf, password string
	replicas       int
}

// StartSentinel starts a sentinel. It outlives ctx, which only bounds the wait.
func StartSentinel(ctx context.Context, o SentinelOptions) (*Sentinel, error) {
	bin, err := FindRedis()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start sentinel: %w", err)
	}
	dir, made, err := serverDir("", "sentinel")
	if err != nil {
		return nil, err
	}
	k := &sentinelServer{redisServer: redisServer{bin: bin, dir: dir}, conf: filepath.Join(dir, "sentinel.conf"), password: o.Password, replicas: o.Replicas}
	text := fmt.Sprintf("bind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s %d\nsentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s %d\n",
		dir, o.Master, host, port, o.Quorum, o.Master, o.DownAfter.Milliseconds(), o.Master, 10*o.DownAfter.Milliseconds())
	if o.Password != "" {
		text += "requirepass " + o.Password + "\n"
	}
	s := &Server{name: "sentinel", dir: dir, ownsDir: made, log: logger(o.Log), kind: k}
	if err := os.WriteFile(k.conf, []byte(text), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("write the configuration of a sentinel: %w", err), s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Sentinel{Server: s}, nil
}

func (r *sentinelServer) command(port int) *exec.Cmd {
	cmd := exec.Command(r.bin, r.conf, "--port", strconv.Itoa(port), "--sentinel")
	cmd.Dir = r.dir
	return cmd
}

func (r *sentinelServer) probe(ctx context.Context, port, pid int) error {
	commands := "INFO\r\nQUIT\r\n"
	if r.password != "" {
		commands = "AUTH " + r.password + "\r\n" + commands
	}
	answer, err := r.ask(ctx, port, commands)
	if err != nil {
		return err
	}
	if err := isProcess(answer, port, pid); err != nil {
		return err
	}
	if r.replicas > 0 && !bytes.Contains(answer, fmt.Appendf(nil, ",slaves=%d,", r.replicas)) {
		return fmt.Errorf("it does not know the %d replicas yet", r.replicas)
	}
	return nil
}

func (r *sentinelServer) stopSignal() syscall.Signal { return syscall.SIGTERM }
