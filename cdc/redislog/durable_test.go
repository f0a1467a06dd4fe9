package redislog

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// dealAt is an entry for tests that look at one or two.
func dealAt(lsn cdc.LSN) cdc.Entry {
	return cdc.Entry{Position: cdc.Position{LSN: lsn}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)}
}

// replicaOf starts a replica and waits until it follows.
func replicaOf(t *testing.T, master *servers.Redis, o servers.RedisOptions) *servers.Redis {
	t.Helper()
	o.ReplicaOf = master.Addr()
	r := servertest.Redis(t, o)
	if err := errors.Join(r.Await(t.Context(), "replication", "role:slave", "master_link_status:up"), master.AwaitReplicas(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	return r
}

// stepUntil steps a barrier until the log is durable up to an LSN.
func stepUntil(t *testing.T, b *Barrier, lsn cdc.LSN) {
	t.Helper()
	for b.Durable() < lsn {
		if err := b.step(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(barrierEvery / 4):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// Nothing is confirmed that the replica does not have; once it has it, it is.
func TestReplicasAreWaitedFor(t *testing.T) {
	master := servertest.Redis(t)
	replica := replicaOf(t, master, servers.RedisOptions{})
	l := openWith(t, Options{URL: master.URL(), Name: "wait", Replicas: 1})
	w, stop := running(t, l)
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b := barrier(t, l, w)
	if b.Mode() != DurableReplicas {
		t.Fatalf("mode %s, want %s", b.Mode(), DurableReplicas)
	}
	s := cdc.Stream{Lane: cdc.LaneNormal}
	appendOne(t, w, s, dealAt(5))
	stepUntil(t, b, 6)
	if err := replica.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	appendOne(t, w, s, dealAt(10))
	err := b.step(t.Context(), time.Now())
	if err == nil || !strings.Contains(err.Error(), "0 of the 1 replicas") || b.Durable() != 6 {
		t.Fatalf("a stopped replica: durable %v, error %v", b.Durable(), err)
	}
	// The end of the process does not wait for the replica.
	ctx, cancel := context.WithCancel(t.Context())
	other, err := l.NewBarrier(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx) }()
	time.AfterFunc(2*barrierEvery, cancel)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := replica.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stepUntil(t, b, 11)
	replica.Kill()
	appendOne(t, w, s, dealAt(15))
	if err := b.step(t.Context(), time.Now()); err == nil || b.Durable() != 11 {
		t.Errorf("without its replica: durable %v, error %v", b.Durable(), err)
	}
	if err := stop(true); err != nil {
		t.Error(err)
	}
}

// A server that tells what it has synced is asked, and what it said is there after
// it was killed.
func TestSyncIsWaitedFor(t *testing.T) {
	v := servertest.Redis(t, servers.RedisOptions{Program: servertest.Valkey(t), AOF: "everysec"})
	replicaOf(t, v, servers.RedisOptions{Program: servertest.Valkey(t)})
	for _, tc := range []struct {
		replicas int
		mode     Durability
	}{{0, DurableSynced}, {1, DurableSyncedReplicas}} {
		l := openWith(t, Options{URL: v.URL(), Name: string(tc.mode), Replicas: tc.replicas})
		w, stop := running(t, l)
		if err := l.SetDurableMark(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		b := barrier(t, l, w)
		if b.Mode() != tc.mode {
			t.Fatalf("mode %s, want %s", b.Mode(), tc.mode)
		}
		appendOne(t, w, cdc.Stream{Lane: cdc.LaneNormal}, dealAt(5))
		stepUntil(t, b, 6)
		if err := stop(true); err != nil {
			t.Error(err)
		}
	}
	v.Kill()
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := open(t, v.URL(), string(DurableSynced))
	if mark, ok, err := l.DurableMark(t.Context()); err != nil || !ok || mark != 6 {
		t.Errorf("mark %v %v (%v), want 6", mark, ok, err)
	}
	// Somebody turns it off: that is seen, and said.
	w, stop := running(t, l)
	b := barrier(t, l, w)
	if err := l.Client().ConfigSet(t.Context(), "appendonly", "no").Err(); err != nil {
		t.Fatal(err)
	}
	b.found = time.Time{}
	if err := b.step(t.Context(), time.Now()); err != nil || b.Mode() != DurableNone || l.Durability() != string(DurableNone) {
		t.Errorf("without its file: mode %s, the log says %s (%v)", b.Mode(), l.Durability(), err)
	}
	if err := stop(true); err != nil {
		t.Error(err)
	}
}

// What a server does is found whatever it lets us see, and why it is not more is said.
func TestDurabilityIsFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		o     servers.RedisOptions
		valk  bool
		alter []string // CONFIG SET, or ACL SETUSER
		mode  Durability
		why   string
	}{
		{name: "no file", mode: DurableNone, why: "set appendonly yes"},
		{name: "no file, new", valk: true, mode: DurableNone, why: "set appendonly yes"},
		{name: "everysec", o: servers.RedisOptions{AOF: "everysec"}, mode: DurableAge},
		{name: "everysec, new", valk: true, o: servers.RedisOptions{AOF: "everysec"}, mode: DurableSynced},
		{name: "always", o: servers.RedisOptions{AOF: "always"}, mode: DurableAlways},
		{name: "always, new", valk: true, o: servers.RedisOptions{AOF: "always"}, mode: DurableSynced},
		{name: "as the system likes", o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"config", "set", "appendfsync", "no"}, mode: DurableNone, why: "set appendfsync everysec"},
		{name: "as the system likes, new", valk: true, o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"config", "set", "appendfsync", "no"}, mode: DurableNone, why: "set appendfsync everysec"},
		{name: "not while rewriting", o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"config", "set", "no-appendfsync-on-rewrite", "yes"}, mode: DurableNone, why: "set no-appendfsync-on-rewrite no"},
		{name: "no CONFIG", o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"acl", "setuser", "default", "-config"}, mode: DurableNone, why: "+config|get"},
		{name: "no CONFIG, new", valk: true, o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"acl", "setuser", "default", "-config", "-info"}, mode: DurableSynced},
		{name: "no INFO", o: servers.RedisOptions{AOF: "everysec"}, alter: []string{"acl", "setuser", "default", "-info"}, mode: DurableNone, why: "+info"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.valk {
				tc.o.Program = servertest.Valkey(t)
			}
			s := servertest.Redis(t, tc.o)
			l := open(t, s.URL(), "found")
			if len(tc.alter) > 0 {
				args := make([]any, len(tc.alter))
				for i, a := range tc.alter {
					args[i] = a
				}
				if err := l.Client().Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			mode, why, err := l.FindDurability(t.Context())
			if err != nil || mode != tc.mode || !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
				t.Errorf("mode %s because %q (%v), want %s because %q", mode, why, err, tc.mode, tc.why)
			}
		})
	}
	s := servertest.Redis(t)
	l := openWith(t, Options{URL: s.URL(), Name: "refused", Replicas: 1})
	if err := l.Client().Do(t.Context(), "acl", "setuser", "default", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	var se *cdc.SetupError
	if _, _, err := l.FindDurability(t.Context()); !errors.As(err, &se) || !strings.Contains(err.Error(), "refuses the command WAIT") {
		t.Errorf("without WAIT: %v", err)
	}
}
