package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// answerTimeout bounds the wait for any answer, and so how long a stop may take.
const answerTimeout = 3 * time.Second

// Options say whose state it is.
type Options struct {
	// Client says how to reach the server; the store makes connections of its own.
	Client redis.UniversalClient
	// Keys names the bridge's keys, Target the target: the name of its consumer
	// groups too.
	Keys       redislog.Keys
	Target     string
	Partitions int
	// Owner names this process among all that may ask for the lease. It must not
	// be used by two at a time; made of host, process and chance if empty.
	Owner string
	// TTL is how long a lease lasts that is not renewed; 10 s if zero.
	TTL time.Duration
	// DeadLetters bound what is kept of parked records.
	DeadLetters deadletter.Bounds
}

// newOwner makes a name that no other process has, and that tells a person which
// one it is.
func newOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%08x", host, os.Getpid(), rand.Uint32())
}

// Store is the state of one target.
type Store struct {
	o   Options
	rdb redis.UniversalClient
}

// New gives a store. It does not connect.
func New(o Options) *Store {
	if o.Owner == "" {
		o.Owner = newOwner()
	}
	if o.TTL <= 0 {
		o.TTL = 10 * time.Second
	}
	// A late copy of a request that the client repeated by itself would be one more.
	return &Store{o: o, rdb: redislog.Sibling(o.Client, redislog.Tuning{Timeout: answerTimeout, Deadlines: true})}
}

// TTL is how long a lease lasts that is not renewed.
func (s *Store) TTL() time.Duration { return s.o.TTL }

// Close ends the connections.
func (s *Store) Close() error { return s.rdb.Close() }

// HeldError says that another process owns the target.
type HeldError struct {
	Partition int
	Owner     string
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("partition %d is owned by %s", e.Partition, e.Owner)
}

// LostError says that the lease of a partition is no longer ours: another owner
// may have begun, and nothing more may be sent or written.
type LostError struct{ Partition int }

func (e *LostError) Error() string {
	return fmt.Sprintf("lease of partition %d is lost", e.Partition)
}

// Claim is the ownership of all partitions of a target.
type Claim struct {
	s      *Store
	leases []string
	last   []string // the last commit of each partition, as it is stored
	names  []*names // of each partition that was opened
	// unclean are the partitions whose owner before did not end in order.
	unclean []bool
}

// Claim takes the leases of all partitions, or of none. *HeldError names the
// process that has one of them.
func (s *Store) Claim(ctx context.Context) (*Claim, error) {
	c := &Claim{s: s, leases: make([]string, s.o.Partitions), last: make([]string, s.o.Partitions), names: make([]*names, s.o.Partitions), unclean: make([]bool, s.o.Partitions)}
	answers := make([]*redis.Cmd, s.o.Partitions)
	pipe := s.rdb.Pipeline()
	for p := range answers {
		answers[p] = acquireScript.Eval(ctx, pipe,
			[]string{s.o.Keys.Lease(s.o.Target, p), s.o.Keys.Fence(s.o.Target, p)}, s.o.Owner, s.o.TTL.Milliseconds())
	}
	// Each answer is looked at below.
	_, _ = pipe.Exec(ctx)
	var failed error
	for p, a := range answers {
		lease, err := a.Text()
		_, owner, _ := strings.Cut(lease, " ")
		switch {
		case err != nil && failed == nil:
			failed = fmt.Errorf("take lease of partition %d: %w", p, err)
		case err == nil && owner == s.o.Owner:
			c.leases[p] = lease
		case err == nil && failed == nil:
			failed = &HeldError{Partition: p, Owner: owner}
		}
	}
	if failed == nil {
		return c, nil
	}
	// A claim that was cancelled in the middle gives back what it got.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	return nil, errors.Join(failed, c.Release(ctx, false))
}

// Renew makes the leases last for another TTL, counted from before the call.
func (c *Claim) Renew(ctx context.Context) error {
	return c.each(ctx, "renew", func(pipe redis.Pipeliner, p int, key string) *redis.Cmd {
		return renewScript.Eval(ctx, pipe, []string{key}, c.leases[p], c.s.o.TTL.Milliseconds())
	})
}

// Release gives the leases back; those that are lost already do not matter. clean
// says that nothing which was handed to the target is open: then how far that
// was is forgotten, and the next owner need not wait.
func (c *Claim) Release(ctx context.Context, clean bool) error {
	err := c.each(ctx, "release", func(pipe redis.Pipeliner, p int, key string) *redis.Cmd {
		args := []any{c.leases[p]}
		if clean {
			args = append(args, holdField, openField, sweptField)
			for _, lane := range cdc.Lanes() {
				args = append(args, sentField(lane))
			}
		}
		return releaseScript.Eval(ctx, pipe, []string{key, c.s.o.Keys.State(c.s.o.Target, p)}, args...)
	})
	if lost := (*LostError)(nil); errors.As(err, &lost) {
		return nil
	}
	return err
}

func (c *Claim) each(ctx context.Context, verb string, do func(redis.Pipeliner, int, string) *redis.Cmd) error {
	pipe := c.s.rdb.Pipeline()
	answers := make([]*redis.Cmd, len(c.leases))
	for p := range c.leases {
		answers[p] = do(pipe, p, c.s.o.Keys.Lease(c.s.o.Target, p))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("%s leases: %w", verb, err)
	}
	for p, a := range answers {
		if ok, err := a.Int(); err != nil {
			return fmt.Errorf("%s lease of partition %d: %w", verb, p, err)
		} else if ok == 0 {
			return &LostError{Partition: p}
		}
	}
	return nil
}
