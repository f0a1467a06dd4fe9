package servers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A cluster is whole when it is there, and its replicas have what their masters have.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	c, err := StartRedisCluster(t.Context(), ClusterOptions{Masters: 3, Replicas: 1, NodeTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if n := len(c.Addrs()); n != 6 {
		t.Errorf("%d nodes, want 6", n)
	}
	refused := 0
	for _, n := range c.Nodes[:3] {
		if _, err := do(t.Context(), t, n, "SET", "{a}key", "1"); err != nil {
			if !strings.HasPrefix(err.Error(), "MOVED ") {
				t.Error(err)
			}
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 3 masters refused a key, want 2", refused)
	}
}

// A sentinel names the master, and another one when that is gone.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := startRedis(t, RedisOptions{})
	replica := startRedis(t, RedisOptions{ReplicaOf: master.Addr()})
	if err := errors.Join(replica.Await(t.Context(), "replication", "role:slave", "master_link_status:up"), master.AwaitReplicas(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := replica.Await(ctx, "replication", "role:nobody"); err == nil {
		t.Error("a line that never comes was waited for")
	}
	s, err := StartSentinel(t.Context(), SentinelOptions{Master: "sales", Addr: master.Addr(), Quorum: 1, Replicas: 1, DownAfter: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	named := func() string {
		answer, err := do(t.Context(), t, &Redis{Server: s.Server}, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sales")
		pair, ok := answer.([]any)
		if err != nil || !ok || len(pair) != 2 {
			t.Fatalf("the sentinel answers %v, %v", answer, err)
		}
		return pair[0].(string) + ":" + pair[1].(string)
	}
	if got := named(); got != master.Addr() {
		t.Fatalf("the master is %s, want %s", got, master.Addr())
	}
	master.Kill()
	for named() != replica.Addr() {
		if err := pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestValkeyAnswers(t *testing.T) {
	t.Parallel()
	program, err := EnsureValkey(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	v := startRedis(t, RedisOptions{Program: program, AOF: "everysec"})
	if _, err := do(t.Context(), t, v, "SET", "a", "1"); err != nil {
		t.Fatal(err)
	}
	answer, err := do(t.Context(), t, v, "WAITAOF", 0, 0, 1)
	if list, ok := answer.([]any); err != nil || !ok || len(list) != 2 {
		t.Errorf("WAITAOF answers %v, %v", answer, err)
	}
}
