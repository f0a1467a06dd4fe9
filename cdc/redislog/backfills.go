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

// The fields of the hash of backfills: each has three, so that who asks for one, who
// pauses it and the capture that works on it never overwrite each other.
const (
	backfillSpec     = "spec:"
	backfillWish     = "wish:"
	backfillProgress = "progress:"
	// backfillStarted has a mapping behind it, as target/mapping, and tells that its
	// table was begun with.
	backfillStarted = "started:"
	// backfillRowless has a mapping behind it, as target/mapping, and tells that it begins
	// without the rows that are there.
	backfillRowless = "rowless:"
	// backfillReader has a target behind it, and tells which mappings its delivery knows.
	backfillReader = "reader:"
	// backfillVersion is a number that rises with whatever somebody asks for or wishes.
	backfillVersion = "version"
)

// addBackfills adds backfills and notes mappings as started, all or nothing.
//
// KEYS: the hash. ARGV: how many fields must not be there yet, their names and
// values, then names and values of the others.
// Output: 1, or 0 if one of those was there.
var addBackfills = redis.NewScript(`
redis.call('HDEL', KEYS[1], '\0none')
local n = tonumber(ARGV[1])
for i = 2, 2 * n, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then return 0 end
end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1`)

// AddBackfills asks for backfills, all of them or none.
func (l *Log) AddBackfills(ctx context.Context, list []cdc.Backfill) error {
	return l.addBackfills(ctx, nil, true, list)
}

// Refill notes mappings as started, whether they were or not, and asks for backfills.
func (l *Log) Refill(ctx context.Context, mappings []string, list []cdc.Backfill) error {
	return l.addBackfills(ctx, mappings, true, list)
}

// StartMappings notes mappings, each as target/mapping, as started, and asks for the
// backfills that they start with. It does nothing if one was started already.
func (l *Log) StartMappings(ctx context.Context, mappings []string, list []cdc.Backfill) error {
	return l.addBackfills(ctx, mappings, false, list)
}

func (l *Log) addBackfills(ctx context.Context, started []string, again bool, list []cdc.Backfill) error {
	fresh := len(started)
	if again {
		fresh = 0
	}
	args := []any{fresh}
	for _, m := range started {
		args = append(args, backfillStarted+m, time.Now().UTC().Format(time.RFC3339))
	}
	args, err := appendSpecs(args, list)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		return nil
	}
	if err := addBackfills.Run(ctx, l.client, []string{l.keys.Backfills()}, args...).Err(); err != nil {
		return fmt.Errorf("write backfills of the log: %w", err)
	}
	return nil
}

// appendSpecs appends names and values of the fields of backfills.
func appendSpecs(args []any, list []cdc.Backfill) ([]any, error) {
	for i := range list {
		text, err := json.Marshal(&list[i])
		if err != nil {
			return nil, fmt.Errorf("encode backfill: %w", err)
		}
		args = append(args, backfillSpec+list[i].ID, text)
	}
	return args, nil
}

// Started tells which mappings, each as target/mapping, were started.
func (l *Log) Started(ctx context.Context) (map[string]bool, error) {
	all, err := l.backfillFields(ctx)
	out := map[string]bool{}
	for field := range all {
		if name, ok := strings.CutPrefix(field, backfillStarted); ok {
			out[name] = true
		}
	}
	return out, err
}

// ForgetStarted forgets that mappings, each as target/mapping, were started, or how.
func (l *Log) ForgetStarted(ctx context.Context, mappings []string) error {
	var fields []string
	for _, m := range mappings {
		fields = append(fields, backfillStarted+m, backfillRowless+m)
	}
	if err := l.client.HDel(ctx, l.keys.Backfills(), fields...).Err(); err != nil {
		return fmt.Errorf("forget mappings of the log: %w", err)
	}
	return nil
}

// SetReader notes which mappings the delivery to a target knows.
func (l *Log) SetReader(ctx context.Context, target string, mappings []string) error {
	text, err := json.Marshal(mappings)
	if err == nil {
		err = l.client.HSet(ctx, l.keys.Backfills(), backfillReader+target, text).Err()
	}
	if err == nil {
		err = l.client.HIncrBy(ctx, l.keys.Backfills(), backfillVersion, 1).Err()
	}
	if err != nil {
		return fmt.Errorf("write the mappings of target %s: %w", target, err)
	}
	return nil
}

// Readers tells which mappings the delivery to each target knows. Targets that nothing
// was delivered to yet are left out.
func (l *Log) Readers(ctx context.Context) (map[string][]string, error) {
	all, err := l.backfillFields(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for field, text := range all {
		if target, ok := strings.CutPrefix(field, backfillReader); ok {
			var list []string
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				return nil, fmt.Errorf("read the mappings of target %s: %w", target, err)
			}
			out[target] = list
		}
	}
	return out, nil
}

func (l *Log) backfillFields(ctx context.Context) (map[string]string, error) {
	all, err := l.client.HGetAll(ctx, l.keys.Backfills()).Result()
	if err != nil {
		return nil, fmt.Errorf("read backfills of the log: %w", err)
	}
	return all, nil
}

// Backfills lists all backfills that are remembered, the oldest first.
func (l *Log) Backfills(ctx context.Context) ([]cdc.BackfillStatus, error) {
	all, err := l.backfillFields(ctx)
	if err != nil {
		return nil, err
	}
	var out []cdc.BackfillStatus
	for field, text := range all {
		id, ok := strings.CutPrefix(field, backfillSpec)
		if !ok {
			continue
		}
		b := cdc.BackfillStatus{Wish: cdc.WishRun, Progress: cdc.BackfillProgress{State: cdc.BackfillWaiting}}
		err := json.Unmarshal([]byte(text), &b.Backfill)
		if p, ok := all[backfillProgress+id]; err == nil && ok {
			err = json.Unmarshal([]byte(p), &b.Progress)
		}
		if err != nil {
			return nil, fmt.Errorf("read backfill %s of the log: %w", id, err)
		}
		if w, ok := all[backfillWish+id]; ok {
			b.Wish = cdc.BackfillWish(w)
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b cdc.BackfillStatus) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// BackfillsVersion is a number that is another one when somebody has asked for a backfill
// or wished something of one: it is cheap to look at.
func (l *Log) BackfillsVersion(ctx context.Context) (string, error) {
	v, err := l.client.HGet(ctx, l.keys.Backfills(), backfillVersion).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read version of the backfills: %w", err)
	}
	return v, nil
}

// keptBackfills is how many backfills that have ended are remembered.
const keptBackfills = 50

// SetBackfillProgress writes how far a backfill is. One that was forgotten is left
// alone.
func (l *Log) SetBackfillProgress(ctx context.Context, id string, p cdc.BackfillProgress) error {
	text, err := json.Marshal(&p)
	if err == nil {
		err = setIfThere.Run(ctx, l.client, []string{l.keys.Backfills()}, backfillSpec+id, backfillProgress+id, text).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("write progress of backfill %s: %w", id, err)
	}
	if p.State.Final() {
		return l.forgetBackfills(ctx)
	}
	return nil
}

// setIfThere sets a field if another is there.
//
// KEYS: the hash. ARGV: the other, the field, its value.
// Output: 1 or 0. The first write is one that is never refused.
var setIfThere = redis.NewScript(`
redis.call('HDEL', KEYS[1], '\0none')
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1`)

// ErrNoBackfill says that there is no backfill of that name.
var ErrNoBackfill = errors.New("no such backfill")

// WishBackfill says what is wanted of a backfill.
func (l *Log) WishBackfill(ctx context.Context, id string, w cdc.BackfillWish) error {
	n, err := setIfThere.Run(ctx, l.client, []string{l.keys.Backfills()}, backfillSpec+id, backfillWish+id, string(w)).Int()
	if err == nil {
		err = l.client.HIncrBy(ctx, l.keys.Backfills(), backfillVersion, 1).Err()
	}
	if err != nil {
		return fmt.Errorf("write wish for backfill %s: %w", id, err)
	}
	if n == 0 {
		return fmt.Errorf("backfill %s: %w", id, ErrNoBackfill)
	}
	return nil
}

// forgetBackfills forgets the oldest of those that have ended, beyond a number.
func (l *Log) forgetBackfills(ctx context.Context) error {
	list, err := l.Backfills(ctx)
	if err != nil {
		return err
	}
	ended := slices.DeleteFunc(list, func(b cdc.BackfillStatus) bool { return !b.Progress.State.Final() })
	var fields []string
	for i := 0; i < len(ended)-keptBackfills; i++ {
		id := ended[i].ID
		fields = append(fields, backfillSpec+id, backfillWish+id, backfillProgress+id)
	}
	if len(fields) == 0 {
		return nil
	}
	if err := l.client.HDel(ctx, l.keys.Backfills(), fields...).Err(); err != nil {
		return fmt.Errorf("forget backfills that have ended: %w", err)
	}
	return nil
}

// metaNote has the name of a note behind it.
const metaNote = "note:"

// Note reads a text that the capture keeps; empty if there is none.
func (l *Log) Note(ctx context.Context, name string) (string, error) {
	text, err := l.client.HGet(ctx, l.keys.Meta(), metaNote+name).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read note %s of the log: %w", name, err)
	}
	return text, nil
}

// SetNote writes a text that the capture keeps.
func (l *Log) SetNote(ctx context.Context, name, text string) error {
	if err := l.client.HSet(ctx, l.keys.Meta(), metaNote+name, text).Err(); err != nil {
		return fmt.Errorf("write note %s of the log: %w", name, err)
	}
	return nil
}
