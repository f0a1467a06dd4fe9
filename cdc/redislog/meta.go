package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// The fields of the log's description. Those of stopped tables have the table's
// name behind the prefix.
const (
	metaVersion    = "version"
	metaPartitions = "partitions"
	metaBroken     = "broken"
	metaRoutings   = "routings"
	metaComplete   = "complete_until"
	metaStopped    = "stopped:"
)

// formatVersion is the version of the public contract (docs/events.md) that the
// log's entries keep to. It rises when something of it is renamed or changes its
// meaning, not when a field is added.
const formatVersion = 1

// describe reads the log's description, or writes it if the log is new. One from
// before there was a version is of the first.
func (l *Log) describe(ctx context.Context) error {
	meta := l.keys.Meta()
	for field, value := range map[string]int{metaVersion: formatVersion, metaPartitions: l.partitions} {
		if err := l.client.HSetNX(ctx, meta, field, value).Err(); err != nil {
			return fmt.Errorf("write description of the log: %w", err)
		}
	}
	have, err := l.client.HMGet(ctx, meta, metaVersion, metaPartitions).Result()
	if err != nil {
		return fmt.Errorf("read description of the log: %w", err)
	}
	if trouble := l.misfit(fmt.Sprint(have[0]), fmt.Sprint(have[1])); trouble != nil {
		return trouble
	}
	return nil
}

// misfit says that the log, as its description tells, is not the one that was asked for;
// nil if it is.
func (l *Log) misfit(version, partitions string) *cdc.SetupError {
	if version != strconv.Itoa(formatVersion) {
		return &cdc.SetupError{What: fmt.Sprintf("the log %q is of version %s, this walbridge knows version %d", l.keys.Name, version, formatVersion),
			Hint: "run the version of walbridge that made the log, or give the bridge another name and start anew"}
	}
	if partitions != strconv.Itoa(l.partitions) {
		return &cdc.SetupError{What: fmt.Sprintf("the log %q was made with %s partitions, the configuration says %d", l.keys.Name, partitions, l.partitions),
			Hint: fmt.Sprintf("set redis.partitions: %s, or give the bridge another name and start anew: the order of a key is kept within its partition", partitions)}
	}
	return nil
}

// lookUp finds out how many partitions a log has that is only looked at.
func (l *Log) lookUp(ctx context.Context) error {
	n, err := l.client.HGet(ctx, l.keys.Meta(), metaPartitions).Int()
	if errors.Is(err, redis.Nil) {
		return ErrNoLog
	}
	if err != nil {
		return fmt.Errorf("read description of the log: %w", err)
	}
	l.partitions = n
	return nil
}

// breakAt keeps a log with a hole from being used as if it had none, now and by
// any process after this one. The error ends the session.
func (l *Log) breakAt(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	if e := l.client.HSet(ctx, l.keys.Meta(), metaBroken, cause.Error()).Err(); e != nil {
		return errors.Join(cause, fmt.Errorf("mark the log as broken: %w", e))
	}
	return cause
}

// SetBroken says that something is missing from the log, until Renew.
func (l *Log) SetBroken(ctx context.Context, why string) error {
	if err := l.client.HSet(ctx, l.keys.Meta(), metaBroken, why).Err(); err != nil {
		return fmt.Errorf("mark the log as broken: %w", err)
	}
	return nil
}

// Broken tells why the log was found to have a hole; empty if it was not.
func (l *Log) Broken(ctx context.Context) (string, error) {
	what, err := l.client.HGet(ctx, l.keys.Meta(), metaBroken).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read description of the log: %w", err)
	}
	return what, nil
}

// Epoch reads which source the log belongs to; ok is false for a log that no
// capture has used yet.
func (l *Log) Epoch(ctx context.Context) (e cdc.Epoch, ok bool, err error) {
	have, err := l.client.HMGet(ctx, l.keys.Meta(), "system_id", "timeline", "slot", "base").Result()
	if err != nil {
		return e, false, fmt.Errorf("read epoch of the log: %w", err)
	}
	if have[0] == nil {
		return e, false, nil
	}
	text := func(i int) string { s, _ := have[i].(string); return s }
	tl, err := strconv.ParseInt(text(1), 10, 32)
	if err != nil {
		return e, false, fmt.Errorf("read timeline of the log's epoch: %w", err)
	}
	base, err := cdc.ParseLSN(text(3))
	if err != nil {
		return e, false, fmt.Errorf("read base of the log's epoch: %w", err)
	}
	return cdc.Epoch{SystemID: text(0), Timeline: int32(tl), Slot: text(2), Base: base}, true, nil
}

// SetEpoch writes which source the log belongs to.
func (l *Log) SetEpoch(ctx context.Context, e cdc.Epoch) error {
	if err := l.client.HSet(ctx, l.keys.Meta(), epochFields(e)...).Err(); err != nil {
		return fmt.Errorf("write epoch of the log: %w", err)
	}
	return nil
}

func epochFields(e cdc.Epoch) []any {
	return []any{"system_id", e.SystemID, "timeline", e.Timeline, "slot", e.Slot, "base", e.Base.String()}
}

// Renew begins a new epoch with its durable mark, in a description that is whole also
// where the old one was wiped. A reader never sees the base of one epoch with the mark
// of the other; the other parts of a cluster have theirs before, since a crash in
// between then leaves a loss that is found again.
func (l *Log) Renew(ctx context.Context, e cdc.Epoch, mark cdc.LSN) error {
	if len(l.parts) > 1 {
		_, err := l.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := range l.parts[1:] {
				pipe.Set(ctx, l.parts[1+i].mark, mark.String(), 0)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("begin a new epoch of the log: %w", err)
		}
	}
	_, err := l.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.HDel(ctx, l.keys.Meta(), metaBroken)
		tx.HSet(ctx, l.keys.Meta(), metaVersion, formatVersion, metaPartitions, l.partitions)
		tx.HSet(ctx, l.keys.Meta(), epochFields(e)...)
		tx.Set(ctx, l.keys.Durable(), mark.String(), 0)
		return nil
	})
	if err != nil {
		return fmt.Errorf("begin a new epoch of the log: %w", err)
	}
	return nil
}

// Routings reads the routings that are kept.
func (l *Log) Routings(ctx context.Context) (list []cdc.Routing, err error) {
	text, err := l.client.HGet(ctx, l.keys.Meta(), metaRoutings).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read routings of the log: %w", err)
	}
	return list, nil
}

// SetRoutings replaces the routings that are kept.
func (l *Log) SetRoutings(ctx context.Context, list []cdc.Routing) error {
	text, err := json.Marshal(list)
	if err == nil {
		err = l.client.HSet(ctx, l.keys.Meta(), metaRoutings, text).Err()
	}
	if err != nil {
		return fmt.Errorf("write routings of the log: %w", err)
	}
	return nil
}

// Stopped reads which tables are not captured any more, and why.
func (l *Log) Stopped(ctx context.Context) (map[cdc.Table]string, error) {
	all, err := l.client.HGetAll(ctx, l.keys.Meta()).Result()
	if err != nil {
		return nil, fmt.Errorf("read stopped tables of the log: %w", err)
	}
	out := map[cdc.Table]string{}
	for field, reason := range all {
		name, ok := strings.CutPrefix(field, metaStopped)
		if !ok {
			continue
		}
		t, err := cdc.ParseTable(name)
		if err != nil {
			return nil, fmt.Errorf("read stopped tables of the log: %w", err)
		}
		out[t] = reason
	}
	return out, nil
}

// SetStopped notes that a table is not captured any more, or, without a reason,
// that it is again.
func (l *Log) SetStopped(ctx context.Context, table cdc.Table, reason string) error {
	field := metaStopped + table.String()
	var err error
	if reason == "" {
		err = l.client.HDel(ctx, l.keys.Meta(), field).Err()
	} else {
		err = l.client.HSet(ctx, l.keys.Meta(), field, reason).Err()
	}
	if err != nil {
		return fmt.Errorf("write stopped table of the log: %w", err)
	}
	return nil
}

// CompleteUntil is up to which time, by the source's clock, the log was last known
// to hold all that was committed; zero if it never was.
func (l *Log) CompleteUntil(ctx context.Context) (time.Time, error) {
	micros, err := l.client.HGet(ctx, l.keys.Meta(), metaComplete).Int64()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read time of the log: %w", err)
	}
	return time.UnixMicro(micros).UTC(), nil
}

// Tail is the highest position that any stream ever had.
func (l *Log) Tail(ctx context.Context) (high cdc.Position, err error) {
	for _, s := range l.streams {
		tail, err := l.TailOf(ctx, s)
		if err != nil {
			return high, err
		}
		if high.Before(tail) {
			high = tail
		}
	}
	return high, nil
}
