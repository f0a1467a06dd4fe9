package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Durability is what the server does to keep what it was told.
type Durability string

// What a server can do, found when the barrier starts and looked at again since.
const (
	// DurableNone: nothing is kept over a restart. An entry counts as durable
	// when it was appended.
	DurableNone Durability = "none"
	// DurableAge: appendonly with appendfsync everysec. An entry counts as
	// durable once a sample at least two seconds later shows nothing unwritten.
	DurableAge Durability = "aof-everysec"
	// DurableAlways: appendonly with appendfsync always. An answer means that
	// the entry is on the disk.
	DurableAlways Durability = "aof-always"
	// DurableSynced: appendonly on a server that tells when it has synced what a
	// connection wrote (WAITAOF: Redis 7.2, Valkey).
	DurableSynced Durability = "waitaof"
	// DurableReplicas: as many replicas as were asked for have the entry (WAIT).
	DurableReplicas Durability = "wait"
	// DurableSyncedReplicas: the entry is on the master's disk, and as many replicas
	// as were asked for have it.
	DurableSyncedReplicas Durability = "waitaof+wait"
)

// synced and replicated tell whether the barrier asks the server by WAITAOF and WAIT.
func (d Durability) synced() bool     { return d == DurableSynced || d == DurableSyncedReplicas }
func (d Durability) replicated() bool { return d == DurableReplicas || d == DurableSyncedReplicas }

// FindDurability finds what the servers of the log do to keep it: of several, what
// the least of them does. why tells what keeps it from being more, with what to do;
// it is for DurableNone.
func (l *Log) FindDurability(ctx context.Context) (mode Durability, why string, err error) {
	places, err := l.places(ctx, l.client)
	if err != nil {
		return "", "", err
	}
	for i, p := range places {
		one, because, err := localDurability(ctx, p.client)
		if err != nil {
			return "", "", err
		}
		switch {
		case i == 0:
			mode, why = one, because
		case one == DurableNone && mode != DurableNone:
			mode, why = one, because
		case one != mode && mode != DurableNone: // any append-only file can be waited for
			mode = DurableAge
		}
	}
	if l.replicas == 0 {
		return mode, why, nil
	}
	for _, p := range places {
		if err := p.client.Wait(ctx, 0, 0).Err(); isRefused(err) {
			return "", "", &cdc.SetupError{What: "redis.replicas is set, but the server refuses the command WAIT", Err: err, Hint: "allow it to the user: ACL SETUSER … +wait"}
		} else if err != nil {
			return "", "", fmt.Errorf("ask redis for its replicas: %w", err)
		}
	}
	if mode == DurableSynced {
		return DurableSyncedReplicas, "", nil
	}
	return DurableReplicas, "", nil
}

// localDurability finds what a server does by itself. It asks by the command that
// the barrier would use, which needs no right to INFO or CONFIG.
func localDurability(ctx context.Context, server *redis.Client) (mode Durability, why string, err error) {
	config := func(name string) (string, error) {
		m, err := server.ConfigGet(ctx, name).Result()
		var re redis.Error
		if errors.As(err, &re) {
			return "unknown", nil // the command may be forbidden or renamed
		}
		if err != nil {
			return "", fmt.Errorf("read setting %s of redis: %w", name, err)
		}
		return m[name], nil
	}
	const unknown = "redis does not let us see its settings: ACL SETUSER … +config|get +info"
	fsync, err := config("appendfsync")
	if err != nil {
		return "", "", err
	}
	if fsync == "no" {
		return DurableNone, "set appendfsync everysec in redis.conf: now the operating system decides when to write", nil
	}
	err = server.Do(ctx, "waitaof", 1, 0, 1).Err()
	var re redis.Error
	switch {
	case err == nil:
		return DurableSynced, "", nil
	case !errors.As(err, &re):
		return "", "", fmt.Errorf("ask redis to sync: %w", err)
	case strings.Contains(re.Error(), "appendonly is disabled"):
		return DurableNone, "set appendonly yes in redis.conf", nil
	}
	info, err := infoOf(ctx, server, "persistence")
	switch {
	case isRefused(err):
		return DurableNone, unknown, nil
	case err != nil:
		return "", "", err
	case info["aof_enabled"] != "1":
		return DurableNone, "set appendonly yes in redis.conf", nil
	}
	lazy, err := config("no-appendfsync-on-rewrite")
	switch {
	case err != nil:
		return "", "", err
	case lazy == "unknown" || fsync == "unknown":
		return DurableNone, unknown, nil
	case lazy != "no":
		return DurableNone, "set no-appendfsync-on-rewrite no in redis.conf", nil
	case fsync == "always":
		return DurableAlways, "", nil
	}
	return DurableAge, "", nil
}

// aofSettled tells from INFO persistence that nothing waits to be written or
// synced. Redis syncs in the background each second, and says in these fields
// when a sync is late.
func aofSettled(p map[string]string) bool {
	return p["aof_pending_bio_fsync"] == "0" && p["aof_buffer_length"] == "0" &&
		strings.EqualFold(p["aof_last_write_status"], "ok") && p["aof_enabled"] == "1"
}
