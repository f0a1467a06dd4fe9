package vault

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

func TestVault(t *testing.T) {
	ks := servertest.SharedRedis(t)
	o, err := redis.ParseURL(ks.Server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	key := func(name string) string { return "walbridge:{" + ks.Name + "}:login:" + name }
	v := New(client, Keys{Kept: key, Turn: func(name string) string { return key(name) + ":turn" }})
	ctx := t.Context()
	take := func(who string, want bool) {
		t.Helper()
		if ok, err := v.Take(ctx, "a", who, time.Minute); err != nil || ok != want {
			t.Errorf("%s takes the turn: %v, %v", who, ok, err)
		}
	}
	give := func(who, text string, want bool, after string) {
		t.Helper()
		ok, err := v.Give(ctx, "a", who, text)
		if err != nil || ok != want {
			t.Errorf("%s gives the turn: %v, %v", who, ok, err)
		}
		if got, err := v.Load(ctx, "a"); err != nil || got != after {
			t.Errorf("kept is %q, %v", got, err)
		}
	}
	give("one", "x", false, "")
	take("one", true)
	take("two", false)
	take("one", true) // its answer may have been lost
	give("two", "y", false, "")
	give("one", "", true, "")
	take("two", true)
	give("two", "1", true, "1")
	give("two", "2", false, "1") // it is not his any more
	take("one", true)
	give("one", "", true, "1")
	if got, err := v.Load(ctx, "b"); err != nil || got != "" {
		t.Errorf("another login has %q, %v", got, err)
	}
	if left, err := client.PTTL(ctx, key("a")).Result(); err != nil || left < kept-time.Hour {
		t.Errorf("it is kept for %v, %v", left, err)
	}
	take("one", true)
	if left, err := client.PTTL(ctx, key("a")+":turn").Result(); err != nil || left <= 0 || left > time.Minute {
		t.Errorf("a turn lasts %v, %v", left, err)
	}
	if err := client.PExpire(ctx, key("a")+":turn", 0).Err(); err != nil { // it is over
		t.Fatal(err)
	}
	take("two", true)
	give("one", "late", false, "1")

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, loadErr := v.Load(ended, "a")
	_, takeErr := v.Take(ended, "a", "one", time.Minute)
	_, giveErr := v.Give(ended, "a", "one", "s3cret")
	for _, err := range []error{loadErr, takeErr, giveErr} {
		if ret := (*sinks.Retryable)(nil); !errors.As(err, &ret) || sinks.Unknown(err) {
			t.Errorf("a failure is %v", err)
		}
	}
}

// A server that takes no more writes still keeps what came in place of a refresh token.
func TestFullServer(t *testing.T) {
	r := servertest.Redis(t)
	o, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	key := func(name string) string { return "walbridge:{full}:login:" + name }
	v := New(client, Keys{Kept: key, Turn: func(name string) string { return key(name) + ":turn" }})
	ctx := t.Context()
	if err := client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(ctx, "x", "y", 0).Err(); err == nil {
		t.Fatal("the server is not full")
	}
	if ok, err := v.Take(ctx, "a", "one", time.Minute); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if ok, err := v.Give(ctx, "a", "one", "text"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got, err := v.Load(ctx, "a"); err != nil || got != "text" {
		t.Error(got, err)
	}
}
