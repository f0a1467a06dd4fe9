package redislog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// The fields of the hash of replays: what was asked for, whether it is to run, and, once it
// has ended, how. They are written by different processes.
const (
	replaySpec  = "spec:"
	replayWish  = "wish:"
	replayEnded = "ended:"
	// replayVersion is a number that rises with whatever somebody asks for or wishes.
	replayVersion = "version"
)

const (
	wishRun  = "run"
	wishStop = "stop"
	wishMake = "make" // not made to its end: it rests too
)

// ErrNoReplay says that there is no replay of that name under way.
var ErrNoReplay = errors.New("no such replay under way")

// ErrTrimmed says that the log does not reach back to where something was to begin.
var ErrTrimmed = errors.New("the log does not reach back there any more")

// AddReplay asks for a replay. From when it returns the log is kept for it. It is ErrTrimmed
// if some of the part that is meant may not be there any more, unless that is all of the
// log: a replay from the zero Position is of what there is.
func (l *Log) AddReplay(ctx context.Context, r cdc.Replay) error {
	text, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encode replay: %w", err)
	}
	// First, and not to run: if we end in the middle it is listed, and can be cancelled or resumed.
	if err := l.client.HSet(ctx, l.keys.Replays(), replaySpec+r.ID, text, replayWish+r.ID, wishMake).Err(); err != nil {
		return fmt.Errorf("write replay: %w", err)
	}
	err = l.WishReplay(ctx, r.ID, true)
	if err == nil {
		return nil
	}
	if left := l.dropReplay(context.WithoutCancel(ctx), r.ID); left != nil {
		return errors.Join(err, fmt.Errorf("replay %[1]s stays behind and holds the log; walbridge replay cancel %[1]s takes it away, walbridge replay resume %[1]s goes on with it: %[2]w", r.ID, left))
	}
	return err
}

func (l *Log) makeReplayGroups(ctx context.Context, r *cdc.Replay) error {
	if err := l.makeGroups(ctx, ReplayPrefix+r.ID, r.From.String()); err != nil {
		return err
	}
	for _, s := range l.streams { // else nothing holds the log: the memory is full
		if there, err := l.hasGroup(ctx, s, ReplayPrefix+r.ID); err != nil {
			return err
		} else if !there {
			return fmt.Errorf("make group of replay %s in stream %v: the memory of redis is full", r.ID, s)
		}
	}
	if r.From.IsZero() {
		return nil
	}
	for _, s := range l.streams { // the groups are there: nothing more goes
		if gone, err := l.trimmedAbove(ctx, s, r.From); err != nil {
			return err
		} else if gone {
			return fmt.Errorf("stream %v above %s: %w", s, r.From, ErrTrimmed)
		}
	}
	return nil
}

func (l *Log) hasGroup(ctx context.Context, s cdc.Stream, name string) (bool, error) {
	groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
	if err != nil && !isNoSuchKey(err) {
		return false, fmt.Errorf("read groups of stream %v: %w", s, err)
	}
	return slices.ContainsFunc(groups, func(g redis.XInfoGroup) bool { return g.Name == name }), nil
}

// ReplayPlace is up to where a replay is dealt with in a partition, by lane.
func (l *Log) ReplayPlace(ctx context.Context, id string, partition int) (map[string]cdc.Position, error) {
	at := map[string]cdc.Position{}
	for _, lane := range cdc.Lanes() {
		var err error
		if at[lane], err = l.Checkpoint(ctx, cdc.Stream{Lane: lane, Partition: partition}, ReplayPrefix+id); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// dropReplay removes all that is kept of a replay.
func (l *Log) dropReplay(ctx context.Context, id string) error {
	if err := l.releaseReplay(ctx, id); err != nil {
		return err
	}
	if err := l.client.HDel(ctx, l.keys.Replays(), replaySpec+id, replayWish+id, replayEnded+id).Err(); err != nil {
		return fmt.Errorf("remove replay %s: %w", id, err)
	}
	return nil
}

// releaseReplay removes its groups, so that the log is not kept for it, and its places.
func (l *Log) releaseReplay(ctx context.Context, id string) error {
	if err := l.dropGroups(ctx, ReplayPrefix+id); err != nil {
		return err
	}
	for p := range l.partitions {
		if err := l.client.Unlink(ctx, l.keys.Replay(id, p)).Err(); err != nil {
			return fmt.Errorf("remove progress of replay %s: %w", id, err)
		}
	}
	return nil
}

// WishReplay says whether a replay is to run, or to rest where it is. One that was not made to
// its end is so first: what AddReplay says of the log holds here too.
func (l *Log) WishReplay(ctx context.Context, id string, run bool) error {
	wish := wishStop
	if run {
		wish = wishRun
	}
	s, err := l.replay(ctx, id)
	if err != nil {
		return err
	}
	if s.State.Final() {
		return fmt.Errorf("replay %s has ended already, it is %s: %w", id, s.State, ErrNoReplay)
	}
	was, err := l.client.HGet(ctx, l.keys.Replays(), replayWish+id).Result()
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
		return fmt.Errorf("read wish for replay %s: %w", id, err)
	case was == wishMake && !run:
		return nil // it rests, and is still to be made
	case was == wishMake:
		if err := l.makeReplayGroups(ctx, &s.Replay); err != nil {
			return err
		}
	}
	if err := l.client.HSet(ctx, l.keys.Replays(), replayWish+id, wish).Err(); err != nil {
		return fmt.Errorf("write wish for replay %s: %w", id, err)
	}
	return l.replaysChanged(ctx)
}

func (l *Log) replaysChanged(ctx context.Context) error {
	if err := l.client.HIncrBy(ctx, l.keys.Replays(), replayVersion, 1).Err(); err != nil {
		return fmt.Errorf("write version of the replays: %w", err)
	}
	return nil
}

// ReplaysVersion is another number when somebody has asked for a replay or wished
// something of one: it is cheap to look at.
func (l *Log) ReplaysVersion(ctx context.Context) (string, error) {
	v, err := l.client.HGet(ctx, l.keys.Replays(), replayVersion).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read version of the replays: %w", err)
	}
	return v, nil
}

func (l *Log) replay(ctx context.Context, id string) (s cdc.ReplayStatus, err error) {
	list, err := l.Replays(ctx)
	if err != nil {
		return s, err
	}
	i := slices.IndexFunc(list, func(s cdc.ReplayStatus) bool { return s.ID == id })
	if i < 0 {
		return s, fmt.Errorf("replay %s: %w", id, ErrNoReplay)
	}
	return list[i], nil
}

// replayEnd is how a replay ended.
type replayEnd struct {
	State    cdc.ReplayState    `json:"state"`
	At       time.Time          `json:"at"`
	Progress cdc.ReplayProgress `json:"progress"`
}

// Replays lists all replays that are remembered, the oldest first.
func (l *Log) Replays(ctx context.Context) (out []cdc.ReplayStatus, err error) {
	all, err := l.client.HGetAll(ctx, l.keys.Replays()).Result()
	if err != nil {
		return nil, fmt.Errorf("read replays of the log: %w", err)
	}
	for field, text := range all {
		id, ok := strings.CutPrefix(field, replaySpec)
		if !ok {
			continue
		}
		s := cdc.ReplayStatus{State: cdc.ReplayStopped, Partitions: l.partitions}
		if err := json.Unmarshal([]byte(text), &s.Replay); err != nil {
			return nil, fmt.Errorf("read replay %s of the log: %w", id, err)
		}
		if all[replayWish+id] == wishRun {
			s.State = cdc.ReplayRunning
		}
		if text, ok := all[replayEnded+id]; ok {
			var end replayEnd
			if err := json.Unmarshal([]byte(text), &end); err != nil {
				return nil, fmt.Errorf("read the end of replay %s: %w", id, err)
			}
			s.State, s.Ended, s.Progress = end.State, end.At, end.Progress
		} else if s.Progress, s.Left, err = l.replayProgress(ctx, id); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b cdc.ReplayStatus) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// replayProgress adds up how far a replay is in all partitions.
func (l *Log) replayProgress(ctx context.Context, id string) (sum cdc.ReplayProgress, left int, err error) {
	for p := range l.partitions {
		one, err := l.ReplayProgress(ctx, id, p)
		if err != nil {
			return sum, 0, err
		}
		sum.Add(&one)
		if !one.Done {
			left++
		}
	}
	return sum, left, nil
}

// ReplayProgress tells how far a replay is in a partition, as its owner wrote it.
func (l *Log) ReplayProgress(ctx context.Context, id string, partition int) (p cdc.ReplayProgress, err error) {
	text, err := l.client.Get(ctx, l.keys.Replay(id, partition)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return p, nil
	case err == nil:
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		return p, fmt.Errorf("read progress of replay %s: %w", id, err)
	}
	return p, nil
}

// keptReplays is how many replays that have ended are remembered.
const keptReplays = 50

// FinishReplay ends a replay if all its partitions are done, and tells whether it has ended. It
// may be called again, and by several at once.
func (l *Log) FinishReplay(ctx context.Context, id string) (ended bool, err error) {
	s, err := l.replay(ctx, id)
	switch {
	case errors.Is(err, ErrNoReplay), err == nil && s.State.Final():
		return true, nil
	case err != nil || s.Left > 0:
		return false, err
	}
	return true, l.endReplay(ctx, &s, cdc.ReplayDone)
}

// CancelReplay ends a replay where it is: the log is not kept for it any more.
func (l *Log) CancelReplay(ctx context.Context, id string) error {
	s, err := l.replay(ctx, id)
	if err != nil {
		return err
	}
	if s.State.Final() {
		return fmt.Errorf("replay %s has ended already, it is %s: %w", id, s.State, ErrNoReplay)
	}
	return l.endReplay(ctx, &s, cdc.ReplayCancelled)
}

func (l *Log) endReplay(ctx context.Context, s *cdc.ReplayStatus, state cdc.ReplayState) error {
	text, err := json.Marshal(replayEnd{State: state, At: time.Now().UTC(), Progress: s.Progress})
	if err != nil {
		return fmt.Errorf("encode the end of a replay: %w", err)
	}
	if err := l.client.HSet(ctx, l.keys.Replays(), replayEnded+s.ID, text).Err(); err != nil {
		return fmt.Errorf("write the end of replay %s: %w", s.ID, err)
	}
	if err := l.releaseReplay(ctx, s.ID); err != nil {
		return err
	}
	if err := l.replaysChanged(ctx); err != nil {
		return err
	}
	return l.forgetReplays(ctx)
}

// forgetReplays forgets the oldest of those that have ended, beyond a number.
func (l *Log) forgetReplays(ctx context.Context) error {
	list, err := l.Replays(ctx)
	if err != nil {
		return err
	}
	ended := slices.DeleteFunc(list, func(s cdc.ReplayStatus) bool { return !s.State.Final() })
	for i := 0; i < len(ended)-keptReplays; i++ {
		if err := l.dropReplay(ctx, ended[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// forgetReplaysOf removes the replays of a target.
func (l *Log) forgetReplaysOf(ctx context.Context, target string) error {
	list, err := l.Replays(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].Target == target {
			if err := l.dropReplay(ctx, list[i].ID); err != nil {
				return err
			}
		}
	}
	return nil
}
