package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

type workerFlags struct {
	redis, url, target, name string
	lease                    time.Duration
}

// workerCommand is one worker in a process of its own: delivery and nothing else.
func workerCommand() *cobra.Command {
	var f workerFlags
	c := &cobra.Command{
		Use: "worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWorker(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.redis, "redis", "", "")
	c.Flags().StringVar(&f.url, "url", "", "")
	c.Flags().StringVar(&f.target, "target", "", "")
	c.Flags().StringVar(&f.name, "name", "", "")
	c.Flags().DurationVar(&f.lease, "lease", 0, "")
	return c
}

// asInLog is a mapping whose changes are as urgent as the lane that they come in.
type asInLog struct{ *mapping.Mapping }

// Lane is that of the log.
func (asInLog) Lane() string { return "" }

func runWorker(ctx context.Context, f workerFlags) (err error) {
	log, err := redislog.Open(ctx, redislog.Options{URL: f.redis, Name: "bench", Partitions: partitions, Logger: quiet()})
	if err != nil {
		return err
	}
	defer closing(&err, log.Close)
	m, err := dealMapper()
	if err != nil {
		return err
	}
	client, err := httpapi.New(httpapi.Options{URL: f.url, Timeout: 5 * time.Second, MaxBatch: workerBatch, MaxInFlight: workerInFlight})
	if err != nil {
		return err
	}
	defer client.Close()
	store := state.New(state.Options{Client: log.Client(), Keys: log.Keys(), Target: f.target, Partitions: partitions, Owner: f.name, TTL: f.lease})
	defer closing(&err, store.Close)
	reader := log.NewReader(partitions)
	defer closing(&err, reader.Close)
	e, err := deliver.New(deliver.Options{Name: f.target, Target: client, Mappers: []deliver.Mapper{asInLog{m}}, Reader: reader, State: store,
		Partitions: partitions, Logger: quiet(), Limits: queue.Limits{Entries: 100_000 / 3, Bytes: 128 << 20 / 3}})
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

// team are the workers of a target.
type team struct {
	b      *workersBench
	target string
	came   int
	there  []*exec.Cmd
	names  []string
	gone   string // the name of the last that was killed
}

func (t *team) add(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	t.came++
	name := fmt.Sprintf("%s/%d", t.target, t.came)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "worker", "--redis", t.b.log.server.URL(), "--url", t.b.url, "--target", t.target, "--name", name, "--lease", t.b.flags.lease.String())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	t.there, t.names = append(t.there, cmd), append(t.names, name)
	return nil
}

// leave ends a worker in order.
func (t *team) leave(i int) error {
	cmd := t.take(i)
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		return fmt.Errorf("end worker: %w", err)
	}
	return nil
}

// kill ends a worker at once.
func (t *team) kill(i int) error {
	t.gone = t.names[i]
	cmd := t.take(i)
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill worker: %w", err)
	}
	if err := cmd.Wait(); err == nil {
		return errors.New("the worker had ended before it was killed")
	}
	return nil
}

func (t *team) take(i int) *exec.Cmd {
	cmd := t.there[i]
	t.there, t.names = append(t.there[:i:i], t.there[i+1:]...), append(t.names[:i:i], t.names[i+1:]...)
	return cmd
}

func (t *team) close() (err error) {
	for len(t.there) > 0 {
		err = errors.Join(err, t.leave(0))
	}
	return err
}

// lost are the partitions that the worker had that was killed last.
func (t *team) lost(m state.Meeting) []int { return m.Of(t.gone) }

// shared waits until so many workers have all partitions, each its part.
func (t *team) shared(ctx context.Context, n int) error {
	for deadline := time.Now().Add(time.Minute); ; {
		m, err := t.look(ctx)
		if err != nil {
			return err
		}
		even := len(m.Workers) == n
		for _, name := range t.names {
			has := len(m.Of(name))
			even = even && (has == partitions/n || has == (partitions+n-1)/n)
		}
		if even && len(m.Of("")) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d workers do not come to share: %+v", n, m)
		}
		if err := cdc.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// slowTarget takes every record, and its time for each request.
type slowTarget struct {
	work  time.Duration
	taken atomic.Int64

	mu   sync.Mutex
	open map[int]change
	took *hdrhistogram.Histogram // microseconds from the append to the target
	// first is when the first of the changes of each partition came.
	first map[int]time.Time
}

// change is one that was appended and did not come yet.
type change struct {
	partition int
	at        time.Time
}

func newSlowTarget(work time.Duration) *slowTarget {
	t := &slowTarget{work: work}
	t.reset()
	return t
}

// reset begins to count anew.
func (t *slowTarget) reset() {
	t.taken.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open, t.first, t.took = map[int]change{}, map[int]time.Time{}, hdrhistogram.New(1, 600_000_000, 3)
}

func (t *slowTarget) sent(id, partition int, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[id] = change{partition, at}
}

func (t *slowTarget) firstOf(partition int) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.first[partition]
	return at, ok
}

func (t *slowTarget) await(ctx context.Context, n int64) error {
	for t.taken.Load() < n {
		if err := cdc.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// told prints how long the changes took that were sent since the reset.
func (t *slowTarget) told(shape, tool string, f workersFlags) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms := func(q float64) float64 { return float64(t.took.ValueAtQuantile(q)) / 1000 }
	return Result{Bench: "workers", Shape: shape, Tool: tool, Rows: t.took.TotalCount(), RowsPerS: float64(f.rate), Ratio: 1, P50MS: ms(50), P99MS: ms(99)}.print(f.json)
}

func (t *slowTarget) take(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	var batch struct {
		Records []struct {
			Key struct {
				ID json.Number `json:"External_Id__c"`
			} `json:"key"`
		} `json:"records"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	if err := d.Decode(&batch); err != nil {
		http.Error(w, "not a batch", http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	for _, rec := range batch.Records {
		id, err := rec.Key.ID.Int64()
		c, ok := t.open[int(id)]
		if err != nil || !ok {
			continue // of the backlog, or a second time
		}
		delete(t.open, int(id))
		// A time beyond the histogram's range counts as the longest there is.
		_ = t.took.RecordValue(min(now.Sub(c.at).Microseconds(), t.took.HighestTrackableValue()))
		if _, ok := t.first[c.partition]; !ok {
			t.first[c.partition] = now
		}
	}
	t.mu.Unlock()
	time.Sleep(t.work)
	t.taken.Add(int64(len(batch.Records)))
	answerAll(w, len(batch.Records))
}
