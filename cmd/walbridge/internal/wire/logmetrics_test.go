package wire

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

// The metrics of the log are in order, and tell who holds it.
func TestLogMetrics(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, err := redislog.Open(t.Context(), redislog.Options{URL: k.Server.URL(), Name: k.Name, Partitions: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	targets := []string{"crm", "forecast"}
	if err := l.EnsureGroups(t.Context(), targets); err != nil {
		t.Fatal(err)
	}
	key := l.Keys().Stream(cdc.Stream{Lane: cdc.LaneUrgent, Partition: 1})
	if err := l.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: "5-0", Values: []any{"op", "t", "table", "public.deals", "ts", 7}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.Client().XGroupSetID(t.Context(), key, "forecast", "5-0").Err(); err != nil {
		t.Fatal(err)
	}
	trimmer := l.NewTrimmer(redislog.TrimOptions{Targets: targets})
	c := newLogCollector(trimmer, targets)
	if n := len(gather(t, c)); n != 1 {
		t.Errorf("before the first look there are %d metrics, want the one that counts", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- trimmer.Run(ctx) }()
	for trimmer.Stats().Survey == nil {
		if cdc.Sleep(t.Context(), 1e6) != nil {
			t.Fatal("it did not look at the log")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := gather(t, c)
	for name, want := range map[string]float64{
		"walbridge_log_entries urgent": 1, "walbridge_log_entries bulk": 0, "walbridge_log_unread_bytes forecast": 0,
		"walbridge_log_target_detached crm": 0, "walbridge_log_target_detached forecast": 0, "walbridge_log_over_bytes": 0,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s is %v, want %v", name, have, want)
		}
	}
	for _, name := range []string{"walbridge_log_unread_bytes crm", "walbridge_log_bytes urgent", "walbridge_log_redis_memory_bytes", "walbridge_log_oldest_entry_age_seconds"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v, want more than nothing", name, got[name])
		}
	}
}

// gather reads the metrics of a collector, by name and labels, and checks that they
// are in order.
func gather(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			out[name] = m.GetGauge().GetValue()
		}
	}
	return out
}
