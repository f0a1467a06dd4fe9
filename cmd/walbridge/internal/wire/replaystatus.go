package wire

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
)

// ReplayReport is a replay under way, as status tells it.
type ReplayReport struct {
	cdc.ReplayStatus
	// Share is which part of it is done, from 0 to 1; Seconds about how long it takes until
	// the end, zero if that is not known.
	Share   float64 `json:"share"`
	Seconds float64 `json:"left_seconds"`
}

// replays reads those that are under way.
func (r *Report) replays(ctx context.Context, l *redislog.Log) {
	list, err := l.Replays(ctx)
	if err != nil {
		r.problem(err.Error())
		return
	}
	for i := range list {
		if s := &list[i]; !s.State.Final() {
			r.Replays = append(r.Replays, ReplayReport{*s, s.Share(), s.Remaining().Seconds()})
		}
	}
}

// replayWatch knows how far the replays to some targets are. Workers write that into the
// log, each for its own partitions.
type replayWatch struct {
	list    func(context.Context) ([]cdc.ReplayStatus, error)
	targets []string
	logger  *slog.Logger

	mu  sync.Mutex // covers now
	now []cdc.ReplayStatus
}

// replayWatchEvery is how often it is looked how far replays are.
const replayWatchEvery = 2 * time.Second

// run looks until ctx ends. What it cannot read it tells once, and tries again.
func (w *replayWatch) run(ctx context.Context) error {
	failing := false
	for {
		list, err := w.list(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failing = false
			w.set(slices.DeleteFunc(list, func(s cdc.ReplayStatus) bool { return !slices.Contains(w.targets, s.Target) }))
		case !failing:
			failing = true
			w.logger.Warn("how far replays are cannot be read for the metrics", "error", err)
		}
		if cdc.Sleep(ctx, replayWatchEvery) != nil {
			return nil
		}
	}
}

// watchReplays has the replays to the targets of this process watched.
func (b *Bridge) watchReplays() {
	if len(b.targets) == 0 {
		return
	}
	w := &replayWatch{list: b.log.Replays, logger: b.logger}
	for _, t := range b.targets {
		w.targets = append(w.targets, t.name)
	}
	b.replays = w
	b.registry.MustRegister(w)
}

func (w *replayWatch) set(list []cdc.ReplayStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = list
}

var (
	replayLabels = []string{"target", "id"}
	replayGauges = []struct {
		desc *prometheus.Desc
		of   func(*cdc.ReplayStatus) float64
	}{
		{replayDesc("changes", "Changes that a replay under way has read."), func(s *cdc.ReplayStatus) float64 { return float64(s.Progress.Changes) }},
		{replayDesc("expected_changes", "How many changes a replay under way has to read, as counted when it was asked for."), func(s *cdc.ReplayStatus) float64 { return float64(s.Changes) }},
		{replayDesc("done_ratio", "Which part of a replay under way is done, from 0 to 1."), (*cdc.ReplayStatus).Share},
		{replayDesc("remaining_seconds", "About how long a replay takes until its end, at the pace since it was asked for; 0 if that is not known."), func(s *cdc.ReplayStatus) float64 { return s.Remaining().Seconds() }},
		{replayDesc("same_records", "Records of a replay under way that the target has already."), func(s *cdc.ReplayStatus) float64 { return float64(s.Progress.Same) }},
		{replayDesc("older_changes", "Changes of a replay under way of which the target has a newer state."), func(s *cdc.ReplayStatus) float64 { return float64(s.Progress.Older) }},
		{replayDesc("queued_records", "Records of a replay under way that were put into the queue, to be sent if they differ."), func(s *cdc.ReplayStatus) float64 { return float64(s.Progress.Queued) }},
		{replayDesc("source_records", "Those of the queued records that are read at the source."), func(s *cdc.ReplayStatus) float64 { return float64(s.Progress.Source) }},
		{replayDesc("partitions_left", "Partitions that a replay under way is not done with."), func(s *cdc.ReplayStatus) float64 { return float64(s.Left) }},
		{replayDesc("running", "1 for a replay that is to run, 0 for one that is stopped."), func(s *cdc.ReplayStatus) float64 {
			if s.State == cdc.ReplayRunning {
				return 1
			}
			return 0
		}},
	}
	replayStates = prometheus.NewDesc("walbridge_replays", "Replays by state, of those that are remembered.", []string{"target", "state"}, nil)
)

func replayDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("walbridge_replay_"+name, help, replayLabels, nil)
}

// Describe implements prometheus.Collector.
func (w *replayWatch) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range replayGauges {
		ch <- g.desc
	}
	ch <- replayStates
}

// Collect implements prometheus.Collector.
func (w *replayWatch) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	list := w.now
	w.mu.Unlock()
	states := map[string]map[cdc.ReplayState]int{}
	for _, t := range w.targets {
		states[t] = map[cdc.ReplayState]int{cdc.ReplayRunning: 0, cdc.ReplayStopped: 0, cdc.ReplayDone: 0, cdc.ReplayCancelled: 0}
	}
	for i := range list {
		s := &list[i]
		states[s.Target][s.State]++
		if s.State.Final() {
			continue
		}
		for _, g := range replayGauges {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.of(s), s.Target, s.ID)
		}
	}
	for t, of := range states {
		for state, n := range of {
			ch <- prometheus.MustNewConstMetric(replayStates, prometheus.GaugeValue, float64(n), t, string(state))
		}
	}
}
