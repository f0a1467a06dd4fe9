package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterSlots is how many slots the keys of a cluster are dealt to.
const clusterSlots = 16384

// RedisCluster is a Redis Cluster on the loopback interface.
type RedisCluster struct {
	// Nodes are the masters, then their first replicas in the order of the masters,
	// and so on, as they were at the start.
	Nodes   []*Redis
	masters int
}

// ClusterOptions says what kind of cluster is wanted.
type ClusterOptions struct {
	// Masters and Replicas say how many masters there are, and how many replicas each
	// has.
	Masters, Replicas int
	// NodeTimeout is after how long without an answer a node is taken for failed.
	NodeTimeout time.Duration
	// Node says what kind of server each node is.
	Node RedisOptions
}

// StartRedisCluster starts the nodes of a cluster and makes it of them. It outlives
// ctx, which only bounds the wait.
func StartRedisCluster(ctx context.Context, o ClusterOptions) (_ *RedisCluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c := &RedisCluster{masters: o.Masters}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for range o.Masters * (1 + o.Replicas) {
		node := o.Node
		node.Extra = append(slices.Clone(node.Extra), "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(o.NodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0")
		if node.TLS != nil {
			node.Extra = append(node.Extra, "--tls-cluster", "yes", "--tls-replication", "yes")
		}
		r, err := StartRedis(ctx, node)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, r)
	}
	if err := c.join(ctx); err != nil {
		return nil, fmt.Errorf("make a redis cluster: %w", err)
	}
	return c, nil
}

// Addrs are the addresses of all nodes.
func (c *RedisCluster) Addrs() (list []string) {
	for _, n := range c.Nodes {
		list = append(list, n.Addr())
	}
	return list
}

// Close ends all nodes.
func (c *RedisCluster) Close() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// join deals the slots, makes the nodes known to each other, and waits until all
// agree.
func (c *RedisCluster) join(ctx context.Context) error {
	ids := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		id, err := c.do(ctx, i, "cluster", "myid")
		if err != nil {
			return err
		}
		ids[i] = fmt.Sprint(id)
		if i < c.masters {
			first, last := i*clusterSlots/c.masters, (i+1)*clusterSlots/c.masters-1
			if _, err := c.do(ctx, i, "cluster", "addslotsrange", first, last); err != nil {
				return err
			}
		}
		if i > 0 {
			if _, err := c.do(ctx, 0, "cluster", "meet", "127.0.0.1", n.Port()); err != nil {
				return err
			}
		}
	}
	for i := range c.Nodes {
		if err := c.await(ctx, i, func(nodes string) bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return !strings.Contains(nodes, id) })
		}); err != nil {
			return err
		}
	}
	for i := c.masters; i < len(c.Nodes); i++ {
		if _, err := c.do(ctx, i, "cluster", "replicate", ids[i%c.masters]); err != nil {
			return err
		}
	}
	for i := range c.Nodes {
		if err := c.await(ctx, i, func(nodes string) bool {
			return strings.Count(nodes, "slave ") == len(c.Nodes)-c.masters
		}); err != nil {
			return err
		}
		if err := c.Nodes[i].Await(ctx, "replication", c.wanted(i)...); err != nil {
			return err
		}
	}
	if err := c.awaitState(ctx); err != nil {
		return err
	}
	for _, n := range c.Nodes[:c.masters] {
		// In a cluster PUBLISH does not pass over replication; a FLUSHALL of nothing does.
		if err := n.awaitReplicas(ctx, len(c.Nodes)/c.masters-1, "FLUSHALL"); err != nil {
			return err
		}
	}
	return nil
}

// wanted are texts of INFO replication of a node once all is well.
func (c *RedisCluster) wanted(i int) []string {
	if i < c.masters {
		return []string{"role:master"}
	}
	return []string{"role:slave", "master_link_status:up"}
}

// awaitState waits until every node says that the cluster is whole.
func (c *RedisCluster) awaitState(ctx context.Context) error {
	for i := range c.Nodes {
		for {
			info, err := c.do(ctx, i, "cluster", "info")
			if err == nil && strings.Contains(fmt.Sprint(info), "cluster_state:ok") {
				break
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("wait until node %d calls the cluster whole: %w", i, err)
			}
		}
	}
	return nil
}

// await waits until what a node knows of the others is as wanted.
func (c *RedisCluster) await(ctx context.Context, i int, ok func(nodes string) bool) error {
	for {
		nodes, err := c.do(ctx, i, "cluster", "nodes")
		if err == nil && ok(fmt.Sprint(nodes)) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait until node %d knows the others: %w", i, err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(pollEvery):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do runs a command on a node, on a connection of its own.
func (c *RedisCluster) do(ctx context.Context, i int, args ...any) (any, error) {
	o := &redis.Options{Addr: c.Nodes[i].Addr(), MaxRetries: -1, PoolSize: 1, DisableIdentity: true}
	if k, ok := c.Nodes[i].kind.(*redisServer); ok {
		o.TLSConfig = k.tls
	}
	client := redis.NewClient(o)
	answer, err := client.Do(ctx, args...).Result()
	if err != nil {
		err = fmt.Errorf("run %v on node %d: %w", args[:2], i, err)
	}
	return answer, errors.Join(err, client.Close())
}
