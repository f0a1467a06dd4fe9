package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// forgetScript removes what is kept of a target in a partition, unless it has an
// owner. What is left is a note in the state that keeps new owners away until the
// buckets are gone too, which are too many for one script.
//
// KEYS: lease, fence, state, dead letters, their index, deferred entries, owners of target
// keys, the two histories, then the streams. ARGV: the target, field and text of the note.
// Output: an empty text, or the lease.
var forgetScript = redis.NewScript(`
local lease = redis.call('GET', KEYS[1])
if lease then return lease end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9])
for i = 10, #KEYS do redis.pcall('XGROUP', 'DESTROY', KEYS[i], ARGV[1]) end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
return ''`)

// Forget removes everything that is kept of a target: its consumer groups, state,
// fences, dead letters, deferred entries, owners of target keys and histories, its replays, and which mappings it has.
// *OwnedError says that it is in use.
func (l *Log) Forget(ctx context.Context, target string) error {
	for p := range l.partitions { // before anything is touched
		if owner, err := l.Owner(ctx, target, p); err != nil || owner != "" {
			return errors.Join(err, owned(target, owner))
		}
	}
	for p := range l.partitions {
		keys := []string{l.keys.Lease(target, p), l.keys.Fence(target, p), l.keys.State(target, p), l.keys.DeadLetters(target, p), l.keys.Parked(target, p), l.keys.Deferred(target, p), l.keys.TargetKeys(target, p),
			l.keys.Trace(target, p, false), l.keys.Trace(target, p, true)}
		for _, lane := range cdc.Lanes() {
			keys = append(keys, l.keys.Stream(cdc.Stream{Lane: lane, Partition: p}))
		}
		lease, err := forgetScript.Run(ctx, l.client, keys, target, StateLayout, StateForgetting).Text()
		if err != nil {
			return fmt.Errorf("forget target %s in partition %d: %w", target, p, err)
		}
		if lease != "" {
			return owned(target, ownerOf(lease))
		}
		if err := l.forgetBuckets(ctx, target, p); err != nil {
			return err
		}
	}
	if err := l.client.HDel(ctx, l.keys.Meta(), metaDetached+target, metaReturned+target, metaBegan+target).Err(); err != nil {
		return fmt.Errorf("forget target %s: %w", target, err)
	}
	if err := l.forgetConditions(ctx, target); err != nil {
		return err
	}
	if err := l.client.Unlink(ctx, l.keys.Workers(target)).Err(); err != nil {
		return fmt.Errorf("forget target %s: %w", target, err)
	}
	if err := l.forgetNotes(ctx, target); err != nil {
		return err
	}
	if err := l.forgetReplaysOf(ctx, target); err != nil {
		return err
	}
	// Of the same name may come another target, which begins as a new one does.
	all, err := l.backfillFields(ctx)
	if err != nil {
		return err
	}
	fields := []string{backfillReader + target}
	for field := range all {
		if strings.HasPrefix(field, backfillStarted+target+"/") || strings.HasPrefix(field, backfillRowless+target+"/") {
			fields = append(fields, field)
		}
	}
	if err := l.client.HDel(ctx, l.keys.Backfills(), fields...).Err(); err != nil {
		return fmt.Errorf("forget target %s: %w", target, err)
	}
	return nil
}

// forgetNotes removes what a target noted for itself, and last where that lies.
func (l *Log) forgetNotes(ctx context.Context, target string) error {
	spaces, err := l.client.HGetAll(ctx, l.keys.Notes(target)).Result()
	if err != nil {
		return fmt.Errorf("forget the notes of target %s: %w", target, err)
	}
	var keys []string
	for s := range spaces {
		keys = append(keys, l.keys.NoteSpace(target, s))
	}
	for _, k := range append(keys, l.keys.Notes(target)) {
		if err := l.client.Unlink(ctx, k).Err(); err != nil {
			return fmt.Errorf("forget the notes of target %s: %w", target, err)
		}
	}
	return nil
}

// forgottenScript takes the note away, unless somebody else did and a new state is there.
//
// KEYS: state. ARGV: field and text of the note.
var forgottenScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('UNLINK', KEYS[1]) end
return 1`)

// forgetPage is how many buckets are removed at once.
const forgetPage = 1024

// forgetBuckets removes the state of the keys of a partition, and then the note that this
// was not done. It may be repeated.
func (l *Log) forgetBuckets(ctx context.Context, target string, partition int) error {
	keys := make([]string, 0, forgetPage)
	for b := 0; b < StateBuckets; b += forgetPage {
		keys = keys[:0]
		for i := b; i < min(b+forgetPage, StateBuckets); i++ {
			keys = append(keys, l.keys.StateBucket(target, partition, i))
		}
		if err := l.client.Unlink(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("forget state of target %s in partition %d: %w", target, partition, err)
		}
	}
	if err := forgottenScript.Run(ctx, l.client, []string{l.keys.State(target, partition)}, StateLayout, StateForgetting).Err(); err != nil {
		return fmt.Errorf("forget state of target %s in partition %d: %w", target, partition, err)
	}
	return nil
}
