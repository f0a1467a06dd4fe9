package redislog

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ConditionOf is the field of Keys.Conditions in which a worker notes how a target is to it.
func ConditionOf(target, worker string) string {
	if worker == "" {
		return target
	}
	return target + "\x00" + worker
}

// ConditionsOf gives what was noted of a target, by worker; one of an older version has an
// empty name.
func ConditionsOf(ctx context.Context, client redis.UniversalClient, keys Keys, target string) (map[string]string, error) {
	all, err := client.HGetAll(ctx, keys.Conditions()).Result()
	if err != nil {
		return nil, fmt.Errorf("read how target %s is: %w", target, err)
	}
	out := map[string]string{}
	for field, text := range all {
		if name, worker, _ := strings.Cut(field, "\x00"); name == target {
			out[worker] = text
		}
	}
	return out, nil
}

// forgetConditions removes what was noted of how a target is.
func (l *Log) forgetConditions(ctx context.Context, target string) error {
	all, err := ConditionsOf(ctx, l.client, l.keys, target)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	var fields []string
	for worker := range all {
		fields = append(fields, ConditionOf(target, worker))
	}
	if err := l.client.HDel(ctx, l.keys.Conditions(), fields...).Err(); err != nil {
		return fmt.Errorf("forget target %s: %w", target, err)
	}
	return nil
}
