package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// ReplayRequest is a replay that somebody asks for.
type ReplayRequest struct {
	Target, Mapping, Key string
	// From and To are places in the log.
	From, To      string
	Force, Within bool
}

// Replays is the replays of a bridge, as somebody outside of its processes sees them.
type Replays struct {
	cfg *config.Config
	log *redislog.Log
}

// WithReplays runs f with the replays of a configuration.
func WithReplays(ctx context.Context, cfg *config.Config, logger *slog.Logger, f func(*Replays) error) error {
	return withLog(ctx, cfg, logger, func(l *redislog.Log) error { return f(&Replays{cfg: cfg, log: l}) })
}

// List lists the replays that are remembered, the oldest first.
func (r *Replays) List(ctx context.Context, target string) ([]cdc.ReplayStatus, error) {
	return replaysOf(ctx, r.log, target)
}

// Find gives the replay of an id, or of the beginning of one.
func (r *Replays) Find(ctx context.Context, id string) (s cdc.ReplayStatus, err error) {
	list, err := r.log.Replays(ctx)
	if err != nil {
		return s, err
	}
	list = slices.DeleteFunc(list, func(s cdc.ReplayStatus) bool { return id == "" || !strings.HasPrefix(s.ID, id) })
	if len(list) != 1 {
		return s, fmt.Errorf("replay %q: %w; walbridge replay list shows them", id, redislog.ErrNoReplay)
	}
	return list[0], nil
}

// Wish says that a replay is to run, or to rest.
func (r *Replays) Wish(ctx context.Context, id string, run bool) error {
	err := r.log.WishReplay(ctx, id, run)
	if !errors.Is(err, redislog.ErrTrimmed) {
		return err
	}
	s, findErr := r.Find(ctx, id)
	if findErr != nil {
		return errors.Join(err, findErr)
	}
	return r.beyond(&s.Replay, err)
}

// Cancel ends a replay where it is.
func (r *Replays) Cancel(ctx context.Context, id string) error { return r.log.CancelReplay(ctx, id) }

// Add asks for a replay that was planned.
func (r *Replays) Add(ctx context.Context, p *ReplayPlan) error {
	err := r.log.AddReplay(ctx, p.Replay)
	if errors.Is(err, redislog.ErrTrimmed) {
		return r.beyond(&p.Replay, err)
	}
	return err
}

// beyond says that the log does not reach back to where a replay was to begin.
func (r *Replays) beyond(spec *cdc.Replay, err error) error {
	tables, fileErr := r.tables(spec)
	if fileErr != nil {
		return errors.Join(err, fileErr)
	}
	var names []string
	for t := range tables {
		names = append(names, t.String())
	}
	slices.Sort(names)
	hint := "begin later, or with --from beginning for what there is; older rows are read from their tables"
	for _, n := range names {
		hint += fmt.Sprintf("\n    walbridge backfill %s --for %s", n, spec.Target)
	}
	return &cdc.SetupError{What: fmt.Sprintf("the log of target %s is not kept for that long (redis.retention)", spec.Target), Err: err, Hint: hint}
}

// spec makes a replay of a request, with a range in Positions.
func (r *Replays) spec(ctx context.Context, q *ReplayRequest) (spec cdc.Replay, err error) {
	spec = cdc.Replay{ID: cdc.NewBackfillID(), Target: q.Target, Mapping: q.Mapping, Key: q.Key, Force: q.Force, Within: q.Within, Created: time.Now().UTC()}
	if !slices.Contains(r.cfg.TargetNames(), q.Target) {
		return spec, noReader(q.Target, r.cfg.TargetNames())
	}
	from, err := redislog.ParsePlace(q.From, time.Now())
	if err != nil {
		return spec, err
	}
	to, err := redislog.ParsePlace(q.To, time.Now())
	if err != nil {
		return spec, err
	}
	begin, err := r.log.From(ctx, from)
	if err != nil {
		return spec, err
	}
	end, err := r.log.UpTo(ctx, to)
	if err != nil {
		return spec, err
	}
	tail, err := r.log.Tail(ctx)
	if err != nil {
		return spec, err
	}
	spec.From, spec.To = begin.Position, end.Position
	if spec.From.IsZero() && q.From != "beginning" {
		spec.From = spec.From.Next() // below what the log knows, which it may have had
	}
	if tail.Before(spec.To) { // what comes is live
		spec.To = tail
	}
	if !spec.From.Before(spec.To) {
		return spec, &cdc.SetupError{What: fmt.Sprintf("nothing of the log lies from %s to %s", q.From, q.To), Hint: "walbridge tail --from beginning --no-follow shows what there is"}
	}
	return spec, nil
}

// tables are those of the mappings that a replay means, with the names of the mappings.
func (r *Replays) tables(spec *cdc.Replay) (map[cdc.Table][]string, error) {
	files, err := mapping.LoadGlob(r.cfg.Mappings, r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	out := map[cdc.Table][]string{}
	var names []string
	for _, f := range files {
		if f.Target != spec.Target {
			continue
		}
		names = append(names, f.Name)
		if spec.Mapping == "" || spec.Mapping == f.Name {
			out[f.From] = append(out[f.From], f.Name)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if spec.Mapping == "" {
		return nil, &cdc.SetupError{What: "no mapping leads to target " + spec.Target, Hint: "see mappings in the configuration"}
	}
	return nil, &cdc.SetupError{What: fmt.Sprintf("there is no mapping %s to target %s", spec.Mapping, spec.Target), Hint: nearest.Hint(spec.Mapping, names, "there are "+nearest.List(names))}
}
