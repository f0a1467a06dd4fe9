package wire

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
)

// counting is a target that may tell of each request that it makes.
type counting struct {
	vendors.Target
	counts bool
}

func (c counting) CountsRequests() bool { return c.counts }

// What verify makes of requests to read a target back is what the account is told of.
func TestWithinCountsRequests(t *testing.T) {
	throttled := &sinks.Throttled{Err: errors.New("429")}
	for name, c := range map[string]struct {
		counts bool
		made   []int // by each try
		errs   []error
		left   int64
	}{
		"one":                        {true, []int{1}, []error{nil}, 99},
		"several":                    {true, []int{3}, []error{nil}, 97},
		"none":                       {true, []int{0}, []error{nil}, 100},
		"again":                      {true, []int{0, 2}, []error{&sinks.Retryable{Err: errors.New("connect")}, nil}, 98},
		"no token, and then a read":  {true, []int{0, 1}, []error{throttled, nil}, 99},
		"of one that does not count": {false, []int{0, 0}, []error{throttled, nil}, 98},
	} {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
			defer client.Close()
			s := rate.Settings{Daily: 100}
			store := rate.NewRedis(client, "account")
			a := &account{keeper: rate.New("crm", s, store, slog.New(slog.DiscardHandler)), store: store}
			target := &verifiedTarget{comparedTarget: &comparedTarget{client: counting{counts: c.counts}, limits: sinks.Limits{Timeout: time.Minute}}, account: a}
			tries := 0
			err := (&verifier{}).within(t.Context(), target, func(ctx context.Context) error {
				for range c.made[tries] {
					sinks.CountRequest(ctx)
				}
				tries++
				return c.errs[tries-1]
			})
			if err != nil || tries != len(c.made) {
				t.Fatalf("%d tries, %v", tries, err)
			}
			if err := a.close(); err != nil {
				t.Fatal(err)
			}
			v, err := rate.Look(t.Context(), client, "account", s)
			if lowered := v.Lowered > 0; err != nil || v.Left != c.left || lowered != errors.Is(c.errs[0], throttled) {
				t.Errorf("%d left, want %d; lowered %d times; %v", v.Left, c.left, v.Lowered, err)
			}
		})
	}
}
