package e2e

import (
	"testing"
	"time"

	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// TestCluster loses a node of a Redis Cluster under a writer. Its replica takes over,
// the process goes on, and the whole run is judged like any other.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3, Replicas: 1, NodeTimeout: 2 * time.Second})
	b := newBridge(t, options{cluster: c})
	p := b.start("run")
	b.waitSlot(p)
	w := b.writer(pace{seed: seedOf(t)})
	w.goesOn(t, 200, time.Minute)
	if r, _ := b.status(); r.Log.Durability != "wait" {
		t.Errorf("the status shows %+v", r.Log)
	}
	c.Nodes[1].Kill()
	if err := c.Nodes[4].Await(t.Context(), "replication", "role:master"); err != nil {
		t.Fatal(err)
	}
	// Back as the replica of the other: until then nothing has its replica.
	restart(t, c.Nodes[1])
	w.goesOn(t, 200, time.Minute)
	w.stop()
	b.drain(time.Minute, p)
	b.checkAll(verdict{})
}
