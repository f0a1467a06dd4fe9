package sinks_test

import (
	"context"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

func TestCountRequests(t *testing.T) {
	more := 0
	ctx, r := sinks.CountRequests(t.Context(), func() { more++ })
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	want := func(made, beyond int) {
		t.Helper()
		if n := r.End(); n != made || more != beyond {
			t.Errorf("%d made, %d beyond the first, want %d and %d", n, more, made, beyond)
		}
	}
	for range 3 {
		sinks.CountRequest(inner)
	}
	sinks.CountRequest(sinks.NoRequests(inner))
	sinks.CountRequest(t.Context()) // nobody counts
	want(3, 2)
	// One that comes after the end is told, also where there was none before.
	more = 0
	ctx, r = sinks.CountRequests(ctx, func() { more++ })
	want(0, 0)
	sinks.CountRequest(ctx)
	want(1, 1)
}
