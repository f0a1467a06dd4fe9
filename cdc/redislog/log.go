package redislog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Options say where a log is and how it is cut.
type Options struct {
	// URL is that of the Redis server: redis:// or rediss://, with a password if
	// there is one. It is a secret. With Sentinel or Cluster it has no host, and may
	// be empty.
	URL string
	// TLS is for a rediss:// URL; nil trusts what the system trusts.
	TLS *TLS
	// Sentinel finds the server; nil if it has its place in URL.
	Sentinel *Sentinel
	// Cluster are host:port of some nodes of a Redis Cluster; empty if it is none.
	Cluster []string
	// Replicas is how many replicas must have an entry before it counts as durable.
	Replicas int
	// Name is the bridge's name, part of every key.
	Name string
	// Partitions is fixed when the log is made; 1 to 256.
	Partitions int
	Logger     *slog.Logger
	// TimeEvery is how far apart the points of the time index are at the least; a minute
	// if zero.
	TimeEvery time.Duration
	// Look opens a log only to look at it, with the partitions that it has; one that
	// was not made yet is ErrNoLog.
	Look bool
}

// ErrNoLog says that there is no log of the bridge yet.
var ErrNoLog = errors.New("the log has not been made yet")

// Log is a log on one Redis server, or spread over the servers of a cluster.
type Log struct {
	keys       Keys
	partitions int
	replicas   int
	streams    []cdc.Stream
	byStream   map[cdc.Stream]int
	parts      []part
	partOf     []int // for each stream
	logger     *slog.Logger

	// client serves ordinary commands, appendClient only the writer: it never
	// repeats anything by itself, since what a lost answer means is the writer's to
	// find out, and has one connection to each server.
	client       redis.UniversalClient
	appendClient redis.UniversalClient
	counters     counters
	blocked      blocked
	timeEvery    time.Duration
	durable      atomic.Value // Durability, once a barrier found it
}

// Durability says what the server does to keep the log; empty until an appender
// was made.
func (l *Log) Durability() string {
	d, _ := l.durable.Load().(Durability)
	return string(d)
}

// Stats counts what the writers of a log did.
type Stats struct {
	// Entries were appended; Held were passed to a writer but stood in the log
	// already; Batches are pipelines sent; Retries are batches sent again.
	Entries, Held, Batches, Retries uint64
}

type counters struct{ entries, held, batches, retries atomic.Uint64 }

// Stats gives the counters; it may be called from anywhere.
func (l *Log) Stats() Stats {
	c := &l.counters
	return Stats{Entries: c.entries.Load(), Held: c.held.Load(), Batches: c.batches.Load(), Retries: c.retries.Load()}
}

// Open connects to the server, refuses one that may lose entries by itself, and
// makes the description of the log if there is none yet.
func Open(ctx context.Context, o Options) (*Log, error) {
	client, from, err := connect(&o)
	if err != nil {
		return nil, err
	}
	l := &Log{
		keys: Keys{Name: o.Name}, partitions: o.Partitions, replicas: o.Replicas, logger: o.Logger,
		client: client, appendClient: Sibling(client, Tuning{Timeout: answerTimeout, alone: true, guards: true}),
		byStream: map[cdc.Stream]int{}, timeEvery: cmp.Or(o.TimeEvery, timeEvery),
	}
	if err := l.open(ctx, &o, from); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Log) open(ctx context.Context, o *Options, from whence) error {
	if err := l.client.Ping(ctx).Err(); err != nil {
		return &cdc.SetupError{What: "redis at " + from.where + " cannot be used", Err: err, Hint: from.hint}
	}
	if o.Look {
		if err := l.lookUp(ctx); err != nil {
			return err
		}
	}
	for _, lane := range cdc.Lanes() {
		for p := range l.partitions {
			s := cdc.Stream{Lane: lane, Partition: p}
			l.byStream[s] = len(l.streams)
			l.streams = append(l.streams, s)
		}
	}
	l.split(len(o.Cluster) > 0)
	if err := l.checkPolicy(ctx, from.where); err != nil || o.Look {
		return err
	}
	return l.describe(ctx)
}

// checkPolicy refuses a server that throws entries away. One that does not let us
// ask is taken.
func (l *Log) checkPolicy(ctx context.Context, where string) error {
	places, err := l.places(ctx, l.client)
	if err != nil {
		return err
	}
	for _, p := range places {
		if len(places) > 1 { // the one that it is about, of a cluster
			where = p.client.Options().Addr
		}
		memory, err := infoOf(ctx, p.client, "memory")
		if isRefused(err) {
			l.logger.Warn("redis does not let us see its memory policy, which must be noeviction", "server", where,
				"hint", mayInfo)
			continue
		}
		if err != nil {
			return fmt.Errorf("read memory policy of redis at %s: %w", where, err)
		}
		if trouble := policyTrouble(where, memory["maxmemory_policy"]); trouble != nil {
			return trouble
		}
	}
	return nil
}

// mayInfo lets us see what a server does.
const mayInfo = "allow the user the command INFO: ACL SETUSER … +info"

// policyTrouble says that a server throws entries away; nil if it does not, or does not
// tell.
func policyTrouble(where, policy string) *cdc.SetupError {
	if policy == "" || policy == "noeviction" {
		return nil
	}
	return &cdc.SetupError{What: fmt.Sprintf("redis at %s has maxmemory-policy %s, which throws away unread entries when memory is short", where, policy),
		Hint: "run CONFIG SET maxmemory-policy noeviction and put it into redis.conf"}
}

// Keys names the log's Redis keys.
func (l *Log) Keys() Keys { return l.keys }

// Client is for ordinary commands.
func (l *Log) Client() redis.UniversalClient { return l.client }

// Partitions is how many partitions the log has.
func (l *Log) Partitions() int { return l.partitions }

// Streams lists all streams, lane by lane.
func (l *Log) Streams() []cdc.Stream { return l.streams }

func (l *Log) index(s cdc.Stream) int { return l.byStream[s] }

// Close ends the connections.
func (l *Log) Close() error {
	return errors.Join(l.appendClient.Close(), l.client.Close())
}

// TailOf reads the position of the last entry that was ever appended to a stream.
func (l *Log) TailOf(ctx context.Context, s cdc.Stream) (cdc.Position, error) {
	return l.tailBy(ctx, l.client, s)
}

func (l *Log) tailBy(ctx context.Context, c redis.UniversalClient, s cdc.Stream) (cdc.Position, error) {
	answer, err := c.Do(ctx, "eval", tailText, "1", l.keys.Stream(s)).Result()
	if err != nil {
		return cdc.Position{}, fmt.Errorf("read tail of stream %v: %w", s, err)
	}
	return tailOf(answer)
}

// infoOf reads a section of a server's INFO; nothing if it does not have it, as an
// embedded one.
func infoOf(ctx context.Context, server *redis.Client, section string) (map[string]string, error) {
	text, err := server.Info(ctx, section).Result()
	if err != nil {
		if strings.Contains(err.Error(), "not supported") {
			return nil, nil
		}
		return nil, fmt.Errorf("read info %s: %w", section, err)
	}
	return infoFields(text), nil
}

func infoFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[k] = v
		}
	}
	return fields
}

// isRefused tells whether the server said that we must not, or cannot, run a command:
// the user has no right to it, or it is renamed or unknown.
func isRefused(err error) bool {
	var re redis.Error
	return errors.As(err, &re) && (strings.HasPrefix(re.Error(), "NOPERM") || strings.HasPrefix(re.Error(), "ERR unknown command") ||
		strings.HasPrefix(re.Error(), "ERR unknown subcommand"))
}

// newBackOff gives the waits between tries to reach the server.
func (l *Log) newBackOff() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 50 * time.Millisecond
	b.MaxInterval = 5 * time.Second
	b.MaxElapsedTime = 0
	b.Reset()
	return b
}

var _ cdc.Log = (*Log)(nil)

// GroupBegan tells whether a consumer group has read anything of any stream.
func (l *Log) GroupBegan(ctx context.Context, group string) (bool, error) {
	for _, s := range l.streams {
		at, err := l.Checkpoint(ctx, s, group)
		if err != nil || !at.IsZero() {
			return !at.IsZero(), err
		}
	}
	return false, nil
}

// Checkpoint is how far a consumer group has dealt with a stream; zero if it has
// not begun.
func (l *Log) Checkpoint(ctx context.Context, s cdc.Stream, group string) (cdc.Position, error) {
	groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
	if isNoSuchKey(err) {
		return cdc.Position{}, nil
	}
	if err != nil {
		return cdc.Position{}, fmt.Errorf("read groups of stream %v: %w", s, err)
	}
	for _, g := range groups {
		if g.Name == group && strings.Trim(g.LastDeliveredID, "0-") != "" { // "0" from an embedded server
			return cdc.ParsePosition(g.LastDeliveredID)
		}
	}
	return cdc.Position{}, nil
}
