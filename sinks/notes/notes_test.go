package notes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

func TestNotes(t *testing.T) {
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
	r := New(client, Keys{Spaces: "walbridge:{" + ks.Name + "}:notes:crm", Space: func(s string) string { return "walbridge:{" + ks.Name + "}:notes:crm:" + s }})
	ctx := t.Context()
	all := map[string]string{}
	keys := []string{"none"}
	for i := range 2*page + 5 {
		k := fmt.Sprintf("key %d", i)
		all[k] = fmt.Sprint(i)
		keys = append(keys, k)
	}
	if err := r.Set(ctx, "ids", all); err != nil {
		t.Fatal(err)
	}
	if err := r.Set(ctx, "jobs", map[string]string{"750": "open", "751": ""}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "ids", keys); err != nil || !maps.Equal(got, all) {
		t.Errorf("%d of %d notes, %v", len(got), len(all), err)
	}
	if got, err := r.Get(ctx, "ids", nil); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := r.Set(ctx, "ids", map[string]string{"key 1": "", "key 2": "two"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Set(ctx, "ids", nil); err != nil {
		t.Error(err)
	}
	delete(all, "key 1")
	all["key 2"] = "two"
	if got, err := r.All(ctx, "ids"); err != nil || !maps.Equal(got, all) {
		t.Errorf("%d of %d notes, %v", len(got), len(all), err)
	}
	if got, err := r.All(ctx, "jobs"); err != nil || !maps.Equal(got, map[string]string{"750": "open"}) {
		t.Errorf("jobs %v, %v", got, err)
	}
	if spaces, err := client.HKeys(ctx, "walbridge:{"+ks.Name+"}:notes:crm").Result(); err != nil || len(spaces) != 2 {
		t.Errorf("spaces %v, %v", spaces, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, getErr := r.Get(ended, "ids", keys)
	_, allErr := r.All(ended, "ids")
	for _, err := range []error{getErr, allErr, r.Set(ended, "ids", all)} {
		if ret := (*sinks.Retryable)(nil); !errors.As(err, &ret) || sinks.Unknown(err) {
			t.Errorf("a failure is %v", err)
		}
	}
}
