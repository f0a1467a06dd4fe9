package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
)

// The states of a target, as Targets tells them.
const (
	TargetAttached = "attached" // the log is kept for it
	TargetDetached = "detached" // not any more
	TargetUnmapped = "unmapped" // no mapping leads to it
	TargetUnknown  = "unknown"  // it is in no configuration, and holds the log
)

// TargetState is a target as it is in Redis.
type TargetState struct {
	TargetReport
	State string `json:"state"`
	// Unread is about how many bytes of the log it has not read.
	Unread int64 `json:"unread_bytes"`
	// Began says from where it started that has taken something, empty where that is not known.
	Began    redislog.From      `json:"began_from,omitempty"`
	Detached *redislog.Detached `json:"detached,omitempty"`
}

// Targets lists the targets of a configuration, and whoever else holds the log.
func Targets(ctx context.Context, cfg *config.Config, logger *slog.Logger) (out []TargetState, err error) {
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		out, err = targetsOf(ctx, cfg, l)
		return err
	})
	return out, err
}

func targetsOf(ctx context.Context, cfg *config.Config, l *redislog.Log) ([]TargetState, error) {
	names, err := mappedNames(cfg)
	if err != nil {
		return nil, err
	}
	s, err := l.Survey(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, n := range s.Readers(names) {
		all[n] = TargetUnknown
	}
	for _, n := range cfg.TargetNames() {
		all[n] = TargetUnmapped
	}
	for _, n := range names {
		all[n] = TargetAttached
	}
	for n := range s.Detached {
		all[n] = TargetDetached
	}
	out := []TargetState{}
	for _, n := range slices.Sorted(maps.Keys(all)) {
		r := Report{Now: time.Now()}
		if err := r.target(ctx, l, n); err != nil {
			return nil, fmt.Errorf("target %s: %w", n, err)
		}
		t := TargetState{TargetReport: r.Targets[0], State: all[n], Unread: s.Unread(n)}
		if d, ok := s.Detached[n]; ok {
			t.Detached = &d
		}
		if b, _, err := l.Began(ctx, n); err != nil {
			return nil, err
		} else if b.Served {
			t.Began = b.From
		}
		out = append(out, t)
	}
	return out, nil
}

// ForgetTarget removes everything that Redis keeps of a target. It tells whether
// there was anything.
func ForgetTarget(ctx context.Context, cfg *config.Config, logger *slog.Logger, name string) (was bool, err error) {
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		if was, err = l.Traces(ctx, name); err != nil || !was {
			return err
		}
		err := l.Forget(ctx, name)
		var owned *redislog.OwnedError
		if errors.As(err, &owned) {
			return &cdc.SetupError{What: owned.Error(), Hint: fmt.Sprintf("stop all processes that deliver to it, or let them run without the target; after one was killed its leases last for %s", cfg.Delivery.Lease)}
		}
		return err
	})
	return was, err
}
