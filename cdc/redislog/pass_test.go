package redislog

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A pass is good for a while, and only one that was made; also where memory is full.
func TestPass(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{})
	l := open(t, s.URL(), "pass")
	ctx := t.Context()
	if err := l.client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	pass, err := l.NewPass(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if good, err := l.GoodPass(ctx, pass); err != nil || !good {
		t.Errorf("it is good: %v (%v)", good, err)
	}
	if left := l.client.PTTL(ctx, l.keys.Pass(pass)).Val(); left <= 0 || left > passFor {
		t.Errorf("it is good for %v", left)
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 32), pass + "0", strings.Repeat("*", 32)} {
		if good, err := l.GoodPass(ctx, bad); err != nil || good {
			t.Errorf("%q is good: %v (%v)", bad, good, err)
		}
	}
}
