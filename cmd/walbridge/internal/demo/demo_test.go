package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// On a machine without redis-server the demo shows the same on an embedded one.
func TestDemoAgreesOnEmbeddedRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Duration: 3 * time.Second, Seed: 3, Rate: 60, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"embedded (redis-server was not found)", "source and targets agree", "crm/Opportunity"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

// On servers of the user's own the demo leaves no slot, publication or key behind,
// and can be run again.
func TestDemoOnServersOfTheUser(t *testing.T) {
	db := servertest.SharedPostgres(t)
	k := servertest.SharedRedis(t)
	for range 2 {
		var out bytes.Buffer
		o := Options{Duration: 2 * time.Second, Seed: 4, Rate: 60, Out: &out, Postgres: db.URL, Redis: k.Server.URL()}
		if err := Run(t.Context(), o); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	ro, err := redis.ParseURL(k.Server.URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(ro)
	defer func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	}()
	if keys, err := rdb.Keys(t.Context(), "*demo_*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("%d keys are left (%v), such as %v", len(keys), err, keys[:min(1, len(keys))])
	}
	d := &stage{postgresURL: db.URL}
	conn, err := d.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())
+ (SELECT count(*) FROM pg_publication)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d slots and publications are left (%v)", left, err)
	}
}
