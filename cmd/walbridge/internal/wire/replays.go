package wire

import (
	"context"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
)

// replays is where the delivery to a target finds what is to be replayed.
type replays struct {
	*redislog.Reader
	log    *redislog.Log
	target string
}

// Version is another text when Running may give something else.
func (r *replays) Version(ctx context.Context) (string, error) { return r.log.ReplaysVersion(ctx) }

// Running gives the replays of the target that are to run.
func (r *replays) Running(ctx context.Context) (out []cdc.Replay, err error) {
	list, err := r.log.Replays(ctx)
	for i := range list {
		if list[i].Target == r.target && list[i].State == cdc.ReplayRunning {
			out = append(out, list[i].Replay)
		}
	}
	return out, err
}

// Place tells up to where a replay is dealt with in a partition.
func (r *replays) Place(ctx context.Context, id string, partition int) (map[string]cdc.Position, cdc.ReplayProgress, error) {
	// First: what is written between the two is counted twice at worst, never left out.
	at, err := r.log.ReplayPlace(ctx, id, partition)
	if err != nil {
		return nil, cdc.ReplayProgress{}, err
	}
	p, err := r.log.ReplayProgress(ctx, id, partition)
	return at, p, err
}

// Finish ends a replay whose partitions are all done, and tells whether they are.
func (r *replays) Finish(ctx context.Context, id string) (bool, error) {
	return r.log.FinishReplay(ctx, id)
}

// replaysOf gives the replays of a target, or, where that is empty, all.
func replaysOf(ctx context.Context, l *redislog.Log, target string) ([]cdc.ReplayStatus, error) {
	list, err := l.Replays(ctx)
	return slices.DeleteFunc(list, func(s cdc.ReplayStatus) bool { return target != "" && s.Target != target }), err
}
