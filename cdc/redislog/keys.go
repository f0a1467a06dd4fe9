package redislog

import (
	"fmt"
	"strconv"

	"github.com/walbridge/walbridge/cdc"
)

// Keys names the Redis keys of a bridge. Everything of a partition carries the
// same hash tag, {NAME:PARTITION}, so that it shares a slot on Redis Cluster.
type Keys struct{ Name string }

// Meta is the hash that describes the log.
func (k Keys) Meta() string { return fmt.Sprintf("walbridge:{%s}:meta", k.Name) }

// Durable is the key that the durability barrier writes: the source LSN up to
// which the log held everything when it was written.
func (k Keys) Durable() string { return fmt.Sprintf("walbridge:{%s}:durable", k.Name) }

// Appended is the key that each append leaves its number in: what it holds proves
// that the server has all appends up to that one.
func (k Keys) Appended() string { return fmt.Sprintf("walbridge:{%s}:appended", k.Name) }

// AppendedIn is Appended of one partition. On Redis Cluster each partition has its own,
// since it may be the only one that its server holds.
func (k Keys) AppendedIn(partition int) string {
	return fmt.Sprintf("walbridge:{%s:%d}:appended", k.Name, partition)
}

// DurableIn is the durable mark of one partition, on Redis Cluster.
func (k Keys) DurableIn(partition int) string {
	return fmt.Sprintf("walbridge:{%s:%d}:durable", k.Name, partition)
}

// Backfills is the hash of the backfills that were asked for, and of the mappings that
// were started.
func (k Keys) Backfills() string { return fmt.Sprintf("walbridge:{%s}:backfills", k.Name) }

// Replays is the hash of the replays that were asked for.
func (k Keys) Replays() string { return fmt.Sprintf("walbridge:{%s}:replays", k.Name) }

// Replay is the text that says how far a replay is in a partition.
func (k Keys) Replay(id string, partition int) string { return k.of(partition, "replay", id) }

// Times is the sorted set that says which Position the log had reached when.
func (k Keys) Times() string { return fmt.Sprintf("walbridge:{%s}:times", k.Name) }

// Account is the state of the limits that the targets of an account share.
func (k Keys) Account(name string) string {
	return fmt.Sprintf("walbridge:{%s}:account:%s", k.Name, name)
}

// Login is what came in place of the refresh token that a login is configured with, sealed.
func (k Keys) Login(name string) string { return fmt.Sprintf("walbridge:{%s}:login:%s", k.Name, name) }

// LoginTurn is the key that the process holds which refreshes a login.
func (k Keys) LoginTurn(name string) string { return k.Login(name) + ":turn" }

// Conditions is the hash of how targets are that do not take everything.
func (k Keys) Conditions() string { return fmt.Sprintf("walbridge:{%s}:conditions", k.Name) }

// Pass is the key that is there while a pass is good.
func (k Keys) Pass(pass string) string { return fmt.Sprintf("walbridge:{%s}:pass:%s", k.Name, pass) }

// Notes is the hash of the spaces in which a target has noted something for itself.
func (k Keys) Notes(target string) string {
	return fmt.Sprintf("walbridge:{%s}:notes:%s", k.Name, target)
}

// NoteSpace is the hash of a target's notes of one space.
func (k Keys) NoteSpace(target, space string) string { return k.Notes(target) + ":" + space }

// Stream is the Redis stream of a lane and partition.
func (k Keys) Stream(s cdc.Stream) string { return k.of(s.Partition, "log", s.Lane) }

// Trimmed is the hash of the Positions, by lane, up to which a partition was trimmed.
func (k Keys) Trimmed(partition int) string {
	return fmt.Sprintf("walbridge:{%s:%d}:trimmed", k.Name, partition)
}

// State is the hash of what is kept of a target's partition as a whole: its layout,
// the marks of its owner, and the numbers that stand for names in the buckets.
func (k Keys) State(target string, partition int) string { return k.of(partition, "state", target) }

// StateBuckets is how many hashes hold the seen and delivered state of a target's
// partition: so many that Redis keeps each in one piece (a listpack, up to 128 fields of
// up to 64 bytes) while a target has up to a few million records. Half of them are for
// fields that are longer than that, which would make a table of a bucket that others
// are in. It is for the life of a state, which notes it.
const StateBuckets = 2 * 4096

// StateLayout is the field of State that says how the state lies; while a target is
// being forgotten it says StateForgetting.
const (
	StateLayout     = "\x00layout"
	StateForgetting = "forgetting"
)

// StateBucket is one of the hashes with the state of keys.
func (k Keys) StateBucket(target string, partition, bucket int) string {
	return k.State(target, partition) + ":" + strconv.FormatInt(int64(bucket), 36)
}

// Lease is the key that the owner of a target's partition holds.
func (k Keys) Lease(target string, partition int) string { return k.of(partition, "lease", target) }

// Workers is the hash of the processes that deliver to a target, or wait to.
func (k Keys) Workers(target string) string {
	return fmt.Sprintf("walbridge:{%s}:workers:%s", k.Name, target)
}

// Fence is the counter that the fencing tokens of a lease come from.
func (k Keys) Fence(target string, partition int) string { return k.of(partition, "fence", target) }

// DeadLetters is the stream of parked records of a target's partition.
func (k Keys) DeadLetters(target string, partition int) string {
	return k.of(partition, "dead", target)
}

// Parked is the hash of which keys of a target's partition have a dead letter, with the
// counts of those that went.
func (k Keys) Parked(target string, partition int) string {
	return k.of(partition, "parked", target)
}

// TargetKeys is the hash of which row owns which key of a target. The partition is that of
// the target key, not of the row.
func (k Keys) TargetKeys(target string, partition int) string {
	return k.of(partition, "targetkeys", target)
}

// Deferred is the hash of the entries of a target's partition that wait aside, so that they do
// not hold the checkpoint.
func (k Keys) Deferred(target string, partition int) string {
	return k.of(partition, "deferred", target)
}

// Trace is the stream of the history of a target's partition: of what comes in the bulk lane
// or by a replay, or of everything else.
func (k Keys) Trace(target string, partition int, bulk bool) string {
	if bulk {
		return k.of(partition, "tracebulk", target)
	}
	return k.of(partition, "trace", target)
}

func (k Keys) of(partition int, kind, name string) string {
	return fmt.Sprintf("walbridge:{%s:%d}:%s:%s", k.Name, partition, kind, name)
}
