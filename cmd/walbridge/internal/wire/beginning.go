package wire

import (
	"cmp"
	"context"
	"errors"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/check"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

// beginTargets begins those targets of this process that have never taken anything, where
// their settings say: it attaches them, so that the log is kept for them before they first
// run.
func (b *Bridge) beginTargets(ctx context.Context, mappings []*mapping.Mapping) error {
	for _, t := range b.cfg.Targets {
		if !b.options.Parts.Capture && !b.options.Parts.delivers(t.Name) {
			continue
		}
		undecided, mapped := undecided(mappings, t.Name)
		if !mapped {
			continue
		}
		began, err := b.log.Begin(ctx, t.Name, fromOf(t), undecided)
		if err != nil {
			return err
		}
		b.beginnings[t.Name] = began
		switch {
		case began.New:
			b.logger.Info("a new target begins", "target", t.Name, "from", string(began.From))
		case t.From != "" && string(began.From) != t.From:
			b.logger.Warn("targets.NAME.from has no effect, as the target began before", "target", t.Name, "from", t.From,
				"began_from", cmp.Or(string(began.From), "unknown"), "hint", "walbridge target forget --force "+t.Name+", while nothing delivers to it, lets it begin anew")
		}
	}
	return nil
}

// contrary tells of mappings that cannot begin as they say, for what their targets say.
func contrary(cfg *config.Config, mappings []*mapping.Mapping) error {
	var all error
	for _, m := range mappings {
		if t, ok := cfg.Target(m.Target()); ok {
			all = errors.Join(all, check.Contrary(m, t.From))
		}
	}
	return all
}

// fromOf is where a target starts that is new.
func fromOf(t config.Target) redislog.From { return redislog.From(cmp.Or(t.From, config.FromBackfill)) }

// undecided gives the mappings to a target, each as target/mapping, whose files do not say
// what they begin with; mapped tells whether there are any mappings to it.
func undecided(mappings []*mapping.Mapping, target string) (names []string, mapped bool) {
	for _, m := range mappings {
		if m.Target() != target {
			continue
		}
		mapped = true
		if m.Start() == "" {
			names = append(names, target+"/"+m.Name())
		}
	}
	return names, mapped
}

// took tells whether a target has taken anything.
func (b *Bridge) took(ctx context.Context, target string) (bool, error) {
	if b.beginnings[target].From != redislog.FromNow {
		return b.log.GroupBegan(ctx, target)
	}
	readers, err := b.log.Readers(ctx) // its groups tell nothing
	_, ok := readers[target]
	return ok, err
}
