package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/deliver"
)

// openTrimmer makes the trimmer, for the targets that mappings lead to.
func (b *Bridge) openTrimmer(mappings []*mapping.Mapping) {
	targets := mapped(mappings)
	b.trimmer = b.log.NewTrimmer(redislog.TrimOptions{
		Retention: retention(b.cfg), Targets: targets,
		Idle: func() bool { return b.capture.Stats().State == pgsource.Standby },
	})
	b.registry.MustRegister(newLogCollector(b.trimmer, targets))
}

func retention(cfg *config.Config) redislog.Retention {
	r := cfg.Redis
	return redislog.Retention{Age: r.Retention.Age, Bytes: r.Retention.Bytes,
		HighMark: float64(r.HighMark) / 100, Wait: r.OnFull == config.OnFullWait}
}

// mapped are the targets that mappings lead to.
func mapped(mappings []*mapping.Mapping) []string {
	names := map[string]bool{}
	for _, m := range mappings {
		names[m.Target()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// returnMax is the longest wait between two looks whether a detached target can be
// reached.
const returnMax = 30 * time.Second

// begin is done before anything is read of partitions of a target that were taken, and when
// the workers agree on other mappings. All who deliver to the target know those that it is told
// of: the capture may have their tables read. Several workers may be here at a time.
func (b *Bridge) begin(ctx context.Context, t *target, mappers []deliver.Mapper, begin deliver.Beginning) error {
	if begin.Mappings != nil {
		if err := b.log.SetReader(ctx, t.name, begin.Mappings); err != nil {
			return err
		}
	}
	return b.attach(ctx, t, mappers, begin.Failing)
}

// attach sees to a target that was detached: once it can be reached it is attached
// again, and its tables are read anew for it. Not before: what is read for a target
// that is away would fill the log again.
func (b *Bridge) attach(ctx context.Context, t *target, mappers []deliver.Mapper, failing bool) error {
	detached, err := b.log.Detached(ctx)
	if err != nil {
		return err
	}
	d, is := detached[t.name]
	if !is {
		return nil
	}
	t.detached.Store(true)
	defer t.detached.Store(false)
	from := d.ReturnFrom(failing)
	if wait := time.Until(from); wait > 0 {
		b.logger.Warn("a detached target comes back later, as it fails, or fills the log again and again", "target", t.name, "at", from)
		if err := cdc.Sleep(ctx, wait); err != nil {
			return err
		}
	}
	if err := b.reach(ctx, t); err != nil {
		return err
	}
	list := b.generation(t.name, mappers)
	back, err := b.log.Return(ctx, t.name, list)
	if err == nil && back {
		b.logger.Info("target_returned", "target", t.name, "detached_at", d.At, "why", d.Reason, "tables_to_read", len(list))
	}
	return err
}

// reach waits until something listens at a target's address.
func (b *Bridge) reach(ctx context.Context, t *target) error {
	retry := backoff.NewExponentialBackOff()
	retry.MaxInterval, retry.MaxElapsedTime = returnMax, 0
	for told := false; ; {
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		err := t.client.Probe(probe)
		cancel()
		if err == nil {
			return nil
		}
		if !told && ctx.Err() == nil {
			told = true
			b.logger.Warn("a detached target comes back once it can be reached", "target", t.name, "error", err)
		}
		if err := cdc.Sleep(ctx, retry.NextBackOff()); err != nil {
			return err
		}
	}
}

// generation asks for all tables that a target's mappings read, for it alone.
func (b *Bridge) generation(target string, mappers []deliver.Mapper) (list []cdc.Backfill) {
	inLog := map[cdc.Table]cdc.Table{} // the names that the log knows
	for log, now := range b.renames {
		inLog[now] = log
	}
	seen := map[cdc.Table]bool{}
	for _, m := range mappers {
		table := m.Table()
		if log, ok := inLog[table]; ok {
			table = log
		}
		if seen[table] {
			continue
		}
		seen[table] = true
		list = append(list, cdc.Backfill{ID: cdc.NewBackfillID(), Table: table, For: []string{target}, Generation: true,
			Reason: cdc.ReasonDetached, Created: time.Now().UTC()})
	}
	return list
}

// logStatus is what the console shows of the log.
func (b *Bridge) logStatus() *console.Log {
	out := &console.Log{Detached: []string{}}
	now, why, _ := b.log.Blocked()
	out.BlockedMS, out.BlockedText = float64(now)/float64(time.Millisecond), why
	st := b.trimmer.Stats()
	out.Trimmed, out.Over = st.Trimmed, st.Over
	s := st.Survey
	if s == nil {
		return out
	}
	for i := range s.Streams {
		out.Entries += s.Streams[i].Entries
	}
	out.Bytes, out.Oldest, out.Memory, out.MaxMemory = s.Bytes(), s.Oldest(), s.Memory.Used, s.Memory.Max
	out.HeldBy, out.HeldBytes = s.Holder(b.trimmer.Targets())
	out.Detached = slices.Sorted(maps.Keys(s.Detached))
	return out
}

// blockedReady tells that the log takes nothing; nil if it does. A moment of it is no
// fault.
func (b *Bridge) blockedReady() error {
	if now, why, _ := b.log.Blocked(); now > stallAfter {
		return fmt.Errorf("the log has taken nothing for %s: %s", now.Round(time.Second), why)
	}
	return nil
}
