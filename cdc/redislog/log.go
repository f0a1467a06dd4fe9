package redislog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
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
}

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
	l := &Log{
		keys: Keys{Name: o.Name}, partitions: o.Partitions, logger: o.Logger,
		client: redis.NewClient(&plain), appendClient: redis.NewClient(ro),
		byStream: map[cdc.Stream]int{},
	}
	for _, lane := range cdc.Lanes() {
		for p := range o.Partitions {
			s := cdc.Stream{Lane: lane, Partition: p}
			l.byStream[s] = len(l.streams)
			l.streams = append(l.streams, s)
		}
	}
	if err := l.check(ctx, ro.Addr); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Log) check(ctx context.Context, addr string) error {
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
	return l.describe(ctx)
}

// describe reads the log's description, or writes it if the log is new.
func (l *Log) describe(ctx context.Context) error {
	meta := l.keys.Meta()
	if err := l.client.HSetNX(ctx, meta, "partitions", l.partitions).Err(); err != nil {
		return fmt.Errorf("write description of the log: %w", err)
	}
	have, err := l.client.HMGet(ctx, meta, "partitions", "broken").Result()
	if err != nil {
		return fmt.Errorf("read description of the log: %w", err)
	}
	if s, _ := have[0].(string); s != strconv.Itoa(l.partitions) {
		return &cdc.SetupError{What: fmt.Sprintf("the log %q was made with %s partitions, the configuration says %d", l.keys.Name, s, l.partitions),
			Hint: fmt.Sprintf("set redis.partitions: %s, or give the bridge another name and start anew: the order of a key is kept within its partition", s)}
	}
	if s, ok := have[1].(string); ok {
		return l.holeError(errors.New(s))
	}
	return nil
}

// breakAt keeps a log with a hole from being used as if it had none, now and by
// any process after this one. The error ends the capture.
func (l *Log) breakAt(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	err := l.holeError(cause)
	if e := l.client.HSet(ctx, l.keys.Meta(), "broken", cause.Error()).Err(); e != nil {
		return errors.Join(err, fmt.Errorf("mark the log as broken: %w", e))
	}
	return err
}

func (l *Log) holeError(cause error) error {
	return &cdc.SetupError{What: fmt.Sprintf("data_loss: the log %q has a hole", l.keys.Name), Err: cause,
		Hint: "give the bridge a new name, which starts a new log, and load the rows anew; the entries before the hole can still be read"}
}

// checkWhole refuses a log that was found to have a hole.
func (l *Log) checkWhole(ctx context.Context) error {
	what, err := l.client.HGet(ctx, l.keys.Meta(), "broken").Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read description of the log: %w", err)
	}
	return l.holeError(errors.New(what))
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

// Tail reads the position of the last entry that was ever appended to a stream.
func (l *Log) Tail(ctx context.Context, s cdc.Stream) (cdc.Position, error) {
	answer, err := l.appendClient.Do(ctx, "xinfo", "stream", l.keys.Stream(s)).Result()
	if err != nil {
		if isNoSuchKey(err) {
			return cdc.Position{}, nil
		}
		return cdc.Position{}, fmt.Errorf("read tail of stream %v: %w", s, err)
	}
	return tailOf(answer)
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
	err := l.client.HSet(ctx, l.keys.Meta(), "system_id", e.SystemID, "timeline", e.Timeline,
		"slot", e.Slot, "base", e.Base.String()).Err()
	if err != nil {
		return fmt.Errorf("write epoch of the log: %w", err)
	}
	return nil
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
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[k] = v
		}
	}
	return fields, nil
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

// Empty tells whether no stream ever had an entry.
func (l *Log) Empty(ctx context.Context) (bool, error) {
	for _, s := range l.streams {
		tail, err := l.Tail(ctx, s)
		if err != nil || !tail.IsZero() {
			return false, err
		}
	}
	return true, nil
}

var _ cdc.Log = (*Log)(nil)

// GroupBegan tells whether a consumer group has read anything of any stream.
func (l *Log) GroupBegan(ctx context.Context, group string) (bool, error) {
	for _, s := range l.streams {
		groups, err := l.client.XInfoGroups(ctx, l.keys.Stream(s)).Result()
		if isNoSuchKey(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read groups of stream %v: %w", s, err)
		}
		for _, g := range groups {
			if g.Name == group && strings.Trim(g.LastDeliveredID, "0-") != "" {
				return true, nil
			}
		}
	}
	return false, nil
}
