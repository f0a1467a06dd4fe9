package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// HeldError says that another process owns a partition of the target.
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

// Claim is the ownership of partitions of a target: of none at first. Partitions may be
// taken and given back at any time. Of one partition nothing else may be under way then;
// for the rest it is safe for concurrent use.
type Claim struct {
	s    *Store
	last []string // the last commit of each partition, as it is stored
	// unclean are the partitions whose owner before did not end in order.
	unclean []bool

	mu     sync.RWMutex   // covers all below
	leases []string       // of each partition that is ours, else empty
	giving map[int]string // those that are being given back
	names  []*names       // of each partition that was opened, or looked at
}

// NewClaim gives a claim to nothing. It does not connect.
func (s *Store) NewClaim() *Claim {
	n := s.o.Partitions
	return &Claim{s: s, last: make([]string, n), unclean: make([]bool, n), leases: make([]string, n), giving: map[int]string{}, names: make([]*names, n)}
}

// Claim takes the leases of all partitions, or of none. *HeldError names the
// process that has one of them.
func (s *Store) Claim(ctx context.Context) (*Claim, error) {
	c := s.NewClaim()
	all := make([]int, s.o.Partitions)
	for p := range all {
		all[p] = p
	}
	_, held, err := c.take(ctx, all)
	if err == nil && held == nil {
		return c, nil
	}
	if err == nil {
		err = held
	}
	// A claim that was cancelled in the middle gives back what it got.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	return nil, errors.Join(err, c.Release(ctx, false))
}

// Take takes the leases of those of some partitions that nobody has, and gives them. What
// it got before an error is ours too, but not given: it is to be released.
func (c *Claim) Take(ctx context.Context, partitions []int) (got []int, err error) {
	got, _, err = c.take(ctx, partitions)
	return got, err
}

func (c *Claim) take(ctx context.Context, partitions []int) (got []int, held *HeldError, err error) {
	answers := make([]*redis.Cmd, len(partitions))
	pipe := c.s.rdb.Pipeline()
	for i, p := range partitions {
		answers[i] = acquireScript.Eval(ctx, pipe,
			[]string{c.s.o.Keys.Lease(c.s.o.Target, p), c.s.o.Keys.Fence(c.s.o.Target, p)}, c.s.o.Owner, c.s.o.TTL.Milliseconds())
	}
	// Each answer is looked at below.
	_, _ = pipe.Exec(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range answers {
		p := partitions[i]
		lease, failed := a.Text()
		_, owner, _ := strings.Cut(lease, " ")
		switch {
		case failed != nil && err == nil:
			err = fmt.Errorf("take lease of partition %d: %w", p, failed)
		case failed == nil && owner == c.s.o.Owner:
			c.leases[p], c.unclean[p] = lease, false
			got = append(got, p)
		case failed == nil && held == nil:
			held = &HeldError{Partition: p, Owner: owner}
		}
	}
	return got, held, err
}

// lease is that of a partition; one that is not ours has a text that no lease has.
func (c *Claim) lease(partition int) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if l := c.leases[partition]; l != "" {
		return l
	}
	return "none"
}

// held are the leases that are ours, by partition.
func (c *Claim) held() map[int]string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[int]string{}
	for p, l := range c.leases {
		if l != "" {
			out[p] = l
		}
	}
	return out
}

func (c *Claim) namesOf(partition int) *names {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.names[partition]
}

func (c *Claim) setNames(partition int, n *names) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[partition] = n
}

// Renew makes the leases that we have last for another TTL, counted from before the call. It is
// *LostError if one is lost that is not being given back.
func (c *Claim) Renew(ctx context.Context) error {
	leases := c.held()
	lost, err := c.each(ctx, "renew", leases, func(pipe redis.Pipeliner, p int, key string) *redis.Cmd {
		return renewScript.Eval(ctx, pipe, []string{key}, leases[p], c.s.o.TTL.Milliseconds())
	})
	if err != nil {
		return err
	}
	for _, p := range lost {
		if c.lease(p) == leases[p] {
			return &LostError{Partition: p}
		}
	}
	return nil
}

// Release gives the leases of some partitions back, or, where none are named, of all that are
// ours; those that are lost already do not matter. clean
// says that nothing which was handed to the target is open: then how far that
// was is forgotten, and the next owner need not wait. From its begin on nothing can be written
// there. It may be repeated after an error.
func (c *Claim) Release(ctx context.Context, clean bool, partitions ...int) error {
	leases := c.giveUp(partitions)
	_, err := c.each(ctx, "release", leases, func(pipe redis.Pipeliner, p int, key string) *redis.Cmd {
		args := []any{leases[p]}
		if clean {
			args = append(args, holdField, openField, sweptField)
			for _, lane := range cdc.Lanes() {
				args = append(args, sentField(lane))
			}
		}
		return releaseScript.Eval(ctx, pipe, []string{key, c.s.o.Keys.State(c.s.o.Target, p)}, args...)
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range leases {
		delete(c.giving, p)
		c.names[p] = nil
	}
	return nil
}

// giveUp gives the leases of some partitions, or of all, which are not ours any more.
func (c *Claim) giveUp(partitions []int) map[int]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[int]string{}
	for p := range c.leases {
		if len(partitions) > 0 && !slices.Contains(partitions, p) {
			continue
		}
		if l := c.leases[p]; l != "" {
			c.giving[p], c.leases[p] = l, ""
		}
		if l := c.giving[p]; l != "" {
			out[p] = l
		}
	}
	return out
}

// each does something with leases. It gives the partitions whose leases were lost.
func (c *Claim) each(ctx context.Context, verb string, leases map[int]string, do func(redis.Pipeliner, int, string) *redis.Cmd) (lost []int, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	pipe := c.s.rdb.Pipeline()
	answers := make(map[int]*redis.Cmd, len(leases))
	for p := range leases {
		answers[p] = do(pipe, p, c.s.o.Keys.Lease(c.s.o.Target, p))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("%s leases: %w", verb, err)
	}
	for p, a := range answers {
		if ok, err := a.Int(); err != nil {
			return nil, fmt.Errorf("%s lease of partition %d: %w", verb, p, err)
		} else if ok == 0 {
			lost = append(lost, p)
		}
	}
	slices.Sort(lost)
	return lost, nil
}
