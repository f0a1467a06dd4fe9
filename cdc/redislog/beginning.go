package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// From says where a target starts that has never taken anything.
type From string

// Where a target starts: its tables are read, beside what the log holds; or it takes what
// the log holds and what comes, or only what comes.
const (
	FromBackfill  From = "backfill"
	FromBeginning From = "beginning"
	FromNow       From = "now"
)

// Beginning tells how a target began.
type Beginning struct {
	// From is empty of a target that began before this was noted, or by hand.
	From From      `json:"from"`
	At   time.Time `json:"at"`
	// Made tells that its consumer groups were made there. One that is gone after that
	// was lost, and is made anew before the first entry.
	Made bool `json:"made,omitempty"`
	// New tells that it was begun just now.
	New bool `json:"-"`
	// Served tells that a process read for it, or the capture started a mapping of it:
	// from then on it begins no other way.
	Served bool `json:"-"`
}

// metaBegan has a target's name behind it, and says how it began.
const metaBegan = "began:"

// Began tells how a target began; ok is false of one that has not. It changes nothing.
func (l *Log) Began(ctx context.Context, target string) (b Beginning, ok bool, err error) {
	text, err := l.client.HGet(ctx, l.keys.Meta(), metaBegan+target).Result()
	noted := err == nil
	if noted {
		err = json.Unmarshal([]byte(text), &b)
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return b, false, fmt.Errorf("read how target %s began: %w", target, err)
	}
	all, err := l.backfillFields(ctx)
	if err != nil {
		return b, false, err
	}
	for field := range all {
		if field == backfillReader+target || strings.HasPrefix(field, backfillStarted+target+"/") {
			b.Served = true
		}
	}
	if !b.Served { // one that is detached was, and has no groups
		if b.Served, err = l.client.HExists(ctx, l.keys.Meta(), metaDetached+target).Result(); err != nil {
			return b, false, fmt.Errorf("read how target %s began: %w", target, err)
		}
	}
	if noted || b.Served {
		return b, true, nil
	}
	there, err := l.grouped(ctx, target)
	return b, there, err
}

// grouped tells whether any stream has a group of a target.
func (l *Log) grouped(ctx context.Context, target string) (bool, error) {
	for _, s := range l.streams {
		groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
		if err != nil && !isNoSuchKey(err) {
			return false, fmt.Errorf("read groups of stream %v: %w", s, err)
		}
		for _, g := range groups {
			if g.Name == target {
				return true, nil
			}
		}
	}
	return false, nil
}

// beginScript notes how a target begins, also where memory is full. Both keys are of the
// bridge, so they share a slot.
//
// KEYS: the description of the log, the hash of backfills. ARGV: field and text of the
// beginning, how many fields of the backfills go, their names, then those that are set.
// Output: 1.
var beginScript = redis.NewScript(`
redis.call('HDEL', KEYS[1], '\0none')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local n = tonumber(ARGV[3])
for i = 4, 3 + n do redis.call('HDEL', KEYS[2], ARGV[i]) end
for i = 4 + n, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], '1') end
return 1`)

// Begin begins a target that has never taken anything: its consumer groups are made where
// it starts, and from then on they hold the log, whether it runs or not. Those of its
// mappings that are named, each as target/mapping, take only what comes if it does not
// begin by a backfill. Of a target that began it sees that the groups are there; how it is
// to begin says nothing any more, once something was done for it.
func (l *Log) Begin(ctx context.Context, target string, from From, mappings []string) (Beginning, error) {
	b, began, err := l.Began(ctx, target)
	if err != nil {
		return b, err
	}
	switch noted := b.From != ""; {
	case !began, noted && !b.Served && b.From != from:
		before := began
		b = Beginning{From: from, At: time.Now().UTC(), New: true}
		if err := l.noteBeginning(ctx, target, b, mappings); err != nil {
			return b, err
		}
		err = l.placeGroups(ctx, target, from, before)
	case noted && !b.Made:
		err = l.placeGroups(ctx, target, b.From, false)
	default:
		return b, l.EnsureGroups(ctx, []string{target})
	}
	if err != nil {
		return b, err
	}
	b.Made = true
	return b, l.noteBeginning(ctx, target, b, mappings)
}

// noteBeginning writes how a target begins.
func (l *Log) noteBeginning(ctx context.Context, target string, b Beginning, mappings []string) error {
	text, err := json.Marshal(&b)
	if err != nil {
		return fmt.Errorf("encode beginning of target %s: %w", target, err)
	}
	all, err := l.backfillFields(ctx)
	if err != nil {
		return err
	}
	var drop, set []any
	for field := range all {
		if strings.HasPrefix(field, backfillRowless+target+"/") {
			drop = append(drop, field)
		}
	}
	if b.From != FromBackfill {
		for _, m := range mappings {
			set = append(set, backfillRowless+m)
		}
	}
	args := append(append([]any{metaBegan + target, text, len(drop)}, drop...), set...)
	if err := beginScript.Run(ctx, l.client, []string{l.keys.Meta(), l.keys.Backfills()}, args...).Err(); err != nil {
		return fmt.Errorf("note how target %s begins: %w", target, err)
	}
	return nil
}

// placeGroupScript makes the group of a target, also where memory is full: one that was
// made later would begin later.
//
// KEYS: the stream. ARGV: the group, the id, 1 if one that is there is to be moved.
// Output: 1.
var placeGroupScript = redis.NewScript(`
redis.call('XDEL', KEYS[1], '0-1')
local r = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM')
if type(r) ~= 'table' or not r.err then return 1 end
if not string.find(r.err, 'BUSYGROUP', 1, true) then return redis.error_reply(r.err) end
if ARGV[3] == '1' then redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2]) end
return 1`)

// placeGroups makes the groups of a target where it starts, and moves those there that it
// has already if move says so.
func (l *Log) placeGroups(ctx context.Context, target string, from From, move bool) error {
	if from != FromNow && !move {
		return l.makeGroups(ctx, target, "0-0")
	}
	id, moved := "0-0", 0
	if from == FromNow {
		id = "$"
	}
	if move {
		moved = 1
	}
	for _, s := range l.streams {
		if err := placeGroupScript.Run(ctx, l.client, []string{l.keys.Stream(s)}, target, id, moved).Err(); err != nil {
			return fmt.Errorf("make group of %s in stream %v: %w", target, s, err)
		}
	}
	return nil
}

// WithoutRows tells which mappings, each as target/mapping, begin without the rows that
// are there, as their target does.
func (l *Log) WithoutRows(ctx context.Context) (map[string]bool, error) {
	all, err := l.backfillFields(ctx)
	out := map[string]bool{}
	for field := range all {
		if name, ok := strings.CutPrefix(field, backfillRowless); ok {
			out[name] = true
		}
	}
	return out, err
}
