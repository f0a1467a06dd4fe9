package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// metaDetached has a target's name behind it, and says that the target was detached.
const metaDetached = "detached:"

// metaReturned has a target's name behind it, and says how often it came back.
const metaReturned = "returned:"

// Detached tells of a target that does not hold the log any more.
type Detached struct {
	At time.Time `json:"at"`
	// Position is up to where it had read all lanes of all partitions that had
	// something to read.
	Position cdc.Position `json:"position"`
	// Entries and Bytes are about what it had not read.
	Entries int64  `json:"unread_entries"`
	Bytes   int64  `json:"unread_bytes"`
	Reason  string `json:"reason"`
	// Again is how often it was detached before, and came back, in the last day.
	Again int `json:"again,omitempty"`
}

// returned tells of the last return of a target.
type returned struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
}

// returnedFor is for how long a return is remembered.
const returnedFor = 24 * time.Hour

func (l *Log) returned(ctx context.Context, target string) (r returned, err error) {
	text, err := l.client.HGet(ctx, l.keys.Meta(), metaReturned+target).Result()
	if errors.Is(err, redis.Nil) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	return r, wrap(err, "read return of target "+target)
}

const (
	returnAgain = time.Minute
	returnMost  = time.Hour
)

// ReturnFrom is from when on the target may come back. The first time that is at
// once; a target that fills the log again and again, and each time has its tables read
// anew, waits longer each time. failing says that its last requests failed: that
// counts as one time more.
func (d *Detached) ReturnFrom(failing bool) time.Time {
	n := d.Again
	if failing {
		n++
	}
	if n == 0 {
		return d.At
	}
	return d.At.Add(min(returnAgain<<min(n-1, 10), returnMost))
}

// Detached tells which targets are detached.
func (l *Log) Detached(ctx context.Context) (map[string]Detached, error) {
	all, err := l.client.HGetAll(ctx, l.keys.Meta()).Result()
	if err != nil {
		return nil, fmt.Errorf("read detached targets of the log: %w", err)
	}
	out := map[string]Detached{}
	for field, text := range all {
		name, ok := strings.CutPrefix(field, metaDetached)
		if !ok {
			continue
		}
		var d Detached
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return nil, fmt.Errorf("read detached target %s of the log: %w", name, err)
		}
		out[name] = d
	}
	return out, nil
}

// EnsureGroups makes the consumer groups of targets that have none, before the first
// entry: from then on they hold the log, whether they run or not. Those that are detached
// stay so. A server whose memory is full refuses new groups; without one a
// target holds the log from its beginning all the same.
func (l *Log) EnsureGroups(ctx context.Context, targets []string) error {
	detached, err := l.Detached(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if _, gone := detached[t]; gone {
			continue
		}
		if err := l.makeGroups(ctx, t, "0-0"); err != nil {
			return err
		}
	}
	return nil
}

// makeGroups makes those groups of a target that are not there, at an id.
func (l *Log) makeGroups(ctx context.Context, target, id string) error {
	pipe := l.client.Pipeline()
	made := make([]*redis.StatusCmd, len(l.streams))
	for i, s := range l.streams {
		made[i] = pipe.XGroupCreateMkStream(ctx, l.keys.Stream(s), target, id)
	}
	// Its error is the first of theirs, which are looked at one by one.
	_, _ = pipe.Exec(ctx)
	full := 0
	for i, s := range l.streams {
		err := made[i].Err()
		switch {
		case err == nil, strings.Contains(err.Error(), "BUSYGROUP"):
		case isFull(err) && id == "0-0":
			full++
		default:
			return fmt.Errorf("make group of %s in stream %v: %w", target, s, err)
		}
	}
	if full > 0 {
		l.logger.Warn("consumer groups could not be made, as the memory of redis is full", "target", target, "streams", full)
	}
	return nil
}

func isFull(err error) bool {
	var re redis.Error
	return errors.As(err, &re) && strings.HasPrefix(re.Error(), "OOM ")
}

// detachScript notes a target as detached, also where memory is full.
//
// KEYS: the description of the log. ARGV: field and text.
var detachScript = redis.NewScript(`
redis.call('HDEL', KEYS[1], '\0none')
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])`)

// detach takes a target from those that hold the log. A delivery that runs finds out
// at its next commit, as its groups are gone: it can write no checkpoint and no state,
// starts over, and sees that it is detached.
func (l *Log) detach(ctx context.Context, target string, d Detached) error {
	text, err := json.Marshal(&d)
	if err != nil {
		return fmt.Errorf("encode detached target: %w", err)
	}
	if err := detachScript.Run(ctx, l.client, []string{l.keys.Meta()}, metaDetached+target, text).Err(); err != nil {
		return fmt.Errorf("write detached target of the log: %w", err)
	}
	return l.dropGroups(ctx, target)
}

// dropGroups removes the groups of a target.
func (l *Log) dropGroups(ctx context.Context, target string) error {
	pipe := l.client.Pipeline()
	dropped := make([]*redis.IntCmd, len(l.streams))
	for i, s := range l.streams {
		dropped[i] = pipe.XGroupDestroy(ctx, l.keys.Stream(s), target)
	}
	// Its error is the first of theirs, which are looked at one by one.
	_, _ = pipe.Exec(ctx)
	for i, s := range l.streams {
		if err := dropped[i].Err(); err != nil && !strings.Contains(err.Error(), "requires the key to exist") {
			return fmt.Errorf("drop group of %s in stream %v: %w", target, s, err)
		}
	}
	return nil
}

// returnScript asks for backfills and attaches a target again, or does nothing if it
// was attached meanwhile. Both keys are of the bridge, so they share a slot.
//
// KEYS: the description of the log, the hash of backfills. ARGV: the field of the
// target, field and text of its return, then names and values of fields of the
// backfills.
// Output: 1, or 0 if it was not detached.
var returnScript = redis.NewScript(`
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[2], 'version', 1)
return 1`)

// Return attaches a target that was detached: it reads on from where the streams end
// now, and what it has missed comes by the backfills, which are asked for at the same
// moment. It is for who owns partitions of the target, and may be called by several at once.
//
// The groups come first. A change that commits before the backfills were asked for is
// in what they read; a later one lies above the groups, and from the moment that the
// target is attached it is kept until the target has read it. Where the groups are
// taken away again by a detachment that is late, the target begins with the oldest
// entry, which is more than it needs.
func (l *Log) Return(ctx context.Context, target string, list []cdc.Backfill) (bool, error) {
	if err := l.makeGroups(ctx, target, "$"); err != nil {
		return false, err
	}
	all, err := l.Detached(ctx)
	if err != nil {
		return false, err
	}
	back, err := json.Marshal(returned{At: time.Now().UTC(), Count: all[target].Again + 1})
	if err != nil {
		return false, fmt.Errorf("encode return: %w", err)
	}
	args, err := appendSpecs([]any{metaDetached + target, metaReturned + target, back}, list)
	if err != nil {
		return false, err
	}
	n, err := returnScript.Run(ctx, l.client, []string{l.keys.Meta(), l.keys.Backfills()}, args...).Int()
	if err != nil {
		return false, fmt.Errorf("attach target %s: %w", target, err)
	}
	return n == 1, nil
}

// OwnedError says that a process delivers to a target.
type OwnedError struct{ Target, Owner string }

func (e *OwnedError) Error() string {
	return fmt.Sprintf("target %s is delivered to by %s", e.Target, e.Owner)
}

func owned(target, owner string) error {
	if owner == "" {
		return nil
	}
	return &OwnedError{Target: target, Owner: owner}
}

// Owner is the process that delivers to a target's partition; empty if none does.
func (l *Log) Owner(ctx context.Context, target string, partition int) (string, error) {
	lease, err := l.client.Get(ctx, l.keys.Lease(target, partition)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read lease: %w", err)
	}
	return ownerOf(lease), nil
}

// ownerOf reads a lease: a number, a space, and the owner.
func ownerOf(lease string) string {
	_, owner, _ := strings.Cut(lease, " ")
	return owner
}

// Traces tells whether anything is kept of a target.
func (l *Log) Traces(ctx context.Context, target string) (bool, error) {
	if n, err := l.client.HExists(ctx, l.keys.Meta(), metaDetached+target).Result(); err != nil || n {
		return n, wrap(err, "read description of the log")
	}
	if n, err := l.client.HExists(ctx, l.keys.Meta(), metaBegan+target).Result(); err != nil || n {
		return n, wrap(err, "read description of the log")
	}
	if n, err := l.client.Exists(ctx, l.keys.Notes(target)).Result(); err != nil || n > 0 {
		return n > 0, wrap(err, "look for target "+target)
	}
	for p := range l.partitions {
		n, err := l.client.Exists(ctx, l.keys.Fence(target, p), l.keys.State(target, p), l.keys.DeadLetters(target, p), l.keys.Parked(target, p), l.keys.Deferred(target, p), l.keys.TargetKeys(target, p)).Result()
		if err != nil || n > 0 {
			return n > 0, wrap(err, "look for target "+target)
		}
	}
	for _, s := range l.streams {
		groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
		if err != nil && !isNoSuchKey(err) {
			return false, wrap(err, "read groups")
		}
		for _, g := range groups {
			if g.Name == target {
				return true, nil
			}
		}
	}
	return false, nil
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
