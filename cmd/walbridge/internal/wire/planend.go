package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire/plan"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/rate"
	"github.com/walbridge/walbridge/sinks/state"
)

// away looks for what was delivered and has no row, of mappings that come back, or no file any
// more.
func (p *planner) away(ctx context.Context) error {
	if p.remembers {
		back := func(m *comparedMapping) bool { return p.mappings[m].back }
		if err := p.gone(ctx, back, func(t *comparedTable, m *comparedMapping, keys []string) error {
			changes := make([]cdc.Change, len(keys))
			for i, key := range keys {
				changes[i] = cdc.Change{Op: cdc.OpDelete, Table: t.table, Key: key}
			}
			found, err := p.judge(ctx, t, m, changes)
			for i := range found {
				if found[i].Kind == plan.Remove {
					p.count(m, keys[i], found[i])
				}
			}
			return err
		}); err != nil {
			return fmt.Errorf("look for records without rows: %w", err)
		}
	}
	if p.o.Mapping != "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.comparing.targets)) {
		if err := p.unfiled(ctx, p.comparing.targets[name]); err != nil {
			return fmt.Errorf("look for mappings to target %s that are gone: %w", name, err)
		}
	}
	if p.o.Target == "" {
		return p.unconfigured(ctx)
	}
	return nil
}

// unfiled finds mappings of which something was delivered and that have no file any more.
func (p *planner) unfiled(ctx context.Context, t *comparedTarget) error {
	count := map[string]int64{}
	for _, name := range p.targets[t].known {
		if !slices.ContainsFunc(p.all, func(m *mapping.Mapping) bool { return m.Target() == t.name && m.Name() == name }) {
			count[name] = 0
		}
	}
	if len(count) == 0 {
		return nil
	}
	err := p.states(ctx, t, func(found []state.Found) error {
		for _, f := range found {
			if _, is := count[f.Key.Mapping]; is && f.Known.Live {
				count[f.Key.Mapping]++
			}
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if count[name] > 0 { // else only its name is left
			p.plan.Gone = append(p.plan.Gone, plan.Gone{Target: t.name, Mapping: name, Records: count[name]})
		}
	}
	return err
}

// unconfigured finds targets that hold the log and are in no configuration.
func (p *planner) unconfigured(ctx context.Context) error {
	log := p.log()
	if log == nil {
		return nil
	}
	s, err := log.Survey(ctx)
	if err != nil {
		return err
	}
	for _, name := range s.Readers(nil) {
		if !slices.Contains(p.cfg.TargetNames(), name) && !strings.HasPrefix(name, redislog.ReplayPrefix) {
			p.plan.Gone = append(p.plan.Gone, plan.Gone{Target: name})
		}
	}
	return nil
}

// finish says what all of it takes.
func (p *planner) finish(ctx context.Context) error {
	type of struct {
		at  int
		cfg rate.Settings
		v   rate.View
	}
	accounts, now := map[string]*of{}, time.Now()
	for _, t := range p.cfg.Targets {
		name := t.Account()
		if accounts[name] == nil && p.comparing.targets[t.Name] != nil {
			s := settingsOf(p.cfg.RateOf(name))
			v, err := p.allowed(ctx, name, s, now)
			if err != nil {
				return err
			}
			accounts[name] = &of{len(p.plan.Accounts), s, v}
			p.plan.Accounts = append(p.plan.Accounts, plan.Account{Account: name, Words: rateReport(name, v).Words()})
		}
		if a := accounts[name]; p.comparing.targets[t.Name] != nil {
			p.plan.Accounts[a.at].Targets = append(p.plan.Accounts[a.at].Targets, t.Name)
		}
	}
	for _, t := range p.tables {
		for _, c := range t.mappings {
			cfg, _ := p.cfg.Target(c.Target())
			a := accounts[cfg.Account()]
			m := p.mappings[c].Finish(p.o.Sample)
			for _, cost := range []*plan.Cost{&m.Sends, &m.Replay, &m.Backfill} {
				*cost = cost.Take(now, a.v, burst(a.cfg))
			}
			sum := &p.plan.Accounts[a.at].Sends
			*sum = sum.Add(m.Sends)
			p.plan.Mappings = append(p.plan.Mappings, *m)
		}
	}
	for _, a := range accounts {
		sum := &p.plan.Accounts[a.at].Sends
		*sum = sum.Take(now, a.v, burst(a.cfg))
	}
	for at, k := range p.keys {
		if k.Many() {
			p.note("%s has too many target keys to look for two rows with the same one among all", at.target+"/"+at.object)
		}
	}
	return nil
}

// allowed is what an account allows now.
func (p *planner) allowed(ctx context.Context, account string, s rate.Settings, now time.Time) (rate.View, error) {
	log := p.log()
	if log == nil {
		return rate.Unused(now, s), nil
	}
	return rate.Look(ctx, log.Client(), log.Keys().Account(account), s)
}

// burst is how many requests an account lets go at once.
func burst(s rate.Settings) float64 {
	if s.Burst > 0 {
		return s.Burst
	}
	return s.PerSecond
}
