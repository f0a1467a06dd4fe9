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
	// there is one. It is a secret.
	URL string
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

// Log is a log on one Redis server.
type Log struct {
	keys       Keys
	partitions int
	streams    []cdc.Stream
	byStream   map[cdc.Stream]int
	logger     *slog.Logger

	// client serves ordinary commands, appendClient only the writer's pipelines:
	// it answers in the older protocol and never retries by itself, since what a
	// lost answer means is the writer's to find out.
	client       *redis.Client
	appendClient *redis.Client
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

// answerTimeout bounds the wait for any answer of the server.
const answerTimeout = 10 * time.Second

// dialTimeout bounds the making of a connection for appends.
const dialTimeout = 3 * time.Second

// Open connects to the server, refuses one that may lose entries by itself, and
// makes the description of the log if there is none yet.
func Open(ctx context.Context, o Options) (*Log, error) {
	ro, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, &cdc.SetupError{What: "redis.url is not a Redis URL", Hint: "write redis://[user:password@]host:port/db, or rediss:// for TLS"}
	}
	ro.ReadTimeout, ro.WriteTimeout = answerTimeout, answerTimeout
	ro.DisableIdentity = true
	plain := *ro
	ro.Protocol, ro.MaxRetries, ro.PoolSize = 2, -1, 2
	ro.DialTimeout, ro.DialerRetries = dialTimeout, 1 // a send does not end with its context
	l := &Log{
		keys: Keys{Name: o.Name}, partitions: o.Partitions, logger: o.Logger,
		client: redis.NewClient(&plain), appendClient: redis.NewClient(ro),
		byStream: map[cdc.Stream]int{}, timeEvery: cmp.Or(o.TimeEvery, timeEvery),
	}
	if err := l.check(ctx, ro.Addr, o.Look); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	for _, lane := range cdc.Lanes() {
		for p := range l.partitions {
			s := cdc.Stream{Lane: lane, Partition: p}
			l.byStream[s] = len(l.streams)
			l.streams = append(l.streams, s)
		}
	}
	return l, nil
}

func (l *Log) check(ctx context.Context, addr string, look bool) error {
	if err := l.client.Ping(ctx).Err(); err != nil {
		return &cdc.SetupError{What: "redis at " + addr + " cannot be used", Err: err,
			Hint: "check that the server runs and that redis.url has the right address and password"}
	}
	policy, err := l.info(ctx, "memory", "maxmemory_policy")
	if err != nil {
		return fmt.Errorf("read memory policy of redis at %s: %w", addr, err)
	}
	if policy != "" && policy != "noeviction" {
		return &cdc.SetupError{What: fmt.Sprintf("redis at %s has maxmemory-policy %s, which throws away unread entries when memory is short", addr, policy),
			Hint: "run CONFIG SET maxmemory-policy noeviction and put it into redis.conf"}
	}
	if look {
		return l.lookUp(ctx)
	}
	return l.describe(ctx)
}

// Keys names the log's Redis keys.
func (l *Log) Keys() Keys { return l.keys }

// Client is the connection for ordinary commands.
func (l *Log) Client() *redis.Client { return l.client }

// Partitions is how many partitions the log has.
func (l *Log) Partitions() int { return l.partitions }

// Streams lists all streams, lane by lane.
func (l *Log) Streams() []cdc.Stream { return l.streams }

func (l *Log) index(s cdc.Stream) int { return l.byStream[s] }

// Close ends the connections.
func (l *Log) Close() error {
	return errors.Join(l.client.Close(), l.appendClient.Close())
}

// TailOf reads the position of the last entry that was ever appended to a stream.
func (l *Log) TailOf(ctx context.Context, s cdc.Stream) (cdc.Position, error) {
	answer, err := l.appendClient.Do(ctx, "eval", tailText, "1", l.keys.Stream(s)).Result()
	if err != nil {
		return cdc.Position{}, fmt.Errorf("read tail of stream %v: %w", s, err)
	}
	return tailOf(answer)
}

// info reads one field of INFO; empty if the server does not tell it, as an
// embedded one.
func (l *Log) info(ctx context.Context, section, field string) (string, error) {
	all, err := l.infoSection(ctx, section)
	return all[field], err
}

func (l *Log) infoSection(ctx context.Context, section string) (map[string]string, error) {
	text, err := l.client.Info(ctx, section).Result()
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
