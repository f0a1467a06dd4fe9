package redislog

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/fault"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestAppendAndRead(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	f := newFeed(1, 5000)
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
}

// The demo falls back to an embedded server, which knows fewer commands.
func TestEmbeddedServerServes(t *testing.T) {
	m := miniredis.RunT(t)
	l := open(t, "redis://"+m.Addr()+"/0", "embedded")
	for _, s := range l.Streams() { // as a delivery does that starts before the capture
		if err := l.Client().XGroupCreateMkStream(t.Context(), l.keys.Stream(s), "crm", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	f := newFeed(5, 2000)
	if err := f.run(t, l, 0); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBarrier(t.Context(), w)
	if err != nil || b.Mode() != DurableNone {
		t.Errorf("durability %v (%v), want none", b, err)
	}
	for _, from := range []From{FromBackfill, FromNow, FromBeginning} {
		if b, err := l.Begin(t.Context(), "from-"+string(from), from, []string{"x/y"}); err != nil || !b.Made || b.From != from {
			t.Errorf("from %s: %+v (%v)", from, b, err)
		}
	}
	if pass, err := l.NewPass(t.Context()); err != nil {
		t.Error(err)
	} else if good, err := l.GoodPass(t.Context(), pass); err != nil || !good {
		t.Errorf("a pass is good: %v (%v)", good, err)
	}
	if began, err := l.GroupBegan(t.Context(), "crm"); err != nil || began {
		t.Errorf("a group that read nothing began: %v (%v)", began, err)
	}
}

func TestResentEntriesAreHeldOnce(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	f := newFeed(2, 3000)
	for _, from := range []cdc.LSN{0, f.entries[1000].Position.LSN, 0} {
		if err := f.run(t, l, from); err != nil {
			t.Fatal(err)
		}
	}
	f.check(t, l)
	if l.Stats().Held == 0 {
		t.Error("nothing was held, so nothing was sent twice")
	}
}

// Connections are cut in the middle of requests and of answers: an append whose
// answer is lost is looked up, not repeated blindly and not taken for done.
func TestLostAnswersLeaveNoHole(t *testing.T) {
	k := servertest.SharedRedis(t)
	for seed := range uint64(4) {
		p, err := fault.NewProxy(k.Server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, "redis://"+p.Addr()+"/0", fmt.Sprintf("%s_%d", k.Name, seed))
		f := newFeed(seed, 4000)
		p.CutRandomly(seed, 50_000)
		if err := f.run(t, l, 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cuts := p.Cuts()
		p.CutRandomly(0, 0)
		p.CutAll()
		f.check(t, l)
		if cuts == 0 {
			t.Errorf("seed %d: no connection was cut", seed)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The server refuses writes for want of memory again and again while a backlog
// drains (pitfall 24: a refused entry sent after a later one was taken is lost).
func TestFullServerLeavesNoHole(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{})
	l := open(t, s.URL(), "full")
	f := newFeed(3, 20_000)
	stop := make(chan struct{})
	toggled := make(chan error, 1)
	go func() {
		rng := rand.New(rand.NewPCG(3, 3))
		for n := 0; ; n++ {
			limit := "0"
			if n%2 == 0 {
				limit = "1mb" // less than an empty server takes
			}
			if err := l.Client().ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
				toggled <- err
				return
			}
			select {
			case <-stop:
				toggled <- l.Client().ConfigSet(t.Context(), "maxmemory", "0").Err()
				return
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			}
		}
	}()
	err := f.run(t, l, 0)
	close(stop)
	if err := errors.Join(err, <-toggled); err != nil {
		t.Fatal(err)
	}
	f.check(t, l)
	if l.Stats().Retries == 0 {
		t.Error("nothing was refused")
	}
}

// The server is killed in mid-drain and comes back with what its append-only
// file holds. The source sends again from the durable mark, and nothing is
// missing or twice.
func TestKilledServerLosesNothingDurable(t *testing.T) {
	for _, aof := range []string{"always", "everysec"} {
		t.Run(aof, func(t *testing.T) {
			s := servertest.Redis(t, servers.RedisOptions{AOF: aof})
			l := open(t, s.URL(), "killed")
			f := newFeed(4, 30_000)
			if err := l.SetDurableMark(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			killed := make(chan error, 1)
			go func() {
				for i := range 3 {
					for l.Stats().Entries < uint64(i+1)*6000 {
						time.Sleep(time.Millisecond)
					}
					s.Kill()
					if err := s.Start(t.Context()); err != nil {
						killed <- err
						return
					}
				}
				killed <- nil
			}()
			for {
				mark := waitMark(t, l)
				err := f.run(t, l, mark)
				if err == nil {
					break
				}
				var rolled *RolledBackError
				var lost *SessionLostError
				switch {
				case errors.As(err, &rolled) && rolled.Appended:
					t.Fatalf("entries were appended above the hole: %v", err)
				case !errors.As(err, &rolled) && !errors.As(err, &lost):
					t.Fatal(err)
				}
			}
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			// The last kill may have come after the last entry was passed.
			if err := f.run(t, l, waitMark(t, l)); err != nil {
				t.Fatal(err)
			}
			f.check(t, l)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	evicting := servertest.Redis(t, servers.RedisOptions{Extra: []string{"--maxmemory-policy", "allkeys-lru"}})
	k := servertest.SharedRedis(t)
	made := open(t, k.Server.URL(), k.Name)
	ofVersion := func(v string) string {
		keys := Keys{Name: k.Name + "_version_" + v}
		if err := made.Client().HSet(t.Context(), keys.Meta(), "version", v).Err(); err != nil {
			t.Fatal(err)
		}
		return keys.Name
	}
	for _, tc := range []struct {
		name string
		o    Options
		want []string
	}{
		{"a newer version", Options{URL: k.Server.URL(), Name: ofVersion("2"), Partitions: 4}, []string{"is of version 2, this walbridge knows version 1", "run the version of walbridge that made the log"}},
		{"no number for a version", Options{URL: k.Server.URL(), Name: ofVersion("x"), Partitions: 4}, []string{"is of version x"}},
		{"an evicting policy", Options{URL: evicting.URL(), Name: "a", Partitions: 4}, []string{"maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction"}},
		{"another number of partitions", Options{URL: k.Server.URL(), Name: k.Name, Partitions: 8}, []string{"made with 4 partitions, the configuration says 8", "set redis.partitions: 4"}},
		{"a server that is not there, with TLS", Options{URL: "rediss://127.0.0.1:1/0", Name: "a", Partitions: 4}, []string{"127.0.0.1:1 cannot be used", "that the server speaks TLS at this port"}},
		{"a server that is not there", Options{URL: "redis://127.0.0.1:1/0", Name: "a", Partitions: 4}, []string{"127.0.0.1:1 cannot be used", "check that the server runs"}},
		{"sentinels that are not there", Options{Sentinel: &Sentinel{Master: "sales", Addresses: []string{"127.0.0.1:1"}}, Name: "a", Partitions: 4},
			[]string{"master sales of the sentinels 127.0.0.1:1 cannot be used", "check that the sentinels run"}},
		{"a cluster that is none", Options{Cluster: []string{k.Server.Addr()}, Name: "a", Partitions: 4}, []string{"cluster " + k.Server.Addr() + " cannot be used", "are a Redis Cluster"}},
		{"a cluster that is not there", Options{Cluster: []string{"127.0.0.1:1"}, Name: "a", Partitions: 4}, []string{"cluster 127.0.0.1:1 cannot be used", "check that the nodes run"}},
		{"no URL", Options{URL: "http://user:secret@host", Name: "a", Partitions: 4}, []string{"redis.url is not a Redis URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.Logger = slog.New(slog.DiscardHandler)
			_, err := Open(t.Context(), tc.o)
			var se *cdc.SetupError
			if !errors.As(err, &se) {
				t.Fatalf("error %v, want a SetupError", err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q has the password", err)
			}
		})
	}
}

// A log says which version it is of; one from before that is of the first.
func TestOpenSaysTheVersion(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	for range 2 {
		if v, err := l.Client().HGet(t.Context(), l.Keys().Meta(), "version").Result(); err != nil || v != "1" {
			t.Errorf("version %q, %v, want 1", v, err)
		}
		if err := l.Client().HDel(t.Context(), l.Keys().Meta(), "version").Err(); err != nil {
			t.Fatal(err)
		}
		open(t, k.Server.URL(), k.Name)
	}
}
