package e2e

import (
	"testing"
	"time"
)

// pollEvery is the pause between two looks at something that has no event.
const pollEvery = 20 * time.Millisecond

// until looks again and again until look says nothing, and fails with what it
// said last when that takes too long.
func until(t testing.TB, within time.Duration, look func() string) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		left := look()
		if left == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("after %s: %s", within, left)
		case <-t.Context().Done():
			t.Fatalf("the test ended: %s", left)
		case <-tick.C:
		}
	}
}

// unless makes a look of a condition.
func unless(ok bool, left string) string {
	if ok {
		return ""
	}
	return left
}

// brief cuts a long list of findings.
func brief(list []string) []string {
	const most = 10
	if len(list) > most {
		return append(list[:most:most], "…")
	}
	return list
}
