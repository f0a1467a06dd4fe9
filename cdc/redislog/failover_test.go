package redislog

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

var normal = cdc.Stream{Lane: cdc.LaneNormal}

// isLoss tells whether an error says that the server lost the end of the log, and that
// nothing was appended above it.
func isLoss(err error) bool {
	var rolled *RolledBackError
	var session *SessionLostError
	if errors.As(err, &rolled) {
		return !rolled.Appended
	}
	return errors.As(err, &session)
}

// whole makes sure that no hole of the log is known.
func whole(t *testing.T, l *Log) {
	t.Helper()
	if what, err := l.Broken(t.Context()); err != nil || what != "" {
		t.Fatalf("the log is broken by %q (%v)", what, err)
	}
}

// durableServers are a master with two replicas, a sentinel that looks after them, and
// a log that waits for one of the replicas.
type durableServers struct {
	master    *servers.Redis
	replicas  []*servers.Redis
	sentinels *Sentinel
	log       *Log
}

func newDurableServers(t *testing.T) *durableServers {
	t.Helper()
	d := &durableServers{master: servertest.Redis(t)}
	for range 2 {
		d.replicas = append(d.replicas, replicaOf(t, d.master, servers.RedisOptions{}))
	}
	if err := d.master.AwaitReplicas(t.Context(), len(d.replicas)); err != nil {
		t.Fatal(err)
	}
	s := servertest.Sentinel(t, servers.SentinelOptions{Master: "sales", Addr: d.master.Addr(), Quorum: 1, Replicas: 2, DownAfter: time.Second, Password: "s3cret"})
	// One of the sentinels is down.
	d.sentinels = &Sentinel{Master: "sales", Addresses: []string{"127.0.0.1:1", s.Addr()}, Password: "s3cret"}
	d.log = openWith(t, Options{Sentinel: d.sentinels, Name: "sales", Replicas: 1})
	if err := d.log.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return d
}

// promoted waits until the sentinel has made a replica the master.
func (d *durableServers) promoted(t *testing.T) {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{Addr: d.sentinels.Addresses[1], Password: d.sentinels.Password, DisableIdentity: true})
	defer c.Close()
	for {
		at, err := c.GetMasterAddrByName(t.Context(), d.sentinels.Master).Result()
		if err != nil {
			t.Fatal(err)
		}
		if net.JoinHostPort(at[0], at[1]) != d.master.Addr() {
			return
		}
		if err := cdc.Sleep(t.Context(), 10*time.Millisecond); err != nil { // there is no event for it
			t.Fatal(err)
		}
	}
}

// A master is killed while entries pass. What was confirmed a replica has, and the log
// goes on there by itself.
func TestSentinelFailover(t *testing.T) {
	d := newDurableServers(t)
	f := newFeed(21, 30_000)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for d.log.Stats().Entries < 8000 {
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
				return
			}
		}
		d.master.Kill()
	}()
	for _, err := range f.runOver(t, d.log) {
		t.Logf("a session ended: %v", err)
	}
	<-killed
	f.check(t, d.log)
}

// A replica that was behind takes over while nobody appends. The next append goes over
// a new connection: it does not land above what is missing, and what is missing was
// not confirmed.
func TestLaggingReplicaTakesOver(t *testing.T) {
	d := newDurableServers(t)
	l := d.log
	w, stop := running(t, l)
	b := barrier(t, l, w)
	appendOne(t, w, normal, dealAt(5))
	stepUntil(t, b, 6)
	// They copy nothing any more. (One that was stopped has what is in its socket.)
	for _, r := range d.replicas {
		c := redis.NewClient(&redis.Options{Addr: r.Addr(), DisableIdentity: true})
		err := c.Do(t.Context(), "replicaof", "127.0.0.1", 1).Err()
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	appendOne(t, w, normal, dealAt(10))
	d.master.Kill()
	if err := b.step(t.Context(), time.Now()); err == nil || b.Durable() != 6 {
		t.Fatalf("no replica has it, but durable is %v (%v)", b.Durable(), err)
	}
	d.promoted(t)
	if tail, err := l.TailOf(t.Context(), normal); err != nil || tail.LSN != 5 {
		t.Fatalf("the replica was not behind: %v (%v)", tail, err)
	}
	e := dealAt(15)
	w.Append(normal, &e)
	if err := stop(false); !isLoss(err) {
		t.Fatalf("error %v, want a loss that nothing was appended above", err)
	}
	whole(t, l)
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark < 6 {
		t.Fatalf("mark %v %v (%v), but 6 was confirmed", mark, ok, err)
	}
	sendAgain(t, l, 10, 15)
}

// sendAgain is the next session, to which the source sends what was not confirmed;
// the stream then has the entry at 5, and these.
func sendAgain(t *testing.T, l *Log, at ...cdc.LSN) {
	t.Helper()
	w, stop := running(t, l)
	for _, lsn := range at {
		appendOne(t, w, normal, dealAt(lsn))
	}
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Client().XLen(t.Context(), l.Keys().Stream(normal)).Result(); err != nil || n != int64(1+len(at)) {
		t.Errorf("the stream has %d entries (%v), want %d", n, err, 1+len(at))
	}
	whole(t, l)
}

// A server is killed while nobody appends, and comes back with an older data set.
func TestOlderDataUnderAnIdleWriter(t *testing.T) {
	s := servertest.Redis(t)
	l := open(t, s.URL(), "older")
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	b := barrier(t, l, w)
	appendOne(t, w, normal, dealAt(5))
	stepUntil(t, b, 6)
	if err := l.Client().Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	appendOne(t, w, normal, dealAt(10))
	stepUntil(t, b, 11)
	s.Kill() // what it has is its snapshot
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := dealAt(15)
	w.Append(normal, &e)
	if err := stop(false); !isLoss(err) {
		t.Fatalf("error %v, want a loss that nothing was appended above", err)
	}
	whole(t, l)
	// That 11 was confirmed is what the source knows.
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 6 {
		t.Fatalf("mark %v %v (%v), want 6", mark, ok, err)
	}
	sendAgain(t, l, 10, 15)
}

// Without persistence a restart leaves nothing, which is known by the marks.
func TestWipedUnderAnIdleWriter(t *testing.T) {
	s := servertest.Redis(t)
	l := open(t, s.URL(), "wiped")
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	appendOne(t, w, normal, dealAt(5))
	s.Kill()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := dealAt(15)
	w.Append(normal, &e)
	if err := stop(false); !isLoss(err) {
		t.Fatalf("error %v, want a loss that nothing was appended above", err)
	}
	if _, ok, err := l.DurableMark(t.Context()); err != nil || ok {
		t.Fatalf("there is a mark (%v)", err)
	}
}

// FLUSHALL under a running process: the log says so, and in a new epoch it is whole
// again, its description too.
func TestFlushedLogIsDescribedAnew(t *testing.T) {
	s := servertest.Redis(t)
	l := open(t, s.URL(), "flushed")
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	appendOne(t, w, normal, dealAt(5))
	if err := l.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	e := dealAt(15)
	w.Append(normal, &e)
	var rolled *RolledBackError
	if err := stop(false); !errors.As(err, &rolled) {
		t.Fatalf("error %v, want a RolledBackError", err)
	}
	if _, ok, err := l.DurableMark(t.Context()); err != nil || ok {
		t.Fatalf("there is a mark (%v)", err)
	}
	if err := l.Renew(t.Context(), cdc.Epoch{SystemID: "7", Slot: "s", Base: 100}, 50); err != nil {
		t.Fatal(err)
	}
	whole(t, l)
	meta, err := l.Client().HGetAll(t.Context(), l.Keys().Meta()).Result()
	if err != nil || meta["version"] != "1" || meta["partitions"] != strconv.Itoa(partitions) {
		t.Errorf("the description is %v (%v)", meta, err)
	}
	look, err := Open(t.Context(), Options{URL: s.URL(), Name: "flushed", Look: true})
	if err != nil || look.Partitions() != partitions {
		t.Fatalf("a look at the log: %v", err)
	}
	if err := look.Close(); err != nil {
		t.Error(err)
	}
}

// A master is demoted, takes the older data of another, and is promoted again, all
// under an open connection: only master_replid tells. What is appended next lands
// above the hole, which its own answer shows; nothing built on it is confirmed.
func TestDemotedAndPromotedAgain(t *testing.T) {
	s, other := servertest.Redis(t), servertest.Redis(t)
	l := open(t, s.URL(), "demoted")
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	b := barrier(t, l, w)
	appendOne(t, w, normal, dealAt(5))
	stepUntil(t, b, 6)
	copyFrom(t, other, s) // what it has is kept there
	appendOne(t, w, normal, dealAt(10))
	stepUntil(t, b, 11)
	copyFrom(t, s, other)
	e := dealAt(15)
	w.Append(normal, &e)
	w.Mark(16, time.UnixMicro(1))
	err := stop(false)
	var rolled *RolledBackError
	switch {
	case isLoss(err): // Redis ended the connection
		whole(t, l)
	case errors.As(err, &rolled):
		if what, err := l.Broken(t.Context()); err != nil || what == "" {
			t.Errorf("the hole is not told (%v)", err)
		}
	default:
		t.Fatalf("error %v, want a RolledBackError", err)
	}
	if err := b.step(t.Context(), time.Now()); b.Durable() != 11 {
		t.Errorf("durable %v (%v)", b.Durable(), err)
	}
	b.next = mark{end: 16, at: time.UnixMicro(1)}
	var lost *MarkLostError
	var session *SessionLostError
	if err := b.step(t.Context(), time.Now()); !errors.As(err, &lost) && !errors.As(err, &session) || b.Durable() != 11 {
		t.Errorf("durable %v, error %v", b.Durable(), err)
	}
}

// copyFrom makes a server the copy of another, and then a master again.
func copyFrom(t *testing.T, s, other *servers.Redis) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), DisableIdentity: true})
	defer c.Close()
	host, port, err := net.SplitHostPort(other.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "replicaof", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Await(t.Context(), "replication", "role:slave", "master_link_status:up"); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
}

// The backup of an older time is put in the place of the data while the server is down.
func TestRestoredFromABackup(t *testing.T) {
	dir := t.TempDir()
	s := servertest.Redis(t, servers.RedisOptions{Dir: dir})
	l := open(t, s.URL(), "backup")
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f := newFeed(22, 3000)
	half := f.ends[len(f.ends)/2:]
	for half[0] == 0 {
		half = half[1:]
	}
	part := &feed{streams: f.streams[:len(f.ends)-len(half)+1], entries: f.entries[:len(f.ends)-len(half)+1], ends: f.ends[:len(f.ends)-len(half)+1]}
	var durable cdc.LSN
	if err := part.runAll(t, l, 0, &durable); err != nil {
		t.Fatal(err)
	}
	if err := l.Client().Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	at, _, err := l.DurableMark(t.Context())
	if err != nil || at != half[0] {
		t.Fatalf("mark %v (%v), want %v", at, err, half[0])
	}
	if err := f.runAll(t, l, at, &durable); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != at {
		t.Fatalf("mark %v %v (%v), want %v: less than was confirmed", mark, ok, err, at)
	}
	if err := f.run(t, l, at); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
}
