package rate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// TestOverRedis has several keepers share an account over the Redis of the demo, a real
// one, and one that holds the key on another node of a cluster.
func TestOverRedis(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		share(t, redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()}), "suite")
	})
	t.Run("server", func(t *testing.T) {
		ks := servertest.SharedRedis(t)
		share(t, redis.NewClient(&redis.Options{Addr: ks.Server.Addr()}), ks.Name)
	})
	t.Run("cluster", func(t *testing.T) {
		c := servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3})
		share(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), DisableIdentity: true, DisableRoutingPolicies: true}), "suite")
	})
}

func share(t *testing.T, c redis.UniversalClient, name string) {
	t.Helper()
	key := redislog.Keys{Name: name}.Account("crm")
	store := NewRedis(c, key)
	defer func() {
		if err := errors.Join(store.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	s := Settings{PerSecond: 100, Burst: 20, Daily: 150}
	made := workers(ctx, 4, s, store, func(int) error { return nil })
	if len(made) != 150 { // the budget, to the last; nothing is lost where no answer is
		t.Fatalf("%d requests", len(made))
	}
	for i := range made {
		for j := i; j < len(made); j++ {
			// As late as a busy machine may be.
			if d := made[j].Sub(made[i]).Seconds() + 0.2; float64(j-i+1) > s.Burst+s.PerSecond*d {
				t.Fatalf("%d requests in %.3f s", j-i+1, d)
			}
		}
	}
	v, err := Look(t.Context(), c, key, s)
	if err != nil || v.Left != 0 || time.Until(v.SpentUntil) < 23*time.Hour || v.Rate != 100 {
		t.Errorf("view %+v, %v", v, err)
	}
	if ttl, err := c.PTTL(t.Context(), key).Result(); err != nil || ttl < kept-time.Minute || ttl > kept {
		t.Errorf("it is kept for %v, %v", ttl, err)
	}
	// Nothing is put that is of another time, or in the place of something else.
	have, now, put, err := store.Swap(t.Context(), "", "", time.Time{})
	if err != nil || put || have == "" {
		t.Fatalf("look: %q %v %v", have, put, err)
	}
	if _, _, put, err := store.Swap(t.Context(), have, "x", now.Add(time.Second)); err != nil || put {
		t.Errorf("put of another time: %v %v", put, err)
	}
	if _, _, put, err := store.Swap(t.Context(), "other", "x", now); err != nil || put {
		t.Errorf("put in the place of another: %v %v", put, err)
	}
}
