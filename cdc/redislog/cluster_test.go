package redislog

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// nodeTimeout is after how long a cluster's node is taken for failed.
const nodeTimeout = time.Second

func startCluster(t *testing.T) *servers.RedisCluster {
	t.Helper()
	return servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3, Replicas: 1, NodeTimeout: nodeTimeout})
}

// runAll passes the feed through an appender with its barrier, until all is durable.
// durable is the highest that was ever confirmed.
func (f *feed) runAll(t *testing.T, l *Log, from cdc.LSN, durable *cdc.LSN) error {
	t.Helper()
	a, err := l.NewAppender(t.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		err := a.Run(ctx)
		if err != nil {
			cancel(err)
		}
		done <- err
	}()
	err = f.pass(ctx, a.(appender).Writer, from)
	for err == nil && a.Durable() < f.ends[len(f.ends)-1] {
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-time.After(time.Millisecond): // Durable has no event of its own
		}
	}
	cancel(nil)
	err = errors.Join(<-done, err)
	*durable = max(*durable, a.Durable())
	return err
}

// runOver passes the feed over losses, as a source does that sends again what was not
// confirmed. It tells what ended the sessions.
func (f *feed) runOver(t *testing.T, l *Log) (ends []error) {
	t.Helper()
	var durable cdc.LSN
	for {
		mark, ok, err := l.DurableMark(t.Context())
		if err != nil { // a server is down
			lookAgain(t.Context(), l.client)
			continue
		}
		if !ok || mark < durable {
			t.Fatalf("the log's mark is %v (%v), but %v was confirmed", mark, ok, durable)
		}
		if what, err := l.Broken(t.Context()); what != "" {
			t.Fatalf("the log has a hole: %s (%v)", what, err)
		}
		err = f.runAll(t, l, mark, &durable)
		if err == nil {
			return ends
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		ends = append(ends, err)
	}
}

func TestClusterServes(t *testing.T) {
	c := startCluster(t)
	l := openWith(t, Options{Cluster: c.Addrs()[:1], Name: "spread"})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	places, err := l.places(t.Context(), l.client)
	if err != nil || len(places) != 3 {
		t.Fatalf("the partitions lie on %d servers (%v), want 3", len(places), err)
	}
	f := newFeed(11, 5000)
	if ends := f.runOver(t, l); len(ends) > 0 {
		t.Fatalf("sessions ended: %v", ends)
	}
	f.check(t, l)
	for _, from := range []cdc.LSN{f.entries[1000].Position.LSN, 0} {
		if err := f.run(t, l, from); err != nil {
			t.Fatal(err)
		}
	}
	f.check(t, l)
	// Another process finds it by another node.
	other := openWith(t, Options{Cluster: c.Addrs()[4:5], Name: "spread"})
	if mark, ok, err := other.DurableMark(t.Context()); err != nil || !ok || mark != f.ends[len(f.ends)-1] {
		t.Errorf("mark %v %v (%v)", mark, ok, err)
	}
	// The mark of the log is the lowest of its servers.
	if err := l.Client().Set(t.Context(), l.keys.DurableIn(2), cdc.LSN(77).String(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 77 {
		t.Errorf("mark %v %v (%v), want 77", mark, ok, err)
	}
	if err := l.Client().Del(t.Context(), l.keys.DurableIn(3)).Err(); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.DurableMark(t.Context()); err != nil || ok {
		t.Errorf("a mark is missing, but there is one (%v)", err)
	}
	epoch := cdc.Epoch{SystemID: "7", Timeline: 2, Slot: "s", Base: 100}
	if err := l.Renew(t.Context(), epoch, 50); err != nil {
		t.Fatal(err)
	}
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 50 {
		t.Errorf("mark %v %v (%v), want 50", mark, ok, err)
	}
}

// A master is killed while entries pass, and its replica takes over: nothing that was
// confirmed is lost, and the log goes on by itself.
func TestClusterFailover(t *testing.T) {
	c := startCluster(t)
	l := openWith(t, Options{Cluster: c.Addrs(), Name: "failover", Replicas: 1})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f := newFeed(12, 30_000)
	back := make(chan error, 1)
	go func() {
		for l.Stats().Entries < 8000 {
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
				return
			}
		}
		c.Nodes[1].Kill()
		// Until it is back, as the replica of the other, nothing has its replica.
		back <- errors.Join(c.Nodes[4].Await(t.Context(), "replication", "role:master"), c.Nodes[1].Start(t.Context()))
	}()
	ends := f.runOver(t, l)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
	for _, err := range ends {
		t.Logf("a session ended: %v", err)
	}
	if l.Stats().Retries == 0 && len(ends) == 0 {
		t.Error("nobody saw the failover")
	}
}

// A replica that was behind takes over, and nobody waited for it: that its node lost
// entries which were confirmed is known by the mark of its own partition, though the
// mark of the log lies on another node, and nothing is appended above them.
func TestClusterNodeLosesWrites(t *testing.T) {
	c := startCluster(t)
	l := openWith(t, Options{Cluster: c.Addrs(), Name: "loses"})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	b := barrier(t, l, w)
	s, node := normal, 0
	for s.Partition = range partitions { // one that lies apart from the description
		if node = nodeOf(t, c, l.keys.AppendedIn(s.Partition)); node != nodeOf(t, c, l.keys.Meta()) {
			break
		}
	}
	appendOne(t, w, s, dealAt(5))
	stepUntil(t, b, 6)
	loneMaster(t, c.Nodes[node])
	appendOne(t, w, s, dealAt(10))
	stepUntil(t, b, 11)
	c.Nodes[node].Kill()
	if err := c.Nodes[3+node].Await(t.Context(), "replication", "role:master"); err != nil {
		t.Fatal(err)
	}
	e := dealAt(15)
	w.Append(s, &e)
	if err := stop(false); !isLoss(err) {
		t.Fatalf("error %v, want a loss that nothing was appended above", err)
	}
	whole(t, l)
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 6 {
		t.Errorf("mark %v %v (%v), want 6, since 11 was confirmed", mark, ok, err)
	}
	if have, err := l.Client().Get(t.Context(), l.keys.Durable()).Result(); err != nil || have != "0/B" {
		t.Errorf("the other node has the mark %s (%v), want 0/B", have, err)
	}
	// The source does not know better than 6, and sends again.
	w, stop = running(t, l)
	b = barrier(t, l, w)
	appendOne(t, w, s, dealAt(10))
	appendOne(t, w, s, dealAt(15))
	stepUntil(t, b, 16)
	if err := stop(true); err != nil {
		t.Error(err)
	}
	if n, err := l.Client().XLen(t.Context(), l.keys.Stream(s)).Result(); err != nil || n != 3 {
		t.Errorf("the stream has %d entries (%v), want 3", n, err)
	}
}

// nodeOf tells which of the masters a key lies on.
func nodeOf(t *testing.T, c *servers.RedisCluster, key string) int {
	t.Helper()
	one := redis.NewClient(&redis.Options{Addr: c.Nodes[0].Addr(), DisableIdentity: true})
	defer one.Close()
	slot, err := one.ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(slot * 3 / 16384)
}

// loneMaster cuts a master off from its replica for good: that does not know the
// password, which the connections there are do not need.
func loneMaster(t *testing.T, master *servers.Redis) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: master.Addr(), DisableIdentity: true, PoolSize: 1})
	defer c.Close()
	for _, args := range [][]any{{"config", "set", "requirepass", "x"}, {"client", "kill", "type", "replica"}} {
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for {
		info, err := c.Info(t.Context(), "replication").Result()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info, "connected_slaves:0") {
			return
		}
	}
}

// Slots move to another node while entries pass: a batch that is sent to the old one
// is refused whole, and goes to the new one.
func TestClusterSlotsMove(t *testing.T) {
	c := startCluster(t)
	l := openWith(t, Options{Cluster: c.Addrs(), Name: "moved"})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	b := barrier(t, l, w)
	streams := make([]cdc.Stream, partitions)
	for p := range streams {
		streams[p] = cdc.Stream{Lane: cdc.LaneNormal, Partition: p}
		appendOne(t, w, streams[p], dealAt(cdc.LSN(10+p)))
	}
	stepUntil(t, b, 14)
	moveSlots(t, c, l)
	for p := range streams {
		appendOne(t, w, streams[p], dealAt(cdc.LSN(20+p)))
	}
	for b.Durable() < 24 {
		// What the barrier knows of the nodes is old, which it is told.
		if err := b.step(t.Context(), time.Now()); err != nil {
			lookAgain(t.Context(), b.client)
		}
	}
	if err := stop(true); err != nil {
		t.Error(err)
	}
	for _, s := range streams {
		if n, err := l.Client().XLen(t.Context(), l.keys.Stream(s)).Result(); err != nil || n != 2 {
			t.Errorf("stream %v has %d entries, %v; want 2", s, n, err)
		}
	}
	if l.Stats().Retries == 0 {
		t.Error("nothing was refused")
	}
}

// moveSlots gives the slots of all partitions to another master, with their keys.
func moveSlots(t *testing.T, c *servers.RedisCluster, l *Log) {
	t.Helper()
	var nodes []*redis.Client
	var ids []string
	for _, n := range c.Nodes[:3] {
		node := redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DisableIdentity: true})
		t.Cleanup(func() {
			if err := node.Close(); err != nil {
				t.Error(err)
			}
		})
		id, err := node.Do(t.Context(), "cluster", "myid").Text()
		if err != nil {
			t.Fatal(err)
		}
		nodes, ids = append(nodes, node), append(ids, id)
	}
	must := func(node *redis.Client, args ...any) any {
		answer, err := node.Do(t.Context(), args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return answer
	}
	for p := range partitions {
		slot := must(nodes[0], "cluster", "keyslot", l.keys.AppendedIn(p)).(int64)
		from := int(slot * 3 / 16384)
		to := (from + 1) % 3
		must(nodes[to], "cluster", "setslot", slot, "importing", ids[from])
		must(nodes[from], "cluster", "setslot", slot, "migrating", ids[to])
		keys := must(nodes[from], "cluster", "getkeysinslot", slot, 100).([]any)
		if len(keys) == 0 {
			t.Fatalf("slot %d of partition %d is empty", slot, p)
		}
		must(nodes[from], append([]any{"migrate", "127.0.0.1", c.Nodes[to].Port(), "", 0, 5000, "keys"}, keys...)...)
		for _, i := range []int{to, from, 3 - from - to} {
			must(nodes[i], "cluster", "setslot", slot, "node", ids[to])
		}
	}
}

// One node of a cluster that evicts is found and named, also if others do not let us ask.
func TestClusterNodeThatEvicts(t *testing.T) {
	cluster := servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3, NodeTimeout: 5 * time.Second})
	ask := func(node *servers.Redis, args ...any) {
		t.Helper()
		c := redis.NewClient(&redis.Options{Addr: node.Addr()})
		if err := errors.Join(c.Do(t.Context(), args...).Err(), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for i, evicting := range cluster.Nodes {
		ask(evicting, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		for j, other := range cluster.Nodes {
			right := "-info"
			if i == j {
				right = "+info"
			}
			ask(other, "ACL", "SETUSER", "default", right)
		}
		l, err := Open(t.Context(), Options{Cluster: cluster.Addrs(), Name: "evicts", Partitions: 16, Logger: slog.New(slog.DiscardHandler)})
		var setup *cdc.SetupError
		if !errors.As(err, &setup) || !strings.Contains(err.Error(), evicting.Addr()+" has maxmemory-policy allkeys-lru") {
			t.Errorf("node %d evicts: %v", i, err)
		}
		if l != nil {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		ask(evicting, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	}
}
