package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/mapping"
)

// Parts says which parts of a bridge a process runs.
type Parts struct {
	Capture    bool
	AllTargets bool
	Targets    []string
}

func (p Parts) delivers(target string) bool {
	return p.AllTargets || slices.Contains(p.Targets, target)
}

// Options are what a configuration file does not say.
type Options struct {
	Parts   Parts
	Logger  *slog.Logger
	Version string
}

// slotWait is how long a start waits for a slot that another connection holds.
// The server notices the death of a process as soon as it writes to it.
const slotWait = 10 * time.Second

// Bridge is the parts of one process, ready to run.
type Bridge struct {
	cfg      *config.Config
	options  Options
	logger   *slog.Logger
	registry *prometheus.Registry
	started  time.Time

	source    *pgsource.Source
	completer *pgsource.Completer
	log       *redislog.Log
	capture   *pgsource.Capture
	trimmer   *redislog.Trimmer // where this process captures
	targets   []*target
	accounts  map[string]*account
	// beginnings tell how the targets of this process began.
	beginnings map[string]redislog.Beginning
	console    *console.Server
	replays    *replayWatch // where this process delivers
	rates      rates
	renames    map[cdc.Table]cdc.Table
}

// Open checks everything that can be checked before the start: files, servers,
// privileges, targets. What it makes is Run's to close.
func Open(ctx context.Context, cfg *config.Config, o Options) (_ *Bridge, err error) {
	b := &Bridge{cfg: cfg, options: o, logger: o.Logger, registry: prometheus.NewRegistry(), started: time.Now(), accounts: map[string]*account{}, beginnings: map[string]redislog.Beginning{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	b.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b.source, err = pgsource.New(pgsource.Options{
		URL: cfg.Postgres.URL.Reveal(), Slot: cfg.Postgres.Slot, Publication: cfg.Postgres.Publication,
		BulkAfter: cfg.Redis.BulkAfter, Heartbeat: cfg.Postgres.Heartbeat, SlotWait: slotWait, Logger: o.Logger,
		WALBudget: cfg.Postgres.WALBudget, AfterLoss: afterLoss(cfg.Postgres.OnLoss),
		CompileRules: mapping.CompileLaneRules,
	})
	if err != nil {
		return nil, err
	}
	mappings, err := loadMappings(ctx, cfg, b.source)
	if err != nil {
		return nil, err
	}
	if err := contrary(cfg, mappings); err != nil {
		return nil, err
	}
	rules, err := mapping.LaneRules(mappings)
	if err != nil {
		return nil, err
	}
	b.source.SetTables(lanes(mappings, rules), starts(mappings))
	b.log, err = redislog.Open(ctx, logOptions(cfg, o.Logger))
	if err != nil {
		return nil, err
	}
	if err := b.openParts(ctx, mappings); err != nil {
		return nil, err
	}
	if cfg.Listen != "" {
		b.console, err = console.New(console.Options{Listen: cfg.Listen, Source: b, Peeker: b, Teller: b, Gatherer: b.registry, Logger: o.Logger})
	}
	return b, err
}

// logOptions says where the log is, as the configuration does.
func logOptions(cfg *config.Config, logger *slog.Logger) redislog.Options {
	r := &cfg.Redis
	o := redislog.Options{URL: r.URL.Reveal(), Cluster: r.Cluster, Replicas: r.Replicas, Name: cfg.Name, Partitions: r.Partitions, Logger: logger,
		TimeEvery: redislog.TimeEvery(r.Retention.Age)}
	if r.TLS != nil {
		t := redislog.TLS(*r.TLS)
		o.TLS = &t
	}
	if s := r.Sentinel; s != nil {
		o.Sentinel = &redislog.Sentinel{Master: s.Master, Addresses: s.Addresses, Password: s.Password.Reveal()}
	}
	return o
}

func (b *Bridge) openParts(ctx context.Context, mappings []*mapping.Mapping) error {
	if b.options.Parts.Capture {
		b.capture = pgsource.NewCapture(b.source, b.log)
		if err := b.capture.Prepare(ctx); err != nil {
			return err
		}
		b.registerCapture()
	}
	if err := b.beginTargets(ctx, mappings); err != nil {
		return err
	}
	if b.options.Parts.Capture {
		b.openTrimmer(mappings)
	}
	b.completer = b.source.NewCompleter()
	var err error
	if b.renames, err = b.renamed(ctx); err != nil {
		return err
	}
	for _, t := range b.cfg.Targets {
		if !b.options.Parts.delivers(t.Name) {
			continue
		}
		tgt, err := b.openTarget(ctx, t, mappings)
		if err != nil {
			return err
		}
		if tgt != nil {
			b.targets = append(b.targets, tgt)
		}
	}
	b.watchReplays()
	return nil
}

// Run runs the parts until ctx ends, then closes what Open made. A part that
// cannot go on ends them all: the operator reads one error, and a supervisor
// starts the process again.
func (b *Bridge) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	if b.console != nil {
		b.logger.Info("console", "url", "http://"+b.console.Addr()+"/")
		g.Go(func() error { return b.console.Run(gctx) })
	}
	if b.capture != nil {
		g.Go(func() error { return b.capture.Run(gctx) })
		g.Go(func() error { return b.trimmer.Run(gctx) })
	}
	if b.replays != nil {
		g.Go(func() error { return b.replays.run(gctx) })
	}
	for _, t := range b.targets {
		g.Go(func() error {
			if err := t.engine.Run(gctx); err != nil {
				return fmt.Errorf("deliver to %s: %w", t.name, err)
			}
			return nil
		})
		g.Go(func() error { return t.conditions.run(gctx) })
		if t.tracer != nil {
			g.Go(func() error { return t.tracer.Run(gctx) })
		}
	}
	err := g.Wait()
	return errors.Join(err, b.close())
}

func (b *Bridge) close() error {
	var errs []error
	for _, t := range b.targets {
		errs = append(errs, t.close())
	}
	for _, a := range b.accounts {
		errs = append(errs, a.close())
	}
	if b.completer != nil {
		b.completer.Close()
	}
	if b.log != nil {
		errs = append(errs, b.log.Close())
	}
	return errors.Join(errs...)
}

// ConsoleAddr is where the console listens; empty if it does not.
func (b *Bridge) ConsoleAddr() string {
	if b.console == nil {
		return ""
	}
	return b.console.Addr()
}
