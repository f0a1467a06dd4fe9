package state

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/targetkey"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// The state of a target is spread over the nodes of a cluster with its partitions. When
// a node fails over, the delivery goes on by its own rules: a commit is repeated, or the
// partitions are claimed anew.
func TestCluster(t *testing.T) {
	const partitions = 8
	nodes := servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3, Replicas: 1, NodeTimeout: time.Second})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: nodes.Addrs(), DisableIdentity: true, DisableRoutingPolicies: true, ClusterStateReloadInterval: time.Second})
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := redislog.Keys{Name: "sales"}
	s := New(Options{Client: rdb, Keys: keys, Target: "crm", Partitions: partitions, Owner: "one", TTL: ttl})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	masters := map[*redis.Client]bool{}
	for p := range partitions {
		node, err := rdb.MasterForKey(t.Context(), keys.State("crm", p))
		if err != nil {
			t.Fatal(err)
		}
		masters[node] = true
	}
	if len(masters) != 3 {
		t.Fatalf("the partitions lie on %d nodes, want 3", len(masters))
	}
	claim := reclaim(t, s, partitions)
	commitAll(t, s, claim, partitions, 1)
	if err := claim.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes.Nodes[1].Kill()
	claim = commitAll(t, s, claim, partitions, 2)
	places := make([]Place, partitions)
	for p := range places {
		places[p] = Place{Key{"deals", "1"}, p}
	}
	got, err := claim.Load(t.Context(), places)
	if err != nil {
		t.Fatal(err)
	}
	for p, k := range got {
		if k.Seen != at(2, 0) {
			t.Errorf("partition %d has %+v", p, k)
		}
	}
	var ops []targetkey.Op
	for i := range 4 * partitions { // on all nodes
		ops = append(ops, targetkey.Op{Kind: targetkey.Take, ID: targetkey.Of("Opportunity", "Ext", strconv.Itoa(i)), Nonce: "1", Owner: targetkey.Owner{Mapping: "deals", Source: "1"}})
	}
	for _, want := range []targetkey.Result{targetkey.Free, targetkey.Mine} {
		answers, err := claim.Own(t.Context(), ops)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if a.Result != want {
				t.Errorf("key %d is %+v, want %s", i, a, want)
			}
		}
	}
	if err := claim.Release(t.Context(), true); err != nil {
		t.Error(err)
	}
}

// reclaim claims all partitions and opens them, once the nodes answer.
func reclaim(t *testing.T, s *Store, partitions int) *Claim {
	t.Helper()
	for {
		c, err := s.Claim(t.Context())
		for p := 0; p < partitions && err == nil; p++ {
			_, err = c.Open(t.Context(), p)
		}
		if err == nil {
			return c
		}
		if err := cdc.Sleep(t.Context(), 20*time.Millisecond); err != nil { // the pause of the delivery
			t.Fatal(err)
		}
	}
}

// commitAll commits to all partitions, as a delivery does that repeats what was not
// answered, and begins anew where the server lost something.
func commitAll(t *testing.T, s *Store, c *Claim, partitions int, id uint64) *Claim {
	t.Helper()
	for p := 0; p < partitions; {
		w := Commit{ID: id, Writes: []Write{{Key: Key{"deals", "1"}, Known: Known{Seen: at(id, 0)}}}, Checkpoints: map[string]cdc.Position{cdc.LaneNormal: at(id, 0)}}
		err := c.Commit(t.Context(), p, w)
		var lost *LostError
		switch {
		case err == nil:
			p++
		case errors.As(err, &lost), errors.Is(err, ErrRolledBack), errors.Is(err, ErrGroupGone):
			c, p = reclaim(t, s, partitions), 0
		default:
			if err := cdc.Sleep(t.Context(), 20*time.Millisecond); err != nil { // the pause of the delivery
				t.Fatal(err)
			}
		}
	}
	return c
}
