package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/check"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/trace"
)

// target is the delivery to one target with all that belongs to it.
type target struct {
	partitions int // of the log
	name, kind string
	owner      string // this process, as the leases name it
	engine     *deliver.Engine
	store      *state.Store
	reader     *redislog.Reader
	replays    *replays
	client     vendors.Target
	conditions *conditions
	tracer     *trace.Writer // nil if no history is kept
	detached   atomic.Bool   // it waits until the target can be reached, to come back
}

func (t *target) close() error {
	t.client.Close()
	return errors.Join(t.closeTracer(), t.reader.Close(), t.replays.Close(), t.store.Close())
}

// openTarget makes the delivery to a target; nil if no mapping leads there.
func (b *Bridge) openTarget(ctx context.Context, cfg config.Target, mappings []*mapping.Mapping) (*target, error) {
	var mappers []deliver.Mapper
	for _, m := range mappings {
		if m.Target() == cfg.Name {
			mappers = append(mappers, m)
		}
	}
	if len(mappers) == 0 {
		b.logger.Warn("no mapping leads to the target", "target", cfg.Name)
		return nil, nil
	}
	client, err := vendors.Open(cfg, stores(b.log.Client(), b.log.Keys(), cfg.Name))
	if err != nil {
		return nil, err
	}
	for _, m := range mappings {
		if m.Target() != cfg.Name {
			continue
		}
		if err := check.Unfit(m, sinks.AbilitiesOf(client, m.Object())); err != nil {
			client.Close()
			return nil, err
		}
	}
	vendors.Expect(client, slices.DeleteFunc(slices.Clone(mappings), func(m *mapping.Mapping) bool { return m.Target() != cfg.Name }))
	me := owner()
	t := &target{
		name: cfg.Name, kind: cfg.Type, partitions: b.log.Partitions(), owner: me, client: client, conditions: newConditions(b.log, cfg.Name, me, b.logger),
		reader: b.log.NewReader(b.log.Partitions()), replays: &replays{Reader: b.log.NewReader(b.log.Partitions()), log: b.log, target: cfg.Name},
		store: state.New(state.Options{Client: b.log.Client(), Keys: b.log.Keys(), Target: cfg.Name,
			Partitions: b.log.Partitions(), Owner: me, TTL: b.cfg.Delivery.Lease,
			DeadLetters: deadletter.Bounds(b.cfg.Delivery.DeadLetters)}),
	}
	account := b.account(cfg)
	if err := b.firstContact(ctx, t, account); err != nil {
		return nil, errors.Join(err, t.close())
	}
	if err := b.openTracer(t); err != nil {
		return nil, errors.Join(err, t.close())
	}
	if q, ok := sinks.As[sinks.QuotaTeller](client); ok {
		q.TellQuota(account.keeper.Observe)
	}
	if r, ok := sinks.As[sinks.Remaker](client); ok {
		r.TellRemade(func(ctx context.Context, records []sinks.Record) error {
			return b.remade(ctx, cfg.Name, mappings, records)
		})
	}
	lanes := len(cdc.Lanes())
	t.engine, err = deliver.New(deliver.Options{
		Name: cfg.Name, Target: sinks.WithRules(client, cfg.Errors), Mappers: mappers, Reader: t.reader, Replays: t.replays, Oldest: b.log.Oldest, State: t.store,
		Partitions: b.log.Partitions(), Completer: b.completer, Renamed: b.renames, Logger: b.logger, Registerer: b.registry,
		Begin:        func(ctx context.Context, begin deliver.Beginning) error { return b.begin(ctx, t, mappers, begin) },
		Address:      b.ConsoleAddr,
		Limits:       queue.Limits{Entries: b.cfg.Delivery.QueueEntries / lanes, Bytes: b.cfg.Delivery.QueueBytes / int64(lanes), Floor: floor(b.cfg.Delivery.Floor)},
		DrainTimeout: b.cfg.Delivery.Shutdown, Rate: account.keeper, Told: t.conditions.tell,
		MaxAttempts: cfg.Retry.Attempts, Retry: deliver.Waits{Initial: cfg.Retry.Initial, Max: cfg.Retry.Max}, Hold: b.cfg.Delivery.Hold, Deferred: b.cfg.Delivery.Deferred.Count,
		ParentWait: b.cfg.Delivery.Parents.Wait, Trace: t.tracing(),
	})
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// floor says of how many batches a lane gets one, of a share in per cent.
func floor(percent int) int {
	if percent == 0 {
		return -1 // none
	}
	return 100 / percent
}

// owner names this process among all that may ask for a lease.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s pid %d since %s", host, os.Getpid(), time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
}

// probeTimeout bounds the look whether a target is there.
const probeTimeout = 5 * time.Second

// firstContact looks whether a target can be reached. One that never took
// anything and cannot be reached is a mistake in the configuration, and ends the
// start; one that did is only away, which must not keep the capture and the
// other targets from running (I7).
func (b *Bridge) firstContact(ctx context.Context, t *target, a *account) error {
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	probe, made := a.counted(probe)
	err := t.client.Probe(probe)
	if made.End() > 0 { // nobody was asked for the right to make it
		a.keeper.More(queue.Bulk)
	}
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	began, stateErr := b.took(ctx, t.name)
	if stateErr != nil {
		return stateErr
	}
	detached, stateErr := b.log.Detached(ctx)
	if stateErr != nil {
		return stateErr
	}
	if _, is := detached[t.name]; began || is { // one that is detached has no group
		b.logger.Warn("target cannot be reached now; changes wait in the log", "target", t.name, "error", err)
		return nil
	}
	return &cdc.SetupError{What: fmt.Sprintf("target %s cannot be reached", t.name), Err: err,
		Hint: fmt.Sprintf("check targets.%s.url, and that the target runs; nothing is lost: changes are captured once it starts", t.name)}
}

// ready tells why nothing is delivered; nil if all is well.
func (t *target) ready() error {
	s := t.engine.Stats()
	if d := time.Until(s.PausedUntil); d > stallAfter {
		return fmt.Errorf("paused for %s: %s", d.Round(time.Second), s.LastError)
	}
	return nil
}

func (t *target) status(r *rates, now time.Time) console.Target {
	s := t.engine.Stats()
	out := console.Target{
		Name: t.name, Type: t.kind, State: "running", LastError: s.LastError,
		Owned: s.Partitions, Partitions: t.partitions,
		InFlight: s.InFlight, Pending: s.Pending, Requests: s.Requests, Retries: s.Retries, Parked: s.Parked,
		Throttles: s.Throttles, Account: s.Rate.Account, Rate: s.Rate.Rate, RateLimit: s.Rate.Limit,
		BudgetKnown: s.Rate.Budget, BudgetDaily: s.Rate.Daily, BudgetLeft: s.Rate.Left,
	}
	out.Deferred, out.Waiting = s.Deferred, s.Waiting
	if !s.DeferredSince.IsZero() {
		out.DeferredAge = max(0, now.Sub(s.DeferredSince).Seconds())
	}
	until, why := held(*s.Rate)
	switch {
	case t.detached.Load():
		out.State = "detached"
	case !s.Owner:
		out.State = "waiting"
	case s.Condition.Circuit == deliver.Open && !until.After(s.PausedUntil):
		out.State, out.PausedUntil, out.Why = "paused", s.PausedUntil, s.Condition.Why
	case until.After(now):
		out.State, out.PausedUntil, out.Why = "paused", until, why
	case s.Condition.Circuit == deliver.Probing:
		out.State, out.Why = "probing", s.Condition.Why
	default:
		out.Why = s.Condition.Waits
	}
	for _, o := range s.SLO {
		out.SLOMet += o.Met
		out.SLOMissed += o.Missed
	}
	for _, l := range s.Lanes {
		key := t.name + "/" + l.Lane
		out.Lanes = append(out.Lanes, console.Lane{
			Name: l.Lane, Changes: l.Folded, Records: uint64(l.Delivered),
			ChangesPerSecond: r.of(key+"/changes", l.Folded, now),
			RecordsPerSecond: r.of(key+"/records", uint64(l.Delivered), now),
			Lag:              l.Open, Age: l.Age(now), P50: l.P50, P95: l.P95, P99: l.P99,
		})
	}
	return out
}

// Drain waits until the log holds everything that was committed up to an LSN of
// the source, and every target of this process has dealt with all of it.
func (b *Bridge) Drain(ctx context.Context, lsn string) error {
	end, err := cdc.ParseLSN(lsn)
	if err != nil {
		return err
	}
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		left := b.undrained(end)
		if left == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain: %s", left)
		case <-tick.C:
		}
	}
}

// drainEvery is how often Drain looks; what it looks at has no event.
const drainEvery = 20 * time.Millisecond

func (b *Bridge) undrained(end cdc.LSN) string {
	if b.capture != nil {
		if a := b.capture.Stats().Appended; a < end {
			return fmt.Sprintf("the capture is at %v of %v", a, end)
		}
	}
	entries := b.log.Stats().Entries
	for _, t := range b.targets {
		s := t.engine.Stats()
		open := 0
		for _, l := range s.Lanes {
			open += l.Open
		}
		if s.Read < entries || open > 0 || s.Pending > 0 || s.InFlight > 0 {
			return fmt.Sprintf("target %s has read %d of %d entries, %d of them not dealt with", t.name, s.Read, entries, open)
		}
	}
	return ""
}

// Close closes a bridge that was never run.
func (b *Bridge) Close() error { return b.close() }
