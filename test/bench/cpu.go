package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// spent is the processor time of this process and of a Redis: it says on a busy machine
// what the clock does not.
type spent struct{ own, redis time.Duration }

// spentBy reads it as it is now.
func spentBy(ctx context.Context, rdb redis.UniversalClient) (s spent, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return s, fmt.Errorf("read own processor time: %w", err)
	}
	s.own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	text, err := rdb.Info(ctx, "cpu").Result()
	if err != nil {
		return s, fmt.Errorf("read processor time of Redis: %w", err)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_sys" && name != "used_cpu_user" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return s, fmt.Errorf("read processor time of Redis: %w", err)
		}
		s.redis += time.Duration(seconds * float64(time.Second))
	}
	return s, nil
}

func (s spent) since(began spent) spent { return spent{s.own - began.own, s.redis - began.redis} }

// each gives the microseconds of n things.
func (s spent) each(n int) (own, redis float64) {
	return float64(s.own.Nanoseconds()) / 1000 / float64(n), float64(s.redis.Nanoseconds()) / 1000 / float64(n)
}
