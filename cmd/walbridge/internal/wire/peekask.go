package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// PeekRequest says what of a target's queue is asked for, and where.
type PeekRequest struct {
	console.PeekQuestion
	// Addresses are those of the consoles of processes, host:port; if empty those of the
	// workers that Redis tells of, or else that of the configuration.
	Addresses []string
}

// PeekReport is what waits for a target: in the memory of processes, and in Redis.
type PeekReport struct {
	// Queue is all that the processes have; nil if none has any.
	Queue *console.Queue `json:"queue"`
	// Processes tells what came of each that was asked.
	Processes []PeekProcess `json:"processes"`
	// Target is what Redis tells.
	Target TargetReport `json:"target"`
}

// PeekProcess is a process that was asked for the queue of a target.
type PeekProcess struct {
	Address string `json:"address"`
	Owner   string `json:"owner,omitempty"`
	// State is one of the console's, or empty with an Error.
	State string `json:"state,omitempty"`
	Error string `json:"error,omitempty"`
}

// Peek asks the processes that deliver to a target for its queue, and Redis for the rest.
// That no process answers is told in the report.
func Peek(ctx context.Context, cfg *config.Config, logger *slog.Logger, q PeekRequest) (out *PeekReport, err error) {
	if _, ok := cfg.Target(q.Target); !ok {
		names := cfg.TargetNames()
		return nil, &cdc.SetupError{What: "there is no target " + q.Target, Hint: nearest.Hint(q.Target, names, "there are "+nearest.List(names))}
	}
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		out = &PeekReport{Processes: []PeekProcess{}}
		r := Report{Now: time.Now()}
		if err := r.target(ctx, l, q.Target); err != nil {
			return err
		}
		out.Target = r.Targets[0]
		if err := r.circuit(ctx, cfg, l, &out.Target); err != nil {
			return err
		}
		pass, err := l.NewPass(ctx)
		if err != nil {
			return err
		}
		out.ask(ctx, pass, peekAddresses(cfg, &q, out.Target.Workers), q.PeekQuestion)
		return nil
	})
	return out, err
}

// peekAddresses are those of the processes that are asked.
func peekAddresses(cfg *config.Config, q *PeekRequest, workers []WorkerReport) (out []string) {
	if len(q.Addresses) > 0 {
		return q.Addresses
	}
	for i := range workers {
		if w := &workers[i]; w.Address != "" && len(w.Partitions) > 0 {
			out = append(out, addressOf(w))
		}
	}
	if len(out) > 0 || cfg.Listen == "" {
		return out
	}
	return []string{cfg.Listen}
}

// addressOf is where the console of a worker is asked: one that listens everywhere is on the
// machine that its name begins with.
func addressOf(w *WorkerReport) string {
	host, port, err := net.SplitHostPort(w.Address)
	machine, _, named := strings.Cut(w.Name, " ")
	here, hostErr := os.Hostname()
	if ip := net.ParseIP(host); err != nil || !named || hostErr != nil || machine == here || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return w.Address
	}
	return net.JoinHostPort(machine, port)
}

// reachable is the address by which a console is asked that listens at one.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return listen
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// ask asks all processes at once, and puts together what they say.
func (r *PeekReport) ask(ctx context.Context, pass string, addresses []string, q console.PeekQuestion) {
	queues, all := make([]*console.Queue, len(addresses)), make([]PeekProcess, len(addresses))
	var g sync.WaitGroup
	for i, a := range addresses {
		g.Go(func() {
			all[i].Address = a
			queue, err := askPeek(ctx, reachable(a), pass, q)
			if err != nil {
				all[i].Error = err.Error()
				return
			}
			all[i].Owner, all[i].State = queue.Owner, queue.State
			if queue.State == console.QueueOwned {
				queues[i] = queue
			}
		})
	}
	g.Wait()
	r.Processes = append(r.Processes, all...)
	for _, queue := range queues {
		if queue != nil {
			r.merge(queue, q.Limit)
		}
	}
}

// askClient asks processes: no proxy stands between them and us, and none sends us on.
var askClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       10 * time.Second,
}

// maxPeek bounds the answer of a process.
const maxPeek = 32 << 20

func askPeek(ctx context.Context, address, pass string, q console.PeekQuestion) (*console.Queue, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/peek?"+q.Query(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: not an address", address)
	}
	req.Header.Set("Authorization", "Bearer "+pass)
	resp, err := askClient.Do(req)
	if err != nil {
		for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) { // the rest repeats the key
			err = inner
		}
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPeek))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	var refusal struct{ Error string }
	if resp.StatusCode != http.StatusOK {
		if json.Unmarshal(body, &refusal) != nil || refusal.Error == "" {
			return nil, fmt.Errorf("it answers %s: no process of walbridge, or an older one", resp.Status)
		}
		return nil, errors.New(refusal.Error)
	}
	out := &console.Queue{}
	if err := json.Unmarshal(body, out); err != nil || out.Target != q.Target {
		return nil, errors.New("it answers something else: no process of walbridge")
	}
	return out, nil
}

// stageOrder is that in which keys are told.
var stageOrder = []string{console.StageInFlight, console.StageReady, console.StageHeld, console.StageGathering, console.StageQuiet, console.StageBackOff,
	console.StageAwaiting, console.StageLeaving, console.StageReturning, console.StageAside}

// merge adds the queue of one process: each has other partitions.
func (r *PeekReport) merge(q *console.Queue, limit int) {
	all := r.Queue
	if all == nil {
		r.Queue = q
		return
	}
	all.Owner = strings.Join([]string{all.Owner, q.Owner}, ", ")
	if all.PausedUntil.Before(q.PausedUntil) {
		all.PausedUntil, all.Why = q.PausedUntil, q.Why
	}
	all.Holds = append(all.Holds, q.Holds...)
	all.Partitions = append(all.Partitions, q.Partitions...)
	slices.Sort(all.Partitions)
	for _, m := range q.Mappings {
		if !slices.ContainsFunc(all.Mappings, func(o console.QueueMapping) bool { return o.Mapping == m.Mapping }) {
			all.Mappings = append(all.Mappings, m)
		}
	}
	for i := range min(len(all.Lanes), len(q.Lanes)) {
		a, b := &all.Lanes[i], &q.Lanes[i]
		a.Keys, a.Entries, a.Bytes = a.Keys+b.Keys, a.Entries+b.Entries, a.Bytes+b.Bytes
		if a.Oldest.IsZero() || !b.Oldest.IsZero() && b.Oldest.Before(a.Oldest) {
			a.Oldest = b.Oldest
		}
	}
	all.Aside, all.Matching = all.Aside+q.Aside, all.Matching+q.Matching
	all.Keys = append(all.Keys, q.Keys...)
	slices.SortStableFunc(all.Keys, func(a, b console.QueueKey) int {
		return cmp.Or(cmp.Compare(slices.Index(stageOrder, a.Stage), slices.Index(stageOrder, b.Stage)),
			cmp.Compare(slices.Index(cdc.Lanes(), a.Lane), slices.Index(cdc.Lanes(), b.Lane)), a.Until.Compare(b.Until))
	})
	all.Keys = all.Keys[:min(len(all.Keys), limit)]
}
